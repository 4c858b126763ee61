"""A running catalog, and a client that says what it sees of it."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from waitress import wasyncore

from falcon_catalog.app import CatalogApp, create_app
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.catalog.opening import close_catalogs, open_catalogs
from falcon_catalog.loop import Loop
from falcon_catalog.settings import Settings, load
from tests import several


@dataclass
class Server:
    """A running catalog, and the folder that holds all of it."""

    url: str
    folder: Path
    own_app: CatalogApp | None = None
    settings: Settings | None = None
    _beside: list[Catalog] = field(default_factory=list, repr=False)

    @property
    def app(self) -> CatalogApp:
        """The application, where it is in this process."""
        if self.own_app is None:
            pytest.skip("looks into the server, which is in processes of its own here")
        return self.own_app

    @property
    def catalog(self) -> Catalog:
        """The catalog; where the server has processes of its own, one beside it in this process."""
        if self.own_app:
            return self.own_app._catalogs[0]
        if not self._beside:
            assert self.settings is not None
            self._beside += open_catalogs(self.settings)
        return self._beside[0]

    @property
    def log(self) -> str:
        """What it has logged, if it is apart."""
        return (self.folder / "server.log").read_text(encoding="utf-8")

    def close(self) -> None:
        """Let go of what was opened beside the server."""
        if self._beside:
            close_catalogs(self._beside)

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse"

    def call(self, verb: str, path: str, body: object = None, **options: Any) -> requests.Response:
        """Send one request; ``path`` goes out exactly as written."""
        request = requests.Request(verb, self.url, json=body, **options).prepare()
        query = request.url.partition("?")[2] if request.url else ""
        request.url = self.url + path + (f"?{query}" if query else "")
        with requests.Session() as session:
            return session.send(request, timeout=30)

    def ok(self, verb: str, path: str, body: object = None, **options: Any) -> Any:
        """Send one request that must succeed; return its JSON, or None without a body."""
        answer = self.call(verb, path, body, **options)
        assert answer.status_code in (200, 204), f"{verb} {path}: {answer.text}"
        return answer.json() if answer.content else None

    def fails(
        self, verb: str, path: str, body: object = None, **options: Any
    ) -> tuple[int, str, str]:
        """Send one request that must fail; return status, type and message of the one shape."""
        answer = self.call(verb, path, body, **options)
        document = answer.json()
        assert list(document) == ["error"], document
        assert sorted(document["error"]) == ["code", "message", "type"]
        assert document["error"]["code"] == answer.status_code
        return answer.status_code, document["error"]["type"], document["error"]["message"]

    def namespace(self, *levels: str) -> None:
        """Create a namespace."""
        self.ok("POST", "/v1/namespaces", {"namespace": list(levels)})

    def table(self, name: str, **fields: Any) -> dict[str, Any]:
        """Create a table in the namespace ``ns``."""
        body = {"name": name, "schema": SCHEMA, **fields}
        return self.ok("POST", "/v1/namespaces/ns/tables", body)


SCHEMA = {
    "type": "struct",
    "fields": [
        {"id": 1, "name": "id", "type": "long", "required": True},
        {"id": 2, "name": "data", "type": "string", "required": False},
    ],
}


@contextlib.contextmanager
def serving(
    folder: Path,
    around: Callable[[Any], Any] | None = None,
    *,
    apart: bool = False,
    **settings: object,
) -> Iterator[Server]:
    """Serve the catalog of a folder; settings are named ``planning__page_files`` and so on.

    ``around`` may put a WSGI application of the test's around the catalog. One that is ``apart``
    is in a process of its own, even if it is one, and has a log.
    """
    flags = {
        "store.url": f"sqlite:///{folder}/catalog.db",
        "warehouse.location": f"file://{folder}/warehouse",
        **{key.replace("__", "."): value for key, value in settings.items()},
    }
    loaded = load(None, {}, flags)
    processes = int(settings.get("server__processes", several.PROCESSES))
    if around is None and (apart or processes > 1):
        with (
            several.serving(flags, folder / "server.log", processes) as url,
            contextlib.closing(Server(url, folder, settings=loaded)) as server,
        ):
            yield server
        return
    app = create_app(loaded)
    listener = socket.create_server(("127.0.0.1", 0))
    loop = Loop(around(app) if around else app, loaded.server, [listener], app.meters)
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{listener.getsockname()[1]}", folder, app)
    finally:
        loop.stop()
        thread.join(10)
        assert loop.drain(10) == 0
        wasyncore.close_all(loop._map)
        app.close()
