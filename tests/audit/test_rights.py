"""Who may read the audit log: administrators all of it, others what they manage."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from falcon_catalog.catalog import access_control, accounts
from falcon_catalog.catalog.access_control import Change
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.entities import EntityName
from falcon_catalog.catalog.privileges import ADMIN, OWN
from falcon_catalog.identifiers import Namespace
from falcon_catalog.store import open_database
from tests.audit.log import refusals
from tests.catalog.serving import SCHEMA, Server, store_url
from tests.processes import wait_for

ALL = "/management/v1/audit"
OWN_ROWS = "/management/v1/warehouses/default/audit"
FEED = "/management/v1/warehouses/default/events"
NS = EntityName("namespace", "default", Namespace(("ns",)))
T = EntityName("table", "default", Namespace(("ns",)), "t")
WAREHOUSE = EntityName("warehouse", "default")


class World:
    """A server that needs tokens, and people."""

    def __init__(self, server: Server, call: StoreCall) -> None:
        self.server, self.call = server, call
        self._tokens: dict[str, str] = {}

    def person(self, name: str, held: int = 0) -> None:
        secret = accounts.add(self.call, name, privileges=held)
        form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
        self._tokens[name] = self.server.ok("POST", "/v1/oauth/tokens", data=form)["access_token"]

    def grant(self, name: str, entity: EntityName, *privileges: Any) -> None:
        access_control.change(self.call, grant=[Change(privileges, entity, name)])

    def ask(self, name: str, verb: str, path: str, body: object = None, **params: str) -> Any:
        headers = {"Authorization": f"Bearer {self._tokens[name]}"}
        return self.server.call(verb, path, body, headers=headers, params=params)

    def seen(self, name: str, **params: str) -> list[str]:
        answer = self.ask(name, "GET", OWN_ROWS, **params)
        assert answer.status_code == 200, answer.text
        return [event["operation"] for event in answer.json()["events"]][::-1]


@pytest.fixture
def world(start: Callable[..., Server], tmp_path: Path) -> Iterator[World]:
    with closing(open_database(store_url(tmp_path))) as store:
        server = start(auth__required=True)
        world = World(server, StoreCall(store, local="local:0"))
        world.person("root", OWN | ADMIN)
        table = {"name": "t", "schema": SCHEMA}
        for verb, path, body in (
            ("POST", "/v1/namespaces", {"namespace": ["ns"]}),
            ("POST", "/v1/namespaces/ns/tables", table),
            ("DELETE", "/v1/namespaces/ns/tables/t", None),
            ("POST", "/v1/namespaces/ns/tables", table),
            ("POST", "/v1/namespaces", {"namespace": ["other"]}),
        ):
            assert world.ask("root", verb, path, body).ok
        yield world


def test_all_of_it_needs_admin(world: World) -> None:
    world.person("admin", ADMIN)
    world.person("stranger")
    world.person("owner")
    world.grant("owner", WAREHOUSE, "own")
    assert world.ask("admin", "GET", ALL).status_code == 200
    for name in ("stranger", "owner"):
        answer = world.ask(name, "GET", ALL)
        assert answer.status_code == 403
        assert "this needs admin on the server" in answer.text


def test_the_rows_of_an_entity_need_grant_on_it(world: World) -> None:
    world.person("ann")
    hidden = world.ask("ann", "GET", OWN_ROWS, namespace="ns", table="t")
    assert hidden.status_code == 404
    world.grant("ann", T, "write")
    denied = world.ask("ann", "GET", OWN_ROWS, namespace="ns", table="t")
    assert denied.status_code == 403
    world.grant("ann", T, "grant")
    assert world.seen("ann", namespace="ns", table="t") == ["createTable"]
    for params in ({}, {"namespace": "ns"}, {"namespace": "other"}):
        assert world.ask("ann", "GET", OWN_ROWS, **params).status_code in (403, 404)


def test_a_namespace_has_the_rows_of_what_is_in_it(world: World) -> None:
    world.person("ann")
    world.grant("ann", NS, "grant")
    found = world.seen("ann", namespace="ns")
    assert found[:4] == ["createNamespace", "createTable", "dropTable", "createTable"]
    assert set(found[4:]) <= {"grant"}


def test_a_namespace_of_the_same_name_before_is_another_one(world: World) -> None:
    world.person("ann")
    again = {"namespace": ["other"]}
    assert world.ask("root", "DELETE", "/v1/namespaces/other").ok
    assert world.ask("root", "POST", "/v1/namespaces", again).ok
    world.grant("ann", EntityName("namespace", "default", Namespace(("other",))), "grant")
    found = [each for each in world.seen("ann", namespace="other") if each != "grant"]
    assert found == ["createNamespace"]


def test_the_feed_needs_describe_on_the_warehouse(world: World) -> None:
    world.person("ann")
    assert world.ask("ann", "POST", FEED, {}).status_code == 404
    world.grant("ann", T, "own")
    assert world.ask("ann", "POST", FEED, {}).status_code == 403
    world.grant("ann", WAREHOUSE, "describe")
    answer = world.ask("ann", "POST", FEED, {})
    assert answer.status_code == 200
    assert len(answer.json()["events"]) == 5
    assert {event["actor"]["name"] for event in answer.json()["events"]} == {"root"}


def test_refused_requests_need_admin_or_grant_on_the_warehouse(world: World) -> None:
    world.person("ann")
    world.grant("ann", WAREHOUSE, "grant")
    assert world.ask("ann", "GET", OWN_ROWS, refused="true").status_code == 200
    assert world.ask("ann", "GET", ALL, refused="true").status_code == 403


def test_what_is_refused_for_lack_of_a_privilege_is_recorded(world: World) -> None:
    """Also what is answered as if it did not exist; what really does not has no row."""
    folder, path = world.server.folder, "/v1/namespaces/ns/tables/t"
    world.person("ann")
    assert world.ask("ann", "GET", path).status_code == 404
    wait_for(lambda: len(refusals(folder)) == 1, "the refusal of something hidden")
    world.grant("ann", NS, "list")
    assert world.ask("ann", "GET", path).status_code == 403
    assert world.ask("ann", "GET", "/v1/namespaces/ns/tables/absent").status_code == 404
    assert world.ask("ann", "DELETE", f"{path}?purgeRequested=true").status_code == 403
    assert world.ask("ann", "GET", ALL).status_code == 403
    wait_for(lambda: len(refusals(folder)) == 4, "the other refusals")
    assert refusals(folder) == [
        ("hidden", "loadTable", "ann", "warehouse default", "list", 0),
        ("denied", "loadTable", "ann", "table ns.t", "describe", 0),
        ("denied", "dropTable", "ann", "table ns.t", "drop", 0),
        ("denied", "listAudit", "ann", "the server", "admin", 0),
    ]
