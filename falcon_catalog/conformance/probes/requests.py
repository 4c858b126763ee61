"""Rules of all requests: the shape of errors, and idempotency keys."""

import os
import re
import time
import uuid
from collections.abc import Callable
from typing import TypeVar

from falcon_catalog.conformance.answers import AbsentError, Answer, expect, expect_equal
from falcon_catalog.conformance.probes.commits import same_uuid, set_properties, table_change
from falcon_catalog.conformance.probes.probe import BAD_REQUEST, refuses
from falcon_catalog.conformance.sandbox import Sandbox, Tabular

T = TypeVar("T")

_BAD_BODIES = {
    "no JSON": b"{",
    "empty": b"",
    "no object": b"[]",
    "no UTF-8": b'{"namespace":["\xff\xfe"]}',
    "nested deeply": b'{"namespace":' + b"[" * 5000 + b"]" * 5000 + b"}",
}
_LIFETIME = "idempotency-key-lifetime"
_DURATION = re.compile(r"P(?=.)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?)")


def _expect_refusal(answer: Answer) -> None:
    refused = 400 <= answer.status < 500  # noqa: PLR2004
    expect(refused, f"{answer.request}: expected a 4xx, got {answer.status}")
    answer.expect_error_shape()


def refuses_bad_bodies(sandbox: Sandbox) -> None:
    """Return 400 for a body that is not a JSON object."""
    for what, body in _BAD_BODIES.items():
        answer = sandbox.catalog.call("createNamespace", body)
        expect(answer.status == 400, f"a body that is {what}: {answer.status}, not 400")  # noqa: PLR2004
        answer.error(400)


def refuses_unknown_routes(sandbox: Sandbox) -> None:
    """Return a 4xx, in the standard shape, for a path that the specification does not have."""
    _expect_refusal(sandbox.catalog.send("GET", "/v1/{prefix}/no-such-route"))


def refuses_unknown_methods(sandbox: Sandbox) -> None:
    """Return a 4xx, in the standard shape, for a method that a path does not have."""
    _expect_refusal(sandbox.catalog.send("PATCH", "/v1/{prefix}/namespaces", {}))


def ignores_unknown_parameters(sandbox: Sandbox) -> None:
    """Ignore unknown query parameters and fields."""
    table = sandbox.table({"no-such-field": 1})
    sandbox.load(table, **{"no-such-parameter": "1"})


def _key(sandbox: Sandbox) -> dict[str, str]:
    """Return the header of a new idempotency key, a version 7 UUID (RFC 9562)."""
    if _LIFETIME not in sandbox.catalog.config:
        raise AbsentError(f"the configuration has no {_LIFETIME}")
    milliseconds, random = time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10))
    low = random & ((1 << 62) - 1)
    number = (milliseconds << 80) | (7 << 76) | ((random >> 68) << 64) | (2 << 62) | low
    return {"Idempotency-Key": str(uuid.UUID(int=number))}


def _twice(
    sandbox: Sandbox,
    send: Callable[[dict[str, str]], Answer],
    expect_success: Callable[[Answer], T],
) -> list[T]:
    """Send a request twice with one key, and expect success of both."""
    key = _key(sandbox)
    return [expect_success(send(key)) for _ in range(2)]


def _expect_one_commit(sandbox: Sandbox, table: Tabular) -> None:
    log = sandbox.load(table)["metadata"].get("metadata-log", ())
    expect_equal(len(log), 1, "the number of commits in the log")


def advertises_the_lifetime(sandbox: Sandbox) -> None:
    """Advertise the lifetime of a key as an ISO 8601 duration."""
    _key(sandbox)
    lifetime = sandbox.catalog.config[_LIFETIME]
    valid = isinstance(lifetime, str) and _DURATION.fullmatch(lifetime)
    expect(bool(valid), f"{_LIFETIME} is {lifetime!r}")


def creates_once(sandbox: Sandbox) -> None:
    """Return success for the second of two equal requests that create."""
    call, name = sandbox.catalog.call, sandbox.unique("t")
    body = {"namespace": list(sandbox.new_name())}
    _twice(sandbox, lambda key: call("createNamespace", body, headers=key), Answer.object)
    results = _twice(
        sandbox,
        lambda key: sandbox.send_create("Table", sandbox.namespace, name, headers=key),
        Answer.object,
    )
    uuids = {result["metadata"]["table-uuid"] for result in results}
    expect_equal(len(uuids), 1, "the number of tables of one key")


def drops_once(sandbox: Sandbox) -> None:
    """Return 204 for the second of two equal requests that drop."""
    table = sandbox.table()
    _twice(sandbox, lambda key: sandbox.call("dropTable", table, headers=key), Answer.empty)


def commits_once(sandbox: Sandbox) -> None:
    """Return success for the second of two equal commits, and commit once."""
    table = sandbox.table()
    body = {"requirements": [same_uuid(table)], "updates": [set_properties(a="b")]}
    _twice(
        sandbox, lambda key: sandbox.call("updateTable", table, body, headers=key), Answer.object
    )
    _expect_one_commit(sandbox, table)


def transacts_once(sandbox: Sandbox) -> None:
    """Return 204 for the second of two equal transactions, and commit once."""
    table, call = sandbox.table(), sandbox.catalog.call
    body = {"table-changes": [table_change(table)]}
    _twice(sandbox, lambda key: call("commitTransaction", body, headers=key), Answer.empty)
    _expect_one_commit(sandbox, table)


def replays_refusals(sandbox: Sandbox) -> None:
    """Repeat a 409 for its key, even when the request would succeed by then."""
    key, table = _key(sandbox), sandbox.table()
    sandbox.send_create("Table", table.namespace, table.name, headers=key).error(409)
    sandbox.call("dropTable", table).empty()
    sandbox.send_create("Table", table.namespace, table.name, headers=key).error(409)


def refuses_other_keys(sandbox: Sandbox) -> None:
    """Return 400 for a key that is not a UUID."""
    headers = {**_key(sandbox), "Idempotency-Key": "not-a-uuid"}
    body = {"namespace": list(sandbox.new_name())}
    sandbox.catalog.call("createNamespace", body, headers=headers).error(400)


PROBES = {
    "retries": (
        advertises_the_lifetime,
        creates_once,
        drops_once,
        commits_once,
        transacts_once,
        replays_refusals,
        refuses_other_keys,
    ),
    "errors": (
        refuses_bad_bodies,
        refuses(
            BAD_REQUEST,
            "for a commit whose updates are not a list of objects",
            lambda s: s.call("updateTable", s.table(), {"requirements": [], "updates": 7}),
            lambda s: s.call("updateTable", s.table(), {"requirements": [], "updates": [7]}),
        ),
        refuses_unknown_routes,
        refuses_unknown_methods,
        ignores_unknown_parameters,
    ),
}
