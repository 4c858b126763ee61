"""Requests to one server, sent exactly as written."""

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from falcon_catalog.conformance.answers import Answer, FailureError, WrongCatalogError

_SECONDS = 60


class Web:
    """One server: where it is, and who asks."""

    def __init__(self, uri: str, token: str | None = None) -> None:
        parts = urlsplit(uri)
        try:
            port = parts.port
        except ValueError as error:
            raise WrongCatalogError(f"{uri}: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise WrongCatalogError(f"{uri}: a catalog's URI is http://HOST… or https://HOST…")
        if parts.query or parts.fragment:
            raise WrongCatalogError(f"{uri}: a catalog's URI has neither ? nor #")
        self.uri = uri
        self.token = token
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, port
        self._base = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~-._")

    def send(
        self,
        verb: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request; a body that is bytes goes out as it is, any other as JSON.

        An empty header is left out: the token, too.
        """
        target = self._base + path
        if query:
            target += "?" + urlencode(query, quote_via=quote, safe="")
        content, kind = _encode(body, form)
        sent = {"Accept": "application/json", **kind, **(headers or {})}
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        sent = {name: value for name, value in sent.items() if value}
        try:
            return self._exchange(verb, target, content, sent)
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise FailureError(f"{verb} {target}: no answer: {reason}") from error

    def _exchange(
        self, verb: str, target: str, content: bytes | None, headers: dict[str, str]
    ) -> Answer:
        # A connection of its own for each request: none is ever sent twice by a reconnect.
        connection = (
            http.client.HTTPSConnection(
                self._host, self._port, timeout=_SECONDS, context=ssl.create_default_context()
            )
            if self._secure
            else http.client.HTTPConnection(self._host, self._port, timeout=_SECONDS)
        )
        try:
            connection.request(verb, target, body=content, headers=headers)
            response = connection.getresponse()
            given = {name.lower(): value for name, value in response.getheaders()}
            return Answer(f"{verb} {target}", response.status, given, response.read())
        finally:
            connection.close()


def _encode(body: Any, form: Mapping[str, str] | None) -> tuple[bytes | None, dict[str, str]]:
    if form is not None:
        return urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    if body is None:
        return None, {}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return content, {"Content-Type": "application/json"}
