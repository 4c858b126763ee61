"""A catalog on a real socket."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from waitress import wasyncore

from falcon_catalog.app import create_app
from falcon_catalog.server import Loop
from falcon_catalog.settings import load
from tests.catalog.serving import Server

Start = Callable[..., Server]


@contextmanager
def _running(folder: Path, told: dict[str, object]) -> Iterator[Server]:
    flags = {
        "store.url": f"sqlite:///{folder}/catalog.db",
        "warehouse.location": f"file://{folder}/warehouse",
        **told,
    }
    settings = load(None, {}, flags)
    app = create_app(settings)
    listener = socket.create_server(("127.0.0.1", 0))
    loop = Loop(app, settings.server, [listener])
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


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a catalog with settings, all in the test's one folder."""
    with ExitStack() as stack:
        yield lambda **told: stack.enter_context(
            _running(tmp_path, {key.replace("__", "."): value for key, value in told.items()})
        )


@pytest.fixture
def server(start: Start) -> Server:
    return start()


@pytest.fixture
def ns(server: Server) -> Server:
    """A catalog with one namespace, ``ns``."""
    server.namespace("ns")
    return server
