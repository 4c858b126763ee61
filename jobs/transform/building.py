"""One build of the marts, from the raw tables to its row in ``weather.pipeline_runs``."""

import datetime as dt
import logging
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import RESTError

from jobs.lake import iceberg, runs
from jobs.lake.tables import ALERTS, OBSERVATIONS, QUARANTINE, SCHEMA_DRIFT, STATIONS
from jobs.transform import marts, results
from jobs.transform.running import Progress, TransformError, alone, install_extensions, run

log = logging.getLogger("luigi-interface.weather")

# What dbt reads; a lake without alerts, progress, has the table nevertheless.
RAW = (STATIONS, OBSERVATIONS, ALERTS, QUARANTINE, SCHEMA_DRIFT, runs.RUNS)
TASKS = ("Transform", "DbtTransformations")


@dataclass(frozen=True)
class Build:
    """What a build is for: its task and period, the end of the latter, and dbt's folder."""

    task: str
    period: str
    as_of: dt.datetime
    state: Path
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))


def build(catalog: Catalog, wanted: Build, progress: Progress) -> dict[str, Any]:
    """Build and test the marts; return the content of the checkpoint.

    The raw tables that are missing are made first, empty. Without an earlier build by the
    same models every day is computed, else only those whose reports changed. The run is recorded,
    a failed one before its error is raised.

    Raises:
        TransformError: models or tests failed; the message names them.
    """
    install_extensions(wanted.state / "duckdb-extensions")
    with alone(wanted.state, progress) as lock:
        started = dt.datetime.now(dt.UTC)
        for definition in RAW:
            iceberg.ensure(catalog, definition)
        digest = marts.project_digest()
        progress("dbt build", 0)
        try:
            _run(catalog, wanted, lock, progress, digest)
        except TransformError as error:
            try:
                message = str(error)[:2000]
                _record(catalog, wanted, started, digest=digest, status="failed", message=message)
            except (OSError, RESTError) as unreachable:  # perhaps what failed the build, too
                log.warning("the failed build could not be recorded: %s", unreachable)
            raise
        found = results.read(wanted.state)
        document: dict[str, Any] = {
            "run_id": wanted.run_id,
            "models": results.models(found),
            "tests": results.tests(found),
            "warnings": results.warnings(found),
            "freshness": results.freshness(wanted.state),
            "tables": marts.describe(catalog, wanted.state),
        }
        models = document["models"]
        rows = sum(model["rows_changed"] for model in models.values())
        counts = ", ".join(f"{n} {status}" for status, n in document["tests"].items() if n)
        message = f"{len(models)} models, {rows} rows changed, tests: {counts}"
        finished = _record(
            catalog, wanted, started, digest=digest, status="success", message=message
        )
    return {**document, "seconds": round((finished - started).total_seconds(), 3)}


def _run(catalog: Catalog, wanted: Build, lock: Any, progress: Progress, digest: str) -> None:
    results.results_path(wanted.state).unlink(missing_ok=True)
    last = runs.last_success(catalog, list(TASKS))
    rebuild = last is None or last["details"].get("project") != digest
    # Not --vars: with other ones dbt parses the whole project again.
    environment = {
        "WEATHER_AS_OF": wanted.as_of.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "WEATHER_REBUILD": "true" if rebuild else "",
    }
    try:
        run(wanted.state, lock, [["build"], ["source", "freshness"]], progress, **environment)
    except TransformError:
        failed = results.failures(results.read(wanted.state))
        if failed:
            raise TransformError("; ".join(failed)) from None
        raise


def _record(
    catalog: Catalog,
    wanted: Build,
    started: dt.datetime,
    *,
    digest: str,
    status: str,
    message: str,
) -> dt.datetime:
    found = results.read(wanted.state)
    tests = results.tests(found)
    finished = dt.datetime.now(dt.UTC)
    runs.record(
        catalog,
        run_id=wanted.run_id,
        task=wanted.task,
        period=wanted.period,
        status=status,
        started_at=started,
        finished_at=finished,
        message=message,
        details={"project": digest, "models": results.models(found)},
        models_built=sum(r["status"] == "success" for r in found if results.is_model(r)),
        tests_passed=tests["pass"],
        tests_failed=tests.get("fail", 0),
        tests_warned=tests["warn"],
        rows_changed=sum(map(results.rows_changed, found)),
    )
    return finished
