"""The one writer of a process: changes that come together share a transaction, and its sync.

Threads take turns on one connection. While others wait, a thread hands the open transaction on to
them, and each of those makes its change inside a savepoint; the last one commits it for all. No
change is acknowledged, and none refused, before the transaction that it was made in has ended.
Between processes a lock on a file decides whose turn it is: it queues, where SQLite's own lock
sleeps and tries again, which can starve a writer. Both waits are bounded.

Sharing a transaction gains nothing on a disk that syncs in a quarter of a millisecond; with 2, 5
and 10 ms more for each sync eight writers make 1.6, 2.0 and 2.3 times the commits (``make bench``,
goal 9).
"""

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from falcon_catalog.errors import ServiceUnavailableError
from falcon_catalog.store.database import OutcomeUnknownError, now_ms
from falcon_catalog.store.sqlite import locks
from falcon_catalog.store.sqlite.transaction import SqliteTransaction

_FENCED = "a COMMIT failed in another process, and its outcome is unknown"
_LARGEST_BATCH = 64
_LONGEST_WAIT_SECONDS = 10.0
_LOOK_AGAIN_SECONDS = 0.2
# Errors that end by themselves, and after which nothing of the transaction is stored.
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    # The last part of a transaction that is written is the one that makes it count.
    sqlite3.SQLITE_IOERR_WRITE,
}


_log = logging.getLogger(__name__)


class _Batch:
    """Changes of several threads in one transaction: all of them are stored, or none."""

    def __init__(self) -> None:
        self.joined = 0
        self.changes = 0
        self.ended = threading.Event()
        self.failure: BaseException | None = None
        """Why nothing of it is stored, or nobody knows what is."""


