"""Rows of tables: previews and SQL queries, each run by a process of its own.

The process has no access to files, the store or the network. It requests tables and parts of files,
and this module decides: a table needs ``select``, and its files lie in its own folders, which are
those that credentials for the table would be for.
"""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from falcon_catalog.catalog import access, namespaces, policy, tabulars
from falcon_catalog.catalog.authorization import Need, authorized
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.query_process import Files, QueryProcesses
from falcon_catalog.catalog.tabulars import TABLE
from falcon_catalog.errors import (
    BadRequestError,
    NoSuchNamespaceError,
    NoSuchTableError,
    UnsupportedOperationError,
)
from falcon_catalog.identifiers import Namespace, Page, TableIdentifier
from falcon_catalog.locations import is_inside
from falcon_catalog.metadata import history
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.wording import did_you_mean

PREVIEW_LIMITS = (50, 200, 1000)
SQL_ROWS = 1000
CHANGED_ROWS = 50
MAX_SQL, MAX_FILTER = 20_000, 2_000
"""Characters of a query and of a filter."""
_COMPARED = 1000  # names with a misspelled one
_MEMORY = "512MB"
_SECONDS = 30.0
_EXTRA = ("pyarrow", "duckdb")


@dataclass(frozen=True, slots=True)
class Rows:
    """The result of a preview or a query."""

    columns: Sequence[Mapping[str, str]]
    """``name`` and ``type`` of each."""
    rows: Sequence[Sequence[str | None]]
    """Values as text; None is null."""
    more: bool
    """Whether there are more rows than these."""
    seconds: float
    read_bytes: int
    """Of the tables' files."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What to show of a table."""

    at: str = ""
    """A snapshot id, a branch or tag, or a time; empty for the current snapshot."""
    columns: tuple[str, ...] = ()
    """Full names; empty for all."""
    filter: str = ""
    """As PyIceberg's parser reads it: ``temperature_c > 30 and station_id = 'KJFK'``."""
    limit: int = PREVIEW_LIMITS[0]


def missing_extra() -> str | None:
    """Return the library that is not installed, without which no rows can be read."""
    return next((name for name in _EXTRA if importlib.util.find_spec(name) is None), None)


def preview(
    call: Call, processes: QueryProcesses, identifier: TableIdentifier, wanted: Preview
) -> Rows:
    """Return rows of a table. The call is authorized for ``select`` on it.

    Raises:
        NoSuchTableError: the table does not exist.
        BadRequestError: there is no such snapshot or column, or the filter is invalid.
        ForbiddenError: files of the table lie outside its folders.
        UnsupportedOperationError: an extra is not installed.
        ServiceUnavailableError: too many queries run, or it took too long.
    """
    _require_extra()
    if len(wanted.filter) > MAX_FILTER:
        raise BadRequestError(
            f"The filter has {len(wanted.filter)} characters, at most {MAX_FILTER} are allowed"
        )
    if wanted.limit not in PREVIEW_LIMITS:
        known = ", ".join(map(str, PREVIEW_LIMITS))
        raise BadRequestError(f"Invalid limit {wanted.limit}: it must be one of {known}")
    tables = _Tables(call)
    job = {
        "kind": "preview",
        "table": tables.add(identifier, wanted.at),
        "columns": list(wanted.columns),
        "filter": wanted.filter,
        "limit": wanted.limit,
    }
    return _run(call, processes, job, tables)


def changes(
    call: Call,
    processes: QueryProcesses,
    identifier: TableIdentifier,
    before: int | None,
    after: int,
) -> Rows:
    """Return rows that two snapshots do not both have, at most CHANGED_ROWS removed and added ones.

    The first column is the sign. The call is authorized for ``select`` on the table. Files that
    both have, with the same deletes, are not read.

    Args:
        call: the call.
        processes: those that read rows.
        identifier: the table.
        before: id of the earlier snapshot; None for the empty table.
        after: id of the later one, whose columns are shown.

    Raises:
        BadRequestError: the files that differ have too many rows, or equality deletes.
        ForbiddenError, UnsupportedOperationError, ServiceUnavailableError: as ``preview``.
    """
    _require_extra()
    tables = _Tables(call)
    job = {
        "kind": "changes",
        "before": None if before is None else tables.add(identifier, str(before)),
        "after": tables.add(identifier, str(after)),
        "limit": CHANGED_ROWS,
    }
    return _run(call, processes, job, tables)


def sql(call: Call, processes: QueryProcesses, text: str) -> Rows:
    """Return the result of a SQL query over tables of a warehouse that the caller may select.

    Raises:
        BadRequestError: the query is invalid; the message is DuckDB's.
        UnsupportedOperationError, ServiceUnavailableError: as ``preview``.
    """
    _require_extra()
    if len(text) > MAX_SQL:
        raise BadRequestError(
            f"The query has {len(text)} characters, at most {MAX_SQL} are allowed"
        )
    job = {"kind": "sql", "sql": text, "limit": SQL_ROWS, "memory": _MEMORY}
    return _run(call, processes, job, _Tables(call))


