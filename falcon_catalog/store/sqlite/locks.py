"""The locks of a store, in files beside its database: who has it open, who writes, and the fence.

``catalog.db-in-use``: each program that works on a store shares it as long as it runs, and one that
replaces the database holds it exclusively. ``catalog.db-lock``: whose turn it is to write. The
kernel takes both back from a process that ends.

The first byte of ``catalog.db-lock`` is the fence. A process whose COMMIT failed with an unknown
outcome raises it: the write-ahead log may hold the whole commit although its sync failed, and a
recovery would bring it back. No process changes a fenced store; servers drain and exit. The first
program that then holds the store exclusively recovers it, and clears the fence. The fence need not
survive a power cut: after one, whoever opens the database first recovers it anyway.
"""

import contextlib
import fcntl
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from falcon_catalog import durable_files
from falcon_catalog.store.database import StoreError

_OPEN_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW  # no link put in its place
_BUSY_TIMEOUT_MS = 200
_RECOVERY_SECONDS = 60.0  # for the processes that have a fenced store open to end
_RETRY_SECONDS = 0.1
_CLEAR, _RAISED = b"\0", b"!"
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def shared(path: Path) -> Iterator[None]:
    """Work on the store at ``path``, beside others; recover it first if it is fenced.

    Raises:
        StoreError: the store is being replaced, or that was interrupted, so that it must not be
            made anew; or it is fenced, and other processes still have it open.
    """
    with _in_use_lock(path) as descriptor:
        deadline = time.monotonic() + _RECOVERY_SECONDS
        while not _lock_unfenced(descriptor, path):
            if time.monotonic() > deadline:
                raise StoreError(
                    f"store {path} is fenced: a COMMIT failed, and processes that have it open"
                    " must end before it can be recovered"
                )
            time.sleep(_RETRY_SECONDS)
        if is_half_replaced(path):
            raise StoreError(
                f"store {path} is not there: falcon-catalog restore was interrupted before it was"
                " done. Run it again, or put the old store back, if there was one, from"
                f" {path}.replaced-…, and delete {successor(path)}"
            )
        yield


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Have the store at ``path`` for oneself, whether a database is there or not.

    Raises:
        StoreError: a server or another command is at work on it.
    """
    with _in_use_lock(path) as descriptor:
        if not _try(descriptor, fcntl.LOCK_EX) or _is_open(path):
            raise StoreError(
                f"store {path} is in use: stop the server and every other program that has it open"
            )
        # A database that cannot be recovered can still be replaced.
        with contextlib.suppress(StoreError):
            _recover(path)
        yield


def successor(path: Path) -> Path:
    """Return where restore makes what is to take the place of the database at ``path``."""
    return path.with_name(f".{path.name}.restored")


def is_half_replaced(path: Path) -> bool:
    """Return whether a restore was interrupted when no database was in its place."""
    return not path.exists() and successor(path).exists()


def may_be_in_use(path: Path) -> bool:
    """Return whether a process may be at work on a store; changes nothing.

    A process that stops in order folds SQLite's log away: a log that holds something is in use, or
    was left by one that was killed.
    """
    log = Path(f"{path}-wal")
    return _is_locked(path) or (log.exists() and log.stat().st_size > 0)


def is_fenced(path: Path) -> bool:
    """Return whether the fence of the store at ``path`` is raised."""
    try:
        with write_lock_path(path).open("rb") as file:
            return file.read(1) == _RAISED
    except FileNotFoundError:
        return False


def write_lock_path(path: Path) -> Path:
    """Return the file whose lock decides which process writes."""
    return Path(f"{path}-lock")


def open_lock(path: Path, database: Path | None = None) -> int:
    """Open a lock file, made if there is none, and return its descriptor.

    If root opens it, it is given to the owner of the database, or of the folder while there is
    no database: another user who works on the store must be able to open it, too.

    Raises:
        OSError: it can be neither made nor opened.
    """
    descriptor = os.open(path, _OPEN_FLAGS, 0o600)
    try:
        if os.geteuid() == 0:
            there = database is not None and database.exists()
            durable_files.give(descriptor, database if there and database else path.parent)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class WriteLock:
    """The turn to write, between processes: first come, first served, with a timeout.

    Only a blocking ``flock`` has a place in the kernel's queue; one that is tried again and again
    can starve. But nothing ends it before the lock is there. So a thread of its own waits in it for
    whoever wants the lock then: the place is kept when one gives up and the next one comes. In each
    process, one thread at a time may ask for the lock or hold it.
    """

    def __init__(self, path: Path, database: Path | None = None) -> None:
        """Lock the file at ``path``, which belongs to whoever owns ``database``."""
        self.path = path
        self._database = database
        self._guard = threading.Lock()
        self._descriptor: int | None = None
        self._place: _Place | None = None
        self._places: queue.SimpleQueue[_Place | None] | None = None

    def acquire(self, timeout: float) -> bool:
        """Take the lock; return False if ``timeout`` seconds were not enough.

        Raises:
            OSError: there can be no such lock.
        """
        with self._guard:
            if self._place is None:
                if self._is_free():
                    return True
                self._place = self._queue_up()
            place = self._place
            place.awaited = True
        if not place.reached.acquire(timeout=max(0.0, timeout)):
            with self._guard:
                if self._place is place:
                    place.awaited = False
                    return False
        if place.failure is not None:
            raise place.failure
        return True

    def release(self) -> None:
        """Give the lock to the next one in the queue."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def is_fenced(self) -> bool:
        """Return whether the fence is raised. The lock must be held."""
        return self._descriptor is not None and os.pread(self._descriptor, 1, 0) == _RAISED

    def fence(self) -> None:
        """Raise the fence: no process may change the store. The lock must be held.

        Raises:
            OSError: the byte cannot be written.
        """
        if self._descriptor is not None:
            os.pwrite(self._descriptor, _RAISED, 0)

    def close(self) -> None:
        """Give up the lock and the place in the queue; it may be used again."""
        with self._guard:
            if self._places is not None:
                self._places.put(None)
            if self._descriptor is not None:
                os.close(self._descriptor)
            self._descriptor = self._places = self._place = None

    def _is_free(self) -> bool:
        if self._descriptor is None:
            self._descriptor = open_lock(self.path, self._database)
            # The block that holds the fence, so that raising it needs no space on the disk.
            with contextlib.suppress(OSError):
                os.pwrite(self._descriptor, _CLEAR, 1)
        return _try(self._descriptor, fcntl.LOCK_EX)

    def _queue_up(self) -> "_Place":
        if self._places is None:
            self._places = queue.SimpleQueue()
            # A daemon: what never comes must not keep the process from ending.
            arguments = (self._places, self._descriptor)
            threading.Thread(target=self._wait, args=arguments, name="lock", daemon=True).start()
        place = _Place()
        self._places.put(place)
        return place

    def _wait(self, places: "queue.SimpleQueue[_Place | None]", descriptor: int) -> None:
        while (place := places.get()) is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError as error:
                place.failure = error
            with self._guard:
                if self._place is not place:
                    return  # closed meanwhile, and with the last use of the file its lock is gone
                self._place = None
                if place.awaited:
                    place.reached.release()
                elif place.failure is None:
                    fcntl.flock(descriptor, fcntl.LOCK_UN)


