"""Folders that outlive a power cut: each is an entry of another, which must be durable, too."""

import contextlib
import os

_MOST_REMEMBERED = 20_000


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
            if self._syncs:
                # Who may not read a folder has made nothing in it.
                with contextlib.suppress(PermissionError):
                    sync(os.path.dirname(folder))  # noqa: PTH120
            self._durable.add(folder)


def sync(path: str) -> None:
    """Make the entries of a folder durable."""
    _sync(path, os.O_DIRECTORY)


def sync_file(path: str) -> None:
    """Make the content of a file durable."""
    _sync(path, 0)


def _sync(path: str, flags: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
