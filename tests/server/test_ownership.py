"""What root's commands make in another user's folder is theirs: the server runs as that user."""

import json
import os
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from falcon_catalog.durable_files import Folders

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files for others"),
]

USER, GROUP = 12345, 12346
TIMEOUT = 60
# Python itself may be in a folder that only root can enter: all is loaded before the change.
AS_USER = f"""
import os, tempfile, encodings.idna, sqlite_utils
import falcon_catalog.cli, falcon_catalog.cli.backup, falcon_catalog.cli.serve
from falcon_catalog.store import open_database
from falcon_catalog.store.sqlite.connection import SqliteDatabase
with tempfile.TemporaryDirectory() as folder:
    open_database("sqlite:///" + folder + "/c.db").close()
os.setgroups([])
os.setgid({GROUP})
os.setuid({USER})
falcon_catalog.cli.main()
"""
SCHEMA = {"type": "struct", "fields": [{"id": 1, "name": "x", "type": "long", "required": False}]}


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of the user that the service runs as; its parents can be entered by anybody."""
    with tempfile.TemporaryDirectory(prefix="falcon-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)  # noqa: S103, PTH101
        path = Path(folder, "home")
        path.mkdir()
        os.chown(path, USER, GROUP)
        yield path


def flags(home: Path) -> list[str]:
    return [f"--store=sqlite:///{home}/state/catalog.db", f"--warehouse=file://{home}/warehouse"]


Run = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture
def as_root(cli: Any, home: Path) -> Run:
    """Return a function that runs a command to its end as root."""

    def run(*words: str) -> tuple[int, list[str], list[str]]:
        where = flags(home)[:1] if words[0] in ("principals", "dropped") else flags(home)
        process = cli(*words, *where)
        status = process.status()
        return status, list(iter(process.line, None)), process.errors

    return run


@pytest.fixture
def serve_as_user(start: Any, home: Path) -> Callable[[], Any]:
    """Return a function that starts the server as the folder's user."""

    def run() -> Any:
        return start(
            *(sys.executable, "-c", AS_USER, "serve", "--listen=127.0.0.1:0", *flags(home)),
            cwd=home,
        )

    return run


def others(home: Path) -> dict[str, tuple[int, int]]:
    """Return what is in the folder and is not its owner's."""
    found = {path: path.lstat() for path in home.rglob("*")}
    return {
        str(path.relative_to(home)): (status.st_uid, status.st_gid)
        for path, status in found.items()
        if (status.st_uid, status.st_gid) != (USER, GROUP)
    }


def commit(url: str, name: str) -> None:
    """Create a table, and commit to it."""
    requests.post(f"{url}/v1/namespaces", json={"namespace": ["ns"]}, timeout=TIMEOUT)
    body = {"name": name, "schema": SCHEMA}
    created = requests.post(f"{url}/v1/namespaces/ns/tables", json=body, timeout=TIMEOUT)
    assert created.status_code == 200, created.text
    change_a_table(url, name)


def change_a_table(url: str, name: str) -> None:
    body = {"updates": [{"action": "set-properties", "updates": {"k": name}}]}
    answer = requests.post(f"{url}/v1/namespaces/ns/tables/{name}", json=body, timeout=TIMEOUT)
    assert answer.status_code == 200, answer.text


def test_the_service_starts_after_a_command_of_roots_made_the_store(
    as_root: Run, serve_as_user: Any, home: Path
) -> None:
    status, _, errors = as_root("migrate")
    assert status == 0, errors
    assert others(home) == {}
    server = serve_as_user()
    commit(server.url(), "t")
    assert server.stop() == 0


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_the_service_goes_on_after_any_command_of_roots(
    as_root: Run, serve_as_user: Any, home: Path, *, killed: bool
) -> None:
    server = serve_as_user()
    url = server.url()
    commit(url, "t")
    commit(url, "u")
    requests.delete(f"{url}/v1/namespaces/ns/tables/u", timeout=TIMEOUT).raise_for_status()
    if killed:
        server.kill()
    else:
        assert server.stop() == 0
    for words in (
        ["dropped"],
        ["undrop", "1"],
        ["principals", "add", "etl"],
        ["principals", "list"],
        ["doctor", "--deep"],
        ["backup", str(home.parent / "copy")],
        ["migrate"],
        ["maintain"],
    ):
        if not killed:  # as an operator who tidies up does
            for lock in home.glob("state/*-*"):
                lock.unlink()
        status, _, errors = as_root(*words)
        assert status == 0, (words, errors)
        assert others(home) == {}, words
    server = serve_as_user()
    url = server.url()
    change_a_table(url, "t")
    commit(url, "v")
    assert server.stop() == 0