class Writer:
    """Makes all changes of this process. What it counts may be read at any time."""

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        path: Path,
        require_file: Callable[[], None] = lambda: None,
    ) -> None:
        """Write over connections to the database at ``path``.

        ``require_file`` raises an error if the file there is another one by now.
        """
        self._path = path
        self._require_file = require_file
        self.time_commit: Callable[[], AbstractContextManager[None]] = nullcontext
        self._connect = connect
        self._lock = locks.WriteLock(locks.write_lock_path(path), path)
        self._turn = threading.Lock()
        self._guard = threading.Lock()
        self._waiting = 0
        # All below belongs to whose turn it is.
        self._connection: sqlite3.Connection | None = None
        self._batch: _Batch | None = None
        self._broken: str | None = None
        self.changes = 0
        """Changes that were stored."""
        self.batches = 0
        """Transactions that stored them."""
        self.largest_batch = 0
        self.wait_seconds = 0.0
        """Spent waiting for other processes."""
        self.sync_seconds = 0.0
        """Spent in COMMIT."""

    @contextlib.contextmanager
    def change(self) -> Iterator[SqliteTransaction]:
        """Make one change: all of it on leaving, or nothing on an exception.

        Raises:
            OutcomeUnknownError, ServiceUnavailableError: as ``Database.write``.
        """
        batch, connection = self._join()
        is_first = batch.joined == 1
        refusal: BaseException | None = None
        try:
            tx = SqliteTransaction(connection, now_ms())
            yield tx
            if not is_first:
                connection.execute("RELEASE change")
            batch.changes += 1
        except BaseException as error:  # noqa: BLE001 - raised again once the batch has ended
            refusal = error
            self._undo(batch, connection, error, is_first=is_first)
        try:
            self._leave(batch, connection)
            self._await(batch, connection)
        except BaseException as error:
            raise OutcomeUnknownError(f"Interrupted before the end of COMMIT: {error!r}") from error
        _conclude(batch, refusal)
        for call in tx.afterwards:
            call()

    def check_writable(self) -> None:
        """Raise ServiceUnavailableError when a failed COMMIT made further changes unsafe."""
        if self.broken:
            self._require_sound()

    @property
    def broken(self) -> str | None:
        """Why no further change is safe before the store has been recovered; None if it is."""
        # Without a free descriptor it cannot be read here; each change reads it over its own.
        with contextlib.suppress(OSError):
            if self._broken is None and locks.is_fenced(self._path):
                self._broken = _FENCED
        return self._broken

    def close(self) -> None:
        """Close the connection and the lock; no change may be under way."""
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._lock.close()

    def _join(self) -> tuple[_Batch, sqlite3.Connection]:
        """Take the turn, and begin a change in the open transaction or in a new one."""
        until = time.monotonic() + _LONGEST_WAIT_SECONDS
        self._take_turn()
        try:
            self._require_sound()
            if self._connection is None:
                self._connection = self._connect()
            if self._batch is None:
                self._begin(self._connection, until)
                self._batch = _Batch()
            self._batch.joined += 1
            if self._batch.joined > 1:
                try:
                    self._connection.execute("SAVEPOINT change")
                except BaseException as error:
                    self._end(self._batch, self._connection, error)
                    raise
        except BaseException as error:
            self._turn.release()
            raise _explained(error) from error
        return self._batch, self._connection

    def _take_turn(self) -> None:
        with self._guard:
            self._waiting += 1
        try:
            taken = self._turn.acquire(timeout=_LONGEST_WAIT_SECONDS)
        finally:
            with self._guard:
                self._waiting -= 1
        if not taken:
            raise ServiceUnavailableError(
                "The database cannot take changes now: others are waiting. Nothing was changed"
            )

    def _begin(self, connection: sqlite3.Connection, until: float) -> None:
        started = time.perf_counter()
        self._lock_processes(until)
        try:
            # Whoever had the lock before may have raised the fence.
            if self._lock.is_fenced():
                self._broken = self._broken or _FENCED
            self._require_sound()
            self._require_file()
            connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._lock.release()
            raise
        self.wait_seconds += time.perf_counter() - started

    def _require_sound(self) -> None:
        if self._broken is not None:
            raise ServiceUnavailableError(f"No changes until the server restarts: {self._broken}")

    def _lock_processes(self, until: float) -> None:
        try:
            taken = self._lock.acquire(until - time.monotonic())
        except OSError as error:
            raise ServiceUnavailableError(f"Cannot lock {self._lock.path}: {error}") from error
        if not taken:
            raise ServiceUnavailableError(
                "The database cannot take changes now: another process holds it. Nothing was"
                " changed"
            )

    def _undo(
        self,
        batch: _Batch,
        connection: sqlite3.Connection,
        refusal: BaseException,
        *,
        is_first: bool,
    ) -> None:
        """Roll one change back; end the batch if it is the first, or if SQLite rolled back all."""
        try:
            if connection.in_transaction and not is_first:
                connection.execute("ROLLBACK TO change")
                connection.execute("RELEASE change")
                return
        except BaseException as error:  # noqa: BLE001 - out of memory is none of SQLite's errors
            refusal = error
        self._end(batch, connection, refusal)

    def _leave(self, batch: _Batch, connection: sqlite3.Connection) -> None:
        """Give the turn on; commit first, unless somebody waits who can do it."""
        try:
            if self._batch is batch and (self._waiting == 0 or batch.joined >= _LARGEST_BATCH):
                self._commit(batch, connection)
        finally:
            self._turn.release()

    def _await(self, batch: _Batch, connection: sqlite3.Connection) -> None:
        while not batch.ended.wait(_LOOK_AGAIN_SECONDS):
            # Who waited for the turn may have given up, and then nobody else will commit.
            with self._turn:
                if self._batch is batch:
                    self._commit(batch, connection)

    def _commit(self, batch: _Batch, connection: sqlite3.Connection) -> None:
        started = time.perf_counter()
        failure: BaseException | None = None
        try:
            if batch.changes:
                self._store(connection)
                self.changes += batch.changes
                self.batches += 1
                self.largest_batch = max(self.largest_batch, batch.changes)
        except BaseException as error:  # noqa: BLE001 - each change of the batch raises it
            failure = error
        self.sync_seconds += time.perf_counter() - started
        self._end(batch, connection, failure)

    def _store(self, connection: sqlite3.Connection) -> None:
        try:
            with self.time_commit():
                connection.execute("COMMIT")
        except BaseException as error:
            passing = getattr(error, "sqlite_errorcode", None) in _PASSING
            # SQLite keeps a transaction open only when it surely has not committed it.
            if not passing and not connection.in_transaction:
                # The log may hold the whole commit although its sync failed: a later recovery
                # would bring it back. Until then no change may build on either answer.
                self._give_up(str(error))
                raise OutcomeUnknownError(f"COMMIT failed: {error}") from error
            raise

    def _give_up(self, reason: str) -> None:
        """Change nothing more, here and in other processes; the lock between them is still held."""
        self._broken = reason
        try:
            self._lock.fence()
        except OSError:
            _log.exception("cannot raise the fence: end every process that has the store open")

    def _end(
        self, batch: _Batch, connection: sqlite3.Connection, failure: BaseException | None
    ) -> None:
        batch.failure = failure
        self._batch = None
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except BaseException as error:  # noqa: BLE001 - as above
            self._give_up(f"ROLLBACK failed: {error}")
            if not isinstance(failure, OutcomeUnknownError):
                batch.failure = error
            # Without it, what was not rolled back would keep other processes waiting.
            connection.close()
            self._connection = None
        finally:
            self._lock.release()
            batch.ended.set()


def _conclude(batch: _Batch, refusal: BaseException | None) -> None:
    """Raise what a change comes to, once its transaction has ended."""
    failure = batch.failure
    if failure is None or failure is refusal:
        if refusal is not None:
            raise _explained(refusal)
    elif refusal is None and isinstance(failure, OutcomeUnknownError):
        raise OutcomeUnknownError(str(failure)) from failure
    elif refusal is None and batch.joined == 1:
        raise _explained(failure)
    else:
        # A refusal too may be owed to a change that was not stored in the end.
        raise ServiceUnavailableError(
            f"The database failed: {failure}. Nothing was changed"
        ) from failure


def _explained(error: BaseException) -> BaseException:
    """Return the error to raise: those that pass mean that nothing was changed."""
    if getattr(error, "sqlite_errorcode", None) in _PASSING:
        return ServiceUnavailableError(
            f"The database cannot take changes now: {error}. Nothing was changed"
        )
    return error
