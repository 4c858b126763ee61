"""Pages of loads: which snapshots of a namespace's tables one run of a pipeline wrote.

A pipeline names each load in the summary of its snapshots, in a property whose name ends with
``load-id``, as TABLE/PERIOD/DIGEST. A run is what was loaded of one period: a day, an hour, or a
span of them. TABLE/TASK/PERIOD/DIGEST is the record of a task of the period, such as maintenance.
Loads without a period, such as the record of a build by its id, are listed apart.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import falcon

from falcon_catalog.catalog import tabulars
from falcon_catalog.catalog.authorization import Need, authorized
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.tabulars import TABLE
from falcon_catalog.errors import CatalogError, NotFoundError
from falcon_catalog.identifiers import Namespace, Page, TableIdentifier
from falcon_catalog.metadata import history
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.web.namespaces import trail
from falcon_catalog.web.paths import to_namespace
from falcon_catalog.web.rendering import send_page

_TABLES, _RUNS, _SNAPSHOTS = 100, 200, 500
_PROPERTY = "load-id"
_PARTS = 2
_PERIOD = re.compile(r"\d{4}-\d\d-\d\d(T\d\d)?(?![\w-])")
"""A day or an hour, which may begin a span."""

Kind = Literal["day", "hour", "span", "other"]


@dataclass(frozen=True, slots=True)
class Run:
    """A run as the list shows it."""

    name: str
    kind: Kind
    tables: int
    tasks: list[str]
    """Tasks whose records are among its loads."""
    last_ms: int


@dataclass(frozen=True, slots=True)
class Load:
    """A snapshot that a run wrote."""

    table: TableIdentifier
    run: str
    """Its period; the part after the table where it has none."""
    kind: Kind
    task: str
    """Whose record it is; empty for rows of the period itself."""
    load_id: str
    snapshot: JSON
    numbers: history.Numbers


class RunsPage:
    """``…/namespaces/{namespace}/runs``."""

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, call: Call, namespace: Namespace
    ) -> None:
        """Show the runs whose snapshots are there, the newest first."""
        found: dict[str, list[Load]] = {}
        for load in sorted(_loads(call, namespace), key=_time, reverse=True):
            found.setdefault(load.run, []).append(load)
        runs = [
            Run(
                name,
                loads[0].kind,
                len({load.table for load in loads}),
                sorted({load.task for load in loads} - {""}),
                _time(loads[0]),
            )
            for name, loads in found.items()
        ]
        send_page(
            req,
            resp,
            "runs.html",
            title="Runs",
            trail=trail(call, namespace),
            call=call,
            namespace=namespace,
            periods=[each for each in runs if each.kind != "other"][:_RUNS],
            others=[each for each in runs if each.kind == "other"][:_RUNS],
            most=_RUNS,
        )


class RunPage:
    """``…/namespaces/{namespace}/runs/{run}``."""

    def on_get(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        call: Call,
        namespace: Namespace,
        run: str,
    ) -> None:
        """Show what a run wrote; a day's is that of its hours as well."""
        loads = [
            load
            for load in _loads(call, namespace)
            if load.run == run or load.run.startswith(f"{run}T") or load.load_id == run
        ]
        if not loads:
            raise NotFoundError(
                f"No snapshot of a table in {namespace} that you can see was written by run {run}:"
                " it may have changed nothing, or its snapshots may have been expired"
            )
        loads.sort(key=_time)
        send_page(
            req,
            resp,
            "run.html",
            title=f"Run {run}",
            trail=[
                *trail(call, namespace),
                ("Runs", to_namespace(call.warehouse.name, namespace, "runs")),
            ],
            call=call,
            loads=loads[:_SNAPSHOTS],
            count=len(loads),
            tables=sorted({load.table.name for load in loads}),
            added=sum(load.numbers.added_rows or 0 for load in loads),
            removed=sum(load.numbers.removed_rows or 0 for load in loads),
        )


def _loads(call: Call, namespace: Namespace) -> Iterator[Load]:
    """Yield the loads of the tables whose metadata the visitor may read; of many, the first."""
    for name in tabulars.list_(call, TABLE, namespace, Page(None, _TABLES)):
        table = TableIdentifier(namespace, name)
        try:
            allowed = authorized(call, Need("describe", table))
            metadata = tabulars.load(allowed, TABLE, table).document.metadata
        except CatalogError:
            continue  # not for this visitor, dropped meanwhile, or damaged
        for snapshot in metadata["snapshots"]:
            load_id = _load_id(snapshot)
            parts = load_id.split("/")
            if len(parts) >= _PARTS:
                yield Load(
                    table,
                    *_meaning(parts[1:]),
                    load_id,
                    snapshot,
                    history.numbers(metadata, snapshot),
                )


def _meaning(parts: list[str]) -> tuple[str, Kind, str]:
    """Return the run that a load belongs to, its kind, and whose record it is."""
    for number, part in enumerate(parts[:_PARTS]):
        if found := _PERIOD.match(part):
            is_whole = found.end() == len(part)
            kind: Kind = "span" if not is_whole else "hour" if found[1] else "day"
            return part, kind, parts[0] if number else ""
    return parts[0], "other", ""


def _load_id(snapshot: JSON) -> str:
    summary = snapshot.get("summary") or {}
    return next((str(v) for k, v in summary.items() if k.rpartition(".")[2] == _PROPERTY), "")


def _time(load: Load) -> int:
    return int(load.snapshot["timestamp-ms"])
