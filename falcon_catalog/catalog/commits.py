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

from falcon_catalog.catalog import files, idempotency, loading, namespaces, placement
from falcon_catalog.catalog.base import Catalog, Table
from falcon_catalog.catalog.kinds import TABLE, Kind
from falcon_catalog.errors import (
    BadRequestError,
    CatalogError,
    CommitFailedError,
)
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.locations import is_inside, key
from falcon_catalog.metadata import table as metadata_builder
from falcon_catalog.metadata.document import Document
from falcon_catalog.store import tabulars
from falcon_catalog.store.database import OutcomeUnknownError, Transaction

_ATTEMPTS = 8
_FIRST_WAIT_SECONDS = 0.01
_log = logging.getLogger(__name__)

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What a client asks of one table or view: requirements that must hold, then updates."""

    identifier: TableIdentifier
    requirements: Sequence[JSON]
    updates: Sequence[JSON]
    kind: Kind = TABLE


@dataclass(frozen=True, slots=True)
class _Staged:
    """The next state of a table or view, not yet pointed at."""

    kind: Kind
    identifier: TableIdentifier
    row: tabulars.TabularRow | None
    """The row to swap; None when there is to be a new one."""
    base: JSON | None
    document: Document
    metadata_location: str
    from_create: bool = False
    """Whether a direct create asks, not the commit of a staged one: other error, same deed."""

    @property
    def metadata(self) -> JSON:
        return self.document.metadata

    @property
    def unchanged(self) -> bool:
        return self.metadata is self.base


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
            staged = [_stage(catalog, change) for change in changes]
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
    first = _first_state(kind, identifier, metadata, from_create=True)
    return _publish(catalog, [first], one=True)[0]


def _publish(catalog: Catalog, staged: Sequence[_Staged], *, one: bool) -> list[Table]:
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


def _stage(catalog: Catalog, change: Change) -> _Staged:
    """Compute the next state of a table or view from its present one."""
    view = catalog.database.glance()
    row = tabulars.find(view, catalog.warehouse_id, change.identifier)
    if _creates(change) and not _is_created(row, change):
        namespaces.require(catalog.database.glance(), catalog, change.identifier.namespace)
        if row is not None:
            raise _cannot_create(row.kind, change.identifier)
        metadata = metadata_builder.apply(None, change.updates, now_ms=view.now)
        placement.check_metadata(catalog, metadata)
        return _first_state(change.kind, change.identifier, metadata, from_create=False)
    if row is None or row.kind != change.kind.name:
        raise change.kind.missing(change.identifier)
    return _next_state(catalog, change, row, view.now)


def _next_state(catalog: Catalog, change: Change, row: tabulars.TabularRow, now: int) -> _Staged:
    document = loading.load(catalog, row, change.kind)
    base = metadata = document.metadata
    if not _creates(change):
        metadata = change.kind.advance(
            base, change.requirements, change.updates, now, row.metadata_location
        )
    if metadata is base:
        return _Staged(change.kind, change.identifier, row, base, document, row.metadata_location)
    placement.check_metadata(catalog, metadata)
    location = placement.new_metadata_location(metadata, row.metadata_location)
    return _Staged(change.kind, change.identifier, row, base, Document(metadata), location)


def _first_state(
    kind: Kind, identifier: TableIdentifier, metadata: JSON, *, from_create: bool
) -> _Staged:
    location = placement.new_metadata_location(metadata, None)
    document = Document(metadata)
    return _Staged(kind, identifier, None, None, document, location, from_create=from_create)


def _creates(change: Change) -> bool:
    """Tell whether this is the commit of a staged create, which only tables have."""
    if change.kind is not TABLE:
        return False
    creates = any(item.get("type") == "assert-create" for item in change.requirements)
    if creates:
        metadata_builder.check_requirements(None, change.requirements)
    return creates


def _is_created(row: tabulars.TabularRow | None, change: Change) -> bool:
    """Tell whether this very create was committed before and only its answer was lost.

    The uuid was drawn when the create was staged, so no other create can carry it.
    """
    if row is None or row.kind != "table":
        return False
    return any(
        update.get("action") == "assign-uuid" and str(update.get("uuid")).lower() == row.uuid
        for update in change.updates
    )


def _cannot_create(by: tabulars.Kind, identifier: TableIdentifier) -> CatalogError:
    if by == TABLE.name:
        return CommitFailedError("Requirement failed: table already exists")
    return TABLE.name_taken(by, identifier)


@dataclass(slots=True)
class _Files:
    """The metadata files of a commit."""

    written: list[str]
    pointed_at: bool = False
    """Whether a transaction was complete that points at them: it may be stored."""


@contextlib.contextmanager
def _files_of(catalog: Catalog, staged: Iterable[_Staged]) -> Iterator[_Files]:
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
        raise


def _point(tx: Transaction, catalog: Catalog, table: _Staged) -> None:
    """Set one pointer, or raise and so undo the whole transaction."""
    location = table.metadata["location"]
    uuid = table.kind.uuid_of(table.metadata)
    if table.row is None:
        namespace = namespaces.require(tx, catalog, table.identifier.namespace)
        row = tabulars.find(tx, catalog.warehouse_id, table.identifier)
        if row is not None:
            create_error = table.kind.name_taken if table.from_create else _cannot_create
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


def _all_published(catalog: Catalog, staged: Iterable[_Staged]) -> bool:
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


def _delete_old_metadata(catalog: Catalog, table: _Staged) -> None:
    """Delete metadata files that fell out of the log, where the table asks for that.

    Views have no such log.
    """
    properties = table.metadata.get("properties", {})
    wanted = str(properties.get("write.metadata.delete-after-commit.enabled", "")).lower()
    if table.kind is not TABLE or table.base is None or table.unchanged or wanted != "true":
        return
    for location in metadata_builder.dropped_metadata_files(table.base, table.metadata):
        # A log may name anything; only what lies in the table's own folder is its own.
        if is_inside(location, table.base["location"]):
            _delete_quietly(catalog, location)


def _delete_quietly(catalog: Catalog, location: str) -> None:
    try:
        catalog.files.delete(location)
    except (OSError, CatalogError) as error:
        _log.warning("left metadata file %s behind: %s", location, error)
