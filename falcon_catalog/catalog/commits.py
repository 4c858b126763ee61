"""Commits: the one algorithm that sets pointers, for one table or view or for many.

Outside any transaction each next state is computed and its metadata file written durably. Then
one short transaction swaps all pointers or none. Two rules protect the files:

- a file is deleted only when no pointer can ever reach it (``_new_files``);
- when the outcome of a COMMIT is unknown, nothing is deleted (``_stored_after_all``).
"""

import contextlib
import logging
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from falcon_catalog.catalog import (
    authorization,
    events,
    idempotency,
    metadata_files,
    namespaces,
    orphans,
    policy,
)
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.events import Event
from falcon_catalog.catalog.metadata_cache import Loaded
from falcon_catalog.catalog.tabulars import TABLE, Kind
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.errors import (
    BadRequestError,
    CatalogError,
    CommitFailedError,
    ObjectStoreError,
)
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.locations import is_inside, key
from falcon_catalog.metadata import history
from falcon_catalog.metadata import table as table_metadata
from falcon_catalog.metadata.document import Document
from falcon_catalog.store import grants
from falcon_catalog.store import tabulars as rows
from falcon_catalog.store.database import OutcomeUnknownError, Transaction, again
from falcon_catalog.store.tabulars import TabularRow

_ATTEMPTS = 8
_FIRST_WAIT_SECONDS = 0.01
_OPERATIONS = {"table": "updateTable", "view": "replaceView"}
_PROPERTIES = ("set-properties", "remove-properties")
_log = logging.getLogger(__name__)

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What a client requests of one table or view: requirements that must hold, then updates."""

    identifier: TableIdentifier
    requirements: Sequence[JSON]
    updates: Sequence[JSON]
    kind: Kind = TABLE


@dataclass(frozen=True, slots=True)
class Staged:
    """The next state of a table or view, which no pointer reaches yet."""

    kind: Kind
    identifier: TableIdentifier
    row: TabularRow | None
    """The row to swap; None if it is to be inserted."""
    base: JSON | None
    document: Document
    metadata_location: str
    from_create: bool = False
    """Whether it is a direct create; the commit of a staged one fails with another error."""
    updates: Sequence[JSON] = ()
    """Of the client."""

    @property
    def metadata(self) -> JSON:
        """The metadata, as plain JSON but for its histories."""
        return self.document.metadata

    @property
    def unchanged(self) -> bool:
        """Whether there is nothing to store."""
        return self.metadata is self.base


class _LostSwapError(Exception):
    """Another commit moved a table's or view's pointer since it was read. Nothing was stored."""

    def __init__(self, identifier: TableIdentifier) -> None:
        super().__init__(identifier)
        self.identifier = identifier


@again
def commit(call: Call, changes: Sequence[Change], *, transaction: bool = False) -> list[Loaded]:
    """Commit changes to one table or view or to many: all of them, or none.

    Source: updateTable, replaceView and commitTransaction of the REST specification. A
    ``transaction`` is answered without a body, and so are its retries.

    Raises:
        CommitFailedError: a requirement does not hold, or other commits kept winning the swap.
        CommitStateUnknownError: the outcome of COMMIT is unknown; no file was deleted.
        NoSuchTableError, NoSuchViewError, NoSuchNamespaceError, AlreadyExistsError,
        ForbiddenError, BadRequestError: nothing was committed.
    """
    warehouse = call.warehouse
    names = [(warehouse.id, change.identifier) for change in changes]
    for (_, identifier), count in Counter(names).items():
        if count > 1:
            raise BadRequestError(f"Invalid transaction: {identifier} is in it twice")
    operation = "commitTransaction" if transaction else _OPERATIONS[changes[0].kind.name]
    for attempt in range(_ATTEMPTS):
        with (
            contextlib.suppress(_LostSwapError),
            warehouse.files.admission(),
            warehouse.commit_locks.hold(names),
        ):
            try:
                staged = [_stage(call, change) for change in changes]
                committed = _publish(call, staged, operation, {} if transaction else None)
            except CommitFailedError:
                warehouse.counters.add(conflicts=1)
                raise
            except _LostSwapError as lost:
                warehouse.last_commits.put((warehouse.id, lost.identifier), None)
                raise
            warehouse.counters.add(commits=1)
            return committed
        warehouse.counters.add(retries=1)
        # Writers that lost to each other must not try again at the same moment.
        time.sleep(random.uniform(0, _FIRST_WAIT_SECONDS * 2**attempt))  # noqa: S311
    warehouse.counters.add(conflicts=1)
    changed = ", ".join(str(change.identifier) for change in changes)
    raise CommitFailedError(f"Cannot commit: {changed} changed {_ATTEMPTS} times meanwhile")


@again
def create(call: Call, kind: Kind, identifier: TableIdentifier, metadata: JSON) -> Loaded:
    """Add a table or view with this metadata, which is checked, and write its first file."""
    new = _new(kind, identifier, metadata, from_create=True)
    return _publish(call, [new], f"create{kind.name.capitalize()}")[0]


def _publish(
    call: Call, staged: Sequence[Staged], operation: str, answer: JSON | None = None
) -> list[Loaded]:
    """Write the metadata files, then set all pointers in one transaction.

    ``operation`` is that of the events, and ``answer`` what retries are answered; None: the state
    of the one table or view.
    """
    if answer is None:
        answer = {"metadata-location": staged[0].metadata_location}
    changed = [each for each in staged if not each.unchanged]
    if changed:
        with _new_files(call.warehouse, changed) as files:
            try:
                with call.warehouse.store.write() as tx:
                    # What does not change must not have changed, either. In one order, so that
                    # two transactions never wait for one another.
                    created = [
                        grants.Entity("tabular", row_id)
                        for each in sorted(staged, key=_lock_order)
                        if (row_id := _set_pointer(tx, call, each)) is not None
                    ]
                    authorization.own(tx, call, *created)
                    events.record(tx, call, *(_event(each, operation) for each in changed))
                    idempotency.record(tx, call, answer)
                    files.reachable = True
            except OutcomeUnknownError:
                if not _stored_after_all(call, staged):
                    raise
        for each in changed:
            _remember(call.warehouse, each)
            _delete_expired_metadata(call.warehouse, each)
    return [Loaded(each.document, each.metadata_location) for each in staged]


def _lock_order(staged: Staged) -> tuple[int, TableIdentifier]:
    return (0 if staged.row is None else staged.row.id), staged.identifier


def _remember(warehouse: Warehouse, staged: Staged) -> None:
    """Keep what the next commit to the table or view begins with."""
    if staged.row is None:
        warehouse.last_commits.forget((warehouse.id, staged.identifier))
        return
    warehouse.metadata.advance(staged.row, staged.metadata_location, staged.document)
    row = staged.row._replace(
        metadata_location=staged.metadata_location,
        location_key=key(staged.metadata["location"]),
        uuid=staged.kind.uuid_of(staged.metadata),
    )
    warehouse.last_commits.record(warehouse.id, staged.identifier, row)


def _stage(call: Call, change: Change) -> Staged:
    """Compute the next state of a table or view from its present one; store nothing."""
    row = call.warehouse.last_commits.get((call.warehouse.id, change.identifier))
    if (
        row is not None
        and row.kind == change.kind.name
        and authorization.confirm(call, change.identifier, row.id, row.created_at)
    ):
        # An error, or that nothing is to be done, must be said of the newest state.
        with contextlib.suppress(CatalogError):
            staged = _advance(call, change, row)
            if not staged.unchanged:
                return staged
    tx = call.warehouse.store.autocommit()
    kind, identifier = change.kind, change.identifier
    row = rows.find(tx, call.warehouse.id, identifier)
    creates = kind is TABLE and any(r.get("type") == "assert-create" for r in change.requirements)
    if creates:
        table_metadata.check_requirements(None, change.requirements)
    if creates and not _is_repeated_create(row, change):
        namespaces.require(tx, call, identifier.namespace)
        if row is not None:
            raise _create_conflict(row, identifier)
        metadata = table_metadata.apply(None, change.updates, now_ms=call.now)
        policy.check_metadata(call, f"table {identifier}", None, metadata)
        policy.check_manifest_lists(call.warehouse, _added_snapshots(change))
        _check_places(call, kind, None, metadata, None)
        return _new(kind, identifier, metadata, updates=change.updates)
    if row is None or row.kind != kind.name:
        raise kind.missing(identifier)
    if creates and not authorization.permits(call, "describe", identifier):
        raise _create_conflict(row, identifier)
    if not authorization.confirm(call, identifier, row.id, row.created_at):
        raise kind.missing(identifier)
    if creates:
        document = call.warehouse.metadata.load(call.warehouse.files, row, identifier).document
        return _unchanged(change, row, document)
    return _advance(call, change, row)


def _advance(call: Call, change: Change, row: TabularRow) -> Staged:
    """Compute the next state of a table or view from the one that a row points at."""
    kind, identifier = change.kind, change.identifier
    document = call.warehouse.metadata.load(call.warehouse.files, row, identifier).document
    base = document.metadata
    metadata = kind.advance(
        base, change.requirements, change.updates, call.now, row.metadata_location
    )
    if metadata is base:
        return _unchanged(change, row, document)
    policy.check_metadata(call, f"{kind.name} {identifier}", base, metadata)
    policy.check_manifest_lists(call.warehouse, _added_snapshots(change))
    _check_places(call, kind, base, metadata, row.id)
    location = policy.new_metadata_location(metadata, row.metadata_location)
    document = Document(metadata)
    return Staged(kind, identifier, row, base, document, location, updates=change.updates)


def _check_places(
    call: Call, kind: Kind, before: JSON | None, after: JSON, row_id: int | None
) -> None:
    """Check the places that metadata newly names before a file is written there.

    ``_set_pointer`` checks them again, in the transaction.
    """
    tx = call.warehouse.store.autocommit()
    if before is None or after["location"] != before["location"]:
        policy.check_free(tx, call, kind.name, after["location"], besides=row_id)
    policy.check_free_paths(tx, call, kind.name, before, after, besides=row_id)
    known = () if before is None else policy.locations_of(before)
    new = [each for each in policy.locations_of(after) if each not in known]
    authorization.check_dropped_files(call, new)


def _added_snapshots(change: Change) -> Iterator[JSON]:
    return (each["snapshot"] for each in change.updates if each["action"] == "add-snapshot")


def _unchanged(change: Change, row: TabularRow, document: Document) -> Staged:
    return Staged(
        change.kind,
        change.identifier,
        row,
        document.metadata,
        document,
        row.metadata_location,
    )


def _new(
    kind: Kind,
    identifier: TableIdentifier,
    metadata: JSON,
    *,
    from_create: bool = False,
    updates: Sequence[JSON] = (),
) -> Staged:
    location = policy.new_metadata_location(metadata, None)
    return Staged(kind, identifier, None, None, Document(metadata), location, from_create, updates)


def _event(staged: Staged, operation: str) -> Event:
    """Return the event of one new state: what was changed, but no property's value."""
    row, after = staged.row, staged.metadata
    actions = dict.fromkeys(each["action"] for each in staged.updates)
    detail: JSON = {"updates": list(actions)} if actions else {}
    if staged.base is None or not actions.keys().isdisjoint(_PROPERTIES):
        before = (staged.base or {}).get("properties", {})
        detail |= events.changed_keys(before, after.get("properties", {}))
    if "add-snapshot" in actions:
        added = [each["snapshot"] for each in staged.updates if each["action"] == "add-snapshot"]
        detail["snapshots"] = [snapshot.get("snapshot-id") for snapshot in added]
        operations = dict.fromkeys(history.operation(snapshot) for snapshot in added)
        detail["operations"] = [each for each in operations if each in history.OPERATIONS]
    return Event(
        operation,
        staged.kind.name,
        staged.identifier,
        id=None if row is None else row.id,
        uuid=staged.kind.uuid_of(after),
        before=None if row is None else row.metadata_location,
        after=staged.metadata_location,
        detail=detail,
    )