class _Place:
    """A place in the queue."""

    def __init__(self) -> None:
        self.awaited = True
        self.failure: OSError | None = None
        self.reached = threading.Lock()
        self.reached.acquire()


def _in_use_path(path: Path) -> Path:
    return Path(f"{path}-in-use")


@contextlib.contextmanager
def _in_use_lock(path: Path) -> Iterator[int]:
    try:
        descriptor = open_lock(_in_use_path(path), path)
    except OSError as error:
        raise StoreError(f"store {path}: {error}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock_unfenced(descriptor: int, path: Path) -> bool:
    """Share the lock of a store that is not fenced, or that can be recovered now."""
    was_fenced = is_fenced(path)
    if not _try(descriptor, fcntl.LOCK_SH):
        if was_fenced:  # another process is about to recover it
            return False
        raise StoreError(f"store {path} is being replaced by falcon-catalog restore")
    if not is_fenced(path):
        return True
    if _try(descriptor, fcntl.LOCK_EX) and not _is_open(path):
        _recover(path)
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _recover(path: Path) -> None:
    """Recover a fenced database, all of it durable, and clear the fence. Nobody has it open."""
    if not is_fenced(path):
        return
    try:
        if path.exists():
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                # What recovery brings back may be in the page cache alone, if its sync failed.
                busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if busy:
                    return
        _log.warning("recovered the store after a COMMIT that failed", extra={"store": str(path)})
        with write_lock_path(path).open("r+b") as file:
            file.write(_CLEAR)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"store {path} cannot be recovered: {error}") from error


def _try(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(_in_use_path(path), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _is_open(path: Path) -> bool:
    """Ask SQLite: whoever has a database in WAL mode open shares a lock on it.

    So a shell, or a version of this program that knows no lock of ours, is seen too.
    """
    if not path.exists():
        return False
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        try:
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            # A damaged database says so here, and may be replaced.
            return error.sqlite_errorcode in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    return False