def _require_extra() -> None:
    if (missing := missing_extra()) is not None:
        raise UnsupportedOperationError(
            "Rows need an extra that is not installed: pip install '.[query]' in a clone of the"
            f" repository ({missing} is missing)"
        )


def _run(call: Call, processes: QueryProcesses, job: JSON, tables: "_Tables") -> Rows:
    visitor = call.address if call.principal is None else call.principal.name
    outcome = processes.run(job, tables.find, visitor=visitor, seconds=_SECONDS)
    if (problem := outcome.result.get("error")) is not None:
        raise BadRequestError(str(problem))
    return Rows(
        outcome.result["columns"],
        outcome.result["rows"],
        bool(outcome.result["more"]),
        outcome.seconds,
        outcome.read_bytes,
    )


@dataclass(slots=True)
class _Tables:
    """The tables of one query, as its process gets them."""

    call: Call
    number: int = field(default=0)
    files: dict[int, Files] = field(default_factory=dict)

    def find(self, request: Mapping[str, Any]) -> tuple[JSON | None, Mapping[int, Files]]:
        """Return a table that SQL names, if the request names one.

        Raises:
            ForbiddenError: the caller may not read its rows.
            BadRequestError: there is none that the caller can see, or no such snapshot.
        """
        if "name" not in request:
            return None, self.files
        namespace = Namespace(tuple(str(request["namespace"]).split(".")))
        name, _, at = str(request["name"]).partition("@")
        whole = TableIdentifier(namespace, name)
        try:
            return self.add(whole, at, authorized(self.call, Need("select", whole))), self.files
        except (NoSuchTableError, NoSuchNamespaceError):
            near = _near(self.call, whole)
            raise BadRequestError(f"There is no table {whole} that you may read{near}") from None

    def add(self, identifier: TableIdentifier, at: str, call: Call | None = None) -> JSON:
        """Return a table at a snapshot, and make its files readable."""
        call = call or self.call
        metadata = tabulars.load(call, TABLE, identifier).document.metadata
        snapshot = history.find(metadata, at) if at else history.current(metadata)
        snapshot_id = None if snapshot is None else snapshot["snapshot-id"]
        locations = policy.locations_of(metadata)
        for location in locations:
            policy.check_allowed(call.warehouse, location)
        access.check_alone(call, identifier, locations)
        self.number += 1
        self.files[self.number] = _files(call, identifier, locations)
        return {
            "id": self.number,
            "snapshot": snapshot_id,
            "metadata": _alone(metadata, snapshot_id, as_now=_is_branch(metadata, at)),
        }


def _near(call: Call, missing: TableIdentifier) -> str:
    """Return which tables or namespaces that the caller can list have a name like one that is not.

    Of large namespaces and warehouses, the first names are compared.
    """
    page, space = Page(None, _COMPARED), missing.namespace
    try:
        inside = authorized(call, Need("list", space))
        return did_you_mean(missing.name, tabulars.list_(inside, TABLE, space, page))
    except NoSuchNamespaceError:
        pass
    try:
        around = authorized(call, Need("list", space.parent))
        known = [str(each) for each in namespaces.list_(around, space.parent, page)]
    except NoSuchNamespaceError:
        known = []
    return f": there is no namespace {space}{did_you_mean(str(space), known)}"


def _files(call: Call, identifier: TableIdentifier, locations: tuple[str, ...]) -> Files:
    storage = call.warehouse.files.within(locations)

    def confined(read: Callable[..., Any]) -> Callable[..., Any]:
        def checked(location: str, *part: int) -> Any:
            policy.check_allowed(call.warehouse, location)
            if not any(is_inside(location, root) for root in locations):
                raise BadRequestError(
                    f"{location} lies outside the folders of table {identifier}, and is not read"
                )
            return read(location, *part)

        return checked

    return Files(confined(storage.size), confined(storage.read_part))


def _is_branch(metadata: JSON, at: str) -> bool:
    """Return whether the newest rows of a branch are meant, which engines read as they are now."""
    return not at or metadata.get("refs", {}).get(at, {}).get("type") == "branch"


def _alone(metadata: JSON, snapshot_id: int | None, *, as_now: bool) -> JSON:
    """Return metadata with one snapshot, whose schema is the current one unless read ``as_now``."""
    chosen = [each for each in metadata.get("snapshots", ()) if each["snapshot-id"] == snapshot_id]
    schemas = {schema["schema-id"]: schema for schema in metadata["schemas"]}
    now = metadata["current-schema-id"]
    schema_id = chosen[0].get("schema-id", now) if chosen and not as_now else now
    schema_id = schema_id if schema_id in schemas else now
    left = {
        name: value
        for name, value in metadata.items()
        if name not in ("statistics", "partition-statistics", "current-snapshot-id", "schema")
    }
    if chosen:
        left["current-snapshot-id"] = snapshot_id
    if metadata["format-version"] == 1:  # which has the current schema once more
        left["schema"] = schemas[schema_id]
    return left | {
        "snapshots": chosen,
        "refs": {"main": {"snapshot-id": snapshot_id, "type": "branch"}} if chosen else {},
        "snapshot-log": [],
        "metadata-log": [],
        "current-schema-id": schema_id,
    }
