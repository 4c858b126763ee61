"""What is recorded beside requests: refusals, and signatures. One a server, with a thread.

Neither belongs to a change, so no request waits for a row: a thread writes those of a moment
together. What a killed process had not written yet is lost.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from falcon_catalog import __version__
from falcon_catalog.catalog import events
from falcon_catalog.catalog.events import Event, Origin
from falcon_catalog.errors import CatalogError
from falcon_catalog.fileio.delegation import Permission
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.settings import AuditSettings, Settings
from falcon_catalog.store import events as rows
from falcon_catalog.store.database import DRIVER_ERRORS, Database, now_ms
from falcon_catalog.store.events import Outcome

_BURST, _PER_SECOND = 20.0, 5.0
"""Refusals of one caller that get a row of their own."""
_ALL_BURST, _ALL_PER_SECOND = 500.0, 100.0
_QUIET_SECONDS = 2.0
_MOST_CALLERS = 10_000
_MOST_WAITING = 1000
_WINDOW_SECONDS = 60.0
_TICK_SECONDS = 1.0
_DAY_MS = 24 * 3600 * 1000
_BATCH = 500
_TEXT_CHARACTERS = 1024
_FAILURES: tuple[type[Exception], ...] = (CatalogError, *DRIVER_ERRORS)
_USER_INFO = re.compile(r"//[^/@]*@")
_log = logging.getLogger(__name__)

_Refusal = tuple[Any, ...]


class _Bucket:
    """A token bucket, how many it has not let pass since one did, and the last of them."""

    __slots__ = ("last", "missed", "tokens", "updated")

    def __init__(self, burst: float, now: float) -> None:
        self.tokens, self.updated, self.missed = burst, now, 0
        self.last: _Refusal = ()

    def take(self, now: float, burst: float, rate: float) -> bool:
        self.tokens = min(burst, self.tokens + (now - self.updated) * rate)
        self.updated = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class _Signatures:
    """Signatures of one caller for one table, since the last row about them."""

    origin: Origin
    identifier: TableIdentifier
    permission: Permission
    first_ms: int
    last_ms: int
    count: int = 0


class Audit:
    """Writes what no transaction of a request does, and removes what is too old."""

    def __init__(
        self,
        store: Database,
        settings: AuditSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        events.log.setLevel(logging.INFO if settings.log else logging.WARNING)
        self._store = store
        self._clock = clock
        self._ready = threading.Condition()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._callers: dict[object, _Bucket] = {}
        self._all = _Bucket(_ALL_BURST, clock())
        self._flooded: set[_Bucket] = set()
        self._refusals: list[_Refusal] = []
        self._events: list[tuple[Origin, Event]] = []
        self._signatures: dict[tuple[object, ...], _Signatures] = {}
        self._window_ends = 0.0
        self.lost = 0
        """Rows that could not be written. May be read at any time."""

    def refused(
        self,
        by: Origin,
        operation: str | None,
        privilege: str | None,
        entity: str | None,
        outcome: Outcome,
    ) -> None:
        """Record a refused request: at once, or as one of several of its caller.

        Args:
            by: the caller.
            operation: in the operations table; None if the request has none.
            privilege: that the caller does not have.
            entity: as the request names it.
            outcome: ``denied`` (403), ``hidden`` (404 for what exists) or ``unauthenticated``.
        """
        now = self._clock()
        with self._ready:
            bucket = self._bucket(by.actor_id or by.address, now)
            refusal = (
                now_ms(),
                outcome,
                operation,
                by.warehouse,
                by.request_id or None,
                by.actor_id,
                by.actor[:_TEXT_CHARACTERS],
                by.via,
                by.address or None,
                by.client[: events.CLIENT_CHARACTERS] or None,
                entity and entity[:_TEXT_CHARACTERS],
                privilege,
            )
            if (
                len(self._refusals) < _MOST_WAITING
                and bucket.take(now, _BURST, _PER_SECOND)
                and self._all.take(now, _ALL_BURST, _ALL_PER_SECOND)
            ):
                self._refusals.append((*refusal, bucket.missed))
                bucket.missed = 0
            else:
                bucket.missed += 1
                bucket.last = refusal
                self._flooded.add(bucket)
            self._wake()

    def signed(self, by: Origin, identifier: TableIdentifier, permission: Permission) -> None:
        """Record a signature: the first one of a caller for a table, then their number a minute."""
        key = (by.actor_id, by.address, by.warehouse, identifier, permission)
        now = now_ms()
        with self._ready:
            if (known := self._signatures.get(key)) is not None:
                known.count += 1
                known.last_ms = now
                return
            if len(self._signatures) >= _MOST_CALLERS:
                self._close_window()
            if not self._signatures:
                self._window_ends = self._clock() + _WINDOW_SECONDS
            self._signatures[key] = _Signatures(by, identifier, permission, now, now)
            self._events.append((by, _signature(identifier, permission)))
            self._wake()

    def started(self, settings: Settings) -> None:
        """Record the start of a server, with its settings that are not the defaults.

        A server on a store that cannot be changed now, such as a standby, starts nevertheless.
        """
        given = {
            key: _without_password(settings.value(key))
            for key, source in settings.origins.items()
            if source != "default"
        }
        detail = {"version": __version__, "settings": given}
        try:
            with self._store.write() as tx:
                events.record(
                    tx, events.local(), Event("serve", "server", None, "access", detail=detail)
                )
        except _FAILURES as error:
            _log.warning("cannot record the start in the audit log: %s", error)

    def flush(self) -> None:
        """Write everything that was recorded so far, but for numbers that are still counted."""
        with self._writing:
            with self._ready:
                refusals, self._refusals = self._refusals, []
                found, self._events = self._events, []
            if not refusals and not found:
                return
            try:
                with self._store.write() as tx:
                    if refusals:
                        rows.insert_refusals(tx, refusals, keep=self.settings.keep_refusals)
                    for by, event in found:
                        events.record(tx, by, event)
            except _FAILURES as error:
                self.lost += len(refusals) + len(found)
                _log.error(
                    "cannot write %d rows of the audit log: %s", len(refusals) + len(found), error
                )
                return
            if events.log.isEnabledFor(logging.INFO):
                events.log_rows([rows.RefusalRow(*row) for row in refusals])

    def close(self) -> None:
        """Write what is left, and end the thread."""
        with self._ready:
            self._stopping = True
            self._close_window()
            self._count_flooded(float("inf"))
            self._ready.notify()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def expire(self, stopping: Callable[[], bool] = lambda: False) -> int:
        """Delete events that are too old or too many, a batch a transaction; return how many.

        Safe to run in many processes at once.
        """
        kept, deleted = self.settings, 0
        while not stopping():
            tx, now = self._store.autocommit(), now_ms()
            others = rows.due(
                tx, older_ms=now - kept.keep_days * _DAY_MS, keep=kept.keep_rows, size=_BATCH
            )
            access = rows.due_access(
                tx, older_ms=now - kept.keep_access_days * _DAY_MS, size=_BATCH
            )
            if not others and not access:
                break
            with self._store.write() as change:
                if others:
                    rows.note_removed(change, others[-1])
                rows.delete(change, [*others, *access])
            deleted += len(others) + len(access)
        return deleted

    def _bucket(self, caller: object, now: float) -> _Bucket:
        bucket = self._callers.get(caller)
        if bucket is None:
            if len(self._callers) >= _MOST_CALLERS:
                self._callers.clear()
            bucket = self._callers[caller] = _Bucket(_BURST, now)
        return bucket

    def _wake(self) -> None:
        """Let the thread write, which is started by the first row."""
        if self._thread is None and not self._stopping:
            self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
            self._thread.start()
        self._ready.notify()

    def _close_window(self) -> None:
        """Record the numbers of signatures that were counted."""
        for one in self._signatures.values():
            if one.count:
                counted = _signature(one.identifier, one.permission, one)
                self._events.append((one.origin, counted))
        self._signatures.clear()

    def _count_flooded(self, now: float) -> None:
        """Record the refusals without a row of callers that have stopped, with their last one."""
        for bucket in [one for one in self._flooded if now > one.updated + _QUIET_SECONDS]:
            self._flooded.discard(bucket)
            if bucket.missed:
                self._refusals.append((*bucket.last, bucket.missed - 1))
                bucket.missed = 0

    def _run(self) -> None:
        while True:
            with self._ready:
                if not (self._stopping or self._refusals or self._events):
                    is_counting = self._signatures or self._flooded
                    self._ready.wait(_TICK_SECONDS if is_counting else None)
                if self._stopping:
                    return
                self._count_flooded(self._clock())
                if self._signatures and self._clock() >= self._window_ends:
                    self._close_window()
            self.flush()


def _without_password(value: object) -> object:
    """Return the value of a setting; settings name secrets, but a URL may contain one."""
    if isinstance(value, str):
        return _USER_INFO.sub("//", value)
    return list(map(_without_password, value)) if isinstance(value, tuple) else value


def _signature(
    identifier: TableIdentifier,
    permission: Permission,
    signatures: _Signatures | None = None,
) -> Event:
    detail: dict[str, object] = {"permission": permission, "count": 1}
    if signatures is not None:
        detail |= {
            "count": signatures.count,
            "from-ms": signatures.first_ms,
            "until-ms": signatures.last_ms,
        }
    return Event("signRequest", "table", identifier, "files", detail=detail)
