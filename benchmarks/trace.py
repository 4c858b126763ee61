"""``python -m benchmarks.trace``: which of our files a request visits, in order.

Prints the path of a load from memory and of a property commit from socket to row, one file a line
with the first function that ran in it.
"""

import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

import click
import requests

from falcon_catalog.app import create_app
from falcon_catalog.server.loop import Loop
from falcon_catalog.settings import load

PACKAGE = Path(__file__).resolve().parent.parent / "falcon_catalog"
SCHEMA = {"type": "struct", "fields": [{"id": 1, "name": "a", "type": "long", "required": False}]}
TABLE = "/v1/namespaces/ns/tables/t"


class Trace:
    """The files of the package that threads visit while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.files: dict[str, str] = {}

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        """Note a call; a profile function."""
        code = frame.f_code
        if self.on and event == "call" and code.co_filename.startswith(str(PACKAGE)):
            file = str(Path(code.co_filename).relative_to(PACKAGE))
            self.files.setdefault(file, code.co_qualname if sys.version_info >= (3, 11) else "")

    def of(self, request: Callable[[], requests.Response]) -> dict[str, str]:
        """Return the files that a request visits, each with the first function that ran in it."""
        self.files = {}
        self.on = True
        try:
            request().raise_for_status()
        finally:
            self.on = False
        return self.files


def traces(folder: Path) -> dict[str, dict[str, str]]:
    """Serve a catalog in a folder, and trace a load from memory and a property commit."""
    settings = load(
        None,
        {},
        {
            "store.url": f"sqlite:///{folder}/catalog.db",
            "warehouse.location": f"file://{folder}/warehouse",
        },
    )
    trace = Trace()
    threading.setprofile(trace)
    with closing(create_app(settings)) as app:
        listener = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        loop = Loop(app, settings.server, [listener], app.metrics)
        thread = threading.Thread(target=loop.run)
        thread.start()
        try:
            with requests.Session() as session:
                return _traced(trace, session, url)
        finally:
            threading.setprofile(None)
            loop.stop()
            thread.join()
            loop.drain(10)


def _traced(trace: Trace, session: requests.Session, url: str) -> dict[str, dict[str, str]]:
    def post(path: str, body: dict[str, Any]) -> requests.Response:
        return session.post(url + path, json=body, timeout=30)

    def commit() -> requests.Response:
        update = {"action": "set-properties", "updates": {"a": "b"}}
        return post(TABLE, {"updates": [update]})

    def load_table() -> requests.Response:
        return session.get(url + TABLE, timeout=30)

    post("/v1/namespaces", {"namespace": ["ns"]}).raise_for_status()
    post("/v1/namespaces/ns/tables", {"name": "t", "schema": SCHEMA}).raise_for_status()
    load_table()
    return {"load from memory": trace.of(load_table), "property commit": trace.of(commit)}


def main() -> None:
    """Print both traces."""
    with tempfile.TemporaryDirectory() as folder:
        for name, files in traces(Path(folder)).items():
            click.echo(f"{name}: {len(files)} files")
            for file, function in files.items():
                click.echo(f"  {file:<40} {function}")


if __name__ == "__main__":
    main()
