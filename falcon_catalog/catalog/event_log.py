"""Reading of the audit log: the newest rows for people, and the feed of changes for programs.

The feed has the shape of the Events endpoint that is proposed for the specification (pull request
12584 of apache/iceberg). A program that reads on with each answer's continuation token gets every
change once and in the order of the commits, or an error that says that it cannot.
"""

import base64
import binascii
import hashlib
import re
import uuid
from dataclasses import dataclass, replace
from typing import Any

import orjson

from falcon_catalog.catalog import authorization
from falcon_catalog.catalog.call import Call
from falcon_catalog.errors import BadRequestError, ExpiredTokenError, show
from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.metadata.json_fields import (
    JSON,
    array_of,
    as_array,
    as_long,
    as_object,
    as_text,
    as_uuid,
    optional,
)
from falcon_catalog.store import events as rows
from falcon_catalog.store import functions, namespaces, tabulars
from falcon_catalog.store.events import EventRow, RefusalRow

Filter = rows.Filter

_WHERE = "query events request"
_KINDS = ("namespace", "table", "view", "function")
_LARGEST_PAGE = 1000
_MOST_VALUES = 100
_SCANNED = 50_000
"""Rows that one page looks at: a filter that fits few of a million does not keep a thread."""
_SCANNED_FOR_TABLE = 20_000
_LARGEST_ID = 2**63 - 1
_TOKEN_VERSION = b"1"
_TOKEN = re.compile(rb"1(?P<log>.{16})(?P<id>.{8})(?P<filter>.{8})", re.DOTALL)

