"""The check's own place in a catalog: namespaces of unique names, and all that is in them."""

import contextlib
import itertools
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from falcon_catalog.conformance.answers import (
    JSON,
    AbsentError,
    Answer,
    FailureError,
    expect_field,
)
from falcon_catalog.conformance.catalog import Catalog

Levels = tuple[str, ...]

SCHEMA: JSON = {
    "type": "struct",
    "fields": [
        {"id": 1, "name": "id", "type": "long", "required": True},
        {"id": 2, "name": "data", "type": "string", "required": False},
    ],
}
_MAX_PAGES = 1000


@dataclass(frozen=True, slots=True)
class Made:
    """A table or view that the check made."""

    namespace: Levels
    name: str
    result: JSON
    """The LoadTableResult or LoadViewResult with which it was made."""

    @property
    def identifier(self) -> JSON:
        """Its TableIdentifier."""
        return {"namespace": list(self.namespace), "name": self.name}

    @property
    def metadata(self) -> JSON:
        """Its metadata when it was made."""
        metadata: JSON = expect_field(self.result, "metadata", dict, f"{self.name} was answered so")
        return metadata

    @property
    def metadata_location(self) -> str:
        """Its metadata file when it was made."""
        location: str = expect_field(
            self.result, "metadata-location", str, f"{self.name} was answered so"
        )
        return location


class Room:
    """Everything that the check makes lies in namespaces of this room, and goes with it."""

    def __init__(self, catalog: Catalog, prefix: str) -> None:
        self.catalog = catalog
        self.name = f"{prefix}{uuid.uuid4().hex[:12]}"
        self._numbers = itertools.count(1)
        self._namespaces: list[Levels] = []
        self._shared: Levels | None = None

    @property
    def namespace(self) -> Levels:
        """A namespace that all probes share; it is made when it is first asked for."""
        if self._shared is None:
            self._shared = self.new_namespace()
        return self._shared

    def unique(self, what: str) -> str:
        """Return a name that nothing in this room has."""
        return f"{what}_{next(self._numbers)}"

    def new_name(self) -> Levels:
        """Return a name for a namespace, which goes with the room should it come to be."""
        return self.keep_track((f"{self.name}_{next(self._numbers)}",))

    def keep_track(self, levels: Levels) -> Levels:
        """Note the name of a namespace that goes with the room."""
        self._namespaces.append(levels)
        return levels

    def new_namespace(self, **properties: str) -> Levels:
        """Make a namespace."""
        levels = self.new_name()
        body = {"namespace": list(levels), "properties": properties}
        self.catalog.call("createNamespace", body).object()
        return levels

    def child_of(self, parent: Levels, name: str = "child") -> Levels:
        """Make a namespace in another one, where the catalog allows that."""
        levels = (*parent, name)
        answer = self.catalog.call("createNamespace", {"namespace": list(levels)})
        if answer.status in (400, 403, 406, 422):
            raise AbsentError(f"no nested namespaces: {answer.error(answer.status)}")
        answer.object()
        return self.keep_track(levels)

    def table(self, namespace: Levels | None = None, name: str = "", **fields: Any) -> Made:
        """Make a table."""
        of, name = namespace or self.namespace, name or self.unique("t")
        body = {"name": name, "schema": SCHEMA, **fields}
        result = self.catalog.call("createTable", body, namespace=of).object()
        return Made(of, name, result)

    def view(self, namespace: Levels | None = None, name: str = "", **fields: Any) -> Made:
        """Make a view."""
        of, name = namespace or self.namespace, name or self.unique("v")
        body = view_request(name, of, **fields)
        return Made(of, name, self.catalog.call("createView", body, namespace=of).object())

    def commit(
        self, table: Made, updates: Sequence[JSON], requirements: Sequence[JSON] = ()
    ) -> Answer:
        """Commit updates to a table."""
        body = {"requirements": list(requirements), "updates": list(updates)}
        return self.catalog.call("updateTable", body, namespace=table.namespace, table=table.name)

    def load(self, table: Made, **query: str) -> JSON:
        """Load a table."""
        answer = self.catalog.call(
            "loadTable", namespace=table.namespace, table=table.name, query=query
        )
        return answer.object()

    def clear(self) -> list[str]:
        """Remove all that the check made; return what could not be removed.

        The room's own names are all it looks at. Whatever goes wrong, it goes on.
        """
        left = []
        for levels in sorted(set(self._namespaces), key=len, reverse=True):
            with contextlib.suppress(FailureError, AbsentError):
                self._empty(levels)
            try:
                status = self.catalog.call("dropNamespace", namespace=levels).status
            except (FailureError, AbsentError):
                status = 0
            if status not in (200, 204, 404):
                left.append(".".join(levels))
        self._namespaces.clear()
        return left

    def _empty(self, levels: Levels) -> None:
        catalog = self.catalog
        if catalog.offers("listViews"):
            for name in self._names("listViews", levels):
                catalog.call("dropView", namespace=levels, view=name)
        for name in self._names("listTables", levels):
            with contextlib.suppress(FailureError, AbsentError):
                self._forget_snapshots(levels, name)
            answer = catalog.call(
                "dropTable", namespace=levels, table=name, query={"purgeRequested": "true"}
            )
            if answer.status not in (204, 404):
                catalog.call("dropTable", namespace=levels, table=name)

    def _forget_snapshots(self, levels: Levels, name: str) -> None:
        """Remove made-up snapshots, whose files nobody who purges will find."""
        table = Made(levels, name, {})
        metadata = self.load(table)["metadata"]
        refs = metadata.get("refs") or {}
        if ids := [snapshot["snapshot-id"] for snapshot in metadata.get("snapshots") or []]:
            removals = [{"action": "remove-snapshot-ref", "ref-name": name} for name in refs]
            self.commit(table, [*removals, {"action": "remove-snapshots", "snapshot-ids": ids}])

    def _names(self, operation: str, levels: Levels) -> list[str]:
        return [
            identifier["name"]
            for identifier in listing(
                lambda query: self.catalog.call(operation, namespace=levels, query=query).object(),
                "identifiers",
            )
        ]


def listing(read: Callable[[JSON], JSON], field: str, **query: str) -> list[Any]:
    """Return all that a list operation answers, page by page as clients do."""
    entries: list[Any] = []
    token = ""
    for _ in range(_MAX_PAGES):
        page = read({**query, "pageToken": token})
        entries += expect_field(page, field, list, "a page of a list")
        token = str(page.get("next-page-token") or "")
        if not token:
            return entries
    raise FailureError(f"a list does not end: {_MAX_PAGES} pages of {field}, and more")


def view_request(name: str, namespace: Levels, sql: str = "select 1 as id", **fields: Any) -> JSON:
    """Return a CreateViewRequest."""
    return {
        "name": name,
        "schema": SCHEMA,
        "view-version": view_version(namespace, sql),
        "properties": {},
        **fields,
    }


def view_version(namespace: Levels, sql: str, schema_id: int = 0) -> JSON:
    """Return a version of a view."""
    return {
        "version-id": 1,
        "timestamp-ms": 1_700_000_000_000,
        "schema-id": schema_id,
        "summary": {"engine-name": "falcon-catalog check"},
        "default-namespace": list(namespace),
        "representations": [{"type": "sql", "sql": sql, "dialect": "spark"}],
    }
