"""Copy a store into an empty one, of any kind, in one transaction, and compare the two."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from falcon_catalog.store import principals, survey
from falcon_catalog.store.database import Database, StoreError, Transaction
from falcon_catalog.store.schema import COLUMNS, NUMBERED

_PAGE = 200
_REPORTED = 10_000
_KEYS = {"idempotency_keys": 2, "role_members": 2, "group_roles": 3}
"""Of how many columns the primary key of a table consists, if not of the first one."""

_ONE_ROW = ("store_identity", "permissions", "event_log")
"""Tables in which each store has one row from the beginning."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a table holds."""

    rows: int
    digest: str


def require_empty(tx: Transaction, name: str) -> None:
    """Raise StoreError if a store holds anything but what each new one does."""
    held = {table: count for table, count in survey.counts(tx).items() if count}
    for own in _ONE_ROW:
        held.pop(own, None)
    if held.get("principals") == 1 and principals.find(tx, principals.EVERYONE) is not None:
        del held["principals"]
    if held:
        what = ", ".join(f"{table} ({count})" for table, count in held.items())
        raise StoreError(f"store {name} is not empty: it has rows in {what}. Nothing was copied")


def copy(
    source: Transaction, target: Database, name: str, progress: Callable[[str], None]
) -> dict[str, Content]:
    """Copy every row, and the ids that the next rows will get; return what each table holds.

    ``source`` must see one moment. The target, which errors call ``name``, stays empty unless
    everything is copied.

    Raises:
        StoreError: the target is not empty, or holds something else than the source afterwards.
    """
    copied = {}
    with target.write() as tx:
        require_empty(tx, name)
        for own in (*_ONE_ROW, "principals"):
            tx.change(f"DELETE FROM {own}")  # noqa: S608 - our own names
        for table, columns in COLUMNS.items():
            copied[table] = _copy_table(source, tx, table, columns, progress)
        for table in NUMBERED:
            tx.continue_ids(table, source.last_id(table))
    with target.fresh_read() as tx:
        for table, columns in COLUMNS.items():
            found = _content(_rows(tx, table, columns))
            if found != copied[table]:
                raise StoreError(
                    f"the copy of {table} differs from the source: {found.rows} rows, not"
                    f" {copied[table].rows}, or another content. Do not use it"
                )
            progress(f"{table}: {found.rows} rows verified")
    return copied


def _copy_table(
    source: Transaction,
    target: Transaction,
    table: str,
    columns: tuple[str, ...],
    progress: Callable[[str], None],
) -> Content:
    def passing() -> Iterator[list[tuple[Any, ...]]]:
        done = 0
        one = f"({', '.join('?' * len(columns))})"
        for page in _rows(source, table, columns):
            target.change(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES"  # noqa: S608 - our own names
                f" {', '.join([one] * len(page))}",
                tuple(value for row in page for value in row),
            )
            before, done = done, done + len(page)
            if before // _REPORTED != done // _REPORTED:
                progress(f"{table}: {done} rows copied")
            yield page

    return _content(passing())


def _rows(tx: Transaction, table: str, columns: tuple[str, ...]) -> Iterator[list[tuple[Any, ...]]]:
    """Yield all rows of a table in pages, ordered by its primary key."""
    key = columns[: _KEYS.get(table, 1)]
    names, by = ", ".join(columns), ", ".join(key)
    after: tuple[Any, ...] = ()
    while True:
        where = f" WHERE ({by}) > ({', '.join('?' * len(key))})" if after else ""
        page = tx.all(
            f"SELECT {names} FROM {table}{where} ORDER BY {by} LIMIT {_PAGE}",  # noqa: S608
            after,
        )
        if not page:
            return
        yield page
        after = tuple(page[-1][: len(key)])


def _content(pages: Iterator[list[tuple[Any, ...]]]) -> Content:
    rows, digest = 0, hashlib.blake2b(digest_size=16)
    for page in pages:
        rows += len(page)
        for row in page:
            digest.update(repr(tuple(row)).encode("utf-8", "surrogatepass"))
    return Content(rows, digest.hexdigest())
