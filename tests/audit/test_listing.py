"""The newest rows over HTTP, and ``falcon-catalog audit``."""

import json
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from falcon_catalog.catalog import event_log
from falcon_catalog.cli import main
from tests.audit.log import rows
from tests.audit.test_verbs import COMMIT, RENAME
from tests.catalog.serving import Server, sql, store_url
from tests.processes import wait_for

AUDIT = "/management/v1/audit"
OWN = "/management/v1/warehouses/default/audit"


@pytest.fixture
def busy(ns: Server) -> Server:
    ns.table("t")
    ns.ok("POST", "/v1/namespaces/ns/tables/t", COMMIT, headers={"X-Request-Id": "the-commit"})
    ns.ok("POST", "/v1/tables/rename", RENAME)
    ns.namespace("other")
    return ns


ALL = ["createNamespace", "renameTable", "updateTable", "createTable", "createNamespace"]


def operations(page: dict[str, Any]) -> list[str]:
    return [event["operation"] for event in page["events"] if event["operation"] != "serve"]


def test_newest_first_with_all_that_is_known(busy: Server) -> None:
    page = busy.ok("GET", AUDIT)
    assert operations(page) == ALL
    assert page["next-page-token"] is None
    renamed = page["events"][1]
    assert renamed["object"] == {"namespace": ["ns"], "name": "u"}
    assert renamed["former-object"] == {"namespace": ["ns"], "name": "t"}
    assert renamed["actor"] == {"name": "anonymous", "via": "anonymous"}
    assert renamed["before"] == renamed["after"]
    assert renamed["topic"] == "catalog"
    stored = {row.event_id: row for row in rows(busy.folder)}[renamed["event-id"]]
    assert (renamed["timestamp-ms"], renamed["uuid"]) == (stored.at_ms, stored.uuid)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pages(busy: Server, size: int) -> None:
    found, token = [], ""
    while token is not None:
        page = busy.ok("GET", AUDIT, params={"pageSize": size, "pageToken": token})
        assert len(page["events"]) <= size
        found += operations(page)
        token = page["next-page-token"]
    assert found == ALL


@pytest.mark.parametrize(
    ("path", "params", "expected"),
    [
        (AUDIT, {"operation": "updateTable"}, ["updateTable"]),
        (AUDIT, {"request-id": "the-commit"}, ["updateTable"]),
        (AUDIT, {"principal": "anonymous", "warehouse": "default"}, ALL),
        (AUDIT, {"principal": "ann"}, []),
        (AUDIT, {"warehouse": "elsewhere"}, []),
        (OWN, {"namespace": "other"}, ["createNamespace"]),
        (OWN, {"namespace": "ns", "table": "u"}, ["renameTable"]),
        (OWN, {"namespace": "ns", "table": "t"}, ["renameTable", "updateTable", "createTable"]),
        (OWN, {"until-ms": "1"}, []),
        (OWN, {"since-ms": "1"}, ALL),
    ],
)
def test_filters(busy: Server, path: str, params: dict[str, str], expected: list[str]) -> None:
    assert operations(busy.ok("GET", path, params=params)) == expected


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"table": "t"}, "its namespace is missing"),
        ({"since-ms": "yesterday"}, "'yesterday': it is not a number of milliseconds"),
        ({"refused": "maybe"}, "neither true nor false"),
        ({"refused": "true", "namespace": "ns"}, "are not listed by namespace"),
        ({"pageToken": "x"}, "it was not issued by this server"),
        ({"pageSize": "0"}, "it is not a whole number above 0"),
    ],
)
def test_a_malformed_request_is_refused(server: Server, params: dict[str, str], words: str) -> None:
    status, kind, message = server.fails("GET", AUDIT, params=params)
    assert (status, kind) == (400, "BadRequestException")
    assert words in message


def test_a_token_of_another_log_or_of_other_filters(busy: Server) -> None:
    token = busy.ok("GET", AUDIT, params={"pageSize": 1})["next-page-token"]
    other = {"pageSize": 1, "pageToken": token, "principal": "ann"}
    assert "it belongs to another list" in busy.fails("GET", AUDIT, params=other)[2]
    sql(busy.folder, "UPDATE event_log SET log_id = ?", "0" * 8 + "-0000-0000-0000-" + "0" * 12)
    again = {"pageSize": 1, "pageToken": token}
    assert "it belongs to another list" in busy.fails("GET", AUDIT, params=again)[2]


@pytest.mark.usefixtures("inside")
def test_a_page_looks_at_a_bounded_number_of_rows(
    busy: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "_SCANNED", 2)
    found, token, pages = [], "", 0
    while token is not None:
        page = busy.ok("GET", AUDIT, params={"operation": "createTable", "pageToken": token})
        found += operations(page)
        token, pages = page["next-page-token"], pages + 1
    assert found == ["createTable"]
    assert pages > 1