def test_what_a_server_of_roots_writes_can_be_changed_by_the_service(
    cli: Any, serve_as_user: Any, home: Path
) -> None:
    server = cli("serve", "--listen=127.0.0.1:0", *flags(home))
    url = server.url()
    commit(url, "t")
    body = {"name": "staged", "schema": SCHEMA, "stage-create": True}
    answer = requests.post(f"{url}/v1/namespaces/ns/tables", json=body, timeout=TIMEOUT)
    assert answer.status_code == 200
    assert (home / "state/catalog.db-wal").exists()
    assert others(home) == {}
    assert server.stop() == 0
    server = serve_as_user()
    url = server.url()
    change_a_table(url, "t")
    location = Path(answer.json()["metadata"]["location"].removeprefix("file://"))
    assert location.joinpath("data").stat().st_uid == USER
    assert server.stop() == 0


def test_a_restore_of_roots_leaves_nothing_of_roots(
    as_root: Run, serve_as_user: Any, home: Path
) -> None:
    server = serve_as_user()
    commit(server.url(), "t")
    assert server.stop() == 0
    assert as_root("backup", str(home.parent / "copy"))[0] == 0
    assert as_root("restore", "--replace", str(home.parent / "copy"))[0] == 0
    assert others(home) == {}
    server = serve_as_user()
    change_a_table(server.url(), "t")
    assert server.stop() == 0


def test_a_store_in_a_folder_of_roots_keeps_its_own_owner(
    as_root: Run, serve_as_user: Any, home: Path
) -> None:
    server = serve_as_user()
    commit(server.url(), "t")
    assert server.stop() == 0
    folder = home / "state"
    os.chown(folder, 0, 0)
    folder.chmod(0o1777)
    for lock in folder.glob("*-*"):
        lock.unlink()
    assert as_root("maintain")[0] == 0
    assert [name for name in others(home) if name != "state"] == []
    server = serve_as_user()
    change_a_table(server.url(), "t")
    assert server.stop() == 0


@pytest.mark.parametrize(
    "words",
    [["dropped"], ["principals", "list"], ["doctor"], ["config", "show"]],
    ids=" ".join,
)
def test_a_listing_makes_nothing(
    as_root: Run, serve_as_user: Any, home: Path, words: list[str]
) -> None:
    status, _, errors = as_root(*words)
    if words != ["config", "show"]:
        assert status in (1, 2), errors
        assert "there is no store at" in errors[-1]
    assert list(home.iterdir()) == []

    server = serve_as_user()
    commit(server.url(), "t")
    assert server.stop() == 0
    for lock in home.glob("state/*-*"):
        lock.unlink()
    before = {path: path.lstat().st_mtime_ns for path in home.rglob("*") if path.is_file()}
    status, _, errors = as_root(*words)
    assert status == 0, errors
    assert {p: p.lstat().st_mtime_ns for p in home.rglob("*") if p.is_file()} == before


def test_a_listing_shows_what_a_running_server_has_just_stored(
    as_root: Run, serve_as_user: Any, home: Path
) -> None:
    server = serve_as_user()
    url = server.url()
    commit(url, "t")
    requests.delete(f"{url}/v1/namespaces/ns/tables/t", timeout=TIMEOUT).raise_for_status()
    status, lines, _ = as_root("dropped")
    assert status == 0
    assert "ns.t" in lines[-1]
    status, lines, _ = as_root("doctor", "--json")
    assert (status, json.loads("".join(lines))["clean"]) == (0, True)
    commit(url, "u")
    assert others(home) == {}
    assert server.stop() == 0
    assert not list(home.glob("state/*-wal"))


def test_no_link_in_the_place_of_a_lock_gives_away_a_file(
    as_root: Run, serve_as_user: Any, home: Path
) -> None:
    server = serve_as_user()
    commit(server.url(), "t")
    assert server.stop() == 0
    secret = home.parent / "secret"
    secret.touch(mode=0o600)
    lock = home / "state/catalog.db-lock"
    for link in (os.symlink, os.link):
        lock.unlink()
        link(secret, lock)
        as_root("principals", "add", link.__name__)
        assert (secret.stat().st_uid, stat.S_IMODE(secret.stat().st_mode)) == (0, 0o600)


def test_folders_made_inside_each_other_have_one_owner(home: Path) -> None:
    Folders().make(f"{home}/a/b/c")
    assert others(home) == {}


def test_sqlite_gives_its_files_to_the_owner_of_the_database(home: Path) -> None:
    """That the database is given away before SQLite opens it rests on this."""
    path = home / "c.db"
    path.touch()
    os.chown(path, USER, GROUP)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (x)")
    assert (home / "c.db-wal").exists()
    assert others(home) == {}
    connection.close()
