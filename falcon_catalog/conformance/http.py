"""HTTP requests to one server, sent exactly as given."""

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from falcon_catalog.conformance.answers import Answer, FailureError, WrongCatalogError

_SECONDS = 60


class HTTP:
    """An HTTP client of one server, with the token that it sends."""

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
        """Send one request: bytes as they are, any other body as JSON.

        A header that is empty is not sent, not even the token.
        """
        target = self._base + path
        if query:
            target += "?" + urlencode(query, quote_via=quote, safe="")
        sent = {"Accept": "application/json"}
        content: bytes | None = None
        if form is not None:
            content = urlencode(form).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        elif body is not None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        sent = {name: value for name, value in sent.items() if value}
        # One connection per request, so that none is ever sent twice by a reconnect.
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=_SECONDS)
        try:
            connection.request(verb, target, body=content, headers=sent)
            response = connection.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            return Answer(f"{verb} {target}", response.status, received, response.read())
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise FailureError(f"{verb} {target}: no answer: {reason}") from error
        finally:
            connection.close()
