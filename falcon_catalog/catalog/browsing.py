"""The verbs of people who look through a catalog: parts of lists, searches, numbers and commits."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, NamedTuple

from falcon_catalog.catalog import authorization, event_log, namespaces
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.privileges import LIST
from falcon_catalog.identifiers import SEPARATOR, Namespace, TableIdentifier
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.store import dropped, listing, tabulars
from falcon_catalog.store.events import Filter
from falcon_catalog.store.listing import Entry, Match, Part, What

__all__ = [
    "Commit",
    "Counter",
    "Entry",
    "Listed",
    "Match",
    "Numbers",
    "Part",
    "What",
    "list_",
    "recent",
    "search",
]

_BATCH = 1000
_MANY, _KEPT_S = 10_000, 5.0
_LOOKED_AT = 100
"""Rows of the audit log that one list of recent commits looks at."""
_SEEN_AS: dict[What, Literal["namespace", "tabular", "function"]] = {
    "namespace": "namespace",
    "table": "tabular",
    "view": "tabular",
    "function": "function",
}
_COMMITS = (
    "createTable",
    "registerTable",
    "updateTable",
    "commitTransaction",
    "createView",
    "replaceView",
    "undrop",
)


class Listed(NamedTuple):
    """A part of a list, and what is around it."""

    entries: list[Entry]
    total: int
    """Of the whole list, whatever the text is that names contain."""
    has_previous: bool
    has_next: bool


def list_(call: Call, what: What, namespace: Namespace | None, part: Part) -> Listed:
    """Return a part of a list of a namespace, or of the namespaces at the top.

    Raises:
        NoSuchNamespaceError: there is no such namespace.
    """
    wanted = Part(part.size + 1, part.containing, part.after, part.before)
    with call.warehouse.store.read() as tx:
        container = None if namespace is None else namespaces.require(tx, call, namespace).id
        visible = authorization.visible_ids(call, namespace, _SEEN_AS[what])
        found = listing.entries(tx, what, call.warehouse.id, container, wanted, only=visible)
        total = listing.count(tx, what, call.warehouse.id, container, only=visible)
    more = len(found) > part.size
    if part.before is not None:
        return Listed(found[-part.size :], total, more, has_next=True)
    return Listed(found[: part.size], total, part.after is not None, more)


def search(call: Call, containing: str, size: int) -> list[Match]:
    """Return tables and views that the caller can list and whose names contain a text, unordered.

    ``call`` was authorized for the warehouse.
    """
    visible = _listed(call)
    found: list[Match] = []
    after = 0
    while len(found) < size:
        with call.warehouse.store.read() as tx:
            some = listing.matches(
                tx, call.warehouse.id, containing, after_id=after, size=max(size, _BATCH)
            )
        found += [each for each in some if visible(each)]
        if len(some) < max(size, _BATCH):
            break
        after = some[-1].id
    return found[:size]


def _listed(call: Call) -> Callable[[Match], bool]:
    """Return a function that says whether the caller can list a table or view."""
    decision = call.decision
    if decision is None or decision.held.on_warehouse(call.warehouse.id) & LIST:
        return lambda _: True
    held = decision.held
    ids = {each for each, bits in held.tabulars.items() if bits[0] & LIST}
    around = [each for each, bits in held.namespaces.items() if bits[0] & LIST]
    with call.warehouse.store.read() as tx:
        paths = frozenset(listing.namespace_paths(tx, around, call.warehouse.id))

    def visible(each: Match) -> bool:
        levels = accumulate(each.namespace_path.split(SEPARATOR), lambda a, b: a + SEPARATOR + b)
        return each.id in ids or not paths.isdisjoint(levels)

    return visible


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a warehouse holds."""

    namespaces: int
    tables: int
    views: int
    dropped: int


class Counter:
    """Counts what warehouses hold.

    A database counts a hundred thousand tables in 50 ms: more than ``_MANY`` are counted again only
    after ``_KEPT_S`` seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[int, tuple[float, Numbers]] = {}

    def numbers(self, call: Call) -> Numbers:
        """Return what a warehouse holds. The caller must hold ``list`` on the warehouse."""
        until, known = self._known.get(call.warehouse.id, (0.0, None))
        if known is not None and self._clock() < until:
            return known
        with call.warehouse.store.read() as tx:
            totals = listing.totals(tx, call.warehouse.id)
            found = Numbers(*totals, dropped.sums(tx, call.warehouse.id).count)
        if found.tables + found.views > _MANY:
            self._known[call.warehouse.id] = self._clock() + _KEPT_S, found
        return found


class Commit(NamedTuple):
    """A change of a table or view that exists."""

    sequence: int
    at_ms: int
    operation: str
    in_words: str
    identifier: TableIdentifier
    kind: str
    actor: str | None
    """None if the caller may not read the audit log of the table."""


def recent(call: Call, size: int) -> list[Commit]:
    """Return the last commits to tables and views that the caller can list, newest first."""
    wanted = Filter(
        warehouse=call.warehouse.name,
        topics=("catalog",),
        operations=_COMMITS,
        kinds=("table", "view"),
    )
    rows = event_log.list_(call, wanted, refused=False, before=None, size=_LOOKED_AT).entries
    known: dict[tuple[TableIdentifier, str, str], bool] = {}
    found: list[Commit] = []
    for row in rows:
        if len(found) == size:
            break
        identifier = TableIdentifier(
            Namespace(tuple(row["object"]["namespace"])), row["object"]["name"]
        )
        key = identifier, row["kind"], row["uuid"]
        if key not in known:
            known[key] = _is_visible(call, *key)
        if known[key]:
            found.append(_commit(call, row, identifier))
    return found


def _is_visible(call: Call, identifier: TableIdentifier, kind: str, uuid: str) -> bool:
    """Return whether a name still stands for what had it, and the caller can list that."""
    row = tabulars.find(call.warehouse.store.autocommit(), call.warehouse.id, identifier)
    if row is None or (row.kind, row.uuid) != (kind, uuid):
        return False
    return authorization.permits(call, "list", identifier, row.kind)


def _commit(call: Call, row: JSON, identifier: TableIdentifier) -> Commit:
    kind = row["kind"]
    may = authorization.permits(call, "grant", identifier, kind)
    actor = row["actor"]["name"] if may else None
    return Commit(
        row["sequence-number"],
        row["timestamp-ms"],
        row["operation"],
        event_log.in_words(row),
        identifier,
        kind,
        actor,
    )
