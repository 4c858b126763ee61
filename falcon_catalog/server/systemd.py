"""What a service and systemd tell each other: sockets handed over, readiness, the watchdog.

Sources: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3). Started by anything else,
each function finds its variables unset and does nothing.
"""

import os
import socket
from collections.abc import Mapping, MutableMapping

FIRST_DESCRIPTOR = 3


def inherited_sockets(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Return the listening sockets handed over, and take their variables out of ``environ``.

    Children must not take the sockets for theirs, so the variables go and the descriptors
    close on exec.

    Raises:
        OSError: a descriptor that was promised is not an open socket.
    """
    ours = hands_over(environ)
    environ.pop("LISTEN_PID", None)
    count = environ.pop("LISTEN_FDS", "0")
    environ.pop("LISTEN_FDNAMES", None)
    if not ours:
        return []
    descriptors = range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count))
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return [socket.socket(fileno=descriptor) for descriptor in descriptors]


def hands_over(environ: Mapping[str, str]) -> bool:
    """Return whether sockets are handed over; it leaves them where they are."""
    return environ.get("LISTEN_PID") == str(os.getpid())


def notify(environ: MutableMapping[str, str], **states: str) -> None:
    """Send ``KEY=value`` states, for example ``READY="1"``, to the supervisor if there is one."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    message = "\n".join(f"{key}={value}" for key, value in states.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(message.encode(), address)


def watchdog_seconds(environ: MutableMapping[str, str]) -> float | None:
    """Return how long the supervisor waits for a sign of life, None if it expects none."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = int(environ.get("WATCHDOG_USEC", "0"))
    return microseconds / 1_000_000 or None
