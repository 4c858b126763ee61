"""Which snapshot of a table is meant: ``@main``, ``@8214…``, ``@2026-11-01T12:00``, ``@-1``."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from falcon_catalog.console.failures import NotFoundError
from falcon_catalog.console.names import Name
from falcon_catalog.wording import did_you_mean, no_snapshot_then

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

_STEPS_BACK = re.compile(r"-(\d{1,6})")
_PREVIOUS = "previous"
_SNAPSHOT_ID = re.compile(r"\d{1,19}")


def select(table: "Table", name: Name) -> "Snapshot | None":
    """Return the snapshot that a name selects; None for the current one of an empty table.

    The forms after ``@``, in the order in which they are tried:

    - the name of a branch or a tag;
    - ``previous`` or ``-N``: the parent of the current snapshot, or its N-th ancestor;
    - a snapshot id;
    - a date or a time in UTC: the snapshot that was current then. A date is its first moment.

    Raises:
        NotFoundError: the table has no such snapshot.
    """
    if name.at is None:
        return table.current_snapshot()
    return snapshot_at(table, name.entity, name.at)


def snapshot_at(table: "Table", name: Name, at: str) -> "Snapshot":
    """Return the snapshot of a table that the text after ``@`` selects.

    Raises:
        NotFoundError: the table has no such snapshot.
    """
    refs = table.metadata.refs
    if at in refs:
        return _by_id(table, name, refs[at].snapshot_id)
    if at == _PREVIOUS:
        return _ancestor(table, name, 1)
    if found := _STEPS_BACK.fullmatch(at):
        return _ancestor(table, name, int(found[1]))
    if _SNAPSHOT_ID.fullmatch(at):
        return _by_id(table, name, int(at))
    moment = moment_of(at)
    if moment is not None:
        return _as_of(table, name, moment)
    raise NotFoundError(
        f"{name} has no branch or tag {at}{did_you_mean(at, list(refs))}. After @ comes a branch, a"
        " tag, a snapshot id, a time such as 2026-11-01 or 2026-11-01T12:00 (UTC), or -1 for the"
        " snapshot before the current one"
    )


def schema_of(table: "Table", snapshot: "Snapshot | None") -> "Schema":
    """Return the schema of a snapshot; the current one where the snapshot names none."""
    is_current = snapshot is None or snapshot.snapshot_id == table.metadata.current_snapshot_id
    if is_current or snapshot is None or snapshot.schema_id is None:
        return table.schema()
    return table.schemas().get(snapshot.schema_id, table.schema())


def moment_of(text: str) -> datetime | None:
    """Return the time that a text is, in UTC unless it has an offset; None if it is no time."""
    if not re.match(r"\d{4}-", text):  # fromisoformat reads 20261101, which may be a snapshot id
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def labels(table: "Table") -> dict[int, list[str]]:
    """Return the names of branches and tags by snapshot id; ``main`` first, tags as ``tag: x``."""
    found: dict[int, list[str]] = {}
    refs = table.metadata.refs
    for ref in sorted(refs, key=lambda ref: (ref != "main", refs[ref].snapshot_ref_type, ref)):
        is_tag = refs[ref].snapshot_ref_type == "tag"
        found.setdefault(refs[ref].snapshot_id, []).append(f"tag: {ref}" if is_tag else ref)
    return found


def _by_id(table: "Table", name: Name, snapshot_id: int) -> "Snapshot":
    snapshot = table.snapshot_by_id(snapshot_id)
    if snapshot is None:
        raise NotFoundError(
            f"{name} has no snapshot {snapshot_id}: falcon-catalog log {name} lists them"
        )
    return snapshot


def _ancestor(table: "Table", name: Name, steps: int) -> "Snapshot":
    snapshot = table.current_snapshot()
    for _ in range(steps):
        if snapshot is None or snapshot.parent_snapshot_id is None:
            raise NotFoundError(f"{name} has no snapshot that is {steps} before the current one")
        snapshot = table.snapshot_by_id(snapshot.parent_snapshot_id)
    if snapshot is None:
        raise NotFoundError(
            f"the snapshot of {name} that is {steps} before the current one has expired"
        )
    return snapshot


def _as_of(table: "Table", name: Name, moment: datetime) -> "Snapshot":
    log = sorted(table.metadata.snapshot_log, key=lambda entry: entry.timestamp_ms)
    at_ms = moment.timestamp() * 1000
    before = [entry for entry in log if entry.timestamp_ms <= at_ms]
    if not before:
        first_ms = log[0].timestamp_ms if log else None
        raise NotFoundError(no_snapshot_then(str(name), moment, first_ms))
    return _by_id(table, name, before[-1].snapshot_id)