def _is_repeated_create(row: TabularRow | None, change: Change) -> bool:
    """Return whether this create was committed before and only its response was lost.

    The uuid was generated when the create was staged, so no other create can carry it.
    """
    if row is None or row.kind != TABLE.name:
        return False
    return any(
        update.get("action") == "assign-uuid" and str(update.get("uuid")).lower() == row.uuid
        for update in change.updates
    )


def _create_conflict(row: TabularRow, identifier: TableIdentifier) -> CatalogError:
    """Return the error for the commit of a staged create whose name is taken."""
    if row.kind == TABLE.name:
        return CommitFailedError("Requirement failed: table already exists")
    return TABLE.name_taken(row.kind, identifier)


def _set_pointer(tx: Transaction, call: Call, staged: Staged) -> int | None:
    """Insert or swap one pointer, or raise and so roll back the whole transaction.

    Return the id of what was inserted.
    """
    warehouse, kind, identifier = call.warehouse, staged.kind, staged.identifier
    location, uuid = staged.metadata["location"], staged.kind.uuid_of(staged.metadata)
    if staged.row is None:
        namespace = namespaces.require(tx, call, identifier.namespace)
        rows.reserve(tx, namespace.id, identifier.name)
        row = rows.find(tx, warehouse.id, identifier)
        if row is not None and staged.from_create:
            raise kind.name_taken(row.kind, identifier)
        if row is not None:
            raise _create_conflict(row, identifier)
        policy.check_room(tx, warehouse, namespace.id, identifier.namespace)
        policy.check_free(tx, call, kind.name, location, besides=None)
        policy.check_free_paths(tx, call, kind.name, None, staged.metadata, besides=None)
        row_id = rows.insert(
            tx,
            namespace.id,
            identifier.name,
            kind=kind.name,
            uuid=uuid,
            metadata_location=staged.metadata_location,
            location_key=key(location),
        )
        if row_id is not None:
            policy.keep_paths(tx, row_id, None, staged.metadata)
            if not staged.from_create:
                policy.end_reservation(tx, call, staged.metadata)
        return row_id
    moved = key(location) != staged.row.location_key
    if moved:
        policy.check_free(tx, call, kind.name, location, besides=staged.row.id)
    policy.check_free_paths(
        tx, call, kind.name, staged.base, staged.metadata, besides=staged.row.id
    )
    if not rows.swap(
        tx,
        warehouse.id,
        identifier,
        staged.row.id,
        old=staged.row.metadata_location,
        new=staged.metadata_location,
        location_key=key(location) if moved else None,
        uuid=uuid,
    ):
        raise _LostSwapError(identifier)
    policy.keep_paths(tx, staged.row.id, staged.base, staged.metadata)
    return None


