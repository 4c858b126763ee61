"""Who may use the management API: administrators, oneself, and no one else."""

from typing import Any

import pytest
import requests

from falcon_catalog.catalog import accounts
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.privileges import ADMIN, OWN
from tests.access.test_protection import entity
from tests.catalog.conftest import start
from tests.catalog.serving import Server

__all__ = ["start"]

MANAGEMENT = "/management/v1"
T = entity("table", "t")
ON_T = "type=table&warehouse=default&namespace=ns&name=t"
ADMINISTRATION = [
    ("GET", "/principals", None),
    ("POST", "/principals", {"name": "new"}),
    ("GET", "/principals/owner", None),
    ("POST", "/principals/owner", {"disabled": True}),
    ("DELETE", "/principals/owner", None),
    ("POST", "/principals/owner/secret", None),
    ("GET", "/roles", None),
    ("POST", "/roles", {"name": "new"}),
    ("GET", "/roles/everyone", None),
    ("POST", "/roles/team", {"name": "crew"}),
    ("DELETE", "/roles/team", None),
    ("POST", "/roles/team/members", {"add": ["ann"]}),
    ("GET", "/groups", None),
    ("POST", "/groups", {"add": [{"issuer": "corp", "group": "x", "role": "team"}]}),
    ("GET", "/grants?principal=owner", None),
    ("POST", "/entities", {"entity": {"type": "server"}, "read-only": True}),
]


class People:
    """A catalog that needs tokens, and the tokens of some principals."""

    def __init__(self, server: Server) -> None:
        self.server = server
        call = StoreCall(server.catalog.store, local="local:0")
        self._tokens = {}
        for name, held in (("owner", OWN), ("admin", ADMIN), ("ann", 0)):
            form = {
                "grant_type": "client_credentials",
                "client_id": name,
                "client_secret": accounts.add(call, name, privileges=held),
            }
            answer = requests.post(f"{server.url}/v1/oauth/tokens", data=form, timeout=30)
            self._tokens[name] = answer.json()["access_token"]

    def ask(self, by: str, verb: str, path: str, body: Any = None) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {self._tokens[by]}"}
        answer = self.server.call(verb, path, body, headers=headers)
        return answer.status_code, answer.text


@pytest.fixture
def people(start: Any) -> People:
    people = People(start(auth__required=True))
    people.ask("owner", "POST", "/v1/namespaces", {"namespace": ["ns"]})
    schema = {"type": "struct", "fields": []}
    created = people.ask(
        "owner", "POST", "/v1/namespaces/ns/tables", {"name": "t", "schema": schema}
    )
    assert created[0] == 200, created
    assert people.ask("admin", "POST", f"{MANAGEMENT}/roles", {"name": "team"})[0] == 200
    return people


def test_administration_needs_admin(people: People) -> None:
    for verb, path, body in ADMINISTRATION:
        for by in ("ann", "owner"):
            if by == "owner" and "owner" in path:
                continue
            status, text = people.ask(by, verb, MANAGEMENT + path, body)
            assert status == 403, (by, verb, path, text)
            assert "admin" in text
            assert "needs the privilege" in text or "this needs" in text, text
    for verb, path, body in ADMINISTRATION:
        # The last one makes the server read-only, which keeps no one from administration.
        status, text = people.ask("admin", verb, MANAGEMENT + path, body)
        # Some were removed or made a moment before.
        assert status in (200, 204, 404, 409), (verb, path, text)


def test_oneself(people: People) -> None:
    assert people.ask("ann", "GET", f"{MANAGEMENT}/principals/ann")[0] == 200
    assert people.ask("ann", "POST", f"{MANAGEMENT}/principals/ann/secret")[0] == 200
    assert people.ask("ann", "GET", f"{MANAGEMENT}/grants?principal=ann") == (200, '{"grants":[]}')
    assert people.ask("ann", "POST", f"{MANAGEMENT}/principals/ann", {"disabled": True})[0] == 403
    hidden = people.ask("ann", "GET", f"{MANAGEMENT}/access?principal=ann&privilege=list&{ON_T}")
    assert (hidden[0], "NoSuchTableException" in hidden[1]) == (404, True)


def test_an_owner_shares_its_table_and_takes_it_back(people: People) -> None:
    change = {"privileges": ["select"], "entity": T, "principal": "ann"}
    load = "/v1/namespaces/ns/tables/t"
    assert people.ask("ann", "GET", load)[0] == 404
    status, text = people.ask("owner", "POST", f"{MANAGEMENT}/grants", {"grant": [change]})
    assert status == 200, text
    assert people.ask("ann", "GET", load)[0] == 200
    access = f"{MANAGEMENT}/access?principal=ann&privilege=select&{ON_T}"
    assert '"allowed":true' in people.ask("ann", "GET", access)[1]
    for verb, path, body in (
        ("POST", f"{MANAGEMENT}/grants", {"grant": [{**change, "privileges": ["write"]}]}),
        ("POST", f"{MANAGEMENT}/entities", {"entity": T, "protected": True}),
        ("GET", f"{MANAGEMENT}/grants?{ON_T}", None),
        ("GET", f"{MANAGEMENT}/access?principal=owner&privilege=select&{ON_T}", None),
        ("POST", load, {"updates": []}),
    ):
        assert people.ask("ann", verb, path, body)[0] == 403, path
    assert people.ask("ann", "GET", f"{MANAGEMENT}/entities?{ON_T}")[0] == 200
    assert people.ask("owner", "POST", f"{MANAGEMENT}/grants", {"revoke": [change]})[0] == 200
    assert people.ask("ann", "GET", load)[0] == 404


def test_one_who_is_disabled_or_removed_is_out_at_once(people: People) -> None:
    own = f"{MANAGEMENT}/principals/ann"
    assert people.ask("ann", "GET", own)[0] == 200
    assert people.ask("admin", "POST", own, {"disabled": True})[0] == 200
    assert people.ask("ann", "GET", own)[0] == 401
    assert people.ask("admin", "POST", own, {"disabled": False})[0] == 200
    assert people.ask("ann", "GET", own)[0] == 200
    assert people.ask("admin", "DELETE", own)[0] == 204
    assert people.ask("ann", "GET", own)[0] == 401


def test_an_administrator_reads_no_data_until_it_grants_itself_so(people: People) -> None:
    plan = "/v1/namespaces/ns/tables/t/plan"
    assert people.ask("admin", "GET", "/v1/namespaces/ns/tables/t")[0] == 200
    assert people.ask("admin", "POST", plan, {})[0] == 403
    change = {"privileges": ["select"], "entity": T, "principal": "admin"}
    assert people.ask("admin", "POST", f"{MANAGEMENT}/grants", {"grant": [change]})[0] == 200
    assert people.ask("admin", "POST", plan, {})[0] == 200
