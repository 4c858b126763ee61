"""Protection from drops and purges, read-only mode, and quotas, over HTTP."""

import threading
import uuid
from typing import Any

import pytest

from falcon_catalog.catalog import authorization
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.purge import purge_expired
from falcon_catalog.identifiers import Namespace, TableIdentifier
from tests.catalog.conftest import server, start
from tests.catalog.serving import SCHEMA, Server

__all__ = ["server", "start"]

ENTITIES = "/management/v1/entities"
TABLES = "/v1/namespaces/ns/tables"
VIEW = {
    "name": "v",
    "schema": SCHEMA,
    "view-version": {
        "version-id": 1,
        "timestamp-ms": 1,
        "schema-id": 0,
        "summary": {},
        "representations": [{"type": "sql", "sql": "SELECT 1", "dialect": "spark"}],
        "default-namespace": ["ns"],
    },
    "properties": {},
}


@pytest.fixture
def ns(server: Server) -> Server:
    """A catalog with a table and a view in the namespace ``ns``."""
    server.namespace("ns")
    server.table("t")
    assert server.call("POST", "/v1/namespaces/ns/views", VIEW).status_code == 200
    return server


def entity(kind: str, name: str = "") -> dict[str, Any]:
    """Return the JSON of an entity of the default warehouse."""
    found: dict[str, Any] = {"type": kind}
    if kind != "server":
        found["warehouse"] = "default"
    if kind in ("namespace", "table", "view", "function"):
        found["namespace"] = ["ns"]
    if name:
        found["name"] = name
    return found


