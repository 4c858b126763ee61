"""Conditions on rows, as ``--where`` takes them, and columns, as ``--columns`` does."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from falcon_catalog.console.failures import ConsoleError
from falcon_catalog.wording import no_column

if TYPE_CHECKING:
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.schema import Schema
    from pyiceberg.table import DataScan, Table
    from pyiceberg.table.snapshots import Snapshot

ALL_COLUMNS = ("*",)


def condition(text: str, schema: "Schema") -> "BooleanExpression":
    """Return the condition of ``--where``.

    Raises:
        UsageError: the text cannot be read, or names a column that the schema lacks.
    """
    from falcon_catalog.query import conditions

    try:
        return conditions.condition(text, schema)
    except conditions.ConditionError as error:
        raise click.UsageError(f"--where {error}") from None


def columns(text: str | None, schema: "Schema") -> tuple[str, ...]:
    """Return the columns of a list such as ``station_id,temperature_c``; ``*`` for all without one.

    Raises:
        UsageError: the schema lacks one.
    """
    if text is None:
        return ALL_COLUMNS
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    known = list(schema.column_names)
    for name in names:
        if name not in known:
            raise click.UsageError(no_column(name, known))
    if not names:
        raise click.UsageError("--columns is a list of names, such as station_id,temperature_c")
    return names


def scan(
    table: "Table", snapshot: "Snapshot", where: str | None = None, selected: str | None = None
) -> "DataScan":
    """Return PyIceberg's scan of a snapshot, with its schema; of the current one with the table's.

    Raises:
        UsageError: the condition or a column is wrong.
    """
    from pyiceberg.expressions import AlwaysTrue

    is_current = snapshot.snapshot_id == table.metadata.current_snapshot_id
    at = None if is_current else snapshot.snapshot_id
    schema = table.scan(snapshot_id=at).projection()
    return table.scan(
        row_filter=condition(where, schema) if where else AlwaysTrue(),
        selected_fields=columns(selected, schema),
        snapshot_id=at,
    )


def need_pyarrow(what: str) -> None:
    """Raise ConsoleError unless PyArrow is installed, which reads rows."""
    if find_spec("pyarrow") is None:
        raise ConsoleError(f"{what} needs PyArrow: install falcon-catalog[jobs], or pyarrow")