@dataclass(slots=True)
class _NewFiles:
    """The metadata files of a commit."""

    written: list[str]
    reachable: bool = False
    """Whether every pointer was set in the transaction: COMMIT may have stored it."""


@contextlib.contextmanager
def _new_files(warehouse: Warehouse, staged: Sequence[Staged]) -> Iterator[_NewFiles]:
    """Write the new metadata files; delete them again if nothing can ever point at them."""
    new = _NewFiles([])
    try:
        for each in staged:
            if each.row is None and each.kind is TABLE:
                warehouse.files.prepare_table(each.metadata["location"])
            _write(warehouse, each)
            new.written.append(each.metadata_location)
        yield new
    except OutcomeUnknownError:
        raise
    except BaseException as error:
        # Once they are reachable, only the store's own refusal proves that nothing was stored.
        if not new.reachable or isinstance(error, CatalogError):
            for location in new.written:
                _delete(warehouse, location)
            for each in staged:
                if each.row is None:
                    warehouse.files.abandon_table(each.metadata["location"])
        raise


def _write(warehouse: Warehouse, staged: Staged) -> None:
    """Write a metadata file; record it if that fails and it may exist nevertheless."""
    try:
        metadata_files.write(warehouse.files, staged.metadata_location, staged.document)
    except ObjectStoreError as error:
        if error.may_be_done:
            orphans.record(warehouse, staged.metadata_location)
        raise


