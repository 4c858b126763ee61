"""Listening sockets: handed over by systemd, or bound here."""

import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from falcon_catalog.rules import listen_address
from falcon_catalog.server import systemd
from falcon_catalog.settings import ServerSettings

BACKLOG = 1024


class ServerError(Exception):
    """The server cannot start or go on; the message is one line, fit for a terminal."""


@contextlib.contextmanager
def listening(settings: ServerSettings) -> Iterator[tuple[list[socket.socket], bool]]:
    """Yield the sockets systemd handed over, else one bound as the settings say.

    Yields them with whether other processes may accept from the very same sockets.

    Raises:
        ServerError: the address cannot be listened on, or a socket handed over is unusable.
    """
    try:
        sockets = systemd.inherited_sockets(os.environ)
    except (OSError, ValueError) as error:
        raise ServerError(f"A socket handed over by LISTEN_FDS is unusable: {error}") from None
    if sockets:
        yield sockets, True
        return
    listen, reuse_port = settings.listen, settings.reuse_port
    address = listen_address(listen)
    if reuse_port and isinstance(address, Path):
        raise ServerError(f"Cannot listen on {listen}: server.reuse_port needs HOST:PORT")
    try:
        sock = _bind_path(address) if isinstance(address, Path) else _bind(*address, reuse_port)
    except OSError as error:
        raise ServerError(f"Cannot listen on {listen}: {_reason(error)}") from None
    try:
        yield [sock], False
    finally:
        if isinstance(address, Path):
            address.unlink(missing_ok=True)


def named(sockets: list[socket.socket]) -> str:
    """Return the URLs at which clients reach the sockets, for people to read."""
    return " and ".join(_url(sock) for sock in sockets)


def require_local(sockets: list[socket.socket]) -> None:
    """Raise ServerError if other machines can reach one of the sockets."""
    for sock in sockets:
        if sock.family == socket.AF_UNIX:
            continue
        if not ipaddress.ip_address(sock.getsockname()[0]).is_loopback:
            raise ServerError(
                f"Cannot listen on {_url(sock)} without auth.required: everybody who reaches it"
                " could read and change everything. Set auth.required, listen on 127.0.0.1, or"
                " accept that with --insecure (server.insecure)"
            )


def _bind(host: str, port: int, reuse_port: bool) -> socket.socket:  # noqa: FBT001
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # A name with both kinds of address: the older kind is the one every client tries.
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    return socket.create_server(address[:2], family=family, backlog=BACKLOG, reuse_port=reuse_port)


def _bind_path(path: Path) -> socket.socket:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()  # left behind by a process that was killed
        except FileNotFoundError:
            pass
        else:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    sock.listen(BACKLOG)
    return sock


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            "another process listens there; stop it, choose another address (port 0: any), or"
            " start both with --reuse-port"
        )
    if error.errno == errno.EACCES:
        return "permission denied; ports below 1024 and foreign directories need more rights"
    # Python adds the address to the text of some of these: ours names it already.
    number = error.errno or 0
    return os.strerror(number) if number > 0 else error.strerror or str(error)


def _url(sock: socket.socket) -> str:
    if sock.family == socket.AF_UNIX:
        return f"unix:{sock.getsockname()}"
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
