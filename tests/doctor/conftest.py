"""A catalog, and the commands that an operator runs on it."""

import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner
from duckdb_extensions import import_extension

from falcon_catalog.cli import main
from tests.catalog.serving import Server, serving, sql, store_url
from tests.processes import wait_for
from tests.server.conftest import cli, start

__all__ = ["cli", "start"]

DAY = 24 * 60 * 60
TIMEOUT = 60
# A table that deletes its metadata files as soon as it can.
FORGETFUL = {
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "1",
}


@dataclass
class Operator:
    """The folder of a catalog, and what is done to it from outside."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "catalog.db"

    @property
    def flags(self) -> list[str]:
        return [f"--store={store_url(self.folder)}", f"--warehouse=file://{self.folder}/warehouse"]

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run a command; return its status, and what it wrote to stdout and stderr."""
        command, *more = words
        told = [command, *self.flags, *more]
        result = CliRunner().invoke(main, told, catch_exceptions=False)
        return result.exit_code, result.stdout, result.stderr

    def doctor(self, *words: str) -> tuple[int, list[dict[str, Any]]]:
        """Run the doctor; return its status and findings."""
        status, out, err = self.run("doctor", "--json", *words)
        assert out, err
        return status, json.loads(out)["findings"]

    def found(self, *words: str) -> list[tuple[str, str, str | None]]:
        """Run the doctor; return check, subject and repair of what it found."""
        status, findings = self.doctor(*words)
        acts = [one for one in findings if one["severity"] != "note"]
        assert status == bool(acts)
        return [(one["check"], one["subject"], one["repair"]) for one in findings]

    def repaired(self, name: str) -> list[str]:
        """Do one repair; return what it says it did."""
        _, out, err = self.run("doctor", "--json", "--repair", name)
        assert out, err
        return json.loads(out)["repaired"]

    def sql(self, statement: str, *parameters: Any) -> list[Any]:
        """Change or read the database behind everybody's back."""
        return sql(self.folder, statement, *parameters)

    def pointer(self, name: str) -> Path:
        """Return the metadata file that a row names."""
        sql = "SELECT metadata_location FROM tabulars WHERE name = ?"
        return Path(self.sql(sql, name)[0][0].removeprefix("file://"))

    def row_id(self, name: str) -> int:
        return self.sql("SELECT id FROM tabulars WHERE name = ?", name)[0][0]

    def backup_of(self, name: str, backup: Path) -> dict[str, Any]:
        """Return the metadata of a table as a backup has it."""
        with closing(sqlite3.connect(backup / "catalog.db")) as connection:
            sql = "SELECT metadata_location FROM tabulars WHERE name = ?"
            location = connection.execute(sql, [name]).fetchone()[0]
        return json.loads((backup / f"files{location.removeprefix('file://')}").read_bytes())


def age(path: Path, days: float = 8) -> None:
    """Make a file look as if it was written days ago."""
    status = path.stat()
    os.utime(path, (status.st_atime, status.st_mtime - days * DAY))


def commit(server: Server, name: str, **properties: str) -> None:
    """Commit properties to a table of the namespace ``ns``."""
    update = {"action": "set-properties", "updates": properties}
    server.ok("POST", f"/v1/namespaces/ns/tables/{name}", {"updates": [update]})


# A FIFO stands for a file that is slow to read; outside tests it is refused, as no regular file.
_WAITING = (
    "from pathlib import Path; from falcon_catalog.fileio import deadline;"
    " deadline._read_regular = lambda path, *_: Path(path).read_bytes();"
    " from falcon_catalog.cli import main; main()"
)


@pytest.fixture
def waiting_cli(cli: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return ``cli``, whose commands wait at a ``Stop``."""
    monkeypatch.setattr("tests.server.conftest.CLI", [sys.executable, "-c", _WAITING])
    return cli


class Stop:
    """A file whose reader (``waiting_cli``) waits until the test lets it go on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._content = path.read_bytes()
        self._pipe = -1
        path.unlink()
        os.mkfifo(path)

    def wait(self) -> None:
        """Wait until somebody reads."""
        wait_for(self._open)

    def go_on(self) -> None:
        """Give the reader the content."""
        os.write(self._pipe, self._content)
        os.close(self._pipe)

    def remove(self) -> None:
        """Put the file back as it was."""
        self.path.unlink()
        self.path.write_bytes(self._content)

    def _open(self) -> bool:
        try:
            self._pipe = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False  # nobody reads yet
        return True


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A served catalog with the tables ``a`` of four versions and ``b`` of one."""
    with serving(tmp_path) as server:
        server.namespace("ns")
        server.table("a")
        server.table("b")
        for number in range(3):
            commit(server, "a", n=str(number))
        yield server


def duck(server: Server) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"extension_directory": str(server.folder / "extensions")})
    for name in ("avro", "httpfs", "iceberg"):
        import_extension(name, con=connection)
        connection.load_extension(name)
    connection.execute(
        f"ATTACH 'default' AS lake (TYPE iceberg, ENDPOINT '{server.url}',"
        " AUTHORIZATION_TYPE 'none')"
    )
    return connection


Serve = Callable[[], str]


@pytest.fixture
def serve(cli: Any, operator: Operator) -> Callable[[], Any]:
    """Return a function that starts the server as a person does."""
    return lambda: cli("serve", "--listen=127.0.0.1:0", "--threads=8", *operator.flags)
