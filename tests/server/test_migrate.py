"""falcon-catalog migrate: the backup before it, and what other versions' stores get."""

import json
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from falcon_catalog import __version__
from falcon_catalog.catalog.marker import NAME as MARKER
from falcon_catalog.cli import main
from falcon_catalog.store import schema
from falcon_catalog.store.sqlite import migrate
from tests.processes import wait_for

Run = Callable[..., Result]
*_, BEFORE, NEWEST = schema.scripts()
COMMANDS = ["principals add etl", "doctor", "dropped", "backup copy"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command on the store in ./var/catalog."""
    monkeypatch.chdir(tmp_path)
    return lambda command: CliRunner().invoke(main, command.split())


@pytest.fixture
def database(run: Run, tmp_path: Path) -> Path:
    """Return the file of a store of this version."""
    assert run("migrate").exit_code == 0
    return tmp_path / "var/catalog/catalog.db"


@pytest.fixture
def older(database: Path) -> Path:
    """Return the file of a store as the version before the newest schema change left it."""
    database.unlink()
    *before, _ = schema.scripts().items()
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        migrate._apply(connection, dict(before))
        columns = "(name, secret_hash, created_at)"
        connection.execute(f"INSERT INTO principals {columns} VALUES ('etl', 'hash', 1)")
        # The warehouse is this store's.
        marker = json.loads((database.parent / "warehouse" / MARKER).read_bytes())
        connection.execute("UPDATE store_identity SET store_id = ?", (marker["store"],))
    return database


def names(database: Path) -> list[str]:
    return sorted(each.name for each in (database.parent / "backups").iterdir())


def test_an_older_store_is_backed_up_and_migrated(older: Path, run: Run) -> None:
    result = run("migrate")
    assert result.exit_code == 0, result.output
    (name,) = names(older)
    assert name.startswith(f"before-{NEWEST}-")
    assert f"Backup: {older.parent}/backups/{name} (the newest 3 are kept)" in result.output
    assert f"Migrated: {NEWEST}" in result.output
    saved = older.parent / "backups" / name
    assert saved.stat().st_mode & 0o077 == 0
    with closing(sqlite3.connect(saved / "catalog.db")) as connection:
        applied = [row[0] for row in connection.execute("SELECT name FROM _sqlite_migrations")]
    assert (applied[-1], NEWEST in applied) == (BEFORE, False)
    assert "etl" in run("principals list").output


def test_the_backup_can_be_restored(older: Path, run: Run) -> None:
    run("migrate")
    assert run("principals remove etl").exit_code == 0
    (name,) = names(older)
    assert run(f"restore --replace {older.parent}/backups/{name}").exit_code == 0
    assert "etl" in run("principals list").output


# A backup needs what the sixth script added.
@pytest.mark.parametrize("scripts", range(6, len(schema.scripts())))
def test_a_store_of_every_older_version_is_backed_up_and_migrated(
    scripts: int, run: Run, tmp_path: Path
) -> None:
    database = tmp_path / "var/catalog/catalog.db"
    database.parent.mkdir(parents=True)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        migrate._apply(connection, dict(list(schema.scripts().items())[:scripts]))
        connection.execute("INSERT INTO warehouses (name, created_at) VALUES ('default', 1)")
    result = run("migrate")
    assert result.exit_code == 0, result.output
    (name,) = names(database)
    result = run(f"restore --replace {database.parent}/backups/{name}")
    assert result.exit_code == 0, result.output


def test_a_current_store_is_not_backed_up(database: Path, run: Run) -> None:
    result = run("migrate --json")
    assert json.loads(result.output) == {
        "store": f"sqlite:///{database}",
        "created": False,
        "migrated": [],
        "backup": None,
    }
    assert not (database.parent / "backups").exists()


def test_the_newest_backups_are_kept_and_nothing_else_is_deleted(older: Path, run: Run) -> None:
    folder = older.parent / "backups"
    earlier = [f"before-{BEFORE}-2026010{day}T000000Z" for day in range(1, 5)]
    for name in earlier:
        (folder / name).mkdir(parents=True)
        (folder / name / "manifest.json").touch()
    others = ["mine", "before-thought"]  # no backup is made under such a name, or it is not done
    for name in others:
        (folder / name).mkdir()
    assert run("migrate").exit_code == 0
    there = names(older)
    assert [name for name in there if name in earlier] == earlier[2:]
    assert set(others) <= set(there)
    assert len(there) == 5


def test_without_room_for_a_backup_nothing_is_migrated(older: Path, run: Run) -> None:
    (older.parent / "backups").write_text("in the way", encoding="utf-8")
    result = run("migrate")
    assert result.exit_code == 1
    assert "Nothing was migrated; --no-backup migrates without one" in result.output
    assert run("dropped").exit_code == 1
    assert run("migrate --no-backup").exit_code == 0
    assert run("dropped").exit_code == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_a_store_of_an_older_version_is_refused(older: Path, run: Run, command: str) -> None:
    before = older.read_bytes()
    result = run(command)
    assert result.exit_code in {1, 2}
    assert f"its schema is {BEFORE!r}, of an older version" in result.output
    assert f"falcon-catalog {__version__} needs {NEWEST!r}" in result.output
    assert f"Run falcon-catalog migrate --store sqlite:///{older}" in result.output
    assert older.read_bytes() == before


@pytest.mark.parametrize("command", [*COMMANDS, "migrate"])
def test_a_store_of_a_newer_version_is_refused(database: Path, run: Run, command: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('falcon_catalog', '0900_later', '')"
        )
    result = run(command)
    assert result.exit_code in {1, 2}
    assert "its schema is '0900_later', of a newer version" in result.output
    assert f"falcon-catalog {__version__} knows {NEWEST!r} at most" in result.output
    assert "Install the newer version again" in result.output
    assert "falcon-catalog restore --replace" in result.output
    assert not (database.parent / "backups").exists()


def test_a_server_does_not_migrate(older: Path, start: Any, tmp_path: Path) -> None:
    server = start(
        sys.executable, "-m", "falcon_catalog", "serve", "--listen", "127.0.0.1:0", cwd=tmp_path
    )
    assert server.process.wait(60) == 1
    wait_for(lambda: any("Run falcon-catalog migrate" in line for line in server.errors))
    assert older.exists()
