"""A running catalog, and a client that says what it sees of it.

With TEST_WAREHOUSE=s3 the warehouse of a folder is in an S3 store, below a prefix of the same name.
With TEST_STORE=postgres its store is in PostgreSQL, in a schema of its own.
"""

import atexit
import contextlib
import functools
import hashlib
import http.client
import json
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from waitress import wasyncore

from falcon_catalog.app import CatalogApp, create_app
from falcon_catalog.catalog.bootstrap import close_warehouses, open_warehouses
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.metrics import Metrics
from falcon_catalog.server.loop import Loop
from falcon_catalog.settings import ServerSettings, Settings, load
from falcon_catalog.store.sqlite.writer import Writer
from tests import several

IN_S3 = os.environ.get("TEST_WAREHOUSE") == "s3"
_MARKER = "end-of-log-"


@dataclass
class Server:
    """A running catalog, and the folder that holds all of it."""

    url: str
    folder: Path
    own_app: CatalogApp | None = None
    settings: Settings | None = None
    processes: int = 1
    _beside: list[Warehouse] = field(default_factory=list, repr=False)

    @property
    def app(self) -> CatalogApp:
        """The application, where it is in this process."""
        if self.own_app is None:
            pytest.skip("looks into the server, which is in processes of its own here")
        return self.own_app

    @property
    def catalog(self) -> Warehouse:
        """The catalog; where the server has processes of its own, one beside it in this process."""
        if self.own_app:
            return self.own_app.warehouses[0]
        if not self._beside:
            assert self.settings is not None
            self._beside += open_warehouses(self.settings)
        return self._beside[0]

    def meter(self, name: str) -> float:
        """Return a metric without labels, summed over all processes."""
        lines = "\n".join(several.metrics(self.url, self.processes)).splitlines()
        found = [line.split()[1] for line in lines if line.startswith(f"falcon_catalog_{name} ")]
        assert len(found) == self.processes
        return sum(map(float, found))

    @property
    def log(self) -> str:
        """What it has logged so far, if it is apart."""
        assert self.settings is not None
        path = self.folder / "server.log"
        # A thread of each process writes the lines: what a request logs is there once those of
        # later requests are, which clients who come after one another send to all processes.
        for number in range(1 if self.processes == 1 else 8):
            marker = f"{_MARKER}{time.monotonic_ns()}-{number}"
            self.call("GET", "/health/live", headers={"X-Request-Id": marker})
            while self.settings.log.access and marker not in path.read_text(encoding="utf-8"):
                time.sleep(0.01)
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        return "".join(line for line in lines if _MARKER not in line)

    def close(self) -> None:
        """Let go of what was opened beside the server."""
        if self._beside:
            close_warehouses(self._beside)

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse"

    def call(self, verb: str, path: str, body: object = None, **options: Any) -> requests.Response:
        """Send one request; ``path`` goes out exactly as written."""
        if IN_S3:
            body = _moved(body, self.folder)
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


JSON_BODY = {"Content-Type": "application/json"}


