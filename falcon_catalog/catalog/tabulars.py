"""What tables and views share: one name space, one file of metadata each, and most verbs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from falcon_catalog.catalog import access, idempotency, metadata_files, namespaces, policy
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.grants import NO_ACCESS
from falcon_catalog.catalog.metadata_cache import Loaded, Snapshots, to_document
from falcon_catalog.errors import (
    AlreadyExistsError,
    CatalogError,
    CommitFailedError,
    NoSuchTableError,
    NoSuchViewError,
)
from falcon_catalog.identifiers import Namespace, Page, TableIdentifier
from falcon_catalog.locations import key
from falcon_catalog.metadata import table as table_metadata
from falcon_catalog.metadata import view as view_metadata
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.store import dropped, orphans
from falcon_catalog.store import tabulars as rows
from falcon_catalog.store.database import Transaction, again
from falcon_catalog.store.tabulars import TabularRow

Updates = Sequence[Mapping[str, object]]

_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Kind:
    """The differences between tables and views."""

    name: rows.Kind
    uuid_key: str
    """The metadata field that holds the uuid."""
    advance: Callable[[JSON, Updates, Updates, int, str], JSON]
    """Return the metadata after (base, requirements, updates, now in ms, base's location);
    ``base`` itself if nothing changes."""
    validate: Callable[[JSON], JSON]
    """Check and complete metadata that another writer wrote."""
    check_readable: Callable[[JSON], None]
    """Raise BadRequestError for valid metadata that other clients could not read."""
    missing_error: type[CatalogError]

    def uuid_of(self, metadata: Mapping[str, object]) -> str:
        """Return the uuid in the form that rows have."""
        return str(metadata[self.uuid_key]).lower()

    def missing(self, identifier: TableIdentifier) -> CatalogError:
        """Return the error for a name that nothing of this kind has."""
        return self.missing_error(f"{self.name.capitalize()} does not exist: {identifier}")

    def name_taken(self, by: rows.Kind, identifier: TableIdentifier) -> AlreadyExistsError:
        """Return the error for a new entity whose name is taken."""
        same = "" if by == self.name else " with same name"
        return AlreadyExistsError(f"{by.capitalize()}{same} already exists: {identifier}")


def _advance_table(
    base: JSON, requirements: Updates, updates: Updates, now_ms: int, metadata_location: str
) -> JSON:
    if table_metadata.is_replay(base, updates):
        return base
    table_metadata.check_requirements(base, requirements)
    return table_metadata.apply(base, updates, now_ms=now_ms, metadata_location=metadata_location)


def _advance_view(
    base: JSON, requirements: Updates, updates: Updates, now_ms: int, _metadata_location: str
) -> JSON:
    view_metadata.check_requirements(base, requirements)
    return view_metadata.apply(base, updates, now_ms=now_ms)


TABLE = Kind(
    "table",
    "table-uuid",
    _advance_table,
    table_metadata.validate,
    table_metadata.check_readable,
    NoSuchTableError,
)
VIEW = Kind(
    "view",
    "view-uuid",
    _advance_view,
    view_metadata.validate,
    view_metadata.check_readable,
    NoSuchViewError,
)


def require(
    tx: Transaction, call: Call, kind: Kind, identifier: TableIdentifier, *, lock: bool = False
) -> TabularRow:
    """Return the row of a table or view that must exist; as ``store.tabulars.find``."""
    row = rows.find(tx, call.warehouse.id, identifier, lock=lock)
    if row is None or row.kind != kind.name:
        raise kind.missing(identifier)
    return row


def find(call: Call, kind: Kind, identifier: TableIdentifier) -> TabularRow:
    """Return the row of a table or view that must exist, with one statement."""
    return require(call.warehouse.store.autocommit(), call, kind, identifier)


def load(
    call: Call, kind: Kind, identifier: TableIdentifier, snapshots: Snapshots = "all"
) -> Loaded:
    """Return a table or view.

    Raises:
        NoSuchTableError, NoSuchViewError: it does not exist.
        NotFoundError: its metadata file is missing.
        InternalServerError: its metadata file is damaged.
    """
    warehouse = call.warehouse
    row = find(call, kind, identifier)
    return warehouse.metadata.load(warehouse.files, row, identifier, snapshots)


def list_(call: Call, kind: Kind, namespace: Namespace, page: Page) -> list[str]:
    """Return the names of one kind in a namespace, ordered."""
    with call.warehouse.store.read() as tx:
        return rows.names(tx, namespaces.require(tx, call, namespace).id, kind.name, page)


def place(
    call: Call, kind: Kind, identifier: TableIdentifier, *, requested: object, uuid: str
) -> str:
    """Return the location of a new table or view: as requested, or a new folder of its own.

    Raises:
        NoSuchNamespaceError: its namespace does not exist.
        AlreadyExistsError: the name is taken.
        BadRequestError, ForbiddenError: the requested location is invalid or not allowed.
    """
    with call.warehouse.store.read() as tx:
        properties = namespaces.require(tx, call, identifier.namespace).properties
        require_free(tx, call, kind, identifier)
        if requested is None:
            location = policy.default_location(call.warehouse, identifier, properties, uuid)
        else:
            location = policy.requested_location(requested)
        policy.check_allowed(call.warehouse, location)
        policy.check_free(tx, call.warehouse, kind.name, location, besides=None)
    return location


def require_free(tx: Transaction, call: Call, kind: Kind, identifier: TableIdentifier) -> None:
    """Raise AlreadyExistsError if a table or view has this name."""
    row = rows.find(tx, call.warehouse.id, identifier)
    if row is not None:
        raise kind.name_taken(row.kind, identifier)


@again
def rename(call: Call, kind: Kind, source: TableIdentifier, destination: TableIdentifier) -> None:
    """Rename a table or view, into another namespace if requested. Its location stays.

    Raises:
        NoSuchTableError, NoSuchViewError: the source does not exist.
        NoSuchNamespaceError: the destination's namespace does not exist.
        AlreadyExistsError: the destination's name is taken.
    """
    with call.warehouse.store.write() as tx:
        row = require(tx, call, kind, source, lock=True)
        namespace = namespaces.require(tx, call, destination.namespace)
        rows.reserve(tx, namespace.id, destination.name)
        taken = rows.find(tx, call.warehouse.id, destination)
        if taken is not None:
            what = taken.kind.capitalize()
            raise AlreadyExistsError(
                f"Cannot rename {source} to {destination}. {what} already exists"
            )
        rows.move(tx, row.id, namespace.id, destination.name)
        idempotency.record(tx, call, {})


@again
def drop(call: Call, kind: Kind, identifier: TableIdentifier, *, purge: bool = False) -> None:
    """Remove a table or view from the catalog; it can be undropped until its retention ends.

    Its files stay, unless ``purge`` requests their deletion at the end of the retention.
    """
    warehouse = call.warehouse
    with warehouse.store.write() as tx:
        row = require(tx, call, kind, identifier, lock=True)
        rows.delete(tx, row.id)
        if purge or warehouse.drop_retention_ms:
            dropped.insert(
                tx,
                warehouse.id,
                identifier,
                row,
                purge=purge,
                retention_ms=warehouse.drop_retention_ms,
            )
        idempotency.record(tx, call, {})


@again
def unregister(call: Call, kind: Kind, identifier: TableIdentifier) -> Loaded:
    """Remove a table or view, with its files as they are, so that another catalog can register it.

    Return its last state.

    Raises:
        CommitFailedError: it changed again and again meanwhile.
    """
    warehouse = call.warehouse
    for _ in range(_ATTEMPTS):
        row = find(call, kind, identifier)
        loaded = warehouse.metadata.load(warehouse.files, row, identifier)
        with warehouse.store.write() as tx:
            if require(tx, call, kind, identifier, lock=True) != row:
                continue
            rows.delete(tx, row.id)
            idempotency.record(tx, call, {"metadata-location": row.metadata_location})
        return loaded
    raise CommitFailedError(f"Cannot unregister {identifier}: it changed {_ATTEMPTS} times")


@again
def register(
    call: Call,
    kind: Kind,
    identifier: TableIdentifier,
    metadata_location: str,
    *,
    overwrite: bool = False,
) -> Loaded:
    """Add a table or view whose metadata file exists; ``overwrite`` replaces one of its kind.

    Raises:
        NotFoundError: the metadata file does not exist.
        AlreadyExistsError: the name is taken, by the other kind or without ``overwrite``.
        CommitFailedError: it was dropped with a purge, which has begun.
        BadRequestError, ForbiddenError: the file is not valid metadata, or its location is not
            allowed.
    """
    warehouse = call.warehouse
    with warehouse.store.read() as tx:
        namespaces.require(tx, call, identifier.namespace)
        old = _replaceable(tx, call, kind, identifier, overwrite=overwrite)
    policy.check_allowed(warehouse, metadata_location)
    policy.check_spelling(warehouse, metadata_location)
    warehouse.mount.require()
    metadata = kind.validate(metadata_files.read(warehouse.files, metadata_location))
    kind.check_readable(metadata)
    policy.check_locations(warehouse, metadata)
    policy.check_credentials(warehouse, f"{kind.name} {identifier}", None, metadata)
    policy.check_manifest_lists(warehouse, metadata.get("snapshots", ()))
    policy.check_client_settings(None, metadata.get("properties", {}))
    document = to_document(metadata, metadata_location)
    granted = NO_ACCESS
    if kind is TABLE:  # before anything is stored: a token service may refuse
        with warehouse.store.read() as tx:
            _check_places(tx, call, kind, metadata, old)
        granted = access.provide(call, identifier, metadata, metadata_location)
    with warehouse.store.write() as tx:
        namespace = namespaces.require(tx, call, identifier.namespace)
        rows.reserve(tx, namespace.id, identifier.name)
        old = _replaceable(tx, call, kind, identifier, overwrite=overwrite)
        _check_places(tx, call, kind, metadata, old)
        if old is not None:
            rows.delete(tx, old.id)
        rows.insert(
            tx,
            namespace.id,
            identifier.name,
            kind=kind.name,
            uuid=kind.uuid_of(metadata),
            metadata_location=metadata_location,
            location_key=key(metadata["location"]),
        )
        # A registered table is in use: no purge may delete its files, or have begun to. What is
        # forgotten first can no longer begin.
        dropped.forget_uuid(tx, warehouse.id, kind.uuid_of(metadata))
        if not orphans.forget(tx, metadata_location):
            raise CommitFailedError(
                f"Cannot register {identifier}: {metadata_location}, which a failed commit left"
                " behind, is being deleted"
            )
        if dropped.is_being_purged(tx, kind.uuid_of(metadata)):
            raise CommitFailedError(f"Cannot register {identifier}: its purge has begun")
        idempotency.record(tx, call, {"metadata-location": metadata_location})
    return Loaded(document, metadata_location, granted)


def _check_places(
    tx: Transaction, call: Call, kind: Kind, metadata: JSON, old: TabularRow | None
) -> None:
    """Check that nothing else lies where a registered table or view does."""
    besides = old.id if old else None
    policy.check_free(tx, call.warehouse, kind.name, metadata["location"], besides=besides)
    policy.check_free_paths(tx, call.warehouse, kind.name, None, metadata, besides=besides)


def _replaceable(
    tx: Transaction, call: Call, kind: Kind, identifier: TableIdentifier, *, overwrite: bool
) -> TabularRow | None:
    """Return the row that a registration replaces; raise AlreadyExistsError if it may not."""
    row = rows.find(tx, call.warehouse.id, identifier, lock=True)
    if row is not None and not (overwrite and row.kind == kind.name):
        raise kind.name_taken(row.kind, identifier)
    return row
