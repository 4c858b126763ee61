"""A catalog whose warehouse signs, and clients that send what was signed, byte for byte."""

import contextlib
import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from tests.catalog.serving import Server, serving
from tests.clouds.emulators import S3

TABLE = "/v1/default/namespaces/ns/tables/"


@dataclass(frozen=True)
class Answer:
    """A store's answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Signing:
    """A catalog that signs, and the store that it signs for."""

    server: Server
    endpoint: str
    """URL of the store as the settings name it."""
    address: str
    """Where the store listens: HOST:PORT."""
    region: str
    path_style: bool

    def uri(self, location: str, query: str = "") -> str:
        """Return the URI of a location, as clients encode it."""
        bucket, _, key = location.removeprefix("s3://").partition("/")
        scheme, _, host = self.endpoint.partition("://")
        base = f"{self.endpoint}/{bucket}" if self.path_style else f"{scheme}://{bucket}.{host}"
        path = f"/{quote(key, safe='/~')}" if key else "/"
        return f"{base}{path}{f'?{query}' if query else ''}"

    def ask(
        self,
        table: str,
        method: str,
        uri: str,
        *,
        headers: Mapping[str, str] | None = None,
        below: str = "sign",
        sender: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> requests.Response:
        """Ask the catalog for a signature, on behalf of a table of the namespace ``ns``."""
        named = {name: [value] for name, value in (headers or {}).items()}
        body = {"region": self.region, "method": method, "uri": uri, "headers": named, **fields}
        return self.server.call("POST", f"{TABLE}{table}/{below}", body, headers=sender)

    def signed(self, table: str, method: str, uri: str, **fields: Any) -> dict[str, Any]:
        """Return a signature of the catalog."""
        answer = self.ask(table, method, uri, **fields)
        assert answer.status_code == 200, answer.text
        signature: dict[str, Any] = answer.json()
        return signature

    def send(
        self,
        table: str,
        method: str,
        location: str,
        query: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes = b"",
        **fields: Any,
    ) -> Answer:
        """Send a request with a signature of the catalog to the store."""
        signature = self.signed(table, method, self.uri(location, query), headers=headers, **fields)
        return self.deliver(method, signature, headers, data)

    def deliver(
        self,
        method: str,
        signature: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        data: bytes = b"",
    ) -> Answer:
        """Send a signed request to the store, as Java does: its own headers over the new ones."""
        parts = urlsplit(signature["uri"])
        added = {name: ", ".join(values) for name, values in signature["headers"].items()}
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        with contextlib.closing(http.client.HTTPConnection(self.address, timeout=30)) as wire:
            wire.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            wire.putheader("Host", parts.netloc)
            for name, value in {**added, **(headers or {})}.items():
                wire.putheader(name, value)
            if data or method in ("PUT", "POST"):
                wire.putheader("Content-Length", str(len(data)))
            wire.endheaders(data or None)
            answer = wire.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())


def on(s3: S3) -> dict[str, Any]:
    """Return the arguments of ``signing`` that are the emulator's."""
    return {
        "endpoint": s3.url,
        "address": s3.url.removeprefix("http://"),
        "region": s3.region,
        "keys": (s3.access_key_id, s3.secret_access_key),
    }


@contextlib.contextmanager
def signing(
    folder: Path,
    *,
    endpoint: str,
    address: str,
    region: str,
    keys: tuple[str, str],
    path_style: bool = True,
    prefix: str = "wh",
    **settings: Any,
) -> Iterator[Signing]:
    """Serve a catalog whose warehouse is at a prefix of the bucket ``lake``, and signs."""
    folder.mkdir(exist_ok=True)
    secret = folder / "keys.json"
    secret.write_text(json.dumps({"access_key_id": keys[0], "secret_access_key": keys[1]}))
    options: dict[str, Any] = {
        "warehouse__location": f"s3://lake/{prefix}",
        "warehouse__allowed_locations": (),
        "warehouse__access": "signed",
        "warehouse__credential": f"file:{secret}",
        "warehouse__region": region,
        "warehouse__endpoint": endpoint,
        "warehouse__server_endpoint": f"http://{address}",
        "warehouse__path_style": path_style,
        **settings,
    }
    with serving(folder / "catalog", **options) as server:
        if not settings.get("auth__required"):
            server.namespace("ns")
        yield Signing(server, endpoint, address, region, path_style)
