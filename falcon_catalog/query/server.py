"""The server as a query process sees it: what it requests over the socket."""

import socket
import threading
from collections.abc import Mapping
from typing import Any

from falcon_catalog.query import messages
from falcon_catalog.query.messages import Message

_BLOCK = 1 << 20


class QueryError(Exception):
    """A query that cannot be answered, in words for the person who wrote it."""


class Server:
    """Requests to the server, one at a time. Safe to use from many threads."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._guard = threading.Lock()

    def receive(self) -> Message:
        """Return what the server sends."""
        return messages.receive(self._connection)[0]

    def report(self, result: Mapping[str, Any]) -> None:
        """Send the result."""
        with self._guard:
            messages.send(self._connection, result)

    def table(self, namespace: str, name: str) -> Message:
        """Return a table and the snapshot to read of it.

        Raises:
            QueryError: there is none by this name that the visitor may read.
        """
        answer, _ = self._request({"request": "table", "namespace": namespace, "name": name})
        found: Message = answer["table"]
        return found

    def size(self, table: int, location: str) -> int:
        """Return the bytes of a file of a table; raises as ``read``."""
        answer, _ = self._request({"request": "size", "table": table, "location": location})
        return int(answer["size"])

    def read(self, table: int, location: str, offset: int, length: int) -> bytes:
        """Return a part of a file of a table.

        Raises:
            FileNotFoundError: there is no such file.
            QueryError: the file is none of the table, or a limit is exceeded.
        """
        about = {"table": table, "location": location}
        parts = []
        while length > 0:
            count = min(length, _BLOCK)
            _, part = self._request({"request": "read", **about, "offset": offset, "length": count})
            parts.append(part)
            offset, length = offset + count, length - count
        return b"".join(parts)

    def _request(self, request: Mapping[str, Any]) -> tuple[Message, bytes]:
        with self._guard:
            messages.send(self._connection, request)
            answer, body = messages.receive(self._connection)
        if (problem := answer.get("error")) is not None:
            if answer.get("missing"):
                raise FileNotFoundError(problem)
            raise QueryError(problem)
        return answer, body
