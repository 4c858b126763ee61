"""Run one query: ``python -m falcon_catalog.query FD``, which the server starts."""

import os
import resource
import socket
import sys
from collections.abc import Callable, Mapping
from importlib.abc import MetaPathFinder
from typing import Any

from falcon_catalog.query.messages import ClosedError, Message
from falcon_catalog.query.server import QueryError, Server

Run = Callable[[Server, Mapping[str, Any]], Message]

_IDLE_SECONDS = 300.0
"""How long a process waits for its job: one is started before it is needed."""
_MEMORY = 3 << 30
"""Of addresses, which libraries reserve more of than they use."""
_CPU_SECONDS = 120
_DESCRIPTORS = 64


def main() -> None:
    """Receive a job over an inherited socket, and send its result."""
    _limit()
    sys.meta_path.insert(0, _WithoutPandas())
    from falcon_catalog.query import changes, preview, sql  # noqa: PLC0415 - after the two above

    connection = socket.socket(fileno=int(sys.argv[1]))
    server = Server(connection)
    server.report({"ready": True})
    connection.settimeout(_IDLE_SECONDS)
    try:
        job = server.receive()
    except (ClosedError, TimeoutError):
        return
    connection.settimeout(None)
    run = {"changes": changes.run, "preview": preview.run, "sql": sql.run}[job["kind"]]
    server.report(_run(run, server, job))
    os._exit(0)  # nothing to clean up; threads of the libraries may still run


class _WithoutPandas(MetaPathFinder):
    """Hides pandas, whose import is half of the start: pyarrow does without it."""

    def find_spec(self, fullname: str, *_: Any) -> None:
        """Raise ImportError for pandas."""
        if fullname == "pandas":
            raise ImportError(fullname)


def _run(run: Run, server: Server, job: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return run(server, job)
    except QueryError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": "The query needs more memory than a query may use"}
    except Exception as error:  # noqa: BLE001 - a process's last line of defence
        return {"error": f"The query failed: {type(error).__name__}: {error}"}


def _limit() -> None:
    """Write no file, and use no more memory and time than a query may."""
    for kind, most in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_NOFILE, _DESCRIPTORS),
    ):
        hard = resource.getrlimit(kind)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, allowed))


if __name__ == "__main__":
    main()
