"""The operations table: each operation passes the one gate once, before anything is replayed."""

import uuid
from collections.abc import Sequence
from typing import Any

import falcon
import pytest

from falcon_catalog.api.operations import OPERATIONS
from falcon_catalog.api.routes import operations
from falcon_catalog.app import add_route
from falcon_catalog.catalog import authorization
from falcon_catalog.catalog.authorization import Need
from falcon_catalog.catalog.call import Call
from falcon_catalog.conformance import operations as conformance
from falcon_catalog.errors import ForbiddenError
from falcon_catalog.identifiers import Namespace, TableIdentifier
from tests.catalog.serving import SCHEMA, Server

NS = Namespace.of(["ns"])
T = TableIdentifier(NS, "t")
INTO = Need("create", Namespace.of(["b"]))
OTHER = TableIdentifier(NS, "other")
BODY = {"name": "t", "schema": SCHEMA}


@pytest.fixture
def gate(inside: pytest.MonkeyPatch) -> list[list[Need]]:
    """What each request asked of the gate, in order."""
    asked: list[list[Need]] = []

    def require(_call: Call, needs: Sequence[Need], **_options: object) -> None:
        asked.append(list(needs))

    inside.setattr(authorization, "require", require)
    return asked


def test_the_table_has_every_operation_of_the_specification() -> None:
    assert {each.id for each in conformance.OPERATIONS} <= set(OPERATIONS)
    assert {operation.name for _, operation in operations()} == set(OPERATIONS)


@pytest.mark.fault(number=9)
@pytest.mark.fault(number=22)
def test_a_route_without_a_row_does_not_start() -> None:
    class Unlisted:
        def on_get(self, req: Any, resp: Any) -> None: ...

    with pytest.raises(RuntimeError, match="GET /unlisted is in no row"):
        add_route(falcon.App(), dict(operations()), "/unlisted", Unlisted())


@pytest.mark.parametrize(
    ("request_line", "body", "needs"),
    [
        ("GET /v1/namespaces", None, [Need("list", None)]),
        ("GET /v1/namespaces?parent=ns", None, [Need("list", NS)]),
        ("POST /v1/namespaces", {"namespace": ["a"]}, [Need("create", None)]),
        ("POST /v1/namespaces", {"namespace": ["ns", "a"]}, [Need("create", NS)]),
        ("DELETE /v1/namespaces/ns", None, [Need("drop", NS, removes=True)]),
        ("POST /v1/namespaces/ns/tables", BODY, [Need("create", NS)]),
        ("GET /v1/namespaces/ns/tables/t", None, [Need("describe", T)]),
        ("HEAD /v1/namespaces/ns/tables/t", None, [Need("list", T)]),
        ("POST /v1/namespaces/ns/tables/t", {"updates": []}, [Need("write", T)]),
        (
            "POST /v1/namespaces/ns/tables/t",
            {"requirements": [{"type": "assert-create"}], "updates": []},
            [Need("create", NS)],
        ),
        ("DELETE /v1/namespaces/ns/tables/t", None, [Need("drop", T, removes=True)]),
        (
            "DELETE /v1/namespaces/ns/tables/t?purgeRequested=True",
            None,
            [Need("drop", T, removes=True), Need("write", T, removes=True)],
        ),
        (
            "POST /v1/tables/rename",
            {"source": T.as_json(), "destination": {"namespace": ["b"], "name": "x"}},
            [Need("drop", T, removes=True, into=INTO), INTO],
        ),
        (
            "POST /v1/transactions/commit",
            {"table-changes": [{"identifier": T.as_json()}, {"identifier": OTHER.as_json()}]},
            [Need("write", T), Need("write", OTHER)],
        ),
        (
            "POST /v1/namespaces/ns/register",
            {"name": "t", "metadata-location": "x", "overwrite": True},
            [
                Need("create", NS),
                Need("drop", T, if_exists=True),
                Need("write", T, if_exists=True),
            ],
        ),
        ("GET /v1/namespaces/ns/functions/t", None, [Need("describe", T, "function")]),
    ],
)
def test_the_gate_is_passed_once_with_what_the_operation_is_about(
    server: Server, gate: list[list[Need]], request_line: str, body: Any, needs: list[Need]
) -> None:
    server.call(*request_line.split(), body)
    assert gate == [needs]


def test_nothing_is_replayed_or_unchanged_before_the_gate(
    ns: Server, inside: pytest.MonkeyPatch
) -> None:
    ns.table("t")
    key = {"Idempotency-Key": str(uuid.uuid4())}
    done = ns.call("POST", "/v1/namespaces", {"namespace": ["a"]}, headers=key)
    tag = ns.call("GET", "/v1/namespaces/ns/tables/t").headers["ETag"]
    assert done.status_code == 200

    def refuse(_call: Call, _needs: Sequence[Need], **_options: object) -> None:
        raise ForbiddenError("not for you")

    inside.setattr(authorization, "require", refuse)
    assert ns.fails("POST", "/v1/namespaces", {"namespace": ["a"]}, headers=key)[0] == 403
    load = ns.call("GET", "/v1/namespaces/ns/tables/t", headers={"If-None-Match": tag})
    assert load.status_code == 403
