"""Grants and roles over HTTP and from the command line: the same effects, and clear errors."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from falcon_catalog.cli import main
from tests.access.test_protection import TABLES, entity
from tests.catalog.conftest import server, start
from tests.catalog.serving import Server

__all__ = ["server", "start"]
pytestmark = pytest.mark.sqlite  # the commands are given the file

MANAGEMENT = "/management/v1"


class Both:
    """The same store by HTTP and by commands."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._flags = ["--store", f"sqlite:///{server.folder}/catalog.db"]

    def run(self, *words: str, fails: int = 0) -> str:
        done = CliRunner().invoke(main, [*words, *self._flags])
        assert done.exit_code == fails, done.output
        return done.output

    def printed(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))

    def get(self, path: str) -> Any:
        return self.server.ok("GET", MANAGEMENT + path)

    def post(self, path: str, body: Any = None) -> Any:
        answer = self.server.call("POST", MANAGEMENT + path, body)
        assert answer.status_code in (200, 204), answer.text
        return answer.json() if answer.content else None


@pytest.fixture
def both(server: Server) -> Both:
    server.namespace("ns")
    server.table("t")
    return Both(server)


T = entity("table", "t")
ON_T = "?type=table&warehouse=default&namespace=ns&name=t"


def test_grants_are_the_same(both: Both) -> None:
    both.run("principals", "add", "ann")
    both.run("roles", "create", "team")
    granted = both.printed("grant", "select,drop", "on", "table", "ns.t", "to", "ann,team")
    by_http = both.post(
        "/grants",
        {
            "grant": [
                {"privileges": ["select", "drop"], "entity": T, "principal": name}
                for name in ("ann", "team")
            ]
        },
    )
    assert granted == by_http["grants"]
    shown = both.get(f"/grants{ON_T}")["grants"]
    assert shown == both.printed("access", "show", "table", "ns.t")
    assert [each["privileges"] for each in shown] == [["select", "drop"]] * 2
    assert both.get("/grants?principal=ann")["grants"] == shown[:1]
    assert both.printed("access", "show", "--principal", "ann") == shown[:1]
    explained = both.get(f"/access{ON_T}&principal=ann&privilege=describe")
    assert explained == both.printed("why", "ann", "describe", "table", "ns.t")
    assert explained["allowed"] is True
    revoked = both.post("/grants", {"revoke": [{**_change("select"), "privileges": ["select"]}]})
    assert revoked["grants"][0]["privileges"] == ["drop"]
    assert (
        both.printed("revoke", "all", "on", "table", "ns.t", "from", "ann")[0]["privileges"] == []
    )
    assert both.get("/grants?principal=ann")["grants"] == []


def test_roles_and_groups_are_the_same(both: Both) -> None:
    both.run("principals", "add", "ann")
    made = both.printed("roles", "create", "team")
    assert made == both.get("/roles/team")
    assert both.post("/roles/team/members", {"add": ["ann"]}) == both.printed(
        "roles", "add", "team", "ann"
    )
    assert both.get("/roles")["roles"] == both.printed("roles", "list")
    both.run("roles", "map", "corp", "Data", "team")
    assert both.get("/groups")["groups"] == both.printed("roles", "groups")
    both.post("/groups", {"remove": [{"issuer": "corp", "group": "Data", "role": "team"}]})
    assert both.printed("roles", "groups") == []
    assert both.post("/roles/team", {"name": "crew"})["name"] == "crew"
    assert both.printed("roles", "rename", "crew", "team")["name"] == "team"
    assert both.printed("roles", "remove", "team", "ann")["members"] == []
    assert both.server.call("DELETE", f"{MANAGEMENT}/roles/team").status_code == 204
    assert both.server.fails("GET", f"{MANAGEMENT}/roles/team")[:2] == (
        404,
        "NoSuchPrincipalException",
    )


