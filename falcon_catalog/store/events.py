"""Rows of the audit log: changes, and requests that were refused."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import takewhile
from typing import Any, Literal

from falcon_catalog.identifiers import SEPARATOR, Namespace
from falcon_catalog.store.database import Transaction

Topic = Literal["catalog", "access", "files"]
Outcome = Literal["denied", "hidden", "unauthenticated"]


@dataclass(slots=True)
class EventRow:
    """A change as stored, but for its id."""

    event_id: str
    at_ms: int
    """Milliseconds since 1970-01-01 UTC."""
    topic: Topic
    """``catalog``: entities of the catalog, ``access``: principals, grants and the server itself,
    ``files``: access to files that clients were given."""
    operation: str
    warehouse: str | None
    request_id: str | None
    request_index: int
    """Which of the changes of its request it is, from 0."""
    request_count: int
    actor_id: int | None
    actor: str
    via: str
    address: str | None
    client: str | None
    kind: str
    """Of the object: ``table``, ``view``, ``function``, ``namespace``, ``principal`` and so on."""
    object_id: int | None
    uuid: str | None
    namespace_path: str | None
    """Of the object, or of the namespace it is in."""
    name: str | None
    former_path: str | None
    former_name: str | None
    state_before: str | None
    """Of a table or view, its metadata location."""
    state_after: str | None
    detail: str | None
    """A JSON object."""


@dataclass(slots=True)
class RefusalRow:
    """A refused request as stored, but for its id."""

    at_ms: int
    """Milliseconds since 1970-01-01 UTC."""
    outcome: Outcome
    operation: str | None
    warehouse: str | None
    request_id: str | None
    actor_id: int | None
    actor: str
    via: str
    address: str | None
    client: str | None
    entity: str | None
    privilege: str | None
    more: int
    """Refusals of the same caller before this one that have no row."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows to read; None and an empty tuple select all."""

    warehouse: str | None = None
    topics: tuple[Topic, ...] = ()
    actor: str | None = None
    operations: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    within: tuple[Namespace, ...] = ()
    """Namespaces: rows of each, and of all that is in it."""
    objects: tuple[tuple[Namespace, str], ...] = ()
    """Names of tables, views or functions, with their namespaces."""
    uuids: tuple[str, ...] = ()
    since_ms: int | None = None
    until_ms: int | None = None
    request_id: str | None = None


_EVENT = tuple(field.name for field in fields(EventRow))
_REFUSAL = tuple(field.name for field in fields(RefusalRow))
_EVENT_COLUMNS, _REFUSAL_COLUMNS = ", ".join(_EVENT), ", ".join(_REFUSAL)
_INSERT_EVENTS = f"INSERT INTO events ({_EVENT_COLUMNS}) VALUES "  # noqa: S608 - our own names
_INSERT_REFUSALS = f"INSERT INTO refusals ({_REFUSAL_COLUMNS}) VALUES "  # noqa: S608
_ONE_EVENT, _ONE_REFUSAL = (f"({', '.join('?' * len(each))})" for each in (_EVENT, _REFUSAL))
_AT_ONCE = 200
"""Rows of one statement: SQLite takes 32,766 parameters."""


def insert(tx: Transaction, rows: Sequence[tuple[Any, ...]]) -> None:
    """Add events, each with the fields of EventRow."""
    tx.announce("events")
    _insert(tx, _INSERT_EVENTS, _ONE_EVENT, rows)


def insert_refusals(tx: Transaction, rows: Sequence[tuple[Any, ...]], *, keep: int) -> None:
    """Add refusals, each with the fields of RefusalRow; delete all but the ``keep`` newest."""
    _insert(tx, _INSERT_REFUSALS, _ONE_REFUSAL, rows)
    tx.change("DELETE FROM refusals WHERE id <= (SELECT max(id) FROM refusals) - ?", (keep,))


def _insert(tx: Transaction, start: str, one: str, rows: Sequence[tuple[Any, ...]]) -> None:
    for at in range(0, len(rows), _AT_ONCE):
        page = rows[at : at + _AT_ONCE]
        tx.change(
            start + ", ".join([one] * len(page)), tuple(value for row in page for value in row)
        )


def log_id(tx: Transaction) -> str:
    """Return the id of the log, which is another one after a backup was restored."""
    return str(_log(tx)[0])


def removed_through(tx: Transaction) -> int:
    """Return the id up to which no row is complete: rows were removed for their age or number."""
    return int(_log(tx)[1])


def _log(tx: Transaction) -> Any:
    row = tx.one("SELECT log_id, removed_through FROM event_log")
    if row is None:
        raise LookupError("event_log")
    return row


def begin_new_log(tx: Transaction, log_id: str) -> None:
    """Continue the log as another one: ids that were given before may be given again."""
    tx.change("UPDATE event_log SET log_id = ?", (log_id,))


def forward(
    tx: Transaction, wanted: Filter, *, after: int, through: int, size: int
) -> list[tuple[int, EventRow]]:
    """Return events and their ids, oldest first, with ids above ``after`` up to ``through``."""
    where, parameters = _condition(wanted)
    rows = tx.all(
        f"SELECT id, {_EVENT_COLUMNS} FROM events WHERE id > ? AND id <= ?{where}"  # noqa: S608
        " ORDER BY id LIMIT ?",
        (after, through, *parameters, size),
    )
    return [(row[0], EventRow(*row[1:])) for row in rows]


