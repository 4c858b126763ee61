"""The verbs of dropped tables and views: list and undrop."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from falcon_catalog.catalog import idempotency, namespaces, policy, tabulars
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.errors import CommitFailedError, NotFoundError
from falcon_catalog.identifiers import Page, TableIdentifier
from falcon_catalog.store import dropped as rows
from falcon_catalog.store import tabulars as tabular_rows
from falcon_catalog.store.database import again
from falcon_catalog.store.dropped import DroppedRow

__all__ = ["DroppedRow", "as_json", "list_", "undrop", "warehouse_of"]


def list_(call: Call, page: Page) -> list[DroppedRow]:
    """Return the dropped tables and views, oldest first."""
    with call.warehouse.store.read() as tx:
        return rows.list_(tx, call.warehouse.id, page)


def warehouse_of(warehouses: Sequence[Warehouse], dropped_id: int) -> Warehouse:
    """Return the warehouse that a dropped table or view was in; raise NotFoundError if none."""
    for warehouse in warehouses:
        if rows.find(warehouse.store.autocommit(), warehouse.id, dropped_id) is not None:
            return warehouse
    raise _no_such_drop(dropped_id)


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
        if row is None:
            raise _no_such_drop(dropped_id)
        if row.started_at is not None:
            raise CommitFailedError(f"Cannot undrop {row.identifier}: its purge has begun")
        target = to or row.identifier
        kind = tabulars.TABLE if row.kind == tabulars.TABLE.name else tabulars.VIEW
        namespace = namespaces.require(tx, call, target.namespace)
        tabular_rows.reserve(tx, namespace.id, target.name)
        tabulars.require_free(tx, call, kind, target)
        policy.check_free(tx, call.warehouse, row.kind, row.location_key, besides=None)
        tabular_rows.insert(
            tx,
            namespace.id,
            target.name,
            kind=row.kind,
            uuid=row.uuid,
            metadata_location=row.metadata_location,
            location_key=row.location_key,
        )
        rows.delete(tx, row.id)
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


def _no_such_drop(dropped_id: int) -> NotFoundError:
    return NotFoundError(f"Dropped table or view does not exist: {dropped_id}")
