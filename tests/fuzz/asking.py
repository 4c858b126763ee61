"""A client that sends anything, and judges every answer by what holds for all of them."""

import contextlib
import http.client
import json
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.catalog.serving import serving
from tests.fuzz.bodies import SCHEMA, VERSION

SCALE = float(os.environ.get("FUZZ_SCALE", "1"))
"""How many times as many requests as usual."""


class Connection(http.client.HTTPConnection):
    """A connection that sends targets as they are, whatever bytes they have."""

    def _validate_path(self, url: str) -> None:
        pass

    def _encode_request(self, request: str) -> bytes:
        return request.encode("latin-1")


class Asker:
    """Sends requests to one catalog over one connection, and counts the statuses."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: Counter[int] = Counter()
        parts = urlsplit(url)
        self._connection = Connection(str(parts.hostname), parts.port, timeout=60)

    def ask(
        self, verb: str, target: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Send one request; return status and JSON. Fail unless the answer is an honest one."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            kind = {} if content is None else {"Content-Type": "application/json"}
            self._connection.request(verb, target, body=content, headers=kind | (headers or {}))
            answer = self._connection.getresponse()
            text = answer.read()
        except BaseException:
            self._connection.close()
            raise
        self.seen[answer.status] += 1
        told = f"{verb} {target} {content!r:.2000} → {answer.status} {text!r:.2000}"
        kind = answer.getheader("Content-Type")
        judge(told, verb=verb, target=target, status=answer.status, kind=kind, text=text)
        return answer.status, json.loads(text) if text else None

    def stage(self) -> None:
        """Have the namespace ``ns`` with tables ``t`` and ``u`` and a view ``v``."""
        self.ask("POST", "/v1/namespaces", {"namespace": ["ns"]})
        for name in ("t", "u"):
            self.ask("POST", "/v1/namespaces/ns/tables", {"name": name, "schema": SCHEMA})
        view = {"name": "v", "schema": SCHEMA, "view-version": VERSION, "properties": {}}
        self.ask("POST", "/v1/namespaces/ns/views", view)

    def close(self) -> None:
        self._connection.close()


def judge(told: str, *, verb: str, target: str, status: int, kind: str | None, text: bytes) -> None:
    """Fail unless an answer is a success, or an error of the client in the one shape."""
    assert status in {200, 204, 304} or 400 <= status < 500, told
    if status in {204, 304} or verb == "HEAD" or (verb == "OPTIONS" and status == 200):
        assert not text, told
        return
    assert kind == "application/json", told
    document = json.loads(text)
    if status != 200 and verb == "POST" and target.partition("?")[0] == "/v1/oauth/tokens":
        assert sorted(document) == ["error", "error_description"], told
        known = ("temporarily_",) if status == 429 else ("invalid_", "unsupported_")
        assert document["error"].startswith(known), told
    elif status != 200:
        assert list(document) == ["error"], told
        assert sorted(document["error"]) == ["code", "message", "type"], told
        assert document["error"]["code"] == status, told
        assert isinstance(document["error"]["message"], str), told
        assert isinstance(document["error"]["type"], str), told


@contextlib.contextmanager
def asking(
    folder: Path, around: Callable[[Any], Any] | None = None, **settings: Any
) -> Iterator[Asker]:
    """Serve a catalog, and yield a client of it."""
    with serving(folder, around, **settings) as server:
        asker = Asker(server.url)
        try:
            yield asker
        finally:
            asker.close()


def often(value: object) -> bool:
    """Tell three of four values, always the same ones, so that a failure can be shrunk."""
    return zlib.crc32(repr(value).encode()) % 4 != 0


def one_of(choices: Sequence[Any], value: object) -> Any:
    """Choose by a value, always the same one."""
    return choices[zlib.crc32(repr(value).encode()) % len(choices)]