def backward(
    tx: Transaction, wanted: Filter, *, after: int, before: int, size: int
) -> list[tuple[int, EventRow]]:
    """Return events and their ids, newest first, with ids between two."""
    where, parameters = _condition(wanted)
    rows = tx.all(
        f"SELECT id, {_EVENT_COLUMNS} FROM events WHERE id > ? AND id < ?{where}"  # noqa: S608
        " ORDER BY id DESC LIMIT ?",
        (after, before, *parameters, size),
    )
    return [(row[0], EventRow(*row[1:])) for row in rows]


def refusals(
    tx: Transaction, wanted: Filter, *, after: int, before: int, size: int, newest: bool
) -> list[tuple[int, RefusalRow]]:
    """Return refusals and their ids, with ids between two; newest or oldest first.

    Of the filter only names, times, operations and the request hold for refusals.
    """
    where, parameters = _conditions(wanted)
    order = "DESC" if newest else "ASC"
    rows = tx.all(
        f"SELECT id, {_REFUSAL_COLUMNS} FROM refusals WHERE id > ? AND id < ?{where}"  # noqa: S608
        f" ORDER BY id {order} LIMIT ?",
        (after, before, *parameters, size),
    )
    return [(row[0], RefusalRow(*row[1:])) for row in rows]


def time_of(tx: Transaction, row_id: int) -> int:
    """Return the time of the last event up to an id; 0 if there is none."""
    row = tx.one("SELECT at_ms FROM events WHERE id <= ? ORDER BY id DESC LIMIT 1", (row_id,))
    return 0 if row is None else int(row[0])


def first_since(tx: Transaction, at_ms: int) -> int:
    """Return the id of the first event that is not older than a time, or one after the last event.

    Events are in the order of their ids, and so, but for moments, of their times.
    """
    low, high = 1, tx.last_id("events") + 1
    while low < high:
        middle = (low + high) // 2
        row = tx.one("SELECT id, at_ms FROM events WHERE id >= ? ORDER BY id LIMIT 1", (middle,))
        if row is None or row[1] >= at_ms:
            high = middle
        else:
            low = int(row[0]) + 1
    return low


def due(tx: Transaction, *, older_ms: int, keep: int, size: int) -> list[int]:
    """Return the ids of the oldest events, at most ``size``, that are too old or too many.

    Those about principals and grants are none of them (``due_access``), and the newest one stays:
    the next id is above it.
    """
    newest = _newest(tx)
    excess = newest - keep
    oldest = tx.all(
        "SELECT id, at_ms FROM events WHERE id > ? AND topic <> 'access' ORDER BY id LIMIT ?",
        (removed_through(tx), size),
    )
    is_due = takewhile(lambda row: row[1] < older_ms or row[0] <= excess, oldest)
    return [row_id for row_id, _ in is_due if row_id != newest]


def due_access(tx: Transaction, *, older_ms: int, size: int) -> list[int]:
    """Return the ids of the oldest events about principals and grants that are too old."""
    oldest = tx.all(
        "SELECT id, at_ms FROM events WHERE topic = 'access' ORDER BY id LIMIT ?", (size,)
    )
    newest = _newest(tx)
    return [row_id for row_id, at_ms in oldest if at_ms < older_ms and row_id != newest]


def _newest(tx: Transaction) -> int:
    row = tx.one("SELECT coalesce(max(id), 0) FROM events")
    return int(row[0]) if row else 0


def delete(tx: Transaction, ids: Sequence[int]) -> None:
    """Delete events that are due."""
    tx.change(f"DELETE FROM events WHERE id IN ({', '.join('?' * len(ids))})", tuple(ids))  # noqa: S608


def note_removed(tx: Transaction, through: int) -> None:
    """Note that events up to an id are incomplete, but for those that ``due`` leaves out."""
    tx.change(
        "UPDATE event_log SET removed_through = ? WHERE removed_through < ?", (through, through)
    )


def _condition(wanted: Filter) -> tuple[str, tuple[Any, ...]]:
    """Return the condition of events, which begins with AND, and its parameters."""
    where, parameters = _conditions(wanted)
    for column, values in (
        ("topic", wanted.topics),
        ("kind", wanted.kinds),
        ("uuid", wanted.uuids),
    ):
        if values:
            where += f" AND {column} IN ({', '.join('?' * len(values))})"
            parameters += values
    named: list[str] = []
    for namespace in wanted.within:
        for column in ("namespace_path", "former_path"):
            named.append(f"{column} = ? OR ({column} >= ? AND {column} < ?)")
            # What follows the separator: this range has all paths below the namespace.
            below = namespace.path + SEPARATOR
            parameters += (namespace.path, below, below[:-1] + chr(ord(SEPARATOR) + 1))
    for namespace, name in wanted.objects:
        for prefix in ("namespace_path = ? AND name = ?", "former_path = ? AND former_name = ?"):
            named.append(prefix)
            parameters += (namespace.path, name)
    if named:
        where += f" AND ({' OR '.join(named)})"
    return where, parameters


def _conditions(wanted: Filter) -> tuple[str, tuple[Any, ...]]:
    """Return the conditions that events and refusals have in common."""
    found: list[tuple[str, Any]] = [
        (condition, value)
        for condition, value in (
            ("warehouse = ?", wanted.warehouse),
            ("actor = ?", wanted.actor),
            ("at_ms >= ?", wanted.since_ms),
            ("at_ms < ?", wanted.until_ms),
            ("request_id = ?", wanted.request_id),
        )
        if value is not None
    ]
    where = "".join(f" AND {condition}" for condition, _ in found)
    if wanted.operations:
        where += f" AND operation IN ({', '.join('?' * len(wanted.operations))})"
    return where, (*(value for _, value in found), *wanted.operations)
