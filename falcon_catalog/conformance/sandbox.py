"""The namespaces that the check creates in a catalog, and everything in them."""

import contextlib
import itertools
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from falcon_catalog.conformance.answers import JSON, AbsentError, Answer, FailureError, expect_field
from falcon_catalog.conformance.catalog import Catalog

Levels = tuple[str, ...]
Fields = Mapping[str, Any] | None
Kind = Literal["Table", "View"]
"""What the ids of operations and the types of errors call it: ``dropView``, ``NoSuchView…``."""

SCHEMA: JSON = {
    "type": "struct",
    "fields": [
        {"id": 1, "name": "id", "type": "long", "required": True},
        {"id": 2, "name": "data", "type": "string", "required": False},
    ],
}
_MAX_PAGES = 1000


@dataclass(frozen=True, slots=True)
class Tabular:
    """A table or view that the check created."""

    kind: Kind
    namespace: Levels
    name: str
    result: Mapping[str, Any]
    """The LoadTableResult or LoadViewResult that it was created with."""

    @property
    def identifier(self) -> JSON:
        """Its TableIdentifier."""
        return {"namespace": list(self.namespace), "name": self.name}

    @property
    def metadata(self) -> JSON:
        """Its metadata at creation."""
        metadata: JSON = self._field("metadata", dict)
        return metadata

    @property
    def metadata_location(self) -> str:
        """Its metadata file at creation."""
        return str(self._field("metadata-location", str))

    def _field(self, name: str, kind: type) -> Any:
        return expect_field(self.result, name, kind, f"the response that created {self.name}")


