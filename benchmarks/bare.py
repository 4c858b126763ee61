"""The floor: a bare waitress that answers constant bytes."""

import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any

import waitress

_ANSWER = b'{"what": "constant"}'


def serve(app: Callable[..., Iterable[bytes]]) -> None:
    """Serve a WSGI application with four threads, as the catalog is, and say where."""
    # It warns of each request that waits for a thread, which the catalog's own is spared, too.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    server = waitress.create_server(app, listen="127.0.0.1:0", threads=4)
    sys.stdout.write(f"Listening on http://127.0.0.1:{server.effective_port}\n")
    sys.stdout.flush()
    server.run()


def _answer(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(_ANSWER)))]
    start_response("200 OK", headers)
    return [_ANSWER]


if __name__ == "__main__":
    serve(_answer)
