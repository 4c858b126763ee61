"""Python as it is on macOS, as far as this project is concerned: without what only Linux has.

Programs that have this folder in PYTHONPATH find no /proc, O_PATH, fdatasync, memfd or pidfd, but
F_GETPATH and F_FULLFSYNC. It stands in for a Mac: what its own kernel does, it cannot show.
"""

import builtins
import errno
import fcntl
import io
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

_LINUX = {
    os: ("O_PATH", "O_TMPFILE", "fdatasync", "memfd_create", "pidfd_open", "sched_getaffinity"),
    signal: ("pidfd_send_signal",),
    socket: ("SOCK_CLOEXEC", "SOCK_NONBLOCK"),
    fcntl: ("F_OFD_SETLK", "F_OFD_SETLKW", "F_OFD_GETLK"),
}
_GETPATH, _FULLFSYNC = 50, 51
_fcntl, _readlink, _fsync = fcntl.fcntl, os.readlink, os.fsync


def _of_macos(descriptor: Any, command: int, argument: Any = 0) -> Any:
    if command == _GETPATH:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        return os.fsencode(_readlink(f"/proc/self/fd/{number}")).ljust(len(argument), b"\0")
    if command == _FULLFSYNC:
        return _fsync(descriptor)
    return _fcntl(descriptor, command, argument)


def _without_proc(function: Callable[..., Any]) -> Callable[..., Any]:
    def refusing(path: Any = ".", *arguments: Any, **options: Any) -> Any:
        if isinstance(path, str | bytes | os.PathLike):
            name = os.fsdecode(path)
            if name == "/proc" or name.startswith("/proc/"):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return function(path, *arguments, **options)

    return refusing


for _module, _names in _LINUX.items():
    for _name in _names:
        if hasattr(_module, _name):
            delattr(_module, _name)
fcntl.fcntl = _of_macos
fcntl.F_GETPATH, fcntl.F_FULLFSYNC = _GETPATH, _FULLFSYNC  # type: ignore[attr-defined]
for _name in ("open", "stat", "lstat", "readlink", "listdir", "scandir"):
    setattr(os, _name, _without_proc(getattr(os, _name)))
builtins.open = io.open = _without_proc(io.open)  # type: ignore[misc]
