"""Events: one row of the audit log for each change, in the transaction of the change.

A change that is rolled back leaves no row, and one that is stored cannot be without. Rows have
names, uuids, metadata locations and the keys of properties; never a property's value, a secret, a
token or a credential.
"""

import logging
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from falcon_catalog.identifiers import SEPARATOR, Namespace, TableIdentifier
from falcon_catalog.store import events as rows
from falcon_catalog.store.database import Transaction
from falcon_catalog.store.events import EventRow, RefusalRow, Topic

if TYPE_CHECKING:
    from falcon_catalog.catalog.call import Call, StoreCall

CLIENT_CHARACTERS = 256
_DETAIL_BYTES = 16 * 1024

log = logging.getLogger("falcon_catalog.audit")
"""Has each row that is stored, with ``audit.log``; it is no record, for a line can be lost."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who changes something, and with which request."""

    actor_id: int | None
    actor: str
    via: str
    """``token``, ``oidc:ISSUER``, ``local:UID``, ``anonymous`` (no token is required) or
    ``system`` (the server itself) or ``settings`` (what they ask for at a start)."""
    address: str = ""
    client: str = ""
    """What the client calls itself, which nothing proves."""
    request_id: str = ""
    warehouse: str | None = None


SYSTEM = Origin(None, "system", "system")
"""The background work of the server."""


def local(warehouse: str | None = None) -> Origin:
    """Return the origin of a command that works on the store itself."""
    actor = f"local:{os.getuid()}"
    return Origin(None, actor, actor, warehouse=warehouse)


def origin(call: "Call | StoreCall") -> Origin:
    """Return the origin of a call; one without a request is of a local command."""
    warehouse = getattr(call, "warehouse", None)
    name, principal = None if warehouse is None else warehouse.name, call.principal
    if principal is not None:
        actor, via = principal.name, principal.via
    elif call.request_id:
        actor = via = "anonymous"
    else:
        return local(name)
    return Origin(
        call.principal_id, actor, via, call.address, call.user_agent, call.request_id, name
    )


@dataclass(slots=True)
class Event:
    """A change."""

    operation: str
    """As in the operations table; ``purge`` and others are no operations of the API."""
    kind: str
    """Of the object: ``table``, ``namespace``, ``principal`` …"""
    entity: TableIdentifier | Namespace | str | None
    """The object's name; a string is that of a principal, a role or a warehouse."""
    topic: Topic = "catalog"
    id: int | None = None
    uuid: str | None = None
    former: TableIdentifier | Namespace | str | None = None
    """The object's name before."""
    before: str | None = None
    """The metadata location, or another short text, before the change."""
    after: str | None = None
    warehouse: str | None = None
    """None: that of the origin."""
    detail: Mapping[str, Any] | None = None
    """What else is known: at most 16 KiB of JSON, or it is left out."""


def record(tx: Transaction, by: "Call | StoreCall | Origin", *events: Event) -> None:
    """Write the events of one request, in the transaction of their changes."""
    source = by if isinstance(by, Origin) else origin(by)
    added = [_row(tx.now, source, event, n, len(events)) for n, event in enumerate(events)]
    rows.insert(tx, added)
    if log.isEnabledFor(logging.INFO):
        tx.after_commit(partial(log_rows, [EventRow(*row) for row in added]))


def log_rows(added: Sequence[EventRow | RefusalRow]) -> None:
    """Log rows that are stored, with the fields that they have."""
    for row in added:
        what = row.operation if isinstance(row, EventRow) else f"refused: {row.outcome}"
        record_ = logging.LogRecord(log.name, logging.INFO, "", 0, str(what), None, None)
        record_.pairs = {
            each.name: _printable(value)
            for each in fields(row)
            if (value := getattr(row, each.name)) is not None
        }
        log.handle(record_)


def _printable(value: object) -> object:
    return value.replace(SEPARATOR, ".") if isinstance(value, str) else value


def _row(now: int, source: Origin, event: Event, index: int, count: int) -> tuple[Any, ...]:
    """Return the fields of an EventRow, in their order."""
    path, name = _split(event.entity)
    former_path, former_name = _split(event.former)
    return (
        new_id(now),
        now,
        event.topic,
        event.operation,
        event.warehouse or source.warehouse,
        source.request_id or None,
        index,
        count,
        source.actor_id,
        source.actor,
        source.via,
        source.address or None,
        source.client[:CLIENT_CHARACTERS] or None,
        event.kind,
        event.id,
        event.uuid,
        path,
        name,
        former_path,
        former_name,
        event.before,
        event.after,
        None if event.detail is None else _text(event.detail),
    )


def _split(entity: TableIdentifier | Namespace | str | None) -> tuple[str | None, str | None]:
    if isinstance(entity, TableIdentifier):
        return entity.namespace.path, entity.name
    if isinstance(entity, Namespace):
        return entity.path, None
    return None, entity


def _text(detail: Mapping[str, Any]) -> str:
    text = orjson.dumps(detail)
    if len(text) > _DETAIL_BYTES:
        return orjson.dumps({"omitted-bytes": len(text)}).decode()
    return text.decode()


def new_id(now: int) -> str:
    """Return a UUID of version 7 for a time in milliseconds. Source: RFC 9562, section 5.7."""
    drawn = random.getrandbits(74)
    value = now << 80 | 7 << 76 | (drawn >> 62) << 64 | 2 << 62 | drawn & ((1 << 62) - 1)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def changed_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the keys of properties that were set and removed. Their values may be secrets."""
    keys = {
        "set": [key for key, value in after.items() if before.get(key) != value],
        "removed": [key for key in before if key not in after],
    }
    return {what: found for what, found in keys.items() if found}
