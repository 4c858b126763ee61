"""The verbs of dropped tables and views: list and undrop."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from falcon_catalog.catalog import authorization, events, idempotency, namespaces, policy, tabulars
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.events import Event
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.errors import CommitFailedError
from falcon_catalog.identifiers import Page, TableIdentifier
from falcon_catalog.metadata import clock
from falcon_catalog.store import dropped as rows
from falcon_catalog.store import grants, paths, protection
from falcon_catalog.store import tabulars as tabular_rows
from falcon_catalog.store.database import again
from falcon_catalog.store.dropped import DroppedRow

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Dropped:
    """A dropped table or view, as a caller may see it."""

    row: DroppedRow
    is_described: bool
    """Whether the caller has ``describe``, without which it does not learn where the files are."""

    def as_json(self) -> dict[str, Any]:
        """Return the form that the management API has; times are ISO 8601, UTC."""
        row = self.row
        files = {"metadata-location": row.metadata_location} if self.is_described else {}
        # A message about a purge names files.
        trouble = {"trouble": row.trouble} if row.trouble and self.is_described else {}
        return {
            "id": row.id,
            "type": row.kind,
            "identifier": row.identifier.as_json(),
            "uuid": row.uuid,
            **files,
            "purge": bool(row.purge),
            "dropped-at": clock.iso(row.dropped_at),
            "expires-at": clock.iso(row.expires_at),
            "purge-started": row.started_at is not None,
            **trouble,
        }


def list_(call: Call, page: Page) -> list[Dropped]:
    """Return the dropped tables and views, oldest first."""
    with call.warehouse.store.read() as tx:
        if authorization.visible_ids(call, None, "tabular") is None:
            return _seen(call, rows.list_(tx, call.warehouse.id, page))
        found: list[Dropped] = []
        after = page.after_id
        while len(found) < page.size:
            some = rows.list_(tx, call.warehouse.id, Page(str(after), _BATCH))
            if not some:
                break
            found += _seen(call, some)
            after = some[-1].id
    return found[: page.size]


def warehouse_of(warehouses: Sequence[Warehouse], dropped_id: int) -> Warehouse:
    """Return the warehouse that a dropped table or view was in; raise NotFoundError if none."""
    for warehouse in warehouses:
        if rows.find(warehouse.store.autocommit(), warehouse.id, dropped_id) is not None:
            return warehouse
    raise authorization.absent(dropped_id)


@again
def undrop(call: Call, dropped_id: int, to: TableIdentifier | None = None) -> Dropped:
    """Restore a dropped table or view under its old name or another one.

    Raises:
        NotFoundError: there is no such drop, or its retention is over.
        CommitFailedError: its purge has begun.
        NoSuchNamespaceError: the namespace does not exist.
        AlreadyExistsError: the name is taken.
        ForbiddenError: another table now overlaps its location.
    """
    with call.warehouse.store.write() as tx:
        row = rows.find(tx, call.warehouse.id, dropped_id)
        if row is None or not authorization.confirm(call, dropped_id, row.id, row.dropped_at):
            raise authorization.absent(dropped_id)
        if row.started_at is not None:
            raise CommitFailedError(f"Cannot undrop {row.identifier}: its purge has begun")
        target = to or row.identifier
        seen = _seen(call, [row])[0]  # as long as the grants are on the drop
        kind = tabulars.TABLE if row.kind == tabulars.TABLE.name else tabulars.VIEW
        namespace = namespaces.require(tx, call, target.namespace)
        tabular_rows.reserve(tx, namespace.id, target.name)
        tabulars.require_free(tx, call, kind, target)
        policy.check_room(tx, call.warehouse, namespace.id, target.namespace)
        drop = grants.Entity("dropped", row.id)
        policy.check_free(tx, call, row.kind, row.location_key, besides=None)
        for path in paths.of(tx, drop):
            policy.check_free(tx, call, row.kind, path, besides=None, paths=False)
        was_protected = protection.is_protected(tx, drop)
        row_id = tabular_rows.insert(
            tx,
            namespace.id,
            target.name,
            kind=row.kind,
            uuid=row.uuid,
            metadata_location=row.metadata_location,
            location_key=row.location_key,
        )
        if row_id is not None:
            back = grants.Entity("tabular", row_id)
            grants.move(tx, drop, back)
            paths.move(tx, drop, back)
            protection.mark(tx, back, {"protected": was_protected})
        rows.delete(tx, row.id)
        event = Event("undrop", row.kind, target, uuid=row.uuid, after=row.metadata_location)
        event.former = None if target == row.identifier else row.identifier
        events.record(tx, call, event)
        idempotency.record(tx, call, {"body": seen.as_json()})
    return seen


def _seen(call: Call, found: Sequence[DroppedRow]) -> list[Dropped]:
    return [Dropped(*each) for each in authorization.visible_drops(call, found)]
