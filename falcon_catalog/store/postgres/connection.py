"""A PostgreSQL database, its connections and its transactions.

Changes run in READ COMMITTED transactions that lock what they rely on (``database.Transaction``),
reads of several statements in REPEATABLE READ ones. Nothing is kept between two requests.
"""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TypeVar

import psycopg
import psycopg_pool

from falcon_catalog.errors import ServiceUnavailableError
from falcon_catalog.settings import SettingsError, StoreSettings
from falcon_catalog.store.database import (
    OutcomeUnknownError,
    RolledBackError,
    StoreError,
    Timing,
    now_ms,
)
from falcon_catalog.store.postgres import conninfo, migrate, outcomes
from falcon_catalog.store.postgres.failures import explained, is_refusal
from falcon_catalog.store.postgres.transaction import Connection, PostgresTransaction, Statements
from falcon_catalog.store.schema import SchemaError

T = TypeVar("T")

_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_CHANGE = "BEGIN ISOLATION LEVEL READ COMMITTED"
_SETTLE_SECONDS = 10.0
"""For how long a lost COMMIT is tried to be settled: a failover should be over then."""
_RETRY_SECONDS = 0.2
_MIGRATE = "make a backup, for example with pg_dump, then run falcon-catalog migrate"


class PostgresDatabase:
    """One schema of a PostgreSQL database. Safe to use from many threads."""

    path = None
    broken: str | None = None
    """None: an unknown outcome concerns one request, and each one reads what is stored."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._schema = ""
        self._time_transaction: Timing = nullcontext
        self._time_commit: Timing = nullcontext
        self._prune_at = 0.0
        self._pool = psycopg_pool.ConnectionPool(
            kwargs=lambda: conninfo.parameters(settings),
            min_size=1,
            max_size=settings.pool_size,
            timeout=settings.connect_timeout,
            reconnect_timeout=settings.connect_timeout,
            name="store",
            open=False,
        )

    @classmethod
    def open(cls, settings: StoreSettings, *, upgrade: bool = False) -> "PostgresDatabase":
        """Connect, and create the tables if there are none; migrate older ones with ``upgrade``.

        Raises:
            StoreError: the database does not answer, or is of another version.
        """
        database = cls(settings)
        with _named(settings), contextlib.closing(_connect(settings)) as connection:
            if _is_standby(connection):
                migrate.require_current(
                    connection, hint="this is a standby: start a server on the primary first"
                )
            elif upgrade or migrate.applied(connection) is None:
                migrate.migrate(connection)
            else:
                migrate.require_current(connection, hint=_MIGRATE)
            row = connection.execute("SELECT current_schema()").fetchone()
            database._schema = str(row[0]) if row else ""
        database._pool.open()
        return database

    def observe(self, *, transaction: Timing, commit: Timing) -> None:
        """Time each transaction that changes the store, and each COMMIT."""
        self._time_transaction, self._time_commit = transaction, commit

    @contextlib.contextmanager
    def read(self) -> Iterator[PostgresTransaction]:
        """See one moment of the database."""
        connection = self._begin(_READ)
        try:
            yield PostgresTransaction(connection, now_ms(), self._schema)
        finally:
            self._end(connection)

    def autocommit(self) -> Statements:
        """Return a view for single statements, which need no transaction around them."""
        return Statements(self._single, now_ms())

    @contextlib.contextmanager
    def fresh_read(self) -> Iterator[PostgresTransaction]:
        """See the database over a new connection."""
        try:
            connection = _connect(self._settings)
        except psycopg.Error as error:
            raise explained(error) from error
        with contextlib.closing(connection):
            yield PostgresTransaction(connection, now_ms(), self._schema)

    @contextlib.contextmanager
    def write(self) -> Iterator[PostgresTransaction]:
        """Change the database: all of it on leaving, or nothing on an exception.

        Raises:
            OutcomeUnknownError: the connection was lost during COMMIT, and there was no other.
            ServiceUnavailableError: the database does not answer, or is read-only. Nothing was
                changed.
            RolledBackError: another change got in the way, or the connection was lost.
        """
        with self._time_transaction():
            connection = self._begin(_CHANGE)
            try:
                yield PostgresTransaction(connection, now_ms(), self._schema, locks=True)
                self._commit(connection)
            finally:
                self._end(connection)

    def check(self) -> None:
        """Do nothing: a new process would fare no better with a database that does not answer."""

    def require_available(self) -> None:
        """Raise ServiceUnavailableError unless the database answers."""
        self.autocommit().one("SELECT 1 FROM store_identity")

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()

    def _commit(self, connection: Connection) -> None:
        mark, sent = uuid.uuid4(), time.monotonic()
        try:
            with self._time_commit():
                outcomes.commit(connection, mark)
        except psycopg.Error as error:
            if is_refusal(error):
                raise explained(error) from error
            connection.close()
            if self._is_stored(mark, sent):
                return
            raise RolledBackError(
                "The connection to the database was lost before COMMIT. Nothing was changed"
            ) from error
        except BaseException as error:
            connection.close()
            raise OutcomeUnknownError(f"Interrupted before the end of COMMIT: {error!r}") from error
        if sent > self._prune_at:
            self._prune_at = sent + outcomes.PRUNE_SECONDS
            with contextlib.suppress(psycopg.Error):
                outcomes.prune(connection)

    def _is_stored(self, mark: uuid.UUID, sent: float) -> bool:
        """Settle over a new connection whether a change is stored, whose COMMIT was ``sent`` then.

        Raises:
            OutcomeUnknownError: there is no connection to a database that takes changes.
        """
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            try:
                with contextlib.closing(_connect(self._settings)) as connection:
                    stored = outcomes.is_stored(connection, mark)
                break
            except (psycopg.Error, SettingsError) as error:
                if time.monotonic() > deadline:
                    raise OutcomeUnknownError(
                        "The connection to the database was lost during COMMIT"
                    ) from error
            time.sleep(_RETRY_SECONDS)
        if time.monotonic() > sent + outcomes.SETTLED_SECONDS:  # the mark may have been deleted
            raise OutcomeUnknownError("The database did not answer for too long during COMMIT")
        return stored

    def _begin(self, statement: str) -> Connection:
        """Return a connection with a new transaction."""
        return self._first(lambda session: session.execute(statement, prepare=False))[0]

    def _single(self, run: Callable[[Connection], T]) -> T:
        """Return the result of a statement that only reads."""
        connection, result = self._first(run)
        self._pool.putconn(connection)
        return result

    def _first(self, run: Callable[[Connection], T]) -> tuple[Connection, T]:
        """Run a statement over a connection, which the caller gives back, and return its result.

        Connections that were lost while they were idle are replaced.
        """
        for _ in range(self._settings.pool_size + 1):
            connection = self._borrow()
            try:
                return connection, run(connection)
            except psycopg.Error as error:
                if is_refusal(error) or isinstance(error, psycopg.DataError):
                    self._end(connection)
                    raise explained(error) from error
                self._discard(connection)
            except BaseException:
                self._discard(connection)
                raise
        raise ServiceUnavailableError("The database closes each connection. Nothing was changed")

    def _discard(self, connection: Connection) -> None:
        connection.close()
        self._pool.putconn(connection)

    def _end(self, connection: Connection) -> None:
        """Give a connection back; roll back what is open, and close it if that fails."""
        try:
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.execute("ROLLBACK")
        except psycopg.Error:
            connection.close()
        except BaseException:
            connection.close()
            raise
        finally:
            self._pool.putconn(connection)

    def _borrow(self) -> Connection:
        try:
            return self._pool.getconn()
        except psycopg_pool.PoolTimeout as error:
            raise ServiceUnavailableError(
                "The database does not answer, or all connections to it are in use. Nothing was"
                " changed"
            ) from error


@contextlib.contextmanager
def snapshot(settings: StoreSettings) -> Iterator[PostgresTransaction]:
    """Read a store that must exist, at one moment; change nothing.

    Raises:
        StoreError: it cannot be reached, holds no catalog, or has another version's schema.
    """
    with statements(settings) as tx:
        tx.connection.execute(_READ)
        yield tx


@contextlib.contextmanager
def statements(settings: StoreSettings) -> Iterator[PostgresTransaction]:
    """Read a store that must exist, each statement its newest state. Raises as ``snapshot``."""
    with contextlib.ExitStack() as stack:
        with _named(settings):
            opened = contextlib.closing(_connect(settings, read_only=True))
            connection = stack.enter_context(opened)
            migrate.require_current(connection, hint=_MIGRATE)
        yield PostgresTransaction(connection, now_ms())


def exists(settings: StoreSettings) -> bool:
    """Return whether the database holds a catalog."""
    with _named(settings), contextlib.closing(_connect(settings)) as connection:
        return migrate.applied(connection) is not None


@contextlib.contextmanager
def _named(settings: StoreSettings) -> Iterator[None]:
    """Turn every error into a StoreError that names the store."""
    try:
        yield
    except (psycopg.Error, SchemaError, SettingsError, StoreError) as error:
        text = " ".join(str(error).split())
        raise StoreError(f"store {settings.url}: {text}") from error


def _connect(settings: StoreSettings, *, read_only: bool = False) -> Connection:
    return psycopg.connect(**conninfo.parameters(settings, read_only=read_only))


def _is_standby(connection: Connection) -> bool:
    row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    return bool(row and row[0])
