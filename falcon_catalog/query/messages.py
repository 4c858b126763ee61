"""Messages between the server and a query process: a JSON object, and bytes beside it."""

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

Message = dict[str, Any]

MAX_HEAD, MAX_BODY = 64 << 20, 64 << 20
"""The largest JSON text and the most bytes of one message."""
_LENGTHS = struct.Struct("!II")


class ClosedError(Exception):
    """The other side has closed the connection, or sends no messages."""


def send(connection: socket.socket, head: Mapping[str, Any], body: bytes = b"") -> None:
    """Send a message; raise ClosedError if nothing receives it, TimeoutError as the socket does."""
    text = json.dumps(head).encode()
    try:
        connection.sendall(_LENGTHS.pack(len(text), len(body)) + text + body)
    except (BrokenPipeError, ConnectionError) as error:
        raise ClosedError from error


def receive(connection: socket.socket) -> tuple[Message, bytes]:
    """Return the next message; raises as ``send``."""
    head, body = _LENGTHS.unpack(_exactly(connection, _LENGTHS.size))
    if head > MAX_HEAD or body > MAX_BODY:
        raise ClosedError
    try:
        message = json.loads(_exactly(connection, head))
    except ValueError as error:
        raise ClosedError from error
    if not isinstance(message, dict):
        raise ClosedError
    return message, _exactly(connection, body)


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        try:
            part = connection.recv(min(count, 1 << 20))
        except ConnectionError as error:
            raise ClosedError from error
        if not part:
            raise ClosedError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
