"""The table ``weather.pipeline_runs``: every ingestion, build and maintenance."""

import datetime as dt
import json
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import And, BooleanExpression, EqualTo, In

from jobs.lake import iceberg
from jobs.lake.merging import Definition
from jobs.lake.schemas import TIME, column, text

RUNS = Definition(
    name="weather.pipeline_runs",
    doc="Ingestion, builds and maintenance of the lake, one row per run_id, the failed ones too",
    schema=pa.schema(
        [
            text("run_id", "names the run; key", required=True),
            text("task", "the task that ran, e.g. Transform", required=True),
            text("period", "its day 2013-07-02 or hour 2013-07-02T14, UTC"),
            text("status", "success or failed", required=True),
            column("started_at", TIME, "when it began, UTC", required=True),
            column("finished_at", TIME, "when it ended, UTC", required=True),
            column("seconds", pa.float64(), "how long it took; of an ingestion the work, seconds"),
            column("models_built", pa.int32(), "dbt models built"),
            column("tests_passed", pa.int32(), "dbt tests passed"),
            column("tests_failed", pa.int32(), "dbt tests failed"),
            column("tests_warned", pa.int32(), "dbt tests that warned"),
            column("rows_changed", pa.int64(), "rows put into tables and taken out of them"),
            text("message", "what came of it, in a line"),
            text("details", "more about it, a JSON object"),
            column("rows_read", pa.int64(), "rows that an ingestion read from the weather service"),
            column("bytes_read", pa.int64(), "bytes that it received for them"),
            column("requests", pa.int64(), "requests that it made, each try counted"),
        ]
    ),
    key=("run_id",),
    prefer="oldest",
)


def record(
    catalog: Catalog,
    *,
    run_id: str,
    task: str,
    period: str,
    status: str,
    started_at: dt.datetime,
    finished_at: dt.datetime,
    message: str = "",
    details: dict[str, Any] | None = None,
    **counts: int | None,
) -> None:
    """Write a run's row, once whatever happens: a run_id that is there stays as it is.

    Args:
        catalog: where the table is, or will be made.
        run_id: names the run, never another one.
        task: the task's name.
        period: the hour or day it was about.
        status: success or failed.
        started_at: when it began, with a time zone.
        finished_at: when it ended, with a time zone.
        message: what came of it, in a line.
        details: more about it, JSON-shaped.
        counts: models_built, tests_passed, tests_failed, tests_warned, rows_changed, rows_read,
            bytes_read, requests.

    Raises:
        ValueError: a status or count that the table does not know.
        CommitFailedException: other writers won every one of many races.
    """
    if status not in {"success", "failed"}:
        raise ValueError(f"status {status!r} of run {run_id}: give success or failed")
    unknown = counts.keys() - set(RUNS.schema.names)
    if unknown:
        raise ValueError(f"{RUNS.name} has no column {', '.join(sorted(unknown))}")
    row = {
        "run_id": run_id,
        "task": task,
        "period": period,
        "status": status,
        "started_at": started_at,
        "finished_at": finished_at,
        "seconds": round((finished_at - started_at).total_seconds(), 3),
        "message": message,
        "details": json.dumps(details or {}),
        **counts,
    }
    table = pa.Table.from_pylist([row], schema=RUNS.schema)
    mine = EqualTo("run_id", run_id)  # type: ignore[arg-type, call-arg, misc]
    iceberg.load(catalog, RUNS, table, load_id=f"{RUNS.name}/{run_id}", scope=mine)


def last_success(catalog: Catalog, tasks: list[str]) -> dict[str, Any] | None:
    """Return the newest row of a run of these tasks that ended well, with its details read."""
    try:
        table = catalog.load_table(RUNS.name)
    except NoSuchTableError:
        return None
    wanted: BooleanExpression = And(
        EqualTo("status", "success"),  # type: ignore[arg-type, call-arg, misc]
        In("task", tasks),  # type: ignore[arg-type, call-arg, misc]
    )
    rows = table.scan(row_filter=wanted).to_arrow().to_pylist()
    if not rows:
        return None
    newest = max(rows, key=lambda row: row["finished_at"])
    return {**newest, "details": json.loads(newest["details"] or "{}")}
