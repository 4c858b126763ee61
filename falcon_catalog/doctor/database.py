"""Check the database by itself: what can be said of it without opening another file."""

import stat
from collections.abc import Iterator
from pathlib import Path

import orjson

from falcon_catalog.doctor import tables
from falcon_catalog.doctor.findings import Finding
from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import function as function_metadata
from falcon_catalog.store import survey
from falcon_catalog.store.database import Transaction

_STORE = "store"
_MOST_PROBLEMS = 100
_STUCK_MS = 10 * 60 * 1000
_OVERDUE_MS = 60 * 60 * 1000


def damage(tx: Transaction) -> list[Finding]:
    """Return what SQLite finds wrong with its own file; nothing else can be checked then."""
    problems = tx.all(f"PRAGMA integrity_check({_MOST_PROBLEMS})")
    return [Finding("database-damaged", _STORE, text) for (text,) in problems if text != "ok"]


def examine(path: Path, tx: Transaction, warehouses: set[str]) -> Iterator[Finding]:
    """Check rows against each other, and the file that they are in."""
    for table, row, other, _ in tx.all("PRAGMA foreign_key_check"):
        what = f"row {row} of {table} names a row of {other} that is not there"
        yield Finding("foreign-keys", _STORE, what)
    mode = tx.all("PRAGMA journal_mode")[0][0]
    if mode != "wal":
        yield Finding("journal-mode", _STORE, f"its journal mode is {mode}")
    yield from _readable_by_others(path)
    yield from _damaged_rows(tx)
    for name in survey.unnamed_warehouses(tx, warehouses):
        yield Finding("unnamed-warehouse", f"warehouse {name}", "it has namespaces")
    yield from _same_uuids(tx)
    yield from _left_behind(tx)


def overlaps(tx: Transaction) -> list[tuple[int, int]]:
    """Return pairs of rows of which the first one's location is around the second one's."""
    return nested(survey.location_keys(tx))


def nested(ordered: list[tuple[str, int]]) -> list[tuple[int, int]]:
    """Return pairs of ids of which the first one's location key is around the second one's."""
    found, around = [], list[tuple[str, int]]()
    for key, row_id in ordered:  # a folder before what is in it
        while around and not key.startswith(around[-1][0]):
            around.pop()
        if around:
            found.append((around[-1][1], row_id))
        around.append((key, row_id))
    return found


def _readable_by_others(path: Path) -> Iterator[Finding]:
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        if file.exists() and (mode := stat.S_IMODE(file.stat().st_mode)) & 0o077:
            yield Finding("readable-by-others", _STORE, f"{file} has the mode {mode:04o}")


def _damaged_rows(tx: Transaction) -> Iterator[Finding]:
    for name in survey.misplaced_namespaces(tx):
        what = "its path is not that of its parent and its name"
        yield Finding("rows-damaged", f"namespace {name}", what)
    for what, name, text in survey.documents(tx):
        try:
            if what == "function":
                function_metadata.parse(orjson.loads(text), drawn_uuid="")
            elif not isinstance(orjson.loads(text), dict):
                raise BadRequestError("it is no JSON object")
        except (orjson.JSONDecodeError, BadRequestError) as error:
            yield Finding("rows-damaged", f"{what} {name}", str(error))


def _same_uuids(tx: Transaction) -> Iterator[Finding]:
    for uuid, _ in survey.shared_uuids(tx):
        names = ", ".join(str(pointer) for pointer in survey.places_of(tx, uuid))
        yield Finding("same-uuid", names, f"all have the uuid {uuid}")


def _left_behind(tx: Transaction) -> Iterator[Finding]:
    for row_id, trouble in survey.troubled_purges(tx):
        if (pointer := survey.pointer(tx, "dropped", row_id)) is not None:
            _, lost = tables.load(pointer)
            yield Finding("purge-trouble", str(pointer), trouble, lost.repair if lost else None)
    if count := survey.overdue_drops(tx, since=tx.now - _OVERDUE_MS):
        yield Finding("overdue-drops", _STORE, f"{count} drops are over an hour overdue")
    if count := survey.stuck_plans(tx, since=tx.now - _STUCK_MS):
        yield Finding("stuck-plans", _STORE, f"{count} scans that were asked for are not planned")
    for table, count in survey.expired(tx).items():
        yield Finding("expired-rows", _STORE, f"{count} rows of {table} have expired", "expired")