def test_principals_are_the_same(both: Both) -> None:
    added = both.post("/principals", {"name": "etl"})
    assert added["credential"].startswith("etl:")
    user = both.post(
        "/principals",
        {"type": "user", "issuer": "corp", "subject": "a/b", "display-name": "Ann"},
    )
    listed = both.get("/principals")["principals"]
    assert listed == both.printed("principals", "list")
    assert added["credential"][4:] not in json.dumps(listed)
    assert both.get("/principals/corp~a%2Fb") == user
    rotated = both.post("/principals/etl/secret", {"overlap-seconds": 0})
    assert rotated["credential"] != added["credential"]
    assert both.post("/principals/etl", {"disabled": True})["disabled"] is True
    assert both.printed("principals", "enable", "etl")["disabled"] is False
    assert both.server.call("DELETE", f"{MANAGEMENT}/principals/etl").status_code == 204
    assert [each["name"] for each in both.printed("principals", "list")] == ["corp~a/b"]


def test_a_secret_is_not_stored_for_a_retry(both: Both) -> None:
    key = {"Idempotency-Key": "0190f6c9-5f4c-7d3a-8f1e-0a1b2c3d4e5f"}
    path = f"{MANAGEMENT}/principals"
    first = both.server.call("POST", path, {"name": "etl"}, headers=key)
    assert first.status_code == 200
    assert first.headers["Cache-Control"] == "private, no-store"
    again = both.server.call("POST", path, {"name": "etl"}, headers=key)
    assert again.status_code == 409
    secret = first.json()["credential"][4:].encode()
    for file in Path(both.server.folder).glob("catalog.db*"):
        assert secret not in file.read_bytes()


def test_lists_have_pages(both: Both) -> None:
    for name in ("a", "b", "c"):
        both.post("/roles", {"name": name})
    seen, token = [], ""
    while token is not None:
        page = both.get(f"/roles?pageSize=2&pageToken={token}")
        seen += [each["name"] for each in page["roles"]]
        token = page["next-page-token"]
    assert seen == ["a", "b", "c", "everyone"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Invalid number of grants: 0 in one request"),
        ({"grants": []}, "Invalid field 'grants': known are grant, revoke"),
        ({"grant": "select"}, "grant is not a list of objects"),
        ({"grant": [{}]}, "Invalid privileges: null is not a list"),
        ({"grant": [{"privileges": ["fly"]}]}, "Invalid privilege 'fly': it is none of list,"),
        ({"grant": [{"privileges": [1]}]}, "Invalid privilege 1"),
        ({"grant": [{"privileges": [["list"]]}]}, "Invalid privilege an array"),
        ({"grant": [{"privileges": ["list"]}]}, "Invalid entity: null is not an object"),
        ({"grant": [{"privileges": ["list"], "entity": T}]}, "Invalid principal: null"),
        ({"grant": [{"bits": 511}]}, "it has the unknown field 'bits'"),
    ],
)
def test_malformed_grants(both: Both, body: Any, message: str) -> None:
    status, kind, said = both.server.fails("POST", f"{MANAGEMENT}/grants", body)
    assert (status, kind) == (400, "BadRequestException")
    assert message in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("grant selct on table ns.t to ann", "'selct' is no privilege (did you mean select?)"),
        ("grant read on table ns.t to ann", "'read' is no privilege (did you mean select?)"),
        ("why ann slect table ns.t", "'slect' is no privilege (did you mean select?)"),
        ("why ann xyz table ns.t", "'xyz' is no privilege. There are"),
        ("why ann select ns.t", "'ns.t' is no type of entity (did you mean table ns.t?)"),
        ("why ann select sales", "is no type of entity (did you mean namespace sales?)"),
        ("why ann select serve", "is no type of entity (did you mean server?)"),
        ("grant all on table ns.t to ann", "'all' can only be revoked"),
        ("grant select table ns.t to ann", "expected PRIVILEGE[,...] on ENTITY to NAME"),
        ("grant select on table ns.t from ann", "expected PRIVILEGE[,...] on ENTITY to NAME"),
        ("grant select on tabel ns.t to ann", "'tabel' is no type of entity (did you mean table?)"),
        ("grant select on table t to ann", "'t' is no table: it needs a namespace"),
        ("grant select on table ns..t to ann", "'ns..t' is no name"),
        ("grant select on server ns to ann", "'server ns' is no entity"),
        ("why ann list,select table ns.t", "'list,select' is not one privilege"),
        ("access show table ns.t --principal ann", "name either an entity or --principal"),
        ("access unprotect dropped x", "'x' is not the id of a dropped table or view"),
    ],
)
def test_usage_errors(both: Both, words: str, message: str) -> None:
    assert message in both.run(*words.split(), fails=2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("grant select on table ns.tt to ann", "Table does not exist: ns.tt (did you mean ns.t?)"),
        ("grant select on namespace nss to ann", "(did you mean ns?)"),
        ("grant select on warehouse defalt to ann", "defalt (did you mean default?)"),
        ("grant select on table ns.t to anm", "Principal does not exist: anm (did you mean ann?)"),
        ("principals disable anm", "(did you mean ann?)"),
        ("grant create on table ns.t to ann", "create is of the server, warehouses and namespaces"),
        ("grant own on namespace ns to everyone", "the role everyone cannot have grant, own or"),
        ("access managed on table ns.t", "table ns.t cannot be managed"),
    ],
)
def test_other_errors_are_one_line(both: Both, words: str, message: str) -> None:
    both.run("principals", "add", "ann")
    said = both.run(*words.split(), fails=1)
    assert message in said
    assert said.startswith("Error: ")
    assert said.count("\n") == 1


