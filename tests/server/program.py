"""A process that serves a small application the way the catalog is served.

Run as ``python program.py LISTEN [KEY=VALUE …]`` with keys of ``ServerSettings``. Its paths:
``/gate?NAME`` tells "entered" on stdout and answers when somebody writes to the fifo NAME,
``/big?BYTES`` answers that many bytes, ``/echo`` answers the length of the body, ``/metrics``
tells what the server counts, ``/health/live`` is always told, ``/pid`` answers whose it is,
``/fail`` raises, ``/thread`` tells who asked. What begins with ``/quick`` the event loop itself may
ask, though ``/quick/gate`` turns out to wait; ``/slow/gate`` has a thread of its own. A file named
in FAILING makes ``ready`` raise while it exists.
"""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from falcon_catalog import logs
from falcon_catalog.metrics import Metrics
from falcon_catalog.server.inline import INLINE, WouldBlock
from falcon_catalog.server.serve import serve
from falcon_catalog.server.sockets import ServerError
from falcon_catalog.settings import ServerSettings


class Program:
    slow_paths = frozenset({"/slow/gate"})

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        query = environ["QUERY_STRING"]
        path = environ["PATH_INFO"].removeprefix("/quick").removeprefix("/slow")
        if path == "/gate" and INLINE in environ:
            raise WouldBlock
        match path:
            case "/gate":
                click.echo("entered")
                body = Path(query).read_bytes()
            case "/big":
                body = b"x" * int(query)
            case "/echo":
                body = str(len(environ["wsgi.input"].read())).encode()
            case "/metrics":
                body = self._metrics.text()
            case "/health/live" | "/health/ready":
                body = path.rpartition("/")[2].encode()
            case "/thread":
                body = b"the loop" if INLINE in environ else b"a thread"
            case "/pid":
                body = str(os.getpid()).encode()
            case _:
                raise RuntimeError("a secret that belongs in the log only")
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    def may_respond_inline(self, method: str, path: str) -> bool:
        return method == "GET" and path.startswith("/quick/")

    def ready(self) -> None:
        if os.path.exists(os.environ.get("FAILING", "")):  # noqa: PTH110 - the empty name too
            raise RuntimeError("not ready")

    def must_stop(self) -> str | None:
        return None

    def close(self) -> None:
        click.echo("closed")


def main() -> int:
    logs.configure("INFO")
    listen, *pairs = sys.argv[1:]
    values = {key: int(value) for key, value in (pair.split("=") for pair in pairs)}
    settings = ServerSettings(listen=listen, **values)
    metrics = Metrics()
    try:
        finished = serve(Program(metrics), settings, click.echo, metrics)
    except ServerError as error:
        logs.finish()  # what it has to say first
        click.echo(str(error), err=True)
        return 1
    return 0 if finished else 1


if __name__ == "__main__":
    sys.exit(main())
