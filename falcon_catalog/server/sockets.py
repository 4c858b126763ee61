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
    address = listen_address(settings.listen)
    with _explained(settings):
        if isinstance(address, Path):
            sock = _bind_path(address)
        else:
            sock = _bind(*address, settings.reuse_port)
            sock.listen(BACKLOG)
    try:
        yield [sock], False
    finally:
        if isinstance(address, Path):
            address.unlink(missing_ok=True)


def require_free(settings: ServerSettings, *, only_locally: bool) -> None:
    """Raise ServerError if it is certain that the server cannot listen as the settings say.

    A start that must fail then changes nothing. Clients cannot connect yet.
    """
    if systemd.hands_over(os.environ):
        return
    address = listen_address(settings.listen)
    with _explained(settings):
        if isinstance(address, Path):
            _is_left_behind(address)
            return
        with _bind(*address, settings.reuse_port) as sock:
            if only_locally:
                require_local([sock])


@contextlib.contextmanager
def _explained(settings: ServerSettings) -> Iterator[None]:
    """Turn what prevents listening into a ServerError."""
    listen = settings.listen
    if settings.reuse_port and isinstance(listen_address(listen), Path):
        raise ServerError(f"Cannot listen on {listen}: server.reuse_port needs HOST:PORT")
    try:
        yield
    except OSError as error:
        raise ServerError(f"Cannot listen on {listen}: {_reason(error)}") from None


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
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address[:2])
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_path(path: Path) -> socket.socket:
    if _is_left_behind(path):
        path.unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    sock.listen(BACKLOG)
    return sock


def _is_left_behind(path: Path) -> bool:
    """Return whether a process that was killed left a socket; raise OSError if one listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except FileNotFoundError:
            return False
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


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
