"""Local files and folders that outlive a power cut, and whose they are.

A folder is an entry of another one, which must be durable, too.
"""

import contextlib
import fcntl
import hashlib
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SYNCS_AT_ONCE = 16
"""Threads that sync: a file system writes syncs that come together to its journal together."""
_MOST_REMEMBERED = 20_000
_LONGEST_PATH = 1024  # MAXPATHLEN of macOS


class Folders:
    """Makes folders, and knows which are durable. Safe to use from many threads.

    That a folder is there does not say that it will be after a power cut: who made it may be
    about to sync it still, or was killed before.
    """

    def __init__(self, *, sync: bool = True) -> None:
        """Leave out the syncs if told: then folders are there, but may not outlive a power cut."""
        self._syncs = sync
        self._durable: set[str] = set()

    def make(self, path: str) -> None:
        """Make a folder, and those around it; its entry and theirs are durable on return.

        Args:
            path: absolute, without ``..``.

        Raises:
            OSError: a folder cannot be made or synced.
        """
        unsure = []
        while not (path in self._durable and os.path.isdir(path)):  # noqa: PTH112
            unsure.append(path)
            path, inner = os.path.dirname(path), path  # noqa: PTH120
            if path == inner:
                break
        if len(self._durable) > _MOST_REMEMBERED:
            self._durable.clear()
        for folder in reversed(unsure):
            with contextlib.suppress(FileExistsError):
                if not os.path.isdir(folder):  # noqa: PTH112 - where mkdir itself may be forbidden
                    os.mkdir(folder)  # noqa: PTH102
                    inherit(folder)
            if self._syncs:
                sync_entry(folder)
            self._durable.add(folder)

    def is_durable(self, path: str) -> bool:
        """Return whether a folder was made durable before; it may have been removed since."""
        return path in self._durable

    def forget(self, path: str) -> None:
        """Take a folder for one that may have to be made, or made durable, again."""
        self._durable.discard(path)


def remove_empty(path: str) -> None:
    """Remove a folder and those in it, but those that hold a file.

    Nothing but an empty folder is ever removed. A link to a folder counts as a file.
    """
    for folder, _, _ in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)  # noqa: PTH106


def inherit(path: str | Path) -> None:
    """Give what root has just made to the owner of the folder that it is in.

    A server and its clients may run as another user, who must be able to change it.
    """
    if os.geteuid() == 0:
        owner = os.stat(os.path.dirname(path))  # noqa: PTH116, PTH120
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def give(descriptor: int, to_owner_of: str | Path | int) -> None:
    """Give an open file to the owner of another file or folder, unless it is theirs; as root.

    A file that has several names is left alone: one of them may be somebody else's.
    """
    owner = os.stat(to_owner_of)  # noqa: PTH116
    given = os.fstat(descriptor)
    if given.st_nlink == 1 and (given.st_uid, given.st_gid) != (owner.st_uid, owner.st_gid):
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def sync_entry(path: str) -> None:
    """Make durable that a file or folder is there; those around it may still not be."""
    # Who may not read a folder has made nothing in it.
    with contextlib.suppress(PermissionError):
        sync(os.path.dirname(path))  # noqa: PTH120


def sync_entries(path: Path) -> None:
    """Make durable that a file or folder is there, and all folders around it."""
    path = path.absolute()
    for each in (path, *path.parents[:-1]):
        sync_entry(str(each))


def sync_tree(root: Path) -> None:
    """Make all files in a folder durable, and the entries of all folders, the inner ones first."""
    inside = list(os.walk(root, topdown=False))
    files = (f"{folder}/{name}" for folder, _, names in inside for name in names)
    with ThreadPoolExecutor(SYNCS_AT_ONCE) as pool:
        deque(pool.map(sync_file, files), 0)
    for folder, _, _ in inside:
        sync(folder)


def sync(path: str | Path) -> None:
    """Make the entries of a folder durable."""
    _sync(path, os.O_DIRECTORY)


def sync_file(path: str | Path) -> None:
    """Make the content of a file durable."""
    _sync(path, 0)


def _sync(path: str | Path, flags: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_data(descriptor: int) -> None:
    """Make the content of an open file durable, on macOS through the disk's own cache as well."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    elif hasattr(fcntl, "F_FULLFSYNC"):  # fsync(2) there stops at that cache
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def open_handle(path: str, flags: int = 0) -> int:
    """Return a descriptor of what is at a path; where possible, one that opens nothing (O_PATH).

    To open a device may do something, to open a FIFO waits for its writer. Without O_PATH, as on
    macOS, it is opened for reading, without waiting.
    """
    how = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK)
    return os.open(path, how | os.O_CLOEXEC | flags)


def read_handle(handle: int, size: int, offset: int = 0) -> bytes:
    """Return the content of the file that ``open_handle`` found, up to a size."""
    if hasattr(os, "O_PATH"):
        with open(f"/proc/self/fd/{handle}", "rb") as file:  # noqa: PTH123 - what was checked
            file.seek(offset)
            return file.read(size)
    with open(handle, "rb", closefd=False) as file:
        file.seek(offset)
        return file.read(size)


def path_of(descriptor: int) -> str:
    """Return the path of what is open, which no link leads astray."""
    if hasattr(fcntl, "F_GETPATH"):  # macOS
        found: bytes = fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(_LONGEST_PATH))
        return os.fsdecode(found.rstrip(b"\0"))
    return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115


def write_private(path: Path, content: bytes, *, anew: bool = False) -> None:
    """Create a file of mode 0600, not durable yet.

    One that is there is an error, or written ``anew``.
    """
    how = os.O_TRUNC if anew else os.O_EXCL
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | how | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
