"""A catalog on a real socket."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from waitress import wasyncore

from falcon_catalog.app import create_app
from falcon_catalog.server import Loop
from falcon_catalog.settings import load
from tests.catalog.serving import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    flags = {
        "store.url": f"sqlite:///{tmp_path}/catalog.db",
        "warehouse.location": f"file://{tmp_path}/warehouse",
    }
    settings = load(None, {}, flags)
    app = create_app(settings)
    listener = socket.create_server(("127.0.0.1", 0))
    loop = Loop(app, settings.server, [listener])
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{listener.getsockname()[1]}", tmp_path, app)
    finally:
        loop.stop()
        thread.join(10)
        assert loop.drain(10) == 0
        wasyncore.close_all(loop._map)
        app.close()


@pytest.fixture
def ns(server: Server) -> Server:
    """A catalog with one namespace, ``ns``."""
    server.namespace("ns")
    return server
