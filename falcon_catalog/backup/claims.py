"""Whether a backup may be restored into the warehouses of the settings, and their markers."""

import sqlite3
from pathlib import Path

from falcon_catalog.backup.manifest import Manifest
from falcon_catalog.catalog import marker
from falcon_catalog.catalog.marker import Marker
from falcon_catalog.errors import CatalogError, NotFoundError
from falcon_catalog.fileio.local import LocalFileIO
from falcon_catalog.locations import is_inside
from falcon_catalog.store import read_only, warehouses
from falcon_catalog.store.database import StoreError

_ADOPT = "restore with --adopt-warehouse to take the folder as it is"


def store_id(path: Path) -> str | None:
    """Return the id of the store at ``path``; None if it has none, is damaged or not there."""
    try:
        with read_only.look(path, older=True) as tx:
            return warehouses.store_id(tx)
    except (StoreError, sqlite3.Error):
        return None


def judge(
    told: Manifest,
    roots: dict[str, str],
    *,
    backed_up: str | None,
    replaced: str | None,
    adopt: bool,
) -> tuple[str | None, dict[str, str]]:
    """Decide which warehouses need a marker; nothing is changed.

    Args:
        told: the backup.
        roots: the location of each warehouse, by name.
        backed_up: the id of the store in the backup; None where an older version made it.
        replaced: the id of the store that is to make room, if there is one.
        adopt: whether the folders are this store's, whatever they hold.

    Returns:
        The id that the restored store must be given, None for its own; and the location of each
        warehouse, by name, whose marker is to be written.

    Raises:
        StoreError: a warehouse seems not to be mounted, or is another store's.
    """
    taken = backed_up
    unmarked = {}
    for name, root in roots.items():
        found = _marker(root, adopt=adopt)
        own = [copy.location for copy in told.files if is_inside(copy.location, root)]
        known = adopt or not own or any(map(_is_there, own))
        if found is not None and found.store == taken:
            continue
        if found is not None and taken is None and (known or found.store == replaced):
            taken = found.store  # an older version's backup has no id: it is that of the marker
            continue
        if found is not None and not adopt and found.store != replaced:
            raise StoreError(
                f"{marker.location(root)} says that the warehouse {name} belongs to another store,"
                f" {found.store}; the backup is of {taken or 'an older version'}."
                f" If it is this one's, {_ADOPT}"
            )
        if found is None and not known:
            raise StoreError(
                f"the warehouse {name} ({root}) has neither a marker nor any metadata file of the"
                f" backup, such as {own[0]}: is it mounted? If its files were lost, {_ADOPT}"
            )
        if found is not None or own or adopt:
            unmarked[name] = root
    return (taken if backed_up is None else None), unmarked


def mark(path: Path, unmarked: dict[str, str]) -> None:
    """Write the markers of warehouses for the store at ``path``."""
    own = store_id(path)
    for name, root in unmarked.items():
        try:
            marker.write(LocalFileIO(), root, Marker(str(own), name))
        except CatalogError as error:
            raise StoreError(
                f"the catalog is restored, but not the marker of the warehouse {name}:"
                f" {error.message}. Start the server once with --adopt-warehouse"
            ) from error


def _marker(root: str, *, adopt: bool) -> Marker | None:
    try:
        return marker.read(LocalFileIO(), root)
    except CatalogError as error:
        if adopt:
            return None
        raise StoreError(f"{error.message}. If it is this store's warehouse, {_ADOPT}") from error


def _is_there(location: str) -> bool:
    try:
        LocalFileIO().require(location)
    except NotFoundError:
        return False
    return True