def test_refused_requests(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start()
    sql(
        tmp_path,
        "INSERT INTO refusals (at_ms, outcome, operation, actor_id, actor, via, entity, privilege,"
        " more) VALUES (5, 'denied', 'loadTable', 3, 'etl', 'token', 'table ns.t', 'select', 7)",
    )
    page = server.ok("GET", AUDIT, params={"refused": "true"})
    assert page == {
        "refusals": [
            {
                "sequence-number": 1,
                "timestamp-ms": 5,
                "outcome": "denied",
                "operation": "loadTable",
                "actor": {"id": 3, "name": "etl", "via": "token"},
                "entity": "table ns.t",
                "privilege": "select",
                "more": 7,
            }
        ],
        "next-page-token": None,
    }
    assert server.ok("GET", AUDIT, params={"refused": "true", "principal": "ann"})["refusals"] == []


class TestCommand:
    @pytest.fixture
    def run(self, busy: Server) -> Callable[..., str]:
        def run(*words: str, status: int = 0) -> str:
            done = CliRunner().invoke(main, ["audit", *words, "--store", store_url(busy.folder)])
            assert done.exit_code == status, done.output
            return done.output

        return run

    def test_a_table_oldest_first(self, run: Callable[..., str]) -> None:
        lines = [line for line in run().splitlines() if " serve " not in line]
        assert lines[0].split() == ["time", "(UTC)", "who", "from", "operation", "object", "detail"]
        assert [line.split()[4] for line in lines[2:]] == ALL[::-1]
        assert lines[5].endswith("was ns.t")
        assert "updates" not in lines[4]
        assert "set-properties" in lines[4]

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("--limit 2", ["renameTable", "createNamespace"]),
            ("--table ns.u", ["renameTable"]),
            ("--table ns.t", ["createTable", "updateTable", "renameTable"]),
            ("--namespace other", ["createNamespace"]),
            ("--operation createTable --operation updateTable", ["createTable", "updateTable"]),
            ("--since 1h --warehouse default", ALL[::-1]),
            ("--since 2999-01-01", []),
            ("--until 2020-01-01T12:00", []),
            ("--principal ann", []),
            ("--request-id the-commit", ["updateTable"]),
        ],
    )
    def test_filters(self, run: Callable[..., str], words: str, expected: list[str]) -> None:
        lines = run(*words.split(), "--json").splitlines()
        found = [json.loads(line)["operation"] for line in lines]
        assert [each for each in found if each != "serve"] == expected
        if not expected:
            assert run(*words.split()) == "No changes.\n"

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ("--table t", "its namespace is missing: NAMESPACE.t"),
            ("--table ns.t --namespace ns", "exclude each other"),
            ("--refused --table ns.t", "cannot be combined"),
            ("--since yesterday", "is neither a time"),
        ],
    )
    def test_mistakes(self, run: Callable[..., str], words: str, said: str) -> None:
        assert said in run(*words.split(), status=2)

    def test_nothing_was_refused(self, run: Callable[..., str]) -> None:
        assert run("--refused") == "No refused requests.\n"

    def test_it_follows(self, busy: Server) -> None:
        command = [sys.executable, "-m", "falcon_catalog", "audit", "--follow", "--json"]
        command += ["--operation", "createNamespace", "--store", store_url(busy.folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                names = [json.loads(process.stdout.readline())["object"] for _ in range(2)]
                for name in ("later", "last"):
                    busy.namespace(name)
                    names.append(json.loads(process.stdout.readline())["object"])
            finally:
                process.send_signal(2)
            assert process.wait(30) == 0
        assert [name["namespace"] for name in names] == [["ns"], ["other"], ["later"], ["last"]]

    def test_on_a_terminal_no_line_is_wider(self, busy: Server) -> None:
        busy.namespace("a" * 100)
        terminal, inner = pty.openpty()
        termios.tcsetwinsize(inner, (24, 80))
        command = [sys.executable, "-m", "falcon_catalog", "audit", "--store"]
        environ = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        with subprocess.Popen(
            [*command, store_url(busy.folder)], stdout=inner, stderr=inner, env=environ
        ) as process:
            os.close(inner)
            text = b""
            wait_for(lambda: process.poll() is not None, "the command to end")
            with os.fdopen(terminal, "rb", 0) as shown:
                try:
                    while more := shown.read(65536):
                        text += more
                except OSError:  # the end, on Linux
                    pass
        lines = text.decode().splitlines()
        assert len(lines) >= 7
        assert max(map(len, lines)) == 80
        assert any(line.endswith("…") for line in lines)
