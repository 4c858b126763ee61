"""The store on real SQLite files, faults included."""

import contextlib
import resource
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from falcon_catalog.errors import ServiceUnavailableError
from falcon_catalog.store import open_database, warehouses
from falcon_catalog.store.database import OutcomeUnknownError, StoreError
from falcon_catalog.store.sqlite import creation
from falcon_catalog.store.sqlite.connection import SqliteDatabase
from tests.catalog.serving import Server, serving

pytestmark = pytest.mark.serverless


@pytest.fixture
def database(tmp_path: Path) -> SqliteDatabase:
    return open_database(f"sqlite:///{tmp_path}/deep/catalog.db")


def test_durability_is_the_default(database: SqliteDatabase) -> None:
    with database.read() as tx:
        assert tx.one("PRAGMA journal_mode") == ("wal",)
        assert tx.one("PRAGMA synchronous") == (2,)
        assert tx.one("PRAGMA foreign_keys") == (1,)


def test_an_exception_undoes_everything(database: SqliteDatabase) -> None:
    with pytest.raises(KeyError), database.write() as tx:  # noqa: PT012
        warehouses.ensure(tx, "a")
        raise KeyError
    with database.read() as tx:
        assert tx.one("SELECT count(*) FROM warehouses") == (0,)


def test_no_change_is_lost_between_threads(database: SqliteDatabase) -> None:
    with database.write() as tx:
        warehouses.ensure(tx, "a")

    def count() -> None:
        for _ in range(50):
            with database.write() as tx:
                tx.change("UPDATE warehouses SET created_at = created_at + 1")

    with database.read() as tx:
        before = tx.one("SELECT created_at FROM warehouses")[0]
    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as tx:
        assert tx.one("SELECT created_at FROM warehouses") == (before + 400,)
    database.close()


def test_many_processes_may_start_on_a_new_file_at_once(tmp_path: Path) -> None:
    program = (
        "import sys; from falcon_catalog.store import open_database;"
        "open_database(sys.argv[1]).close()"
    )
    command = [sys.executable, "-c", program, f"sqlite:///{tmp_path}/catalog.db"]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    with sqlite3.connect(tmp_path / "catalog.db") as connection:
        scripts = connection.execute("SELECT name FROM _sqlite_migrations").fetchall()
    assert len(scripts) == len(set(scripts)) > 0


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/catalog.db"
    open_database(url).close()
    with sqlite3.connect(tmp_path / "catalog.db") as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('falcon_catalog', '9999_future', 'then')"
        )
    with pytest.raises(StoreError, match="9999_future"):
        open_database(url)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        open_database(f"sqlite:///{tmp_path}/catalog.db")


class TestADamagedStoreIsNotTakenForANewOne:
    def test_an_empty_file(self, tmp_path: Path) -> None:
        path = tmp_path / "catalog.db"
        open_database(f"sqlite:///{path}").close()
        path.write_bytes(b"")
        with pytest.raises(StoreError, match=r"the file is empty \(0 bytes\). Restore a backup"):
            open_database(f"sqlite:///{path}")
        assert path.stat().st_size == 0

    def test_a_log_without_its_database(self, tmp_path: Path) -> None:
        path = tmp_path / "catalog.db"
        database = open_database(f"sqlite:///{path}")
        with database.write() as tx:
            warehouses.ensure(tx, "a")
        log = Path(f"{path}-wal").read_bytes()
        database.close()
        path.unlink()
        Path(f"{path}-wal").write_bytes(log)
        with pytest.raises(StoreError, match=r"catalog\.db-wal is there, the database"):
            open_database(f"sqlite:///{path}")
        assert not path.exists()
        assert Path(f"{path}-wal").read_bytes() == log


def test_a_new_store_needs_no_change_before_its_use(tmp_path: Path) -> None:
    """Servers that start at once competed for the switch to WAL: "database is locked"."""
    made = tmp_path / "catalog.db"
    creation.make(made)
    assert not list(tmp_path.glob("*-wal"))
    assert made.read_bytes()[18:20] == b"\x02\x02"  # written and read in WAL mode