_CREATING = ("createTable", "createView", "updateTable", "commitTransaction")
_IN_WORDS = {
    "registerTable": "registered",
    "renameTable": "renamed",
    "renameView": "renamed",
    "dropTable": "dropped",
    "dropView": "dropped",
    "undrop": "undropped",
    "createNamespace": "created",
    "dropNamespace": "dropped",
    "updateProperties": "changed properties",
}
_SNAPSHOT_IN_WORDS = {
    "append": "appended rows",
    "overwrite": "overwrote rows",
    "delete": "deleted rows",
    "replace": "rewrote files",
}
_UPDATES_IN_WORDS = {
    "upgrade-format-version": "upgraded the format version",
    "add-schema": "changed the schema",
    "set-current-schema": "changed the schema",
    "add-spec": "changed the partitioning",
    "set-default-spec": "changed the partitioning",
    "remove-partition-specs": "removed partition specs",
    "add-sort-order": "changed the sort order",
    "set-default-sort-order": "changed the sort order",
    "set-properties": "changed properties",
    "remove-properties": "changed properties",
    "set-location": "changed the location",
    "remove-snapshots": "expired snapshots",
    "set-snapshot-ref": "moved a branch or tag",
    "remove-snapshot-ref": "removed a branch or tag",
    "set-statistics": "changed statistics",
    "remove-statistics": "changed statistics",
    "set-partition-statistics": "changed statistics",
    "remove-partition-statistics": "changed statistics",
    "add-view-version": "changed the SQL",
    "set-current-view-version": "changed the SQL",
}
_STANDARD = {
    ("registerTable", "table"): "register-table",
    ("dropTable", "table"): "drop-table",
    ("renameTable", "table"): "rename-table",
    ("updateTable", "table"): "update-table",
    ("commitTransaction", "table"): "update-table",
    ("replaceView", "view"): "update-view",
    ("dropView", "view"): "drop-view",
    ("renameView", "view"): "rename-view",
    ("createNamespace", "namespace"): "create-namespace",
    ("updateProperties", "namespace"): "update-namespace-properties",
    ("dropNamespace", "namespace"): "drop-namespace",
}


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of rows for people, newest first."""

    entries: list[JSON]
    before: int | None
    """The id below which the next page begins; None if this is the last one."""


def list_(call: Call, wanted: Filter, *, refused: bool, before: int | None, size: int) -> Listed:
    """Return events, or refusals, newest first. A page may be short, or empty, and not the last."""
    tx = call.warehouse.store.autocommit()
    table = "refusals" if refused else "events"
    top = before or tx.last_id(table) + 1
    low = max(0, top - _SCANNED)
    if refused:
        refusals = rows.refusals(tx, wanted, after=low, before=top, size=size, newest=True)
        entries, ids = [refusal_as_json(*each) for each in refusals], [each[0] for each in refusals]
    else:
        events = rows.backward(tx, wanted, after=low, before=top, size=size)
        entries, ids = [as_json(*each) for each in events], [each[0] for each in events]
    if len(ids) == size:
        return Listed(entries, ids[-1])
    return Listed(entries, low + 1 if low else None)


def log_id(call: Call) -> str:
    """Return the id of the log, which tokens are bound to."""
    return rows.log_id(call.warehouse.store.autocommit())


def query(call: Call, request: JSON) -> JSON:
    """Return a QueryEventsResponse: changes in a warehouse, in the order of the commits.

    Raises:
        BadRequestError: the request is malformed, or its token is of another log, such as the one
            before a restore, or of other filters.
        ExpiredTokenError: rows after the token were removed.
    """
    wanted, types, size = _read(call, request)
    store = call.warehouse.store
    identity = _identity(wanted, types)
    tx = store.autocommit()
    log = rows.log_id(tx)
    token = optional(request, "continuation-token", as_text, _WHERE)
    if token is not None:
        after = _read_token(token, log, identity)
    elif (since := optional(request, "after-timestamp-ms", as_long, _WHERE)) is not None:
        after = rows.first_since(tx, min(since, _LARGEST_ID - 1) + 1) - 1
    else:
        after = rows.removed_through(tx)
    through = min(tx.settled_id("events"), after + _SCANNED)
    found = rows.forward(tx, wanted, after=after, through=through, size=size)
    # What was removed meanwhile may be missing among the rows.
    if token is not None and rows.removed_through(tx) > after:
        raise ExpiredTokenError(
            "The continuation-token is older than the oldest event that is kept: events after it"
            " were removed. Read the catalog anew, and the events from now on, with"
            " after-timestamp-ms"
        )
    last = found[-1][0] if len(found) == size else max(through, after)
    shown = [row for _, row in found if not types or operation_type(row) in types]
    return {
        "continuation-token": _write_token(log, last, identity),
        "highest-processed-timestamp-ms": rows.time_of(tx, last),
        "events": [_event(row) for row in shown],
    }


def operation_type(row: EventRow) -> str:
    """Return the type that the proposal has for a change; one of its own begins with ``x-``."""
    if row.operation in _CREATING and row.state_before is None:
        return f"create-{row.kind}"
    kebab = re.sub("([A-Z])", r"-\1", row.operation).lower()
    return _STANDARD.get((row.operation, row.kind), f"x-{kebab}")


def as_json(row_id: int, row: EventRow) -> JSON:
    """Return an event as the management API and ``falcon-catalog audit --json`` show it."""
    return _without_nulls(
        {
            "sequence-number": row_id,
            "event-id": row.event_id,
            "timestamp-ms": row.at_ms,
            "topic": row.topic,
            "operation": row.operation,
            "actor": {"id": row.actor_id, "name": row.actor, "via": row.via},
            "address": row.address,
            "client": row.client,
            "request-id": row.request_id,
            "request-event": row.request_index,
            "request-event-count": row.request_count,
            "warehouse": row.warehouse,
            "kind": row.kind,
            "object": _named(row.namespace_path, row.name),
            "former-object": _named(row.former_path, row.former_name),
            "object-id": row.object_id,
            "uuid": row.uuid,
            "before": row.state_before,
            "after": row.state_after,
            "detail": None if row.detail is None else orjson.loads(row.detail),
        }
    )


def in_words(entry: JSON) -> str:
    """Return what a change was, such as ``appended rows``, as far as its row says it.

    Args:
        entry: as ``as_json`` returns it.

    Returns:
        The operation of the API where the row says no more.
    """
    operation, detail = str(entry["operation"]), entry.get("detail") or {}
    if operation in _IN_WORDS:
        return _IN_WORDS[operation]
    if operation not in (*_CREATING, "replaceView"):
        return operation
    snapshots = [_SNAPSHOT_IN_WORDS[each] for each in detail.get("operations", ())]
    if "before" not in entry:
        return " and ".join(["created", *snapshots])
    updates = detail.get("updates", ())
    # A snapshot that is added moves a branch.
    passed = ("set-snapshot-ref",) if "add-snapshot" in updates else ()
    others = [
        _UPDATES_IN_WORDS[each]
        for each in updates
        if each in _UPDATES_IN_WORDS and each not in passed
    ]
    if "add-snapshot" in updates and not snapshots:
        snapshots = ["added a snapshot"]
    return ", ".join(dict.fromkeys([*snapshots, *others])) or operation


def refusal_as_json(row_id: int, row: RefusalRow) -> JSON:
    """Return a refused request; as ``as_json``."""
    return _without_nulls(
        {
            "sequence-number": row_id,
            "timestamp-ms": row.at_ms,
            "outcome": row.outcome,
            "operation": row.operation,
            "actor": {"id": row.actor_id, "name": row.actor, "via": row.via},
            "address": row.address,
            "client": row.client,
            "request-id": row.request_id,
            "warehouse": row.warehouse,
            "entity": row.entity,
            "privilege": row.privilege,
            "more": row.more or None,
        }
    )


def _named(path: str | None, name: str | None) -> JSON | None:
    if path is None and name is None:
        return None
    levels = None if path is None else Namespace.from_path(path).levels
    return _without_nulls({"namespace": levels, "name": name})


def _without_nulls(document: JSON) -> JSON:
    return {
        key: _without_nulls(value) if isinstance(value, dict) and key == "actor" else value
        for key, value in document.items()
        if value is not None
    }


def _event(row: EventRow) -> JSON:
    """Return an Event of the proposal."""
    return {
        "event-id": row.event_id,
        "request-id": row.request_id or row.event_id,
        "request-event-count": row.request_count,
        "timestamp-ms": row.at_ms,
        "actor": _without_nulls({"id": row.actor_id, "name": row.actor, "via": row.via}),
        "operation": _operation(row),
    }


def _operation(row: EventRow) -> JSON:
    operation: JSON = {"operation-type": operation_type(row)}
    detail: JSON = {} if row.detail is None else orjson.loads(row.detail)
    name, former = _named(row.namespace_path, row.name), _named(row.former_path, row.former_name)
    if row.kind == "namespace":
        operation["namespace"] = (name or {}).get("namespace", [])
        if row.operation == "updateProperties":
            operation["updated"] = detail.get("set", [])
            operation["removed"] = detail.get("removed", [])
            operation["missing"] = []
        return operation
    if row.operation.startswith("rename"):
        operation["source"], operation["destination"] = former, name
    else:
        operation["identifier"] = name
        if former is not None:
            operation["former-identifier"] = former
    if row.uuid is not None:
        operation[f"{row.kind}-uuid"] = row.uuid
    if row.operation.startswith("drop") and row.kind in ("table", "view"):
        operation["purge"] = bool(detail.get("purge"))
    if row.state_before is not None:
        operation["previous-metadata-location"] = row.state_before
    if row.state_after is not None:
        operation["metadata-location"] = row.state_after
    return operation


def _read(call: Call, request: JSON) -> tuple[Filter, frozenset[str], int]:
    """Return what a QueryEventsRequest asks for: a filter, types of operations, a size."""
    size = optional(request, "page-size", as_long, _WHERE)
    if size is not None and size < 1:
        raise BadRequestError(f"Invalid {_WHERE}: page-size {size} is not above 0")
    kinds = optional(request, "object-types", array_of(as_text), _WHERE) or []
    if unknown := [kind for kind in kinds if kind not in _KINDS]:
        raise BadRequestError(
            f"Invalid {_WHERE}: object-types has {show(unknown[0])}, which is none of"
            f" {', '.join(_KINDS)}"
        )
    if optional(request, "custom-filters", as_object, _WHERE):
        raise BadRequestError(f"Invalid {_WHERE}: custom-filters has some, and none is known")
    types = optional(request, "operation-types", array_of(as_text), _WHERE) or []
    given = optional(request, "catalog-objects-by-name", array_of(as_array), _WHERE) or []
    names = [Namespace.of(name) for name in given]
    uuids = optional(request, "catalog-objects-by-id", array_of(_as_id), _WHERE) or []
    for what, values in (("names", names), ("ids", uuids), ("operation types", types)):
        if len(values) > _MOST_VALUES:
            raise BadRequestError(
                f"Invalid {_WHERE}: it has {len(values)} {what}, at most {_MOST_VALUES} are allowed"
            )
    wanted = Filter(
        warehouse=call.warehouse.name,
        topics=("catalog",),
        kinds=tuple(kinds),
        within=tuple(names),
        objects=tuple((name.parent, name.levels[-1]) for name in names if name.parent is not None),
        uuids=tuple(uuids),
    )
    return wanted, frozenset(types), min(size or _LARGEST_PAGE, _LARGEST_PAGE)


def _as_id(value: object, where: str) -> str:
    """Return a uuid, given alone or as ``{"uuid": …}``."""
    given = value if isinstance(value, str) else as_object(value, where).get("uuid")
    return as_uuid(given, where).lower()


def _identity(wanted: Filter, types: frozenset[str]) -> bytes:
    text = repr((wanted, sorted(types)))
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=8).digest()


def _write_token(log: str, after: int, identity: bytes) -> str:
    content = _TOKEN_VERSION + uuid.UUID(log).bytes + after.to_bytes(8) + identity
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _read_token(token: str, log: str, identity: bytes) -> int:
    padded = token + "=" * (-len(token) % 4)
    try:
        content = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        content = b""
    found = _TOKEN.fullmatch(content)
    if found is None:
        raise BadRequestError(
            f"Invalid continuation-token {show(token)}: it was not issued by this server"
        )
    if found["log"] != uuid.UUID(log).bytes:
        raise BadRequestError(
            "Invalid continuation-token: it is of another log. The catalog is another one, or was"
            " restored from a backup: read it anew, and then its events without a token"
        )
    if found["filter"] != identity:
        raise BadRequestError(
            "Invalid continuation-token: it belongs to a request with other filters"
        )
    return min(int.from_bytes(found["id"]), _LARGEST_ID - _SCANNED)


def only_own(call: Call, wanted: Filter) -> Filter:
    """Return a filter without the rows of what had the name of an entity before.

    Who may read the rows of an entity need not have had access to its predecessor, nor to a table
    with the name of its function. Clients may give a uuid that something else has: then only the
    rows of the present name are its own.
    """
    if call.principal is None:
        return wanted
    tx, warehouse_id = call.warehouse.store.autocommit(), call.warehouse.id
    for namespace, name in wanted.objects:
        identifier = TableIdentifier(namespace, name)
        row = tabulars.find(tx, warehouse_id, identifier)
        if row is not None and authorization.permits(call, "grant", identifier, row.kind):
            objects = wanted.objects if tabulars.is_shared(tx, row.uuid) else ()
            return replace(wanted, objects=objects, uuids=(row.uuid,), kinds=(row.kind,))
        home = namespaces.find(tx, warehouse_id, namespace)
        function = None if home is None else functions.find(tx, home.id, name)
        if function is None:
            return replace(wanted, objects=(), uuids=("",))
        objects = wanted.objects if functions.is_shared(tx, function.uuid) else ()
        return replace(wanted, objects=objects, uuids=(function.uuid,), kinds=("function",))
    for namespace in wanted.within:
        home = namespaces.find(tx, warehouse_id, namespace)
        since = call.now if home is None else home.created_at
        return replace(wanted, since_ms=max(since, wanted.since_ms or 0))
    return wanted


def of_table(
    call: Call, identifier: TableIdentifier, uuid_: str, *, since_ms: int, until_ms: int
) -> list[JSON]:
    """Return the changes of a table in some time, newest first, as ``as_json``.

    Of a time with very many changes in the catalog the oldest are left out. The caller must hold
    ``grant`` on the table, as for the audit log.
    """
    tx = call.warehouse.store.autocommit()
    wanted = named(identifier.namespace, identifier.name, warehouse=call.warehouse.name)
    if call.principal is None:
        wanted = replace(wanted, objects=(), uuids=(uuid_.lower(),), kinds=("table",))
    else:
        wanted = only_own(call, wanted)
    top = rows.first_since(tx, min(until_ms, _LARGEST_ID - 1) + 1)
    low = max(rows.first_since(tx, since_ms) - 1, top - _SCANNED_FOR_TABLE, 0)
    found = rows.backward(tx, wanted, after=low, before=top, size=_LARGEST_PAGE)
    return [as_json(*each) for each in found]


def named(namespace: Namespace | None, table: str | None, **others: Any) -> Filter:
    """Return a filter for a namespace and all in it, or for one table, view or function.

    ``others`` are further fields of it.
    """
    if namespace is None:
        return Filter(**others)
    if table is None:
        return Filter(within=(namespace,), **others)
    return Filter(objects=((namespace, table),), **others)
