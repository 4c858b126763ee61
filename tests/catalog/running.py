"""Catalogs on real sockets of this process."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from waitress import wasyncore

from falcon_catalog.app import create_app
from falcon_catalog.server import Loop
from falcon_catalog.settings import load
from tests.catalog.serving import Server


@contextlib.contextmanager
def running(
    folder: Path, around: Callable[[Any], Any] = lambda app: app, **settings: Any
) -> Iterator[Server]:
    """Serve a catalog in ``folder`` on a free port; ``around`` may put something around it."""
    flags = {
        "store.url": f"sqlite:///{folder}/catalog.db",
        "warehouse.location": f"file://{folder}/warehouse",
        **{name.replace("__", "."): value for name, value in settings.items()},
    }
    read = load(None, {}, flags)
    app = create_app(read)
    listener = socket.create_server(("127.0.0.1", 0))
    loop = Loop(around(app), read.server, [listener])
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