class Sandbox:
    """Creates everything that probes need in namespaces of its own, and removes them."""

    def __init__(self, catalog: Catalog, prefix: str) -> None:
        self.catalog = catalog
        self.name = f"{prefix}{uuid.uuid4().hex[:12]}"
        self.missing_namespace = (f"{self.name}_none",)
        self._numbers = itertools.count(1)
        self._namespaces: list[Levels] = []
        self._shared: Levels | None = None

    @property
    def namespace(self) -> Levels:
        """A namespace that all probes share, created on first use."""
        if self._shared is None:
            self._shared = self.new_namespace()
        return self._shared

    def unique(self, prefix: str) -> str:
        """Return a name that nothing in this sandbox has."""
        return f"{prefix}_{next(self._numbers)}"

    def new_name(self, suffix: str = "") -> Levels:
        """Return the name of a namespace to create, which ``clear`` will remove."""
        return self._track((f"{self.name}_{next(self._numbers)}{suffix}",))

    def _track(self, levels: Levels) -> Levels:
        self._namespaces.append(levels)
        return levels

    def new_namespace(self, **properties: str) -> Levels:
        """Create a namespace."""
        levels = self.new_name()
        body = {"namespace": list(levels), "properties": properties}
        self.catalog.call("createNamespace", body).object()
        return levels

    def child_of(self, parent: Levels, name: str = "child") -> Levels:
        """Create a namespace in another one.

        Raises:
            AbsentError: the catalog has no nested namespaces.
        """
        levels = (*parent, name)
        answer = self.catalog.call("createNamespace", {"namespace": list(levels)})
        answer.object_unless_refused("no nested namespaces")
        return self._track(levels)

    def send_create(
        self, kind: Kind, namespace: Levels, name: str, fields: Fields = None, **options: Any
    ) -> Answer:
        """Send the request that creates a table or view; see ``Catalog.call`` for the options."""
        body = {"name": name, "schema": SCHEMA, **(fields or {})}
        if kind == "View":
            body = {"view-version": view_version(namespace), "properties": {}, **body}
        return self.catalog.call(f"create{kind}", body, namespace=namespace, **options)

    def create(
        self, kind: Kind, fields: Fields = None, *, namespace: Levels | None = None, name: str = ""
    ) -> Tabular:
        """Create a table or view; ``fields`` are those of its request besides name and schema."""
        namespace, name = namespace or self.namespace, name or self.unique(kind[0].lower())
        result = self.send_create(kind, namespace, name, fields).object()
        return Tabular(kind, namespace, name, result)

    def table(self, fields: Fields = None, **options: Any) -> Tabular:
        """Create a table."""
        return self.create("Table", fields, **options)

    def view(self, fields: Fields = None, **options: Any) -> Tabular:
        """Create a view."""
        return self.create("View", fields, **options)

    def missing(self, kind: Kind = "Table") -> Tabular:
        """Return a table or view that does not exist."""
        return Tabular(kind, self.namespace, f"{self.name}_none", {})

    def call(self, operation: str, tabular: Tabular, body: Any = None, **options: Any) -> Answer:
        """Send the request of an operation on a table or view; see ``Catalog.call``."""
        options |= {"table": tabular.name, "view": tabular.name}
        return self.catalog.call(operation, body, namespace=tabular.namespace, **options)

    def commit(
        self, tabular: Tabular, updates: Sequence[Any], requirements: Sequence[JSON] = ()
    ) -> Answer:
        """Commit updates to a table or view."""
        body = {"requirements": list(requirements), "updates": list(updates)}
        return self.call("updateTable" if tabular.kind == "Table" else "replaceView", tabular, body)

    def update(self, table: Tabular, *updates: JSON) -> JSON:
        """Commit updates to a table or view, and return its new metadata."""
        metadata: JSON = self.commit(table, updates).object()["metadata"]
        return metadata

    def load(self, tabular: Tabular, **query: str) -> JSON:
        """Load a table or view."""
        return self.call(f"load{tabular.kind}", tabular, query=query).object()

    def expect_gone(self, tabular: Tabular) -> None:
        """Expect that a table or view does not exist."""
        kind = tabular.kind
        self.call(f"load{kind}", tabular).error(404, f"NoSuch{kind}Exception")

    def entries(
        self, operation: str, namespace: Levels = (), *, field: str = "identifiers", **query: str
    ) -> list[Any]:
        """Return all entries of a list, page by page as clients do."""
        found: list[Any] = []
        token = ""
        for _ in range(_MAX_PAGES):
            query["pageToken"] = token
            page = self.catalog.call(operation, namespace=namespace, query=dict(query)).object()
            found += expect_field(page, field, list, "a page of a list")
            token = str(page.get("next-page-token") or "")
            if not token:
                return found
        raise FailureError(f"a list does not end: more than {_MAX_PAGES} pages of {field}")

    def clear(self) -> list[str]:
        """Remove everything that the check created; return what could not be removed.

        Only names of this sandbox are touched. A failure does not stop it.
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
                left.append(f"the namespace {'.'.join(levels)}")
        self._namespaces.clear()
        with contextlib.suppress(FailureError, AbsentError, LookupError, TypeError):
            left += self._purge_dropped()
        return left

    def _purge_dropped(self) -> list[str]:
        """Purge what a falcon-catalog keeps of this sandbox, for an undrop; others answer 404."""
        path, token, mine = "/management/v1/warehouses/{prefix}/dropped", "", []
        for _ in range(_MAX_PAGES):
            page = self.catalog.send("GET", f"{path}?pageToken={token}").object()
            mine += [
                drop for drop in page["dropped"] if self._is_own(drop["identifier"]["namespace"])
            ]
            token = quote(page.get("next-page-token") or "", safe="")
            if not token:
                break
        return [
            f"the dropped {drop['type']} {drop['identifier']['name']}"
            for drop in mine
            if self.catalog.send("DELETE", f"{path}/{drop['id']}").status not in (200, 404)
        ]

    def _is_own(self, namespace: Levels) -> bool:
        return namespace[0].startswith(f"{self.name}_")

    def _empty(self, levels: Levels) -> None:
        if self.catalog.offers("listViews"):
            for entry in self.entries("listViews", levels):
                self.call("dropView", Tabular("View", levels, entry["name"], {}))
        for entry in self.entries("listTables", levels):
            table = Tabular("Table", levels, entry["name"], {})
            with contextlib.suppress(FailureError, AbsentError):
                self._remove_snapshots(table)
            answer = self.call("dropTable", table, query={"purgeRequested": "true"})
            if answer.status not in (204, 404):
                self.call("dropTable", table)

    def _remove_snapshots(self, table: Tabular) -> None:
        """Remove the made-up snapshots: a purge would not find their files."""
        metadata = self.load(table)["metadata"]
        refs = metadata.get("refs") or {}
        if ids := [snapshot["snapshot-id"] for snapshot in metadata.get("snapshots") or []]:
            removals = [{"action": "remove-snapshot-ref", "ref-name": name} for name in refs]
            self.commit(table, [*removals, {"action": "remove-snapshots", "snapshot-ids": ids}])


def view_version(namespace: Levels, sql: str = "select 1 as id") -> JSON:
    """Return a version of a view."""
    return {
        "version-id": 1,
        "timestamp-ms": 1_700_000_000_000,
        "schema-id": 0,
        "summary": {"engine-name": "falcon-catalog check"},
        "default-namespace": list(namespace),
        "representations": [{"type": "sql", "sql": sql, "dialect": "spark"}],
    }