def test_a_store_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """The process is killed while it makes the database; the next one makes it anew."""
    url = f"sqlite:///{tmp_path}/catalog.db"
    program = (
        "import os, sys; from falcon_catalog.store.sqlite import creation, migrate;"
        "real, migrate._apply = migrate._apply, lambda *a: (real(*a), os.kill(os.getpid(), 9));"
        "from falcon_catalog.store import open_database; open_database(sys.argv[1])"
    )
    killed = subprocess.run([sys.executable, "-c", program, url], check=False)
    assert killed.returncode == -9
    assert not (tmp_path / "catalog.db").exists()
    open_database(url).close()
    assert {path.name for path in tmp_path.iterdir()} == {"catalog.db", "catalog.db-lock"}
    with contextlib.closing(sqlite3.connect(tmp_path / "catalog.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert (tmp_path / "catalog.db").stat().st_mode & 0o777 == 0o600


def test_a_commit_that_fails_at_its_end_is_unknown_and_stops_later_changes(
    database: SqliteDatabase,
) -> None:
    @contextlib.contextmanager
    def failing() -> Iterator[None]:
        yield
        raise MemoryError("too little of it")

    database.writer.time_commit = failing
    with (
        pytest.raises(OutcomeUnknownError, match="too little of it"),
        database.write() as tx,
    ):
        warehouses.ensure(tx, "a")
    with (
        pytest.raises(ServiceUnavailableError, match="until the server restarts"),
        database.write(),
    ):
        pass
    with pytest.raises(ServiceUnavailableError):
        database.check()


def test_a_log_that_cannot_be_written_is_unavailable_and_unchanged(
    database: SqliteDatabase,
) -> None:
    with database.write() as tx:
        warehouses.ensure(tx, "before")
    wal = Path(f"{database.path}-wal").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(ServiceUnavailableError, match="Nothing was changed"):  # noqa: PT012
        try:
            with database.write() as tx:
                warehouses.ensure(tx, "a")
                resource.setrlimit(resource.RLIMIT_FSIZE, (wal + 100, hard))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    database.check()
    with database.write() as tx:
        warehouses.ensure(tx, "after")
    with database.fresh_read() as tx:
        assert tx.all("SELECT name FROM warehouses ORDER BY id") == [("before",), ("after",)]


def test_a_commit_that_breaks_a_constraint_is_known_to_have_failed(
    database: SqliteDatabase,
) -> None:
    with database.write() as tx:
        tx.change("CREATE TABLE c (w REFERENCES warehouses DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(sqlite3.IntegrityError), database.write() as tx:
        tx.change("INSERT INTO c VALUES (77)")
    with database.write() as tx:
        assert tx.one("SELECT count(*) FROM c") == (0,)


def test_a_busy_database_is_unavailable_and_unchanged(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("falcon_catalog.store.sqlite.connection._BUSY_TIMEOUT_MS", 50)
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ServiceUnavailableError, match="locked"), database.write():
        pass
    other.execute("ROLLBACK")
    other.close()
    with database.write() as tx:
        warehouses.ensure(tx, "a")


def test_a_full_disk_is_passing_and_changes_nothing(database: SqliteDatabase) -> None:
    with database.read() as tx:
        pages = tx.one("PRAGMA page_count")[0]
    with pytest.raises(ServiceUnavailableError, match="full"), database.write() as tx:  # noqa: PT012
        tx.one(f"PRAGMA max_page_count = {pages}")
        tx.change("CREATE TABLE big (x)")
        tx.change("INSERT INTO big VALUES (zeroblob(1000000))")
    with database.write() as tx:
        tx.one("PRAGMA max_page_count = 1000000")
        warehouses.ensure(tx, "a")


def test_autocommit_leaves_no_transaction_open(database: SqliteDatabase) -> None:
    with database.write() as tx:
        warehouses.ensure(tx, "a")
    assert database.autocommit().one("SELECT name FROM warehouses") == ("a",)
    with database.write() as tx:
        warehouses.ensure(tx, "b")
    with database.fresh_read() as tx:  # a reader of the past would keep the log from being folded
        assert tx.one("PRAGMA wal_checkpoint(TRUNCATE)") == (0, 0, 0)
    assert database.autocommit().all("SELECT name FROM warehouses") == [("a",), ("b",)]


class TestADatabaseThatIsReplacedUnderTheServer:
    @pytest.fixture
    def served(self, tmp_path: Path) -> Iterator[Server]:
        with serving(tmp_path) as server:
            server.namespace("before")
            yield server

    def refuses(self, server: Server) -> None:
        status, _, message = server.fails("POST", "/v1/namespaces", {"namespace": ["lost"]})
        assert status == 503
        assert "was replaced or removed under the running server. Nothing was changed" in message
        assert server.fails("GET", "/health/ready")[0] == 503
        assert server.ok("GET", "/health/live")

    def test_it_was_removed(self, served: Server, tmp_path: Path) -> None:
        path = tmp_path / "catalog.db"
        path.rename(tmp_path / "aside")
        self.refuses(served)
        (tmp_path / "aside").rename(path)
        served.namespace("after")
        assert served.ok("GET", "/health/ready")

    def test_it_was_replaced(self, served: Server, tmp_path: Path) -> None:
        path = tmp_path / "catalog.db"
        path.rename(tmp_path / "aside")
        path.write_bytes((tmp_path / "aside").read_bytes())
        self.refuses(served)
        (tmp_path / "aside").replace(path)
        served.namespace("after")


def test_the_process_that_creates_a_store_loads_no_data_frames(tmp_path: Path) -> None:
    program = (
        "import sys; from falcon_catalog.store import open_database;"
        " open_database(sys.argv[1]).close();"
        " assert 'sqlite_utils' in sys.modules;"
        " print(*({'pandas', 'numpy'} & set(sys.modules)));"
        " import importlib.util; assert importlib.util.find_spec('numpy')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, f"sqlite:///{tmp_path}/catalog.db"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []
