"""What a warehouse allows: where tables and their files may lie, and how much may add up."""

import random
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from falcon_catalog.catalog import authorization
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.errors import BadRequestError, ForbiddenError, show
from falcon_catalog.fileio.delegation import Scope
from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.locations import (
    is_inside,
    is_local,
    join,
    key,
    outermost,
    parse,
    safe_segment,
    strip_slash,
)
from falcon_catalog.metadata import clock
from falcon_catalog.store import paths, reservations, tabulars
from falcon_catalog.store.database import Transaction
from falcon_catalog.store.grants import Entity

JSON = Mapping[str, Any]
Properties = Mapping[str, str]

# Properties that send writers, the server among them, to other folders.
_PATH_PROPERTIES = (
    "write.metadata.path",
    "write.data.path",
    "write.object-storage.path",
    "write.folder-storage.path",
)
# Java's FileIO and others parse a location as a URL: they drop ? and # with what follows, and some
# decode what is encoded, so that %2e%2e is a step up.
_MISREAD = re.compile(r"[?#]|%(?:2e|2f|5c|23|3f|00)", re.IGNORECASE)
# What clients read as settings of their file access. PyIceberg merges a table's properties over the
# catalog's, so that who can set them sends the tokens of others to an endpoint of his own.
_CLIENT_SETTINGS = re.compile(
    r"(?:s3|gcs|adls|hdfs|hf|oss|ecs|client|http-client|signer|rest|credentials|header)\..*"
    r"|io-impl|py-io-impl|token|credential|uri",
    re.IGNORECASE | re.DOTALL,
)
# Trino runs a view that has it with the rights of the user that it names, regardless of its author.
_RUN_AS = "trino.run-as-owner"
_VERSION = re.compile(r"^v?([0-9]{1,9})[-.]")
STAGED_SECONDS = 24 * 3600
"""How long a job may take that writes a table's first files before it commits the table."""
# Of a default location in an object store: policies of credentials repeat it, and are limited.
_MAX_DEFAULT_BYTES = 512


def default_location(
    warehouse: Warehouse,
    identifier: TableIdentifier,
    namespace_properties: Mapping[str, str],
    table_uuid: str,
) -> str:
    """Return a location that no other table has, ever: it ends in the table's uuid."""
    name = f"{safe_segment(identifier.name)}-{table_uuid}"
    if home := namespace_properties.get("location"):
        return join(home, name)
    levels = map(safe_segment, identifier.namespace.levels)
    location = join(warehouse.location, *levels, name)
    if len(location.encode()) > _MAX_DEFAULT_BYTES and not is_local(location):
        return join(warehouse.location, name)
    return location


def requested_location(value: object) -> str:
    """Return the location that a client asks for, as given but without a trailing slash."""
    if not isinstance(value, str) or not value:
        raise BadRequestError(f"Invalid location: {show(value)} is not a location")
    return strip_slash(value)


def check_locations(warehouse: Warehouse, metadata: Mapping[str, Any]) -> None:
    """Check every location that a table's metadata sends writers to, before anything is written.

    Raises:
        ForbiddenError: one lies outside the warehouse's allowed locations.
        BadRequestError: one is no location.
    """
    check_allowed(warehouse, metadata["location"])
    for name in _PATH_PROPERTIES:
        if (value := metadata.get("properties", {}).get(name)) is not None:
            check_allowed(warehouse, value)


