"""The verbs of dropped tables and views: list and undrop."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from falcon_catalog.catalog import authorization, events, idempotency, namespaces, policy, tabulars
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.events import Event
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.errors import CommitFailedError
from falcon_catalog.identifiers import Page, TableIdentifier
from falcon_catalog.store import dropped as rows
from falcon_catalog.store import grants, protection
from falcon_catalog.store import tabulars as tabular_rows
from falcon_catalog.store.database import again
from falcon_catalog.store.dropped import DroppedRow

_BATCH = 500
__all__ = ["DroppedRow", "as_json", "list_", "undrop", "warehouse_of"]


def list_(call: Call, page: Page) -> list[DroppedRow]:
    """Return the dropped tables and views, oldest first."""
    with call.warehouse.store.read() as tx:
        if authorization.visible_ids(call, None, "tabular") is None:
            return rows.list_(tx, call.warehouse.id, page)
        found: list[DroppedRow] = []
        after = page.after_id
        while len(found) < page.size:
            some = rows.list_(tx, call.warehouse.id, Page(str(after), _BATCH))
            if not some:
                break
            found += authorization.visible_drops(call, some)
            after = some[-1].id
    return found[: page.size]


def warehouse_of(warehouses: Sequence[Warehouse], dropped_id: int) -> Warehouse:
    """Return the warehouse that a dropped table or view was in; raise NotFoundError if none."""
    for warehouse in warehouses:
        if rows.find(warehouse.store.autocommit(), warehouse.id, dropped_id) is not None:
            return warehouse
    raise authorization.absent(dropped_id)


@again
def undrop(call: Call, dropped_id: int, to: TableIdentifier | None = None) -> DroppedRow:
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
        kind = tabulars.TABLE if row.kind == tabulars.TABLE.name else tabulars.VIEW
        namespace = namespaces.require(tx, call, target.namespace)
        tabular_rows.reserve(tx, namespace.id, target.name)
        tabulars.require_free(tx, call, kind, target)
        policy.check_room(tx, call.warehouse, namespace.id, target.namespace)
        policy.check_free(tx, call.warehouse, row.kind, row.location_key, besides=None)
        was_protected = protection.is_protected(tx, grants.Entity("dropped", row.id))
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
            grants.move(tx, grants.Entity("dropped", row.id), back)
            protection.mark(tx, back, {"protected": was_protected})
        rows.delete(tx, row.id)
        event = Event("undrop", row.kind, target, uuid=row.uuid, after=row.metadata_location)
        event.former = None if target == row.identifier else row.identifier
        events.record(tx, call, event)
        idempotency.record(tx, call, {"body": as_json(row)})
    return row


def as_json(row: DroppedRow) -> dict[str, Any]:
    """Return a dropped table or view as the management API shows it; times are ISO 8601, UTC."""
    return {
        "id": row.id,
        "type": row.kind,
        "identifier": row.identifier.as_json(),
        "uuid": row.uuid,
        "metadata-location": row.metadata_location,
        "purge": bool(row.purge),
        "dropped-at": _iso(row.dropped_at),
        "expires-at": _iso(row.expires_at),
        "purge-started": row.started_at is not None,
    } | ({"trouble": row.trouble} if row.trouble else {})


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
