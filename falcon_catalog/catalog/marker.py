"""The marker file in a warehouse's root: the store and the warehouse that it belongs to.

Without it an unmounted file system looks like a warehouse that is empty.
"""

from dataclasses import dataclass

import orjson

from falcon_catalog.catalog.metadata_files import parse
from falcon_catalog.errors import BadRequestError, NotFoundError
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.locations import join

# Clean-ups of orphan files pass by what begins with "_", and "cp -r folder/*" takes it along.
NAME = "_falcon-catalog.json"
_FORMAT = 1
_ABOUT = (
    "This folder is a warehouse of a falcon-catalog server. Keep this file: without it the server"
    " takes the folder for an unmounted file system, and neither reads nor writes tables in it."
)


@dataclass(frozen=True, slots=True)
class Marker:
    """What a marker says."""

    store: str
    """The id of the store that has the warehouse's rows."""
    warehouse: str
    """The warehouse's name."""


def location(root: str) -> str:
    """Return where the marker of a warehouse is."""
    return join(root, NAME)


def read(files: FileIO, root: str) -> Marker | None:
    """Return the marker in a warehouse's root, or None if there is none.

    Raises:
        BadRequestError: it is damaged, or of a newer format.
        ServiceUnavailableError: it cannot be read.
    """
    place = location(root)
    try:
        content = files.read(place)
    except NotFoundError:
        return None
    told = parse(content, f"Marker file {place}")
    if not isinstance(told, dict) or told.get("format") != _FORMAT:
        raise BadRequestError(f"Marker file {place} is damaged, or of a newer version's format")
    store, warehouse = told.get("store"), told.get("warehouse")
    if not isinstance(store, str) or not isinstance(warehouse, str):
        raise BadRequestError(f"Marker file {place} is damaged: it names no store")
    return Marker(store, warehouse)


def write(files: FileIO, root: str, marker: Marker) -> None:
    """Write a marker, in the place of one that is there; durable before this returns."""
    told = {
        "format": _FORMAT,
        "store": marker.store,
        "warehouse": marker.warehouse,
        "about": _ABOUT,
    }
    files.replace(location(root), orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")
