"""One algorithm commits one table or view or many; every next pointer is set here.

Outside any transaction: read, check the requirements, apply the updates, write new metadata
files, each durable. Then one short transaction swaps all pointers or none. A file is deleted
only when it is certain that no pointer can reach it.
"""

import contextlib
import logging
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from falcon_catalog.catalog import files, growth, idempotency, loading, namespaces, placement
from falcon_catalog.catalog.base import Catalog, Table
from falcon_catalog.catalog.kinds import TABLE, Kind
from falcon_catalog.catalog.staging import Change, Staged, cannot_create, first_state, stage
from falcon_catalog.errors import (
    BadRequestError,
    CatalogError,
    CommitFailedError,
)
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.locations import is_inside, key
from falcon_catalog.metadata import table as metadata_builder
from falcon_catalog.store import tabulars
from falcon_catalog.store.database import OutcomeUnknownError, Transaction

_ATTEMPTS = 8
_FIRST_WAIT_SECONDS = 0.01
_log = logging.getLogger(__name__)

JSON = dict[str, Any]

__all__ = ["Change", "commit", "commit_all", "create"]


class _LostSwapError(Exception):
    """Another commit moved the pointer since it was read. Nothing was stored."""


def commit(catalog: Catalog, change: Change) -> Table:
    """Commit changes to one table or view; return its new state.

    Source: updateTable and replaceView of the REST specification. Raises as ``commit_all``.
    """
    return _commit(catalog, [change], one=True)[0]


def commit_all(catalog: Catalog, changes: Sequence[Change]) -> None:
    """Commit changes to all their tables and views, or to none.

    Source: commitTransaction of the REST specification.

    Raises:
        CommitFailedError: a requirement does not hold, or other commits kept being first.
        CommitStateUnknownError: nobody can tell whether it is committed; no file is deleted.
        NoSuchTableError, NoSuchViewError, NoSuchNamespaceError, AlreadyExistsError,
        ForbiddenError, BadRequestError: as their messages say; nothing is committed.
    """
    _check_distinct(changes)
    _commit(catalog, changes, one=False)


def _commit(catalog: Catalog, changes: Sequence[Change], *, one: bool) -> list[Table]:
    try:
        committed = _try_again_and_again(catalog, changes, one=one)
    except CommitFailedError:
        catalog.commits.add(conflicts=1)
        raise
    catalog.commits.add(stored=1)
    return committed


def _try_again_and_again(catalog: Catalog, changes: Sequence[Change], *, one: bool) -> list[Table]:
    names = [(catalog.warehouse_id, change.identifier) for change in changes]
    for attempt in range(_ATTEMPTS):
        with contextlib.suppress(_LostSwapError), catalog.turns.of(names):
            staged = [stage(catalog, change) for change in changes]
            return _publish(catalog, staged, one=one)
        catalog.commits.add(retries=1)
        # Writers that lost together must not meet again together.
        time.sleep(random.uniform(0, _FIRST_WAIT_SECONDS * 2**attempt))  # noqa: S311
    told = ", ".join(str(change.identifier) for change in changes)
    raise CommitFailedError(f"Cannot commit: {told} changed {_ATTEMPTS} times meanwhile")


def create(
    catalog: Catalog, identifier: TableIdentifier, metadata: JSON, *, kind: Kind = TABLE
) -> Table:
    """Add a table or view with this metadata, its first metadata file written."""
    placement.check_metadata(catalog, metadata)
    growth.check_metadata(catalog, f"{kind.name} {identifier}", None, metadata)
    first = first_state(kind, identifier, metadata, from_create=True)
    return _publish(catalog, [first], one=True)[0]


def _publish(catalog: Catalog, staged: Sequence[Staged], *, one: bool) -> list[Table]:
    """Write the staged files, then swap all pointers in one transaction.

    ``one`` says that the client is answered with the state, and so is its retry.
    """
    answer = {"metadata-location": staged[0].metadata_location} if one else {}
    if not all(table.unchanged for table in staged):
        with _files_of(catalog, staged) as new_files:
            try:
                with catalog.database.write() as tx:
                    for table in staged:
                        _point(tx, catalog, table)
                    idempotency.conclude(tx, catalog, answer)
                    new_files.pointed_at = True
            except OutcomeUnknownError:
                if not _all_published(catalog, staged):
                    raise
        for table in staged:
            if table.row is not None and not table.unchanged:
                loading.replace(catalog, table.row, table.metadata_location, table.document)
            _delete_old_metadata(catalog, table)
    return [Table(table.document, table.metadata_location) for table in staged]


