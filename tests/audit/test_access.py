"""Changes of principals, roles, grants, secrets and keys; of the server; and by local commands."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from falcon_catalog.cli import main
from tests.audit.log import Row, rows, since
from tests.catalog.serving import Server, sql, store_url

LOCAL = f"local:{os.getuid()}"
M = "/management/v1"
ON_NS = {"type": "namespace", "warehouse": "default", "namespace": ["ns"]}


def _grant(privileges: list[str]) -> dict[str, Any]:
    return {"entity": ON_NS, "principal": "analysts", "privileges": privileges}


ACCESS: dict[str, list[tuple[str, str, object, tuple[str, str, Any]]]] = {
    # operation: requests of it, each with operation, name and detail of its event
    "createPrincipal": [
        (
            *("POST", f"{M}/principals", {"name": "new"}),
            ("createPrincipal", "new", {"type": "service", "privileges": []}),
        ),
        (
            *("POST", f"{M}/principals", {"type": "user", "issuer": "idp", "subject": "ann"}),
            ("createPrincipal", "idp~ann", {"type": "user"}),
        ),
    ],
    "updatePrincipal": [
        (
            *("POST", f"{M}/principals/etl", {"disabled": True}),
            ("updatePrincipal", "etl", {"disabled": True}),
        )
    ],
    "deletePrincipal": [("DELETE", f"{M}/principals/etl", None, ("deletePrincipal", "etl", None))],
    "rotateSecret": [
        (
            *("POST", f"{M}/principals/etl/secret", {"overlap-seconds": 5}),
            ("rotateSecret", "etl", {"overlap-seconds": 5}),
        )
    ],
    "createRole": [("POST", f"{M}/roles", {"name": "new"}, ("createRole", "new", None))],
    "renameRole": [
        ("POST", f"{M}/roles/analysts", {"name": "readers"}, ("renameRole", "readers", None))
    ],
    "deleteRole": [("DELETE", f"{M}/roles/analysts", None, ("deleteRole", "analysts", None))],
    "updateMembers": [
        (
            *("POST", f"{M}/roles/analysts/members", {"add": ["etl"]}),
            ("updateMembers", "analysts", {"added": ["etl"], "removed": []}),
        )
    ],
    "updateGroups": [
        (
            "POST",
            f"{M}/groups",
            {"add": [{"issuer": "idp", "group": "team", "role": "analysts"}]},
            ("updateGroups", "analysts", {"added": {"issuer": "idp", "group": "team"}}),
        )
    ],
    "updateGrants": [
        (
            *("POST", f"{M}/grants", {"grant": [_grant(["select"])]}),
            ("grant", "ns", {"principal": "analysts", "privileges": ["select"]}),
        ),
        (
            *("POST", f"{M}/grants", {"revoke": [_grant(["list"])]}),
            ("revoke", "ns", {"principal": "analysts", "privileges": ["list"]}),
        ),
    ],
    "updateEntity": [
        (
            *("POST", f"{M}/entities", {"entity": ON_NS, "protected": True}),
            ("updateEntity", "ns", {"protected": True}),
        )
    ],
}


@pytest.fixture
def world(ns: Server) -> Server:
    ns.ok("POST", f"{M}/principals", {"name": "etl"})
    ns.ok("POST", f"{M}/roles", {"name": "analysts"})
    ns.ok("POST", f"{M}/grants", {"grant": [_grant(["list"])]})
    return ns


@pytest.mark.parametrize("name", ACCESS)
def test_a_change_has_one_event(world: Server, name: str) -> None:
    for verb, path, body, expected in ACCESS[name]:
        known = rows(world.folder)
        world.ok(verb, path, body)
        (event,) = since(world, known)
        assert (event.operation, event.name, event.detail) == expected
        assert (event.topic, event.actor, event.address) == ("access", "anonymous", "127.0.0.1")
        assert event.warehouse == ("default" if event.namespace_path else None)
        assert event.request_id


def test_a_grant_has_what_there_was_before_and_after(world: Server) -> None:
    world.ok("POST", f"{M}/grants", {"grant": [_grant(["select"])]})
    event = rows(world.folder)[-1]
    assert (event.before, event.after) == ("list", "list,select")
    world.ok("POST", f"{M}/grants", {"revoke": [_grant(["list", "select"])]})
    event = rows(world.folder)[-1]
    assert (event.operation, event.before, event.after) == ("revoke", "list,select", "")


def test_what_changes_nothing_has_no_event(world: Server) -> None:
    known = rows(world.folder)
    world.ok("POST", f"{M}/grants", {"grant": [_grant(["list"])]})
    world.ok("POST", f"{M}/roles/analysts/members", {"remove": ["etl"]})
    world.ok("POST", f"{M}/principals/etl", {"disabled": False})
    world.ok("POST", f"{M}/entities", {"entity": ON_NS, "protected": False})
    assert world.call("POST", f"{M}/roles", {"name": "analysts"}).status_code == 409
    assert since(world, known) == []


@pytest.mark.usefixtures("inside")
class TestCommands:
    @pytest.fixture
    def run(self, server: Server) -> Any:
        def run(*words: str) -> list[Row]:
            known = rows(server.folder)
            done = CliRunner().invoke(main, [*words, "--store", store_url(server.folder)])
            assert done.exit_code == 0, done.output
            return since(server, known)

        return run

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("principals add etl --owner", [("createPrincipal", "etl")]),
            ("roles create analysts", [("createRole", "analysts")]),
            ("principals rotate-key", [("rotateSigningKey", "")]),
            ("grant select on warehouse default to everyone", [("grant", "")]),
        ],
    )
    def test_a_command_has_its_user(
        self, run: Any, words: str, expected: list[tuple[str, str]]
    ) -> None:
        found = run(*words.split())
        assert [(row.operation, row.name) for row in found] == expected
        for row in found:
            assert (row.topic, row.actor, row.via) == ("access", LOCAL, LOCAL)
            assert (row.actor_id, row.address, row.request_id) == (None, None, None)

    def test_secrets_are_not_in_it(self, run: Any, server: Server) -> None:
        run("principals", "add", "etl")
        run("principals", "rotate", "etl")
        text = " ".join(str(row) for row in rows(server.folder))
        assert not re.search(r"[A-Za-z0-9_-]{40,}", re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "", text))


def test_the_start_of_a_server_has_its_settings(start: Any, tmp_path: Path) -> None:
    server = start(apart=True, audit__keep_days=7, tracing__endpoint="", server__threads=3)
    ((detail, actor),) = sql(
        tmp_path, "SELECT detail, actor FROM events WHERE operation = 'serve'"
    )[:1]
    assert '"audit.keep_days":7' in detail
    assert '"server.threads":3' in detail
    assert "auth.required" not in detail
    assert actor == LOCAL
    server.namespace("still")