def test_names_with_dots_are_quoted(both: Both) -> None:
    both.server.namespace("a.b")
    both.server.namespace("a.b", "c")
    both.run("principals", "add", "ann")
    both.run("grant", "select", "on", "namespace", '"a.b".c', "to", "ann")
    (grant,) = both.printed("access", "show", "--principal", "ann")
    assert grant["entity"]["namespace"] == ["a.b", "c"]


def test_what_people_read(both: Both) -> None:
    both.run("principals", "add", "ann")
    both.run("principals", "add", "root", "--owner")
    both.run("roles", "create", "team")
    both.run("roles", "add", "team", "ann")
    assert both.run("grant", "select", "on", "namespace", "ns", "to", "team") == (
        "team has select on namespace ns\n"
    )
    allowed = both.run("why", "ann", "list", "table", "ns.t").splitlines()
    assert allowed[0] == "ann may list table ns.t."
    assert allowed[1].startswith("  select on namespace ns through team, granted by local:")
    missing = both.run("why", "ann", "write", "table", "ns.t", fails=1)
    assert "These grants do not contain write.\nCan be granted by: root\n" in missing
    assert "  falcon-catalog grant write on table ns.t to ann\n" in missing
    both.run("principals", "disable", "ann")
    assert "ann is disabled: it may do nothing" in both.run(
        *["why", "ann", "list", "table", "ns.t"], fails=1
    )
    kept = both.run("revoke", "list", "on", "namespace", "ns", "from", "team")
    assert "team has select on namespace ns, as before" in kept
    assert "It still contains list; revoke select to end that" in kept
    rows = both.run("access", "show").splitlines()
    assert rows[0].split() == [
        *("principal", "type", "privileges", "on", "warehouse"),
        *("granted", "by", "granted"),
    ]
    assert len(rows) == 4


def test_commands_obey_read_only_mode(both: Both) -> None:
    both.server.ok("DELETE", f"{TABLES}/t")
    (drop,) = both.printed("dropped")
    folder = ("--warehouse", f"{both.server.folder}/warehouse")
    assert both.run("access", "read-only", "on", "server") == "the server is read-only\n"
    assert "The server is read-only. Nothing was changed" in both.run(
        "undrop", str(drop["id"]), *folder, fails=1
    )
    assert both.run("maintain", *folder) == "default: read-only, nothing is removed or purged\n"
    both.run("access", "read-only", "off", "server")
    assert "ns.t is back" in both.run("undrop", str(drop["id"]), *folder)


def test_protection_by_command_is_seen_by_the_server(both: Both) -> None:
    assert both.run("access", "protect", "table", "ns.t") == "table ns.t is protected\n"
    assert both.get(f"/entities{ON_T}") == {"entity": T, "protected": True}
    message = both.server.fails("DELETE", f"{TABLES}/t")[2]
    command = message.partition("falcon-catalog ")[2].partition(",")[0]
    both.run(*command.split())
    assert both.server.call("DELETE", f"{TABLES}/t").status_code == 204


def _change(privilege: str) -> dict[str, Any]:
    return {"privileges": [privilege], "entity": T, "principal": "ann"}
