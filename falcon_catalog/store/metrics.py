"""Rows of metrics reports: a bounded number of the newest ones."""

from dataclasses import dataclass

from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.store.database import Transaction


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A report as stored."""

    id: int
    identifier: TableIdentifier
    """The table's name when the report was received."""
    table_uuid: str
    report: str
    """The report as JSON text."""
    received_at: int
    """Milliseconds since 1970-01-01 UTC."""


def insert(
    tx: Transaction,
    warehouse_id: int,
    identifier: TableIdentifier,
    *,
    table_uuid: str,
    report: str,
    keep: int,
) -> None:
    """Add a report, and delete all but the ``keep`` newest.

    Fewer are kept where PostgreSQL left out ids: its sequences have gaps after a crash.
    """
    tx.change(
        "INSERT INTO metrics_reports (warehouse_id, namespace_path, table_name, table_uuid,"
        " report, received_at) VALUES (?, ?, ?, ?, ?, ?)",
        (warehouse_id, identifier.namespace.path, identifier.name, table_uuid, report, tx.now),
    )
    tx.change(
        "DELETE FROM metrics_reports WHERE id <= (SELECT max(id) FROM metrics_reports) - ?",
        (keep,),
    )


def delete(tx: Transaction, warehouse_id: int, table_uuid: str) -> None:
    """Delete the reports of a table."""
    tx.change(
        "DELETE FROM metrics_reports WHERE warehouse_id = ? AND table_uuid = ?",
        (warehouse_id, table_uuid),
    )


def newest(
    tx: Transaction,
    warehouse_id: int,
    *,
    namespace: Namespace | None,
    table: str | None,
    before: int | None,
    size: int,
) -> list[ReportRow]:
    """Return reports of a warehouse, a namespace or a table, newest first.

    With ``before``, only reports with lower ids.
    """
    wanted = {"namespace_path": namespace and namespace.path, "table_name": table}
    filters = {column: value for column, value in wanted.items() if value is not None}
    rows = tx.all(
        "SELECT id, namespace_path, table_name, table_uuid, report, received_at"  # noqa: S608
        " FROM metrics_reports WHERE warehouse_id = ? AND id < ?"
        + "".join(f" AND {column} = ?" for column in filters)
        + " ORDER BY id DESC LIMIT ?",
        (warehouse_id, before or 2**63 - 1, *filters.values(), size),
    )
    return [
        ReportRow(row[0], TableIdentifier(Namespace.from_path(row[1]), row[2]), *row[3:])
        for row in rows
    ]
