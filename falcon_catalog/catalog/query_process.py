"""Processes that read rows: how many run, for how long, and the files that they are given."""

import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from falcon_catalog.errors import (
    CatalogError,
    InternalServerError,
    NotFoundError,
    ServiceUnavailableError,
)
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.query import messages
from falcon_catalog.query.messages import ClosedError

_log = logging.getLogger(__name__)
_MAX_PROCESSES = 2
_MAX_BYTES = 1 << 30
_MAX_FILES = 5000
_MAX_PART = 1 << 20
_START_SECONDS = 60.0
_WAIT = 5.0  # for a process that was killed


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one table, confined to its folders."""

    size: Callable[[str], int]
    read_part: Callable[[str, int, int], bytes]


Find = Callable[[Mapping[str, Any]], tuple[JSON | None, Mapping[int, Files]]]
"""Returns the table that a request names, if it names one, and the files of those found so far."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a process reported."""

    result: JSON
    seconds: float
    read_bytes: int


class QueryProcesses:
    """Runs queries, a few at the same time and one for each visitor. Safe for many threads."""

    def __init__(self, limit: int = _MAX_PROCESSES) -> None:
        self._limit = limit
        self._guard = threading.Lock()
        self._visitors: set[str] = set()
        self._spare: _Process | None = None

    @contextlib.contextmanager
    def _place(self, visitor: str) -> Iterator[None]:
        with self._guard:
            if visitor in self._visitors:
                raise ServiceUnavailableError("Another query of yours is running: wait for its end")
            if len(self._visitors) >= self._limit:
                raise ServiceUnavailableError("Other queries are running: try again in a moment")
            self._visitors.add(visitor)
        try:
            yield
        finally:
            with self._guard:
                self._visitors.discard(visitor)

    def run(self, job: JSON, find: Find, *, visitor: str, seconds: float) -> Outcome:
        """Run a query in a new process, and serve it until it reports its result.

        Raises:
            ServiceUnavailableError: too many run, it took too long, or storage is not available.
            InternalServerError: the process ended without a result.
        """
        with self._place(visitor):
            process = self._take()
            try:
                process.wait_until_ready()
                started = time.monotonic()
                serving = _Serving(process.connection, find, started + seconds)
                result = serving.serve(job)
            except TimeoutError:
                raise ServiceUnavailableError(
                    f"The query was stopped after {seconds:g} seconds. Read fewer rows, or use"
                    " an engine"
                ) from None
            except ClosedError:
                raise process.ended() from None
            finally:
                process.end()
            return Outcome(result, time.monotonic() - started, serving.read_bytes)

    def _take(self) -> "_Process":
        """Return a process, and start the next one: it loads its libraries meanwhile."""
        with self._guard:
            found, self._spare = self._spare, _Process()
        if found is not None and found.is_running():
            return found
        if found is not None:
            found.end()
        return _Process()


class _Process:
    """A process that was started, and the connection to it."""

    def __init__(self) -> None:
        self.connection, theirs = socket.socketpair()
        with theirs:
            self._process = _start(theirs.fileno())

    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Wait until it has loaded its libraries; raise ClosedError if it has not in time."""
        self.connection.settimeout(_START_SECONDS)
        try:
            messages.receive(self.connection)
        except TimeoutError:
            raise ServiceUnavailableError(
                "The query did not start: this machine is too busy"
            ) from None

    def end(self) -> None:
        self._process.kill()
        self._process.wait(_WAIT)
        self.connection.close()

    def ended(self) -> CatalogError:
        """Return the error for a process that ended before its result, or sends none."""
        try:
            code = self._process.wait(_WAIT)
        except subprocess.TimeoutExpired:
            _log.warning("a query process sent what is no message")
            return InternalServerError("The query's process sent no result that can be read")
        _log.warning("a query process ended with code %d before its result", code)
        if code < 0:
            return ServiceUnavailableError(
                "The query was stopped: it used more memory or time than a query may use"
            )
        return InternalServerError("The query's process ended before its result")


def _start(descriptor: int) -> subprocess.Popen[bytes]:
    """Start a process that inherits one descriptor, and nothing of the server's environment."""
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-I", "-m", "falcon_catalog.query", str(descriptor)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[descriptor],
        cwd="/",
        env={
            "HOME": "/nonexistent",
            "PATH": os.defpath,
            "PYICEBERG_MAX_WORKERS": "1",
            "ARROW_IO_THREADS": "2",
            "OMP_NUM_THREADS": "2",
            "TZ": "UTC",
        },
    )


class _Serving:
    """One query: answers what its process requests."""

    def __init__(self, connection: socket.socket, find: Find, deadline: float) -> None:
        self._connection = connection
        self._find = find
        self._deadline = deadline
        self._opened: set[tuple[int, str]] = set()
        self.read_bytes = 0

    def serve(self, job: JSON) -> JSON:
        """Send the job and return the result; raise TimeoutError at the deadline."""
        self._wait()
        messages.send(self._connection, job)
        while True:
            self._wait()
            message, _ = messages.receive(self._connection)
            if "request" not in message:
                return message
            answer, body = self._answer(message)
            self._wait()
            messages.send(self._connection, answer, body)

    def _wait(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)

    def _answer(self, message: JSON) -> tuple[JSON, bytes]:
        try:
            table, files = self._find(message if message["request"] == "table" else {})
            if message["request"] == "table":
                return {"table": table}, b""
            return self._of_file(files[int(message["table"])], message)
        except ServiceUnavailableError:
            raise
        except NotFoundError as error:
            return {"error": error.message, "missing": True}, b""
        except CatalogError as error:
            return {"error": error.message}, b""
        except (KeyError, ValueError, TypeError):
            raise ClosedError from None

    def _of_file(self, files: Files, message: JSON) -> tuple[JSON, bytes]:
        location = str(message["location"])
        if message["request"] == "size":
            self._opened.add((int(message["table"]), location))
            if len(self._opened) > _MAX_FILES:
                return {"error": f"The query opens more than {_MAX_FILES} files"}, b""
            return {"size": files.size(location)}, b""
        offset, length = int(message["offset"]), int(message["length"])
        if offset < 0 or not 0 <= length <= _MAX_PART:
            raise ClosedError
        self.read_bytes += length
        if self.read_bytes > _MAX_BYTES:
            return {"error": f"The query reads more than {_MAX_BYTES >> 20} MiB of files"}, b""
        return {}, files.read_part(location, offset, length)
