"""The rows of the catalog, and the databases that hold them."""

from pathlib import Path

from falcon_catalog.store.database import Database, StoreError
from falcon_catalog.store.sqlite import creation
from falcon_catalog.store.sqlite.connection import SqliteDatabase

_SQLITE = "sqlite:///"

__all__ = ["exists", "open_database"]


def exists(url: str) -> bool:
    """Return whether there is a store at a URL already.

    Raises:
        StoreError: the URL is of no supported database, or what is there is damaged.
    """
    return creation.is_made(_path(url))


def open_database(url: str, durability: str = "full") -> Database:
    """Open a store by its URL, created and migrated as needed.

    With ``relaxed`` durability a power cut may take the last commits, though acknowledged.

    Raises:
        StoreError: the URL is of no supported database, or the database cannot be opened, is
            damaged, too new, or fenced.
    """
    return SqliteDatabase.open(_path(url), durability)


def _path(url: str) -> Path:
    if not url.startswith(_SQLITE):
        raise StoreError(f"store url {url!r}: only sqlite:///PATH is supported")
    return Path(url.removeprefix(_SQLITE))
