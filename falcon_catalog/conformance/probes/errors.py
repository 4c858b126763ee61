"""Errors: their shape, and what must be one."""

from falcon_catalog.conformance.answers import JSON, Answer, expect
from falcon_catalog.conformance.room import Room

_BAD_BODIES = {
    "no JSON": b"{",
    "nothing": b"",
    "no object": b"[]",
    "no UTF-8": b'{"namespace":["\xff\xfe"]}',
    "deep nesting": b'{"namespace":' + b"[" * 5000 + b"]" * 5000 + b"}",
}


def _expect_refusal(answer: Answer) -> None:
    refused = 400 <= answer.status < 500  # noqa: PLR2004
    expect(refused, f"{answer.request}: a 4xx is expected, {answer.status} was answered")
    answer.expect_error_shape()


def refuses_bad_bodies(room: Room) -> None:
    """Answer 400 to a body that is no JSON object."""
    for what, body in _BAD_BODIES.items():
        answer = room.catalog.call("createNamespace", body)
        expect(answer.status == 400, f"a body that is {what}: {answer.status}, not 400")  # noqa: PLR2004
        answer.error(400)


def refuses_bad_bodies_of_commits(room: Room) -> None:
    """Answer 400 to a commit whose updates are no list of objects."""
    table = room.table()
    for body in ({"requirements": [], "updates": 7}, {"requirements": [], "updates": [7]}):
        answer = room.catalog.call("updateTable", body, namespace=table.namespace, table=table.name)
        answer.error(400)


def refuses_unknown_routes(room: Room) -> None:
    """Answer a 4xx, in the one shape, to a path that the specification does not have."""
    _expect_refusal(room.catalog.send("GET", "/v1/{prefix}/no-such-route"))


def refuses_unknown_verbs(room: Room) -> None:
    """Answer a 4xx, in the one shape, to a verb that a path does not have."""
    _expect_refusal(room.catalog.send("PATCH", "/v1/{prefix}/namespaces", {}))


def ignores_unknown_parameters(room: Room) -> None:
    """Ignore query parameters and fields that it does not know."""
    unknown: JSON = {"no-such-field": 1}
    table = room.table(**unknown)
    room.load(table, **{"no-such-parameter": "1"})


PROBES = {
    "errors": (
        refuses_bad_bodies,
        refuses_bad_bodies_of_commits,
        refuses_unknown_routes,
        refuses_unknown_verbs,
        ignores_unknown_parameters,
    ),
}
