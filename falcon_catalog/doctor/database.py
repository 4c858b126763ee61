"""Check the database: its file, its rows, and work that was left undone."""

import stat
from collections.abc import Iterator
from pathlib import Path

import orjson

from falcon_catalog.catalog.policy import STAGED_SECONDS
from falcon_catalog.doctor.findings import Finding
from falcon_catalog.doctor.tables import load
from falcon_catalog.errors import BadRequestError
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.metadata import clock
from falcon_catalog.metadata import function as function_metadata
from falcon_catalog.settings import StoreSettings
from falcon_catalog.store import reservations, survey
from falcon_catalog.store.database import Transaction

_STORE = "store"
_STUCK_MS = 10 * 60 * 1000
_OVERDUE_MS = 60 * 60 * 1000


def damage(tx: Transaction) -> list[Finding]:
    """Return findings about a damaged database file, after which no other check is possible."""
    return [Finding("database-damaged", _STORE, text) for text in survey.integrity_problems(tx)]


def check(
    files: FileIO, store: StoreSettings, tx: Transaction, warehouses: set[str]
) -> Iterator[Finding]:
    """Yield findings about rows, and about the database if it is a file."""
    if store.is_file:
        yield from _of_file(store.path, tx)
    yield from _damaged_rows(tx)
    for name in survey.unnamed_warehouses(tx, warehouses):
        yield Finding("unnamed-warehouse", f"warehouse {name}", "it has namespaces")
    for uuid, _ in survey.shared_uuids(tx):
        names = ", ".join(str(pointer) for pointer in survey.places_of(tx, uuid))
        yield Finding("same-uuid", names, f"all have the uuid {uuid}")
    yield from _left_behind(files, tx)


def _of_file(path: Path, tx: Transaction) -> Iterator[Finding]:
    for table, row, other in survey.broken_references(tx):
        what = f"row {row} of {table} names a row of {other} that does not exist"
        yield Finding("foreign-keys", _STORE, what)
    if (mode := survey.journal_mode(tx)) != "wal":
        yield Finding("journal-mode", _STORE, f"its journal mode is {mode}")
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        if file.exists() and (bits := stat.S_IMODE(file.stat().st_mode)) & 0o077:
            yield Finding("readable-by-others", _STORE, f"{file} has the mode {bits:04o}")


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


def _left_behind(files: FileIO, tx: Transaction) -> Iterator[Finding]:
    for row_id, trouble in survey.troubled_purges(tx):
        if (pointer := survey.pointer(tx, "dropped", row_id)) is not None:
            _, lost = load(files, pointer)
            yield Finding("purge-trouble", str(pointer), trouble, lost.repair if lost else None)
    if count := survey.overdue_drops(tx, since=tx.now - _OVERDUE_MS):
        yield Finding("overdue-drops", _STORE, f"{count} drops are over an hour overdue")
    if count := survey.stuck_plans(tx, since=tx.now - _STUCK_MS):
        yield Finding("stuck-plans", _STORE, f"{count} submitted scans are not planned")
    for kept in reservations.running(tx):
        if kept.expires_at - tx.now < STAGED_SECONDS * 1000 - _OVERDUE_MS:
            what = f"a staged table keeps it until {clock.iso(kept.expires_at)}"
            yield Finding("kept-folder", kept.location_key, what, f"release={kept.id}")
    for table, count in survey.expired(tx).items():
        yield Finding("expired-rows", _STORE, f"{count} rows of {table} have expired", "expired")