def mark(server: Server, of: dict[str, Any], **marks: bool) -> dict[str, Any]:
    body = {"entity": of, **{name.replace("_", "-"): value for name, value in marks.items()}}
    answer = server.call("POST", ENTITIES, body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


class TestProtection:
    @pytest.mark.parametrize(
        ("of", "request_line", "body"),
        [
            (entity("table", "t"), f"DELETE {TABLES}/t", None),
            (entity("table", "t"), f"DELETE {TABLES}/t?purgeRequested=true", None),
            (entity("table", "t"), f"POST {TABLES}/t/unregister", None),
            (entity("view", "v"), "DELETE /v1/namespaces/ns/views/v", None),
            (entity("namespace"), "DELETE /v1/namespaces/ns", None),
        ],
    )
    def test_what_is_protected_is_not_dropped(
        self, ns: Server, of: dict[str, Any], request_line: str, body: Any
    ) -> None:
        if of["type"] == "namespace":
            ns.call("DELETE", f"{TABLES}/t")
            ns.call("DELETE", "/v1/namespaces/ns/views/v")
        assert mark(ns, of, protected=True)["protected"] is True
        status, kind, message = ns.fails(*request_line.split(), body)
        name = ".".join(["ns", *([of["name"]] if "name" in of else [])])
        assert (status, kind) == (403, "ForbiddenException")
        assert message.startswith(
            f"{of['type'].capitalize()} {name} is protected and cannot be dropped. End that first:"
            f" falcon-catalog access unprotect {of['type']} {name}"
        )
        assert mark(ns, of, protected=False)["protected"] is False
        assert ns.call(*request_line.split(), body).status_code in (200, 204)

    def test_a_registration_does_not_replace_it(self, ns: Server) -> None:
        location = ns.call("GET", f"{TABLES}/t").json()["metadata-location"]
        mark(ns, entity("table", "t"), protected=True)
        body = {"name": "t", "metadata-location": location, "overwrite": True}
        assert ns.fails("POST", "/v1/namespaces/ns/register", body)[0] == 403
        mark(ns, entity("table", "t"), protected=False)
        assert ns.call("POST", "/v1/namespaces/ns/register", body).status_code == 200

    def test_everything_else_goes_on_and_a_rename_keeps_it(self, ns: Server) -> None:
        mark(ns, entity("table", "t"), protected=True)
        mark(ns, entity("namespace"), protected=True)
        update = {"updates": [{"action": "set-properties", "updates": {"a": "b"}}]}
        assert ns.call("POST", f"{TABLES}/t", update).status_code == 200
        assert ns.call("DELETE", "/v1/namespaces/ns/views/v").status_code == 204
        source, target = ({"namespace": ["ns"], "name": name} for name in "tu")
        moved = ns.call("POST", "/v1/tables/rename", {"source": source, "destination": target})
        assert moved.status_code == 204
        assert ns.fails("DELETE", f"{TABLES}/u")[0] == 403

    def test_a_drop_that_is_protected_is_not_purged_and_comes_back_protected(
        self, start: Any
    ) -> None:
        server = start(warehouse__drop_retention=0)
        server.namespace("ns")
        server.table("t")
        server.call("DELETE", f"{TABLES}/t?purgeRequested=true")
        (drop,) = server.call("GET", "/management/v1/warehouses/default/dropped").json()["dropped"]
        of = {"type": "dropped", "warehouse": "default", "id": drop["id"]}
        mark(server, of, protected=True)
        assert purge_expired(server.catalog) == []
        path = f"/management/v1/warehouses/default/dropped/{drop['id']}"
        status, _, message = server.fails("DELETE", path)
        assert (status, "cannot be purged" in message) == (403, True)
        assert server.call("POST", f"{path}/undrop").status_code == 200
        assert server.fails("DELETE", f"{TABLES}/t")[0] == 403

    @pytest.mark.parametrize(
        ("of", "marks", "message"),
        [
            (entity("server"), {"protected": True}, "the server cannot be protected"),
            (entity("warehouse"), {"protected": True}, "warehouse default cannot be protected"),
            (entity("namespace"), {"read-only": True}, "namespace ns cannot be read-only"),
            (entity("table", "t"), {"managed": True}, "table ns.t cannot be managed"),
            (entity("table", "t"), {"protected": "yes"}, "Invalid protected: 'yes' is not true"),
            (entity("table", "t"), {}, "it names none of protected, managed, read-only"),
            (entity("table", "t"), {"hidden": True}, "Invalid field 'hidden'"),
            ({"type": "table"}, {"protected": True}, "one of type table has type and name,"),
            ({"type": "moon"}, {"protected": True}, "Invalid entity type 'moon'"),
            (entity("server") | {"name": "x"}, {}, "one of type server has type and no other"),
            (
                {"type": "dropped", "warehouse": "default", "id": 2**70},
                {"protected": True},
                "is not the id of a drop",
            ),
        ],
    )
    def test_bad_input(
        self, ns: Server, of: dict[str, Any], marks: dict[str, Any], message: str
    ) -> None:
        status, kind, said = ns.fails("POST", ENTITIES, {"entity": of, **marks})
        assert (status, kind) == (400, "BadRequestException")
        assert message in said


class TestReadOnly:
    @pytest.fixture(params=["server", "warehouse"])
    def locked(self, ns: Server, request: pytest.FixtureRequest) -> Server:
        """A catalog that is read-only, as a whole or its one warehouse."""
        ns.call("DELETE", "/v1/namespaces/ns/views/v")
        assert mark(ns, entity(request.param), read_only=True)["read-only"] is True
        return ns

    @pytest.mark.parametrize(
        ("request_line", "body"),
        [
            ("POST /v1/namespaces", {"namespace": ["b"]}),
            ("DELETE /v1/namespaces/ns", None),
            ("POST /v1/namespaces/ns/properties", {"updates": {"a": "b"}}),
            (f"POST {TABLES}", {"name": "u", "schema": SCHEMA}),
            (f"POST {TABLES}", {"name": "u", "schema": SCHEMA, "stage-create": True}),
            (f"POST {TABLES}/t", {"updates": []}),
            (f"DELETE {TABLES}/t", None),
            (f"POST {TABLES}/t/unregister", None),
            ("POST /v1/namespaces/ns/register", {"name": "u", "metadata-location": "file:///x"}),
            (
                "POST /v1/tables/rename",
                {
                    "source": {"namespace": ["ns"], "name": "t"},
                    "destination": {"namespace": ["ns"], "name": "u"},
                },
            ),
            ("POST /v1/transactions/commit", {"table-changes": []}),
            ("POST /v1/namespaces/ns/views", VIEW),
            ("PUT /management/v1/warehouses/default/namespaces/ns/functions/f", {}),
            ("POST /management/v1/warehouses/default/dropped/1/undrop", None),
            ("DELETE /management/v1/warehouses/default/dropped/1", None),
        ],
    )
    def test_changes_are_refused(self, locked: Server, request_line: str, body: Any) -> None:
        status, kind, message = locked.fails(*request_line.split(), body)
        assert (status, kind) == (403, "ForbiddenException")
        assert "is read-only. Nothing was changed" in message

    def test_reads_and_administration_go_on(self, locked: Server) -> None:
        for request_line in (
            "GET /v1/config",
            "GET /v1/namespaces",
            f"GET {TABLES}/t",
            f"HEAD {TABLES}/t",
            "GET /management/v1/warehouses/default/dropped",
            "GET /health/ready",
        ):
            assert locked.call(*request_line.split()).status_code in (200, 204)
        assert locked.call("POST", f"{TABLES}/t/plan", {}).status_code == 200
        added = locked.call("POST", "/management/v1/roles", {"name": "team"})
        assert added.status_code == 200

    def test_nothing_is_purged(self, locked: Server) -> None:
        for of in (entity("server"), entity("warehouse")):
            mark(locked, of, read_only=False)
        locked.call("DELETE", f"{TABLES}/t?purgeRequested=true")
        with locked.catalog.store.write() as tx:
            tx.change("UPDATE dropped_tabulars SET expires_at = 0")
        mark(locked, entity("warehouse"), read_only=True)
        assert purge_expired(locked.catalog) == []
        mark(locked, entity("warehouse"), read_only=False)
        assert len(purge_expired(locked.catalog)) == 2  # the table and the view

    def test_access_to_files_only_reads(self, locked: Server) -> None:
        call, table = Call(locked.catalog), TableIdentifier(Namespace.of(["ns"]), "t")
        assert authorization.permission_of(call, table) == "read"
        request = {"method": "PUT", "region": "us-east-1", "uri": "https://s3/b/k", "headers": {}}
        status, _, message = locked.fails("POST", f"{TABLES}/t/sign", request)
        assert (status, "is read-only" in message) == (403, True)
        assert locked.fails("POST", f"{TABLES}/t/sign", {**request, "method": "GET"})[0] == 400
        for of in (entity("server"), entity("warehouse")):
            mark(locked, of, read_only=False)
        assert authorization.permission_of(call, table) == "write"

    def test_it_ends(self, locked: Server) -> None:
        for of in (entity("server"), entity("warehouse")):
            mark(locked, of, read_only=False)
        assert locked.call("DELETE", f"{TABLES}/t").status_code == 204

    def test_a_change_that_was_made_before_is_answered_as_then(self, ns: Server) -> None:
        key = {"Idempotency-Key": str(uuid.uuid4())}
        body = {"namespace": ["b"]}
        first = ns.call("POST", "/v1/namespaces", body, headers=key)
        mark(ns, entity("server"), read_only=True)
        again = ns.call("POST", "/v1/namespaces", body, headers=key)
        assert (again.status_code, again.json()) == (200, first.json())
        other = {"Idempotency-Key": str(uuid.uuid4())}
        assert ns.fails("POST", "/v1/namespaces", {"namespace": ["c"]}, headers=other)[0] == 403
        mark(ns, entity("server"), read_only=False)
        late = ns.call("POST", "/v1/namespaces", {"namespace": ["c"]}, headers=other)
        assert late.status_code == 200


class TestQuotas:
    def test_tables_and_views_of_a_namespace(self, start: Any) -> None:
        server = start(limits__namespace_tables=2)
        server.namespace("ns")
        server.namespace("more")
        server.table("t")
        assert server.call("POST", "/v1/namespaces/ns/views", VIEW).status_code == 200
        new = {"name": "u", "schema": SCHEMA}
        message = "Namespace ns is full: it has 2 tables and views, at most 2 are allowed"
        for body in (new, {**new, "stage-create": True}):
            status, _, said = server.fails("POST", TABLES, body)
            assert (status, message in said) == (403, True)
        assert server.call("POST", "/v1/namespaces/more/tables", new).status_code == 200
        source = {"namespace": ["more"], "name": "u"}
        target = {"namespace": ["ns"], "name": "u"}
        rename = {"source": source, "destination": target}
        assert message in server.fails("POST", "/v1/tables/rename", rename)[2]
        own = {"source": {"namespace": ["ns"], "name": "t"}, "destination": target}
        assert server.call("POST", "/v1/tables/rename", own).status_code == 204
        location = server.call("POST", "/v1/namespaces/more/tables/u/unregister").json()
        register = {"name": "w", "metadata-location": location["metadata-location"]}
        assert message in server.fails("POST", "/v1/namespaces/ns/register", register)[2]
        assert server.call("DELETE", f"{TABLES}/u").status_code == 204
        registered = server.call("POST", "/v1/namespaces/ns/register", register)
        assert registered.status_code == 200
        (drop,) = server.call("GET", "/management/v1/warehouses/default/dropped").json()["dropped"]
        path = f"/management/v1/warehouses/default/dropped/{drop['id']}/undrop"
        assert message in server.fails("POST", path)[2]

    def test_tables_that_are_created_at_the_same_time(self, start: Any) -> None:
        server = start(limits__namespace_tables=3)
        server.namespace("ns")
        statuses = []

        def create(number: int) -> None:
            body = {"name": f"t{number}", "schema": SCHEMA}
            statuses.append(server.call("POST", TABLES, body).status_code)

        threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200] * 3 + [403] * 5
        assert len(server.call("GET", TABLES).json()["identifiers"]) == 3

    def test_properties_of_a_namespace(self, start: Any) -> None:
        server = start(limits__namespace_properties=2)
        three = {"a": "1", "b": "2", "c": "3"}
        body = {"namespace": ["ns"], "properties": three}
        status, _, message = server.fails("POST", "/v1/namespaces", body)
        assert (status, "3 in all, at most 2 are allowed" in message) == (400, True)
        body["properties"] = {"a": "1", "b": "2"}
        assert server.call("POST", "/v1/namespaces", body).status_code == 200
        path = "/v1/namespaces/ns/properties"
        assert server.fails("POST", path, {"updates": {"c": "3"}})[0] == 400
        swap = {"updates": {"c": "3"}, "removals": ["a"]}
        assert server.call("POST", path, swap).status_code == 200
