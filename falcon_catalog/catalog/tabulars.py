"""What tables and views share: one name space, one file of metadata each, and most verbs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from falcon_catalog.catalog import (
    access,
    authorization,
    events,
    idempotency,
    marks,
    metadata_files,
    namespaces,
    policy,
)
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.events import Event
from falcon_catalog.catalog.issued_credentials import NO_ACCESS
from falcon_catalog.catalog.metadata_cache import Loaded, Snapshots, to_document
from falcon_catalog.errors import (
    AlreadyExistsError,
    CatalogError,
    CommitFailedError,
    ForbiddenError,
)
from falcon_catalog.identifiers import Namespace, Page, TableIdentifier
from falcon_catalog.locations import key
from falcon_catalog.metadata import table as table_metadata
from falcon_catalog.metadata import view as view_metadata
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.store import dropped, grants, orphans, paths
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

    def uuid_of(self, metadata: Mapping[str, object]) -> str:
        """Return the uuid in the form that rows have."""
        return str(metadata[self.uuid_key]).lower()

    def event(self, verb: str, identifier: TableIdentifier, row: TabularRow | None) -> Event:
        """Return the event of a verb, such as ``drop``, with the state that a row has before."""
        event = Event(f"{verb}{self.name.capitalize()}", self.name, identifier)
        if row is not None:
            event.id, event.uuid, event.before = row.id, row.uuid, row.metadata_location
        return event

    def missing(self, identifier: TableIdentifier) -> CatalogError:
        """Return the error for a name that nothing of this kind has."""
        return authorization.absent(identifier, self.name)

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
)
VIEW = Kind(
    "view",
    "view-uuid",
    _advance_view,
    view_metadata.validate,
    view_metadata.check_readable,
)


def require(
    tx: Transaction, call: Call, kind: Kind, identifier: TableIdentifier, *, lock: bool = False
) -> TabularRow:
    """Return the row of a table or view that must exist; as ``store.tabulars.find``."""
    row = rows.find(tx, call.warehouse.id, identifier, lock=lock)
    if row is None or row.kind != kind.name:
        raise kind.missing(identifier)
    if not authorization.confirm(call, identifier, row.id, row.created_at):
        raise kind.missing(identifier)
    return row


def find(call: Call, kind: Kind, identifier: TableIdentifier) -> TabularRow:
    """Return the row of a table or view that must exist: the one that was just authorized."""
    if (known := authorization.known_row(call, identifier)) is not None:
        return known
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
        namespace_id = namespaces.require(tx, call, namespace).id
        visible = authorization.visible_ids(call, namespace, "tabular")
        return rows.names(tx, namespace_id, kind.name, page, visible)


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
        namespace = namespaces.require(tx, call, identifier.namespace)
        properties = namespace.properties
        require_free(tx, call, kind, identifier)
        policy.check_room(tx, call.warehouse, namespace.id, identifier.namespace)
        if requested is None:
            location = policy.default_location(call.warehouse, identifier, properties, uuid)
        else:
            location = policy.requested_location(requested)
        policy.check_allowed(call.warehouse, location)
        policy.check_free(tx, call, kind.name, location, besides=None)
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
        if source.namespace != destination.namespace:
            policy.check_room(tx, call.warehouse, namespace.id, destination.namespace)
        rows.move(tx, row.id, namespace.id, destination.name)
        if source.namespace != destination.namespace:
            grants.touch(tx)  # other containers, other rights
        event = kind.event("rename", destination, row)
        event.former, event.after = source, row.metadata_location
        events.record(tx, call, event)
        idempotency.record(tx, call, {})


@again
def drop(call: Call, kind: Kind, identifier: TableIdentifier, *, purge: bool = False) -> None:
    """Remove a table or view from the catalog; it can be undropped until its retention ends.

    Its files stay, unless ``purge`` requests their deletion at the end of the retention.

    Raises:
        ForbiddenError: it is protected.
    """
    warehouse = call.warehouse
    with warehouse.store.write() as tx:
        row = require(tx, call, kind, identifier, lock=True)
        entity = grants.Entity("tabular", row.id)
        marks.require_unprotected(tx, entity, kind.name, identifier)
        if purge or warehouse.drop_retention_ms:
            dropped_id = dropped.insert(
                tx,
                warehouse.id,
                identifier,
                row,
                purge=purge,
                retention_ms=warehouse.drop_retention_ms,
            )
            grants.move(tx, entity, grants.Entity("dropped", dropped_id))
            paths.move(tx, entity, grants.Entity("dropped", dropped_id))
        else:
            grants.forget(tx, entity)
        rows.delete(tx, row.id)
        event = kind.event("drop", identifier, row)
        event.detail = {"purge": purge}
        events.record(tx, call, event)
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
        row = require(warehouse.store.autocommit(), call, kind, identifier)
        loaded = warehouse.metadata.load(warehouse.files, row, identifier)
        with warehouse.store.write() as tx:
            if require(tx, call, kind, identifier, lock=True) != row:
                continue
            entity = grants.Entity("tabular", row.id)
            marks.require_unprotected(tx, entity, kind.name, identifier)
            grants.forget(tx, entity)
            rows.delete(tx, row.id)
            events.record(tx, call, kind.event("unregister", identifier, row))
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
    policy.check_run_as(call, f"{kind.name} {identifier}", None, metadata)
    authorization.check_dropped_files(call, policy.locations_of(metadata))
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
        if old is None:
            policy.check_room(tx, warehouse, namespace.id, identifier.namespace)
        else:
            entity = grants.Entity("tabular", old.id)
            marks.require_unprotected(tx, entity, kind.name, identifier)
            grants.forget(tx, entity)
            rows.delete(tx, old.id)
        row_id = rows.insert(
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
        _forget_drops(tx, call, identifier, kind.uuid_of(metadata))
        if not orphans.forget(tx, metadata_location):
            raise CommitFailedError(
                f"Cannot register {identifier}: {metadata_location}, which a failed commit left"
                " behind, is being deleted"
            )
        if dropped.is_being_purged(tx, kind.uuid_of(metadata)):
            raise CommitFailedError(f"Cannot register {identifier}: its purge has begun")
        if row_id is not None:
            policy.keep_paths(tx, row_id, None, metadata)
            authorization.own(tx, call, grants.Entity("tabular", row_id))
        event = kind.event("register", identifier, old)
        if old is not None and old.uuid != kind.uuid_of(metadata):
            event.detail = {"replaced-uuid": old.uuid}
        event.id, event.uuid, event.after = None, kind.uuid_of(metadata), metadata_location
        events.record(tx, call, event)
        idempotency.record(tx, call, {"metadata-location": metadata_location})
    return Loaded(document, metadata_location, granted)


def _forget_drops(tx: Transaction, call: Call, identifier: TableIdentifier, uuid: str) -> None:
    """Forget the drops of a table that is registered again.

    Raises:
        ForbiddenError: the caller may not drop, and so not undrop, one of them.
    """
    drops = dropped.of_uuid(tx, call.warehouse.id, uuid)
    if not authorization.may_take(call, drops):
        raise ForbiddenError(
            f"Cannot register {identifier}: these files belong to a dropped table or view"
        )
    for row in drops:
        grants.forget(tx, grants.Entity("dropped", row.id))
    dropped.forget_uuid(tx, call.warehouse.id, uuid)


def _check_places(
    tx: Transaction, call: Call, kind: Kind, metadata: JSON, old: TabularRow | None
) -> None:
    """Check that nothing else lies where a registered table or view does."""
    besides = old.id if old else None
    policy.check_free(tx, call, kind.name, metadata["location"], besides=besides)
    policy.check_free_paths(tx, call, kind.name, None, metadata, besides=besides)


def _replaceable(
    tx: Transaction, call: Call, kind: Kind, identifier: TableIdentifier, *, overwrite: bool
) -> TabularRow | None:
    """Return the row that a registration replaces; raise AlreadyExistsError if it may not."""
    row = rows.find(tx, call.warehouse.id, identifier, lock=True)
    if row is None:
        return None
    if not (overwrite and row.kind == kind.name) or not authorization.confirm(
        call, identifier, row.id, row.created_at
    ):
        raise kind.name_taken(row.kind, identifier)
    return row
