"""Every command on a store in PostgreSQL: it works, or one line says what to use instead."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from falcon_catalog.cli import main
from tests.catalog.serving import Server, serving
from tests.docs.test_docs import COMMANDS
from tests.postgres import cluster

T = "/v1/namespaces/ns/tables/t"
NEED_NO_STORE = {
    *("check", "config show", "engines", "install", "uninstall", "serve", "store copy"),
    *("login", "logout", "whoami"),
    *("ls", "show", "log", "files", "sample", "diff", "sql"),
    *("branch", "compact", "drop", "expire", "properties", "rename", "rollback", "tag"),
}
TRIED = {
    *("dropped", "undrop", "maintain", "doctor", "migrate", "storage check"),
    *("principals list", "principals add", "principals rotate", "principals rotate-key"),
    *("principals remove", "principals revoke", "principals revoke-token"),
    *("principals add-user", "principals disable", "principals enable"),
    *("grant", "revoke", "why", "access show", "access managed", "access read-only"),
    *("access protect", "access unprotect", "roles create", "roles add", "roles list"),
    *("roles remove", "roles rename", "roles map", "roles groups", "roles unmap", "roles delete"),
    *("backup", "restore", "relocate", "audit"),
}


@dataclass
class Operator:
    """Who runs commands beside a server."""

    server: Server
    url: str

    def run(self, *words: str, warehouse: bool = True) -> tuple[int, str]:
        flags = ["--store", self.url]
        flags += ["--warehouse", f"file://{self.server.warehouse}"] if warehouse else []
        done = CliRunner().invoke(main, [*words, *flags], catch_exceptions=False)
        return done.exit_code, done.output

    def ok(self, *words: str, warehouse: bool = True) -> str:
        status, output = self.run(*words, warehouse=warehouse)
        assert status == 0, output
        return output


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    url = cluster.store_url(f"o{uuid.uuid4().hex}")
    with serving(tmp_path, processes=1, store__url=url) as server:
        server.namespace("ns")
        server.table("t")
        yield Operator(server, url)


def test_every_command_is_tried_here() -> None:
    names = {name.removeprefix("falcon-catalog ") for name, _ in COMMANDS}
    assert names - NEED_NO_STORE == TRIED


def test_what_was_dropped_comes_back(operator: Operator) -> None:
    operator.server.ok("DELETE", T)
    listed = operator.ok("dropped", warehouse=False)
    assert "ns.t" in listed
    number = operator.server.catalog.store.autocommit().one("SELECT id FROM dropped_tabulars")[0]
    assert operator.ok("undrop", str(number)) == "table ns.t is back\n"
    operator.server.ok("GET", T)
    assert "Nothing to do." in operator.ok("maintain")


def test_the_audit_log(operator: Operator) -> None:
    operator.server.ok("DELETE", T)
    lines = operator.ok("audit", warehouse=False).splitlines()
    assert lines[0].split()[:2] == ["time", "(UTC)"]
    assert [line.split()[4] for line in lines[2:]] == [
        "createNamespace",
        "createTable",
        "dropTable",
    ]
    assert lines[-1].split()[5:7] == ["table", "ns.t"]


def test_principals(operator: Operator) -> None:
    def ok(*words: str) -> str:
        return operator.ok("principals", *words, warehouse=False)

    assert ok("add", "etl").startswith("etl:")
    assert "etl" in ok("list")
    assert ok("rotate", "etl").startswith("etl:")
    ok("rotate-key")
    ok("add-user", "corp", "00u1", "--display-name", "Ann Lee")
    assert "corp~00u1" in ok("list")
    ok("disable", "etl")
    assert "disabled" in ok("list")
    ok("enable", "etl")
    assert "disabled" not in ok("list")
    ok("revoke", "etl")
    status, said = operator.run("principals", "revoke-token", warehouse=False)
    assert status == 1
    assert "token" in said
    ok("remove", "etl")
    assert "etl" not in ok("list")


def test_roles_grants_and_marks(operator: Operator) -> None:
    def ok(*words: str) -> str:
        return operator.ok(*words, warehouse=False)

    ok("principals", "add", "ann")
    ok("roles", "create", "crew")
    ok("roles", "rename", "crew", "team")
    ok("roles", "add", "team", "ann")
    ok("roles", "map", "corp", "Data", "team")
    assert "ann" in ok("roles", "list")
    assert "Data" in ok("roles", "groups")
    ok("grant", "select", "on", "table", "ns.t", "to", "team")
    assert "team" in ok("access", "show", "table", "ns.t")
    assert "team" in ok("why", "ann", "select", "table", "ns.t")
    ok("access", "protect", "table", "ns.t")
    assert operator.server.call("DELETE", T).status_code == 403
    ok("access", "unprotect", "table", "ns.t")
    ok("access", "read-only", "on", "server")
    assert operator.server.call("DELETE", T).status_code == 403
    ok("access", "read-only", "off", "server")
    ok("access", "managed", "on", "namespace", "ns")
    ok("revoke", "select", "on", "table", "ns.t", "from", "team")
    assert "team" not in ok("access", "show", "table", "ns.t")
    ok("roles", "unmap", "corp", "Data", "team")
    ok("roles", "remove", "team", "ann")
    ok("roles", "delete", "team")
    assert "team" not in ok("roles", "list")
    assert operator.server.call("DELETE", T).status_code == 204


def test_the_doctor_and_others_find_nothing_wrong(operator: Operator) -> None:
    assert "Clean" in operator.ok("doctor", "--deep")
    assert "Repaired: 0 expired rows" in operator.ok("doctor", "--repair", "expired")
    assert "The storage is ready" in operator.ok("storage", "check")
    operator.ok("migrate")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("backup", "copy"), "PostgreSQL's own tools, such as pg_dump"),
        (("restore", "copy"), "PostgreSQL's own tools, such as pg_dump"),
        (("relocate", "file:///a", "file:///b"), "relocate works on a SQLite store only"),
    ],
    ids=["backup", "restore", "relocate"],
)
def test_what_needs_a_file_says_so_in_one_line(
    operator: Operator, words: tuple[str, ...], text: str
) -> None:
    status, output = operator.run(*words)
    assert status in (1, 2)
    (line,) = output.splitlines()
    assert line.startswith(f"Error: store {operator.url} is a PostgreSQL database: ")
    assert text in line
    assert line.endswith("Nothing was changed")
