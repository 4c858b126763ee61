"""What changed between two snapshots of a table."""

from dataclasses import dataclass

import falcon

from falcon_catalog.catalog import authorization, changes, queries
from falcon_catalog.catalog.authorization import Need, authorized
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.changes import FileChanges, PartitionChange
from falcon_catalog.catalog.lru import LRU
from falcon_catalog.catalog.queries import Rows
from falcon_catalog.errors import BadRequestError, CatalogError
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.metadata import comparing, history
from falcon_catalog.metadata.comparing import ColumnChange
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.web.errors import note
from falcon_catalog.web.site import Site
from falcon_catalog.web.tables import view
from falcon_catalog.web.tables.view import TableView

_LISTED = 200
_FILE_BYTES = 600
_CACHE_BYTES = 32 * 1024 * 1024
_OFFERED = 50

_Key = tuple[int, str, object, object]


@dataclass(frozen=True, slots=True)
class Files:
    """The part of the page about files."""

    state: str
    """``denied``, ``later`` (they are loaded with the next request), ``too many``, ``failed`` or
    ``shown``."""
    bytes: int = 0
    """Of the manifests that must be read."""
    message: str = ""
    changes: FileChanges | None = None
    partitions: tuple[PartitionChange, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangedRows:
    """The part of the page about rows."""

    state: str
    """``denied``, ``extra`` (it is not installed), ``later`` (once they are asked for), ``failed``
    or ``shown``."""
    found: Rows | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the table that differs."""

    name: str
    before: str | None
    after: str | None


class DiffPage:
    """``…/tables/{table}/diff?from=&to=``: each a snapshot id, a branch, a tag or a time."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._cache: LRU[_Key, FileChanges] = LRU(_CACHE_BYTES, _cost)

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Compare two snapshots: by default the current one with the one before."""
        table = view.open_(call, identifier)
        metadata = table.metadata
        wanted_to, wanted_from = req.get_param("to") or "", req.get_param("from") or ""
        problem = ""
        try:
            before, after = _ends(metadata, wanted_from, wanted_to)
        except BadRequestError as error:
            note(req, resp, error)
            before, after, problem = None, None, error.message
        values: dict[str, object] = {}
        if after is not None:
            passed = changes.between(metadata, before, after)
            states = [each and changes.state_at(call, metadata, each) for each in (before, after)]
            values = {
                "before_numbers": history.numbers(metadata, before),
                "after_numbers": history.numbers(metadata, after),
                "columns": _columns(metadata, before, after),
                "settings": None if None in states else _settings(states[0], states[1]),
                "passed": passed,
                "files": self._files(req, table, before, after),
                "rows": self._rows(req, table, before, after),
            }
        view.send(
            req,
            resp,
            table,
            "diff",
            "diff",
            before=before,
            after=after,
            wanted_from=wanted_from or (str(before["snapshot-id"]) if before else ""),
            wanted_to=wanted_to or (str(after["snapshot-id"]) if after else ""),
            offered=history.newest_first(metadata)[:_OFFERED],
            listed=_LISTED,
            problem=problem,
            **values,
        )

    def _files(
        self, req: falcon.Request, table: TableView, before: JSON | None, after: JSON
    ) -> Files:
        """Return the changed files, if the visitor may see them."""
        call, metadata = table.call, table.metadata
        if not authorization.permits(call, "select", table.identifier):
            return Files("denied")
        key = (
            call.warehouse.id,
            table.uuid,
            before and before.get("manifest-list"),
            after.get("manifest-list"),
        )
        found = self._cache.get(key)
        try:
            if found is None:
                if view.is_deferred(req):
                    return Files("later")
                difference = changes.manifests(call, metadata, before, after)
                if view.is_deferred(req, difference.bytes):
                    return Files("later", difference.bytes)
                found = changes.files(call, metadata, difference)
                if not found.is_complete:
                    return Files("too many", difference.bytes)
                self._cache.put(key, found)
        except CatalogError as error:
            return Files("failed", message=error.message)
        return Files("shown", 0, "", found, tuple(changes.by_partition(found)))

    def _rows(
        self, req: falcon.Request, table: TableView, before: JSON | None, after: JSON
    ) -> ChangedRows:
        """Return the changed rows, if the visitor may see them and asks for them."""
        call, identifier = table.call, table.identifier
        if not authorization.permits(call, "select", identifier):
            return ChangedRows("denied")
        if queries.missing_extra() is not None:
            return ChangedRows("extra")
        if req.get_param("rows") != "true":
            return ChangedRows("later")
        allowed = authorized(call, Need("select", identifier))
        start = None if before is None else before["snapshot-id"]
        try:
            found = queries.changes(
                allowed, self._site.queries, identifier, start, after["snapshot-id"]
            )
        except CatalogError as error:
            return ChangedRows("failed", message=error.message)
        return ChangedRows("shown", found)


def _ends(metadata: JSON, wanted_from: str, wanted_to: str) -> tuple[JSON | None, JSON | None]:
    """Return the snapshots to compare; raise BadRequestError if there is none of a name."""
    after = history.find(metadata, wanted_to) if wanted_to else history.current(metadata)
    if wanted_from:
        return history.find(metadata, wanted_from), after
    parent = None if after is None else after.get("parent-snapshot-id")
    return history.by_id(metadata).get(parent or 0), after


def _cost(found: FileChanges) -> int:
    return 1000 + _FILE_BYTES * (len(found.added) + len(found.removed))


def _columns(metadata: JSON, before: JSON | None, after: JSON) -> list[ColumnChange] | None:
    """Return the changed columns; None if a schema is no longer known."""
    schemas = {each["schema-id"]: each for each in metadata["schemas"]}
    old = {"fields": []} if before is None else schemas.get(before.get("schema-id"))
    new = schemas.get(after.get("schema-id"))
    return None if old is None or new is None else comparing.schemas(old, new)


def _settings(before: JSON | None, after: JSON | None) -> list[Setting]:
    """Return what differs between the states of two snapshots, but for schemas and files."""
    if before is None or after is None:
        return []
    old, new = (_described(each) for each in (before, after))
    found = [Setting(name, old[name], new[name]) for name in old if old[name] != new[name]]
    changed = comparing.properties(before["properties"], after["properties"])
    return found + [Setting(*each) for each in changed]


def _described(metadata: JSON) -> dict[str, str]:
    names = comparing.column_names(metadata)
    specs = {each["spec-id"]: each for each in metadata["partition-specs"]}
    orders = {each["order-id"]: each for each in metadata["sort-orders"]}
    return {
        "Format version": str(metadata["format-version"]),
        "Location": metadata["location"],
        "Partition spec": comparing.spec_text(specs[metadata["default-spec-id"]], names),
        "Sort order": comparing.order_text(orders[metadata["default-sort-order-id"]], names),
    }
