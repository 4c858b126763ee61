"""A process that serves a small application the way the catalog is served.

Run as ``python program.py LISTEN [KEY=VALUE …]`` with keys of ``ServerSettings``. Its paths:
``/gate?NAME`` tells "entered" on stdout and answers when somebody writes to the fifo NAME,
``/big?BYTES`` answers that many bytes, ``/echo`` answers the length of the body, ``/metrics``
tells what the server counts, ``/health/live`` is always told, ``/fail`` raises. A file named in
FAILING makes ``ready`` raise while it exists.
"""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from falcon_catalog import logs
from falcon_catalog.server import ServerError, serve
from falcon_catalog.settings import ServerSettings
from falcon_catalog.telemetry.meters import Meters


class Program:
    def __init__(self, meters: Meters) -> None:
        self._meters = meters

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        query = environ["QUERY_STRING"]
        match environ["PATH_INFO"]:
            case "/gate":
                click.echo("entered")
                body = Path(query).read_bytes()
            case "/big":
                body = b"x" * int(query)
            case "/echo":
                body = str(len(environ["wsgi.input"].read())).encode()
            case "/metrics":
                body = self._meters.text().encode()
            case "/health/live":
                body = b"live"
            case _:
                raise RuntimeError("a secret that belongs in the log only")
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    def ready(self) -> None:
        if os.path.exists(os.environ.get("FAILING", "")):  # noqa: PTH110 - the empty name too
            raise RuntimeError("not ready")

    def failure(self) -> str | None:
        return None

    def close(self) -> None:
        click.echo("closed")


def main() -> int:
    logs.configure("INFO")
    listen, *pairs = sys.argv[1:]
    settings = {key: int(value) for key, value in (pair.split("=") for pair in pairs)}
    meters = Meters()
    try:
        finished = serve(
            Program(meters), ServerSettings(listen=listen, **settings), click.echo, meters
        )
    except ServerError as error:
        click.echo(str(error), err=True)
        return 1
    return 0 if finished else 1


if __name__ == "__main__":
    sys.exit(main())