def creation(staged: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the updates by which clients create the table that a stage-create returned."""
    return [
        {"action": "assign-uuid", "uuid": staged["table-uuid"]},
        {"action": "upgrade-format-version", "format-version": 2},
        {"action": "add-schema", "schema": staged["schemas"][0]},
        {"action": "set-current-schema", "schema-id": -1},
        {"action": "add-spec", "spec": {"spec-id": 0, "fields": []}},
        {"action": "set-default-spec", "spec-id": -1},
        {"action": "add-sort-order", "sort-order": {"order-id": 0, "fields": []}},
        {"action": "set-default-sort-order", "sort-order-id": -1},
    ]


VIEW = {
    "schema": {"type": "struct", "fields": []},
    "properties": {},
    "view-version": {
        "version-id": 1,
        "schema-id": 0,
        "timestamp-ms": 1,
        "summary": {},
        "default-namespace": ["ns"],
        "representations": [{"type": "sql", "sql": "SELECT 1", "dialect": "spark"}],
    },
}
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
    processes: int = several.PROCESSES,
    config: Path | None = None,
    **settings: object,
) -> Iterator[Server]:
    """Serve the catalog of a folder; settings are named ``planning__page_files`` and so on.

    ``config`` is a file with more of them.

    ``around`` may put a WSGI application of the test's around the catalog. One that is ``apart``
    is in a process of its own, even if it is one, and has a log.
    """
    given = {key.replace("__", "."): value for key, value in settings.items()}
    flags = {
        "store.url": store_url(folder),
        "warehouse.location": f"file://{folder}/warehouse",
        # Snapshots may name manifest lists in this folder, which does not exist.
        "warehouse.allowed_locations": ("file:///nowhere",),
        **given,
    }
    if IN_S3 and "warehouse.location" not in given:
        flags |= {**_in_s3(folder), **given}
    loaded = load(config, {}, flags)
    with contextlib.ExitStack() as stack:
        if apart or processes > 1:
            folder.mkdir(exist_ok=True)  # for the log, which is there before the catalog is
            url = stack.enter_context(
                several.serving(flags, folder / "server.log", processes, config)
            )
            if around:
                url = stack.enter_context(looping(around(passing_on(url)), loaded.server))
            yield stack.enter_context(
                contextlib.closing(Server(url, folder, settings=loaded, processes=processes))
            )
        else:
            app = stack.enter_context(contextlib.closing(create_app(loaded)))
            served = around(app) if around else app
            url = stack.enter_context(looping(served, loaded.server, app.metrics))
            yield Server(url, folder, app)


def store_url(folder: Path) -> str:
    """Return the URL of the store of a folder's catalog."""
    if not several.IN_POSTGRES:
        return f"sqlite:///{folder}/catalog.db"
    from tests.postgres import cluster  # noqa: PLC0415 - other tests do without

    return cluster.store_url(f"t{hashlib.blake2b(bytes(folder), digest_size=8).hexdigest()}")


def committer() -> tuple[Any, str]:
    """Return the class and the name of its method that takes a connection and COMMITs on it."""
    if not several.IN_POSTGRES:
        return Writer, "_store"
    from falcon_catalog.store.postgres.connection import PostgresDatabase  # noqa: PLC0415 - an extra

    return PostgresDatabase, "_commit"


def sql(folder: Path, statement: str, *parameters: object) -> list[Any]:
    """Change or read the store of a folder's catalog behind the server's back."""
    if not several.IN_POSTGRES:
        path = folder / "catalog.db"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return connection.execute(statement, parameters).fetchall()
    import psycopg  # noqa: PLC0415 - other tests do without

    with psycopg.connect(store_url(folder), autocommit=True) as session:
        cursor = session.execute(
            statement.replace("%", "%%").replace("?", "%s").encode(), parameters
        )
        return cursor.fetchall() if cursor.description else []


def _in_s3(folder: Path) -> dict[str, object]:
    """Return the settings of a warehouse in an S3 store, which runs until this process ends."""
    own = {f"warehouse.{name}": value for name, value in _s3().settings().items()}
    return {
        **own,
        "warehouse.location": f"s3://{_s3().bucket}{folder}/warehouse",
        "warehouse.allowed_locations": ("s3://nowhere",),
        "warehouse.credential": "env:TEST_S3",
    }


def _moved(body: object, folder: Path) -> object:
    """Return a body with locations in the S3 store instead of those in the folder."""
    text = json.dumps(body).replace("file:///nowhere", "s3://nowhere")
    return json.loads(text.replace(f"file://{folder}/", f"s3://{_s3().bucket}{folder}/"))


@functools.cache
def _s3() -> Any:
    from tests.clouds import emulators  # noqa: PLC0415 - other tests do without

    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    store = stack.enter_context(emulators.s3())
    os.environ.update(store.environ("TEST_S3"))
    return store


@contextlib.contextmanager
def looping(app: Any, settings: ServerSettings, metrics: Metrics | None = None) -> Iterator[str]:
    """Serve an application from a thread of this process; yield the URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    loop = Loop(app, settings, [listener], metrics)
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        loop.stop()
        thread.join(10)
        assert loop.drain(10) == 0
        wasyncore.close_all(loop._map)


def passing_on(url: str) -> Callable[[dict[str, Any], Any], list[bytes]]:
    """Return a WSGI application that lets a server answer."""
    where = urlsplit(url).netloc

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        path = environ["REQUEST_URI"].partition("?")[0]
        sent = {
            name.removeprefix("HTTP_").replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_") or (name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value)
        }
        with contextlib.closing(http.client.HTTPConnection(where, timeout=60)) as connection:
            connection.request(
                environ["REQUEST_METHOD"],
                f"{path}?{environ['QUERY_STRING']}".removesuffix("?"),
                environ["wsgi.input"].read(),
                sent | {"CONNECTION": "close"},
            )
            answer = connection.getresponse()
            body = answer.read()
        about_the_connection = ("connection", "date", "server", "transfer-encoding", "via")
        got = [pair for pair in answer.getheaders() if pair[0].lower() not in about_the_connection]
        start_response(f"{answer.status} {answer.reason}", got)
        return [body]

    return app
