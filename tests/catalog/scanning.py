"""A client of scan planning, and filters written twice: as JSON and as SQL."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import duckdb
import duckdb_extensions
from pyiceberg.catalog.rest import RestCatalog

from tests.catalog.serving import Server

PATIENCE_SECONDS = 30


@dataclass
class Planned:
    """All scan tasks of a plan, fetched to the last page."""

    plan_id: str
    tasks: list[dict[str, Any]] = field(default_factory=list)
    pages: int = 0

    @property
    def paths(self) -> list[str]:
        return sorted(task["data-file"]["file-path"] for task in self.tasks)

    @property
    def rows(self) -> int:
        return sum(task["data-file"]["record-count"] for task in self.tasks)

    def deletes(self, path: str) -> list[dict[str, Any]]:
        """Return the delete files of one data file."""
        return next(t["deletes"] for t in self.tasks if t["data-file"]["file-path"] == path)


def table_path(table: str) -> str:
    return f"/v1/namespaces/ns/tables/{table}"


def plan(server: Server, table: str, request: dict[str, Any] | None = None) -> Planned:
    """Plan a scan as clients do: wait for it if it was submitted, fetch every plan task."""
    answer = server.ok("POST", f"{table_path(table)}/plan", request or {})
    planned = Planned(answer.pop("plan-id"))
    if answer["status"] == "submitted":
        assert answer == {"status": "submitted"}
        answer = wait(server, table, planned.plan_id)
    assert answer.pop("status") == "completed"
    pending = [answer]
    while pending:
        page = pending.pop(0)
        planned.pages += 1
        assert set(page) <= {"delete-files", "file-scan-tasks", "plan-tasks"}
        used: set[int] = set()
        for task in page["file-scan-tasks"]:
            references = task.get("delete-file-references", [])
            used |= set(references)
            task["deletes"] = [page["delete-files"][number] for number in references]
            planned.tasks.append(task)
        assert used == set(range(len(page["delete-files"])))
        for token in page.get("plan-tasks", ()):
            body = {"plan-task": token}
            pending.append(server.ok("POST", f"{table_path(table)}/tasks", body))
    return planned


def wait(server: Server, table: str, plan_id: str) -> dict[str, Any]:
    """Ask for a submitted plan until it is something else."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = server.ok("GET", f"{table_path(table)}/plan/{plan_id}")
        assert "plan-id" not in answer
        if answer["status"] != "submitted":
            return answer
        assert time.monotonic() < deadline, "the plan was not worked on"


def pyiceberg(server: Server, **properties: str) -> RestCatalog:
    return RestCatalog("test", uri=server.url, **properties)


@contextmanager
def duckdb_on(server: Server) -> Iterator[duckdb.DuckDBPyConnection]:
    """Connect DuckDB to the catalog, as ``lake``."""
    with duckdb.connect() as connection:
        for name in ("avro", "httpfs", "iceberg"):
            duckdb_extensions.import_extension(name, con=connection)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"ATTACH 'default' AS lake (TYPE iceberg, ENDPOINT '{server.url}',"
            " AUTHORIZATION_TYPE 'none')"
        )
        yield connection


FLOATS = ("f", "r")  # the tests' columns of floating-point numbers
TESTS = {
    "is-null": "{} IS NULL",
    "not-null": "{} IS NOT NULL",
    "is-nan": "isnan({})",
    "not-nan": "NOT isnan({})",
}
COMPARISONS = {"lt": "<", "lt-eq": "<=", "gt": ">", "gt-eq": ">=", "eq": "=", "not-eq": "<>"}


def sql(predicate: Any) -> str:
    """Return a predicate, in either JSON form, as DuckDB's SQL."""
    if isinstance(predicate, bool):
        return str(predicate).upper()
    kind = predicate["type"]
    if kind in ("and", "or"):
        return f"({sql(predicate['left'])} {kind} {sql(predicate['right'])})"
    if kind == "not":
        return f"(NOT {sql(predicate['child'])})"
    term = predicate.get("term", predicate.get("child", predicate.get("left")))
    return f"({_test(predicate, kind, term if isinstance(term, str) else _term(term))})"


def _test(predicate: dict[str, Any], kind: str, name: str) -> str:
    if kind in TESTS:
        return TESTS[kind].format(name)
    if kind in ("in", "not-in"):
        listed = predicate["values"]
        listed = listed["values"] if isinstance(listed, dict) else listed
        if not listed:
            return str(kind == "not-in")
        values = ", ".join(map(_literal, listed))
        return f"{name} {'NOT IN' if kind == 'not-in' else 'IN'} ({values})"
    value = _literal(predicate.get("value", predicate.get("right")))
    if kind in ("starts-with", "not-starts-with"):
        return f"{'NOT ' if kind.startswith('not') else ''}starts_with({name}, {value})"
    compared = f"{name} {COMPARISONS[kind]} {value}"
    # DuckDB puts NaN above all numbers; Iceberg's expressions do not.
    above = kind in ("gt", "gt-eq") and name in FLOATS
    return f"{compared} AND NOT isnan({name})" if above else compared


def _term(term: dict[str, Any]) -> str:
    if term["type"] == "reference":
        return str(term["name"])
    function, source = term["transform"], term["term"]
    name, _, width = function.rstrip("]").partition("[")
    since = {"year": "year", "month": "month", "day": "day", "hour": "hour"}
    if name in since:
        return f"date_diff('{name}', TIMESTAMP '1970-01-01', {source}::TIMESTAMP)"
    if name == "truncate":
        return f"{source}[:{width}]"
    raise ValueError(function)


def _literal(value: Any) -> str:
    if isinstance(value, dict):
        value = value["value"]
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).upper() if isinstance(value, bool) else repr(value)