def _stored_after_all(call: Call, staged: Sequence[Staged]) -> bool:
    """Return whether a commit of unknown outcome is stored, as a new connection sees it."""
    try:
        with call.warehouse.store.fresh_read() as tx:
            found = [rows.find(tx, call.warehouse.id, each.identifier) for each in staged]
    except Exception:  # noqa: BLE001 - the outcome stays unknown
        _log.exception("cannot read the outcome of a failed COMMIT")
        return False
    return [row and row.metadata_location for row in found] == [
        each.metadata_location for each in staged
    ]


def _delete_expired_metadata(warehouse: Warehouse, staged: Staged) -> None:
    """Delete metadata files that fell out of the metadata log, if the table's properties ask so."""
    properties = staged.metadata.get("properties", {})
    enabled = str(properties.get("write.metadata.delete-after-commit.enabled", "")).lower()
    if staged.kind is not TABLE or staged.base is None or enabled != "true":
        return
    for location in table_metadata.dropped_metadata_files(staged.base, staged.metadata):
        _delete(warehouse, location, inside=staged.base["location"])


def _delete(warehouse: Warehouse, location: str, inside: str | None = None) -> None:
    """Delete a file, or record it: the commit's outcome is settled and must be reported."""
    try:
        # A log may name any file; only those in the table's own folder are its own.
        if inside is None or (
            is_inside(location, inside) and not policy.leads_elsewhere(warehouse, location)
        ):
            warehouse.files.delete(location)
    except CatalogError as error:
        _log.warning("left metadata file %s behind: %s", location, error)
        orphans.record(warehouse, location)
