"""Idempotency keys: a request that is sent again is answered again, and done once."""

import os
import re
import time
import uuid

from falcon_catalog.conformance.answers import AbsentError, expect, expect_equal
from falcon_catalog.conformance.probes.commits import same_uuid, set_properties
from falcon_catalog.conformance.probes.tables import request
from falcon_catalog.conformance.room import Room

_LIFETIME = "idempotency-key-lifetime"
_DURATION = re.compile(r"P(?=.)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?)")


def new_key() -> str:
    """Return a version 7 UUID (RFC 9562): milliseconds, then chance."""
    stamp = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    low = random & ((1 << 62) - 1)
    number = (stamp << 80) | (7 << 76) | ((random >> 68) << 64) | (2 << 62) | low
    return str(uuid.UUID(int=number))


def _header(room: Room) -> dict[str, str]:
    if _LIFETIME not in room.catalog.config:
        raise AbsentError(f"the configuration has no {_LIFETIME}")
    return {"Idempotency-Key": new_key()}


def tells_how_long(room: Room) -> None:
    """Tell the lifetime of a key as an ISO 8601 duration."""
    _header(room)
    lifetime = room.catalog.config[_LIFETIME]
    well = isinstance(lifetime, str) and _DURATION.fullmatch(lifetime)
    expect(bool(well), f"{_LIFETIME} is {lifetime!r}")


def creates_once(room: Room) -> None:
    """Answer success to the second of two equal requests that create."""
    headers = _header(room)
    body = {"namespace": list(room.new_name())}
    for _ in range(2):
        room.catalog.call("createNamespace", body, headers=headers).object()
    headers, table = _header(room), request(room)
    answers = [
        room.catalog.call("createTable", table, namespace=room.namespace, headers=headers).object()
        for _ in range(2)
    ]
    uuids = {answer["metadata"]["table-uuid"] for answer in answers}
    expect_equal(len(uuids), 1, "the number of tables of one key")


def drops_once(room: Room) -> None:
    """Answer 204 to the second of two equal requests that drop."""
    headers, table = _header(room), room.table()
    for _ in range(2):
        room.catalog.call(
            "dropTable", namespace=table.namespace, table=table.name, headers=headers
        ).empty()


def commits_once(room: Room) -> None:
    """Answer success to the second of two equal commits, and commit once."""
    headers, table = _header(room), room.table()
    body = {"requirements": [same_uuid(table)], "updates": [set_properties(a="b")]}
    for _ in range(2):
        room.catalog.call(
            "updateTable", body, namespace=table.namespace, table=table.name, headers=headers
        ).object()
    log = room.load(table)["metadata"].get("metadata-log", ())
    expect_equal(len(log), 1, "the number of commits in the log")


def transacts_once(room: Room) -> None:
    """Answer 204 to the second of two equal transactions, and commit once."""
    headers, table = _header(room), room.table()
    change = {
        "identifier": table.identifier,
        "requirements": [same_uuid(table)],
        "updates": [set_properties(a="b")],
    }
    for _ in range(2):
        room.catalog.call("commitTransaction", {"table-changes": [change]}, headers=headers).empty()
    log = room.load(table)["metadata"].get("metadata-log", ())
    expect_equal(len(log), 1, "the number of commits in the log")


def repeats_refusals(room: Room) -> None:
    """Repeat a 409 under its key, even when the request would succeed by then."""
    headers, table = _header(room), room.table()
    body = request(room, name=table.name)
    call, namespace = room.catalog.call, table.namespace
    call("createTable", body, namespace=namespace, headers=headers).error(409)
    call("dropTable", namespace=namespace, table=table.name).empty()
    call("createTable", body, namespace=namespace, headers=headers).error(409)


def refuses_what_is_no_key(room: Room) -> None:
    """Answer 400 to a key that is no UUID."""
    _header(room)
    body = {"namespace": list(room.new_name())}
    headers = {"Idempotency-Key": "not-a-uuid"}
    room.catalog.call("createNamespace", body, headers=headers).error(400)


PROBES = {
    "retries": (
        tells_how_long,
        creates_once,
        drops_once,
        commits_once,
        transacts_once,
        repeats_refusals,
        refuses_what_is_no_key,
    ),
}
