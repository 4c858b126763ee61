"""Pages of lists that are ordered by name, of all rows or of those that a caller can see."""

from collections.abc import Sequence
from typing import Any

from falcon_catalog.identifiers import Page
from falcon_catalog.store.database import Transaction

MARKS = 10_000
"""Parameters of one statement; SQLite takes 32,766, PostgreSQL 65,535."""


def page_of(
    tx: Transaction,
    sql: str,
    parameters: tuple[Any, ...],
    page: Page,
    only: Sequence[int] | None,
    *,
    name: int = 0,
) -> list[Any]:
    """Return a page of rows, with ``only`` of those that have one of these ids.

    Args:
        tx: reads the rows.
        sql: has ``{of}`` before its first column in WHERE, a number, and ``{only}`` at its end.
        parameters: all but the size of the page.
        page: which one.
        only: looked up one by one, however many other rows there are.
        name: the number of the column by which rows are ordered.
    """
    if only is None:
        return tx.all(sql.format(of="", only=""), (*parameters, page.size))
    rows: list[Any] = []
    for first in range(0, len(only), MARKS):
        ids = only[first : first + MARKS]
        marks = ",".join("?" * len(ids))
        # The sign keeps SQLite from walking through an index of all rows instead.
        some = sql.format(of="+", only=f" AND id IN ({marks})")
        rows += tx.all(some, (*parameters, *ids, page.size))
    if len(only) > MARKS:
        rows.sort(key=lambda row: row[name])
    return rows[: page.size]