def _check_distinct(changes: Sequence[Change]) -> None:
    seen: set[TableIdentifier] = set()
    for change in changes:
        if change.identifier in seen:
            raise BadRequestError(f"Invalid transaction: {change.identifier} is in it twice")
        seen.add(change.identifier)


@dataclass(slots=True)
class _Files:
    """The metadata files of a commit."""

    written: list[str]
    pointed_at: bool = False
    """Whether a transaction was complete that points at them: it may be stored."""


@contextlib.contextmanager
def _files_of(catalog: Catalog, staged: Iterable[Staged]) -> Iterator[_Files]:
    """Write the new metadata files; take them back when the commit surely failed."""
    new = _Files([])
    try:
        for table in staged:
            if not table.unchanged:
                if table.row is None and table.kind is TABLE:
                    catalog.files.prepare_table(table.metadata["location"])
                files.write(catalog.files, table.metadata_location, table.document)
                new.written.append(table.metadata_location)
        yield new
    except OutcomeUnknownError:
        raise
    except BaseException as error:
        # Once they are pointed at, only a refusal says that the transaction was not stored.
        if not new.pointed_at or isinstance(error, CatalogError):
            for location in new.written:
                _delete_quietly(catalog, location)
            for table in staged:
                if table.row is None:
                    catalog.files.abandon_table(table.metadata["location"])
        raise


def _point(tx: Transaction, catalog: Catalog, table: Staged) -> None:
    """Set one pointer, or raise and so undo the whole transaction."""
    location = table.metadata["location"]
    uuid = table.kind.uuid_of(table.metadata)
    if table.row is None:
        namespace = namespaces.require(tx, catalog, table.identifier.namespace)
        row = tabulars.find(tx, catalog.warehouse_id, table.identifier)
        if row is not None:
            create_error = table.kind.name_taken if table.from_create else cannot_create
            raise create_error(row.kind, table.identifier)
        placement.check_free(tx, catalog, location, besides=None)
        tabulars.insert(
            tx,
            namespace.id,
            table.identifier.name,
            kind=table.kind.name,
            uuid=uuid,
            metadata_location=table.metadata_location,
            location_key=key(location),
        )
        return
    if key(location) != table.row.location_key:
        placement.check_free(tx, catalog, location, besides=table.row.id)
    if not tabulars.swap(
        tx,
        catalog.warehouse_id,
        table.identifier,
        table.row.id,
        old=table.row.metadata_location,
        new=table.metadata_location,
        location_key=key(location),
        uuid=uuid,
    ):
        raise _LostSwapError


def _all_published(catalog: Catalog, staged: Iterable[Staged]) -> bool:
    """Look with fresh eyes whether a commit of unknown outcome is stored after all."""
    try:
        with catalog.database.fresh_read() as tx:
            found = [tabulars.find(tx, catalog.warehouse_id, table.identifier) for table in staged]
    except Exception:  # noqa: BLE001 - who cannot look knows as little as before
        _log.exception("cannot look what a failed COMMIT has stored")
        return False
    return [row and row.metadata_location for row in found] == [
        table.metadata_location for table in staged
    ]


def _delete_old_metadata(catalog: Catalog, table: Staged) -> None:
    """Delete metadata files that fell out of the log, where the table asks for that.

    Views have no such log.
    """
    properties = table.metadata.get("properties", {})
    wanted = str(properties.get("write.metadata.delete-after-commit.enabled", "")).lower()
    if table.kind is not TABLE or table.base is None or table.unchanged or wanted != "true":
        return
    for location in metadata_builder.dropped_metadata_files(table.base, table.metadata):
        _delete_quietly(catalog, location, inside=table.base["location"])


def _delete_quietly(catalog: Catalog, location: str, inside: str | None = None) -> None:
    """Delete a file, or leave it: what else was asked is done, and no trouble here may deny it."""
    try:
        # A log may name anything; only what lies in the table's own folder is its own.
        if inside is None or is_inside(location, inside):
            catalog.files.delete(location)
    except CatalogError as error:
        _log.warning("left metadata file %s behind: %s", location, error)
