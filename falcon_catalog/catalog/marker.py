"""The marker file in the root of a warehouse, which names its store and its warehouse.

Without it, an unmounted file system would look like an empty warehouse.
"""

from dataclasses import dataclass

import orjson

from falcon_catalog.catalog.metadata_files import parse
from falcon_catalog.errors import BadRequestError, NotFoundError
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.locations import join

# Clean-ups of orphan files skip names that begin with "_", and "cp -r folder/*" copies them.
NAME = "_falcon-catalog.json"
_FORMAT = 1
_ABOUT = (
    "This folder is a warehouse of a falcon-catalog server. Keep this file: without it the server"
    " takes the folder for an unmounted file system, and neither reads nor writes tables in it."
)


@dataclass(frozen=True, slots=True)
class Marker:
    """The content of a marker."""

    store: str
    """The store's id."""
    warehouse: str
    """The warehouse's name."""


def location(root: str) -> str:
    """Return the location of a warehouse's marker."""
    return join(root, NAME)


def read(files: FileIO, root: str) -> Marker | None:
    """Return the marker of a warehouse, or None if there is none.

    Raises:
        BadRequestError: it is damaged, or has a newer format.
        ServiceUnavailableError: it cannot be read.
    """
    place = location(root)
    try:
        content = files.read(place)
    except NotFoundError:
        return None
    document = parse(content, f"Marker file {place}")
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise BadRequestError(f"Marker file {place} is damaged, or of a newer version's format")
    store, warehouse = document.get("store"), document.get("warehouse")
    if not isinstance(store, str) or not isinstance(warehouse, str):
        raise BadRequestError(f"Marker file {place} is damaged: it names no store")
    return Marker(store, warehouse)


def write(files: FileIO, root: str, marker: Marker) -> None:
    """Write a marker durably, replacing an existing one."""
    files.replace(location(root), _text(marker))


def create(files: FileIO, root: str, marker: Marker) -> bool:
    """Write a marker durably, unless there is one: return False then."""
    return files.create(location(root), _text(marker))


def _text(marker: Marker) -> bytes:
    document = {
        "format": _FORMAT,
        "store": marker.store,
        "warehouse": marker.warehouse,
        "about": _ABOUT,
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"
