"""Where tables and their metadata files may lie."""

import re
import uuid
from collections.abc import Mapping
from typing import Any

from falcon_catalog.catalog.base import Catalog
from falcon_catalog.errors import BadRequestError, ForbiddenError, show
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.locations import (
    is_inside,
    join,
    key,
    safe_segment,
    strip_slash,
)
from falcon_catalog.store import tabulars
from falcon_catalog.store.database import Transaction

# Properties that send writers, the server among them, to other folders.
_PATH_PROPERTIES = (
    "write.metadata.path",
    "write.data.path",
    "write.object-storage.path",
    "write.folder-storage.path",
)
_VERSION = re.compile(r"^v?(\d+)[-.]")


def default_location(
    catalog: Catalog,
    identifier: TableIdentifier,
    namespace_properties: Mapping[str, str],
    table_uuid: str,
) -> str:
    """Return a location that no other table has, ever: it ends in the table's uuid."""
    name = f"{safe_segment(identifier.name)}-{table_uuid}"
    if home := namespace_properties.get("location"):
        return join(home, name)
    return join(catalog.location, *map(safe_segment, identifier.namespace.levels), name)


def requested_location(value: object) -> str:
    """Return the location that a client asks for, as given but without a trailing slash."""
    if not isinstance(value, str) or not value:
        raise BadRequestError(f"Invalid location: {show(value)} is not a location")
    return strip_slash(value)


def check_metadata(catalog: Catalog, metadata: Mapping[str, Any]) -> None:
    """Check every place that a table's metadata sends writers to, before anything is written.

    Raises:
        ForbiddenError: one lies outside the warehouse's allowed locations.
        BadRequestError: one is no location.
    """
    check_allowed(catalog, metadata["location"])
    for name in _PATH_PROPERTIES:
        if (value := metadata.get("properties", {}).get(name)) is not None:
            check_allowed(catalog, value)


def check_allowed(catalog: Catalog, location: str) -> None:
    """Check that a location lies in one of the warehouse's allowed locations."""
    if not any(is_inside(location, root) for root in catalog.allowed_locations):
        raise ForbiddenError(
            f"Location {location} is outside the allowed locations of warehouse "
            f"{catalog.name}: {', '.join(catalog.allowed_locations)}"
        )


def check_free(tx: Transaction, catalog: Catalog, location: str, *, besides: int | None) -> None:
    """Check that no other table lies at, around or inside a location, unless that is allowed.

    Raises:
        ForbiddenError: one does; or a symbolic link below the warehouse leads to the location, so
            that another table may lie there under another path.
    """
    if catalog.allow_overlap:
        return
    _check_no_link(catalog, location)
    if other := tabulars.overlapping(tx, key(location), besides=besides):
        raise ForbiddenError(f"Location {location} overlaps another table's location: {other}")


def _check_no_link(catalog: Catalog, location: str) -> None:
    roots = [root for root in catalog.allowed_locations if is_inside(location, root)]
    resolve = catalog.files.resolve
    plain = {resolve(root) + key(location).removeprefix(key(root)) for root in roots}
    if plain and resolve(location) not in plain:
        raise ForbiddenError(
            f"Location {location} goes through a symbolic link to {resolve(location)}: name"
            " that location itself"
        )


def check_surroundings(tx: Transaction, catalog: Catalog, location: str) -> None:
    """Check that a location for many tables is not itself in a table, unless that is allowed.

    Raises:
        ForbiddenError: it is, or a symbolic link below the warehouse leads to it.
    """
    if catalog.allow_overlap:
        return
    _check_no_link(catalog, location)
    if other := tabulars.enclosing(tx, key(location)):
        raise ForbiddenError(f"Location {location} lies in a table's location: {other}")


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
    return join(folder, f"{version:05d}-{uuid.uuid4()}{suffix}")