def locations_of(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the folders that a table's writers use: its location, and those of its properties."""
    properties = metadata.get("properties", {})
    paths = (properties.get(name) for name in _PATH_PROPERTIES)
    found = [metadata["location"], *(path for path in paths if path is not None)]
    return tuple(dict.fromkeys(map(strip_slash, found)))


def check_allowed(warehouse: Warehouse, location: str) -> None:
    """Check that a location lies in one of the warehouse's allowed locations.

    Raises:
        ForbiddenError: it lies outside.
        BadRequestError: it is no location, or has a scheme that the warehouse does not accept.
    """
    parse(location, warehouse.schemes)
    if not any(is_inside(location, root) for root in warehouse.allowed_locations):
        raise ForbiddenError(
            f"Location {location} is outside the allowed locations of warehouse "
            f"{warehouse.name}: {', '.join(warehouse.allowed_locations)}"
        )


def check_manifest_lists(warehouse: Warehouse, snapshots: Iterable[JSON]) -> None:
    """Check where the manifest lists of new snapshots lie: scans, purges and the doctor open them.

    Raises:
        BadRequestError: one lies outside the warehouse's allowed locations.
    """
    for snapshot in snapshots:
        try:
            if (location := snapshot.get("manifest-list")) is not None:
                check_allowed(warehouse, location)
        except ForbiddenError as error:
            raise BadRequestError(
                f"Invalid snapshot {snapshot['snapshot-id']}: its manifest-list: {error.message}"
            ) from None


def read_allowed(warehouse: Warehouse, location: object) -> bytes:
    """Return the content of a file that metadata or a manifest names: clients write those.

    Raises:
        ForbiddenError: it lies outside the warehouse's allowed locations.
        NotFoundError, BadRequestError: as ``FileIO.read``.
    """
    if not isinstance(location, str):
        raise BadRequestError(f"Invalid location: {show(location)} is not a location")
    check_allowed(warehouse, location)
    return warehouse.files.read(location)


def check_free(
    tx: Transaction,
    call: Call,
    kind: tabulars.Kind,
    location: str,
    *,
    besides: int | None,
    paths: bool = True,
) -> None:
    """Check that nothing of its kind lies at, around or inside a location, unless allowed.

    Neither may a table that another principal has staged and not committed. With ``paths`` no
    folder that a property of another table names may be there, either. A view may lie over a table:
    it owns only metadata files, whose names are unique.

    Raises:
        BadRequestError: clients read it as different places.
        ForbiddenError: one does, or every later one would, at a warehouse's root; or a symbolic
            link below the warehouse leads to the location, so that another table may lie there
            under another path.
    """
    warehouse = call.warehouse
    check_spelling(warehouse, location)
    if warehouse.allow_overlap:
        return
    for root in warehouse.roots:
        if is_inside(root, location):
            raise ForbiddenError(
                f"Location {location} holds a whole warehouse, {root}: no other table could lie in"
                " it"
            )
    _check_no_link(warehouse, location)
    if other := tabulars.overlapping(tx, key(location), besides=besides, kind=kind, paths=paths):
        # What lies inside is named nowhere: it may be hidden from the caller.
        which = f": {other}" if key(location).startswith(other) else ""
        raise ForbiddenError(f"Location {location} overlaps another {kind}'s location{which}")
    if kind == "table":
        _check_unreserved(tx, call, location, shared=not paths)


def _check_unreserved(tx: Transaction, call: Call, location: str, *, shared: bool) -> None:
    """Check that no table that another principal has staged is to lie at a location.

    A folder that properties name, ``shared``, may be the folder of a staged table's properties, if
    the caller may write in the namespace of that table.
    """
    if call.principal is None:
        return
    for kept in reservations.overlapping(tx, key(location), besides=call.principal.id):
        if (
            shared
            and kept.namespace is not None
            and kept.warehouse_id == call.warehouse.id
            and authorization.permits(call, "write", kept.namespace)
        ):
            continue
        raise ForbiddenError(
            f"Location {location} overlaps that of a table which another principal has begun to"
            f" create; it is kept until the table is committed, or {clock.iso(kept.expires_at)}"
        )


def reserve(tx: Transaction, call: Call, namespace_id: int, metadata: JSON) -> None:
    """Keep the folders of a staged table for its creator until it is committed, at most a day.

    A table of another principal there would lie where this one already has access to files.

    Raises:
        ForbiddenError, BadRequestError: as ``check_free`` and ``check_free_paths``.
        NotAuthenticatedError: the caller was removed meanwhile.
    """
    principal = call.principal
    if principal is None or call.warehouse.allow_overlap:
        return
    check_free(tx, call, "table", metadata["location"], besides=None)
    check_free_paths(tx, call, "table", None, metadata, besides=None)
    authorization.require_principal(tx, principal)
    lifetime = STAGED_SECONDS * 1000
    own = [key(metadata["location"])]
    reservations.add(tx, principal.id, own, namespace_id=None, lifetime_ms=lifetime)
    named = paths_of(metadata)
    reservations.add(tx, principal.id, named, namespace_id=namespace_id, lifetime_ms=lifetime)


def end_reservation(tx: Transaction, call: Call, metadata: JSON) -> None:
    """Forget what was reserved for a table: from its commit on it has a row."""
    if call.principal is not None:
        places = list(map(key, locations_of(metadata)))
        reservations.end(tx, call.principal.id, places)


def check_free_paths(
    tx: Transaction,
    call: Call,
    kind: tabulars.Kind,
    before: JSON | None,
    after: JSON,
    *,
    besides: int | None,
) -> None:
    """Check the folders that properties newly send writers to; as ``check_free``.

    Several tables may name one folder: engines give each a part of it. With permissions the caller
    must be one who may write to the files of all others there.

    Args:
        tx: the transaction of the change.
        call: its warehouse's tables must not lie there.
        kind: of the table or view.
        before: the table's metadata now; None: the table is new.
        after: the metadata to be.
        besides: the table's row.
    """
    had = {} if before is None else before.get("properties", {})
    has = after.get("properties", {})
    if has is had:
        return  # as in almost every commit
    for name in _PATH_PROPERTIES:
        if (path := has.get(name)) is not None and path != had.get(name):
            check_free(tx, call, kind, path, besides=besides, paths=False)
            _check_sharing(tx, call, kind, path, besides=besides)


def _check_sharing(
    tx: Transaction, call: Call, kind: tabulars.Kind, path: str, *, besides: int | None
) -> None:
    if call.principal is None or call.warehouse.allow_overlap:
        return
    for warehouse_id, other in tabulars.sharing(tx, key(path), besides=besides, kind=kind):
        if warehouse_id != call.warehouse.id or not authorization.permits(
            call, "write", other, kind
        ):
            raise ForbiddenError(
                f"Location {path} overlaps a folder that a property of another {kind} names"
            )


def paths_of(metadata: JSON) -> frozenset[str]:
    """Return the keys of the folders that properties name and that are outside of the location."""
    named = locations_of(metadata)[1:]
    return frozenset(
        place for place in map(key, named) if not is_inside(place, metadata["location"])
    )


def keep_paths(tx: Transaction, tabular_id: int, before: JSON | None, after: JSON) -> None:
    """Record where properties of a table or view send writers, for the checks of others.

    Almost no metadata has such properties, and nothing is sent to the store then.
    """
    now = paths_of(after)
    had = frozenset() if before is None else paths_of(before)
    entity = Entity("tabular", tabular_id)
    if now != had:
        paths.replace(tx, entity, now)
    else:  # of a table that is older than these records they are missing
        paths.add(tx, entity, now)


def check_spelling(warehouse: Warehouse, location: str) -> None:
    """Check that all clients read a new location as the same place.

    Only what lies below the allowed locations is checked: those are the operator's.
    """
    own = key(location)
    roots = [root for root in map(key, warehouse.allowed_locations) if own.startswith(root)]
    if match := _MISREAD.search(own.removeprefix(max(roots, key=len, default=""))):
        raise BadRequestError(
            f"Invalid location {location!r}: it contains {match[0]!r}, which some clients read as"
            " a part of a URL"
        )


def leads_elsewhere(warehouse: Warehouse, location: str) -> bool:
    """Return whether a location goes through a symbolic link below an allowed location."""
    roots = [root for root in warehouse.allowed_locations if is_inside(location, root)]
    resolve = warehouse.files.resolve
    plain = {resolve(root) + key(location).removeprefix(key(root)) for root in roots}
    return bool(plain) and resolve(location) not in plain


def _check_no_link(warehouse: Warehouse, location: str) -> None:
    if leads_elsewhere(warehouse, location):
        resolve = warehouse.files.resolve
        raise ForbiddenError(
            f"Location {location} goes through a symbolic link to {resolve(location)}: name"
            " that location itself"
        )


def check_surroundings(tx: Transaction, warehouse: Warehouse, location: str) -> None:
    """Check that a location for many tables is not itself in a table, unless that is allowed.

    Raises:
        BadRequestError: clients read it as different places.
        ForbiddenError: it is, or a symbolic link below the warehouse leads to it.
    """
    check_spelling(warehouse, location)
    if warehouse.allow_overlap:
        return
    _check_no_link(warehouse, location)
    if other := tabulars.enclosing(tx, key(location)):
        raise ForbiddenError(f"Location {location} lies in a table's location: {other}")


def check_metadata(call: Call, entity: str, before: JSON | None, after: JSON) -> None:
    """Check the locations and the properties of a table's or view's next metadata.

    Args and errors as ``check_locations``, ``check_credentials``, ``check_client_settings``,
    ``check_run_as`` and ``check_properties``.
    """
    warehouse = call.warehouse
    check_locations(warehouse, after)
    check_credentials(warehouse, entity, before, after)
    had = None if before is None else before.get("properties", {})
    check_client_settings(had, after.get("properties", {}))
    check_run_as(call, entity, before, after)
    check_properties(warehouse, entity, had, after.get("properties", {}))


def check_credentials(warehouse: Warehouse, entity: str, before: JSON | None, after: JSON) -> None:
    """Check that one credential can be for all folders of a table, if clients are given some.

    Otherwise a change would be accepted after which no client can load the table.

    Raises:
        BadRequestError: none can, and the folders are others than ``before``.
    """
    vends = warehouse.storage.vends
    if vends is None or "view-uuid" in after:
        return
    locations = locations_of(after)
    if before is not None and locations == locations_of(before):
        return
    try:
        vends.check(Scope(outermost(locations), "write"))
    except BadRequestError as error:
        raise BadRequestError(f"Invalid locations of {entity}: {error.message}") from None


def check_client_settings(before: Properties | None, after: Properties) -> None:
    """Check that no new property of a table configures the file access of those who read it.

    Raises:
        BadRequestError: one does.
    """
    if after is before:
        return  # as in almost every commit
    for name, value in after.items():
        if _CLIENT_SETTINGS.fullmatch(name) and (before or {}).get(name) != value:
            raise BadRequestError(
                f"Invalid property {show(name)}: it would configure the file access of every client"
                " of the table; set it in the client or in the catalog's configuration"
            )


def check_run_as(call: Call, entity: str, before: JSON | None, after: JSON) -> None:
    """Check that a caller may decide what a view does that runs as another user.

    Its SQL matters as much as the property that names the user.

    Args:
        call: of the caller.
        entity: what it changes, for the message.
        before: the metadata now; None: the view is new.
        after: the metadata to be.

    Raises:
        ForbiddenError: it is a view that runs, or ran, as a user, and the caller is neither a
            trusted engine nor owns the server.
    """
    if call.principal is None or "view-uuid" not in after:
        return  # engines ignore it on tables
    names = {*(before or {}).get("properties", {}), *after.get("properties", {})}
    if not any(name.lower() == _RUN_AS for name in names):
        return
    trusted = call.principal.name in call.warehouse.trusted_engines
    if not trusted and not authorization.permits(call, "own", authorization.SERVER):
        raise ForbiddenError(
            f"Not allowed: {entity} runs as the user that its property {_RUN_AS} names; only the"
            " principals of the setting auth.trusted_engines, and owners of the server, may change"
            " such views"
        )


def check_properties(
    warehouse: Warehouse, entity: str, before: Properties | None, after: Properties
) -> None:
    """Check that properties stay within ``limits.properties_bytes``, or at least do not grow.

    Many requests may add up to more than one request may send.

    Args:
        warehouse: whose limit.
        entity: what has the properties, for the message.
        before: what they are now; None: the entity is new.
        after: what they would be.

    Raises:
        BadRequestError: they would be larger than the limit, and larger than now.
    """
    if after is before:
        return  # as in almost every commit
    size = len(orjson.dumps(after))
    if size <= warehouse.properties_bytes:
        return
    # Properties that were registered, or are older than the limit, may shrink.
    if before is None or size > len(orjson.dumps(before)):
        raise BadRequestError(
            f"Invalid properties of {entity}: {size} bytes of JSON in all, at most"
            f" {warehouse.properties_bytes} are allowed"
        )


def check_property_count(
    warehouse: Warehouse, namespace: Namespace, before: Properties, after: Properties
) -> None:
    """Raise BadRequestError if a namespace gets more properties than its limit, and than it has."""
    most = warehouse.namespace_properties
    if most and len(after) > max(most, len(before)):
        raise BadRequestError(
            f"Invalid properties of namespace {namespace}: {len(after)} in all, at most {most} are"
            " allowed (limits.namespace_properties)"
        )


def check_room(
    tx: Transaction, warehouse: Warehouse, namespace_id: int, namespace: Namespace
) -> None:
    """Raise ForbiddenError if a namespace can hold no more tables and views.

    In a change no other one can put anything into a namespace that has a limit until COMMIT.
    """
    most = warehouse.namespace_tables
    if not most:
        return
    tx.hold(f"room/{namespace_id}")
    held = tabulars.count(tx, namespace_id)
    if held >= most:
        raise ForbiddenError(
            f"Namespace {namespace} is full: it has {held} tables and views, at most {most} are"
            " allowed (limits.namespace_tables)"
        )


def new_metadata_location(metadata: Mapping[str, Any], previous: str | None) -> str:
    """Return a fresh name for a table's next metadata file."""
    version = 0
    if previous is not None:
        match = _VERSION.match(previous.rsplit("/", 1)[-1])
        version = int(match[1]) + 1 if match else len(metadata.get("metadata-log", ()))
    properties = metadata.get("properties", {})
    folder = properties.get("write.metadata.path") or join(metadata["location"], "metadata")
    zipped = properties.get("write.metadata.compression-codec", "none").lower() == "gzip"
    suffix = ".gz.metadata.json" if zipped else ".metadata.json"
    # Unique, not secret: uuid4 would ask the kernel for each.
    unique = uuid.UUID(int=random.getrandbits(128), version=4)
    return join(folder, f"{version:05d}-{unique}{suffix}")
