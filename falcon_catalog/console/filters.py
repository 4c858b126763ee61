"""Conditions on rows, as ``--where`` takes them, and columns, as ``--columns`` does."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from falcon_catalog.console.failures import ConsoleError
from falcon_catalog.console.suggestions import did_you_mean

if TYPE_CHECKING:
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.schema import Schema
    from pyiceberg.table import DataScan, Table
    from pyiceberg.table.snapshots import Snapshot

ALL_COLUMNS = ("*",)


def condition(text: str, schema: "Schema") -> "BooleanExpression":
    """Return a condition that PyIceberg understands, such as ``temperature > 30 and wind is null``.

    Raises:
        UsageError: the text cannot be read, or names a column that the schema lacks.
    """
    from pyiceberg.expressions.parser import parse
    from pyiceberg.expressions.visitors import bind
    from pyparsing import ParseException

    try:
        parsed = parse(text)
    except (ParseException, ValueError):  # their text is the whole grammar
        raise click.UsageError(
            f"--where {text!r} is not a condition. Conditions are like temperature > 30 and station"
            " in ('KSEA', 'KPDX'), with is null, like 'K%', not and or"
        ) from None
    try:
        bind(schema, parsed, case_sensitive=True)
    except (ValueError, TypeError) as error:
        known = ", ".join(schema.column_names)
        message = " ".join(str(error).replace(", case_sensitive=True", "").split())
        raise click.UsageError(f"--where {text!r}: {message}. The columns are {known}") from None
    return parsed


def columns(text: str | None, schema: "Schema") -> tuple[str, ...]:
    """Return the columns of a list such as ``station,wind.speed``; ``*`` for all without one.

    Raises:
        UsageError: the schema lacks one.
    """
    if text is None:
        return ALL_COLUMNS
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    known = list(schema.column_names)
    for name in names:
        if name not in known:
            raise click.UsageError(
                f"there is no column {name}{did_you_mean(name, known)}; the columns are"
                f" {', '.join(known)}"
            )
    if not names:
        raise click.UsageError("--columns is a list of names, such as station,temperature")
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
