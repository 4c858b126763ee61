"""The rows of the catalog, and the databases that hold them.

Commands reach a store through the functions here, whatever database it is in. PostgreSQL's driver
is loaded only for a store that is there.
"""

import contextlib
from collections.abc import Iterator
from types import ModuleType

from falcon_catalog.settings import StoreSettings
from falcon_catalog.store.database import Database, StoreError, Transaction
from falcon_catalog.store.sqlite import creation, locks, read_only
from falcon_catalog.store.sqlite.connection import SqliteDatabase

__all__ = ["exists", "in_use", "open_database", "reading", "require_file", "snapshot"]


def exists(settings: StoreSettings) -> bool:
    """Return whether there is a store.

    Raises:
        StoreError: the database cannot be reached, is not supported, or is damaged.
    """
    if settings.is_file:
        return creation.is_made(settings.path)
    return bool(_postgres().exists(settings))


def open_database(settings: StoreSettings | str, *, upgrade: bool = False) -> Database:
    """Open a store, by its settings or its URL alone; create it as needed.

    With ``upgrade`` a store of an older version is migrated.

    Raises:
        StoreError: the database is not supported, cannot be opened, is damaged, of another version
            or fenced.
    """
    if isinstance(settings, str):
        settings = StoreSettings(url=settings)
    if settings.is_file:
        return SqliteDatabase.open(settings.path, settings.durability, upgrade=upgrade)
    database: Database = _postgres().PostgresDatabase.open(settings, upgrade=upgrade)
    return database


@contextlib.contextmanager
def in_use(settings: StoreSettings) -> Iterator[None]:
    """Work on a store beside others. Raises as ``sqlite.locks.shared``."""
    with locks.shared(settings.path) if settings.is_file else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def reading(settings: StoreSettings) -> Iterator[Transaction]:
    """Read a store that must exist; each statement sees its newest state. Nothing is changed.

    Raises:
        StoreError: there is none, it cannot be read, or its schema is of another version.
    """
    if settings.is_file:
        with read_only.connect(settings.path) as tx:
            yield tx
    else:
        with _postgres().statements(settings) as tx:
            yield tx


@contextlib.contextmanager
def snapshot(settings: StoreSettings) -> Iterator[Transaction]:
    """Read a store that must exist, at one moment. Raises as ``reading``."""
    if settings.is_file:
        with read_only.snapshot(settings.path) as tx:
            yield tx
    else:
        with _postgres().snapshot(settings) as tx:
            yield tx


def require_file(settings: StoreSettings, instead: str) -> None:
    """Raise StoreError, which says what to do ``instead``, unless the store is a file."""
    if not settings.is_file:
        raise StoreError(
            f"store {settings.url} is a PostgreSQL database: {instead}. Nothing was changed"
        )


def _postgres() -> ModuleType:
    try:
        from falcon_catalog.store.postgres import connection  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise StoreError(
            f"store.url names a PostgreSQL database, whose driver cannot be loaded ({error}):"
            " install the extra postgres"
        ) from error
    return connection
