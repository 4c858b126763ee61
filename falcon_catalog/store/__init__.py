"""The rows of the catalog, and the databases that hold them."""

from pathlib import Path

from falcon_catalog.store.database import Database, StoreError
from falcon_catalog.store.sqlite import creation
from falcon_catalog.store.sqlite.connection import SqliteDatabase

_SQLITE = "sqlite:///"

__all__ = ["exists", "open_database"]


def exists(url: str) -> bool:
    """Return whether a store exists at a URL.

    Raises:
        StoreError: the database is not supported, or damaged.
    """
    return creation.is_made(_path(url))


def open_database(url: str, durability: str = "full") -> Database:
    """Open a store by its URL; create or migrate it as needed.

    With ``relaxed`` durability a power failure may lose the last acknowledged commits.

    Raises:
        StoreError: the database is not supported, cannot be opened, is damaged, too new or fenced.
    """
    return SqliteDatabase.open(_path(url), durability)


def _path(url: str) -> Path:
    if not url.startswith(_SQLITE):
        raise StoreError(f"store url {url!r}: only sqlite:///PATH is supported")
    return Path(url.removeprefix(_SQLITE))
