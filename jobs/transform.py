"""Build the marts with dbt, in a process of its own: dbt keeps global state."""

# Luigi says it is typed, but its methods are not.
# mypy: allow-untyped-calls

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import duckdb
import duckdb_extensions
import luigi
from pyiceberg.table import Table

from jobs import config
from jobs.load import Load, connect, day_loads, holds
from jobs.targets import read_json, write_json
from jobs.tasks import DayTask

EXTENSIONS = ("httpfs", "avro", "iceberg")


class TransformError(Exception):
    """dbt failed; the message names the models and tests that did, or its last words."""


class Transform(DayTask):
    """Build and test the marts with dbt, once the day, or days, are loaded."""

    days = luigi.IntParameter(default=1, description="how many days, of which date is the last")
    resources = {"dbt": 1}  # noqa: RUF012 - Luigi's own idiom

    def requires(self) -> list[Load]:
        """Ask for the loads of every day."""
        return day_loads(self, self.date, self.days)

    def output(self) -> luigi.LocalTarget:
        """Name the checkpoint."""
        return self.place(
            "transform.json" if self.days == 1 else f"transform-{self.days}-days.json"
        )

    def complete(self) -> bool:
        """Say whether the checkpoint is there and, if asked to verify, its tables too."""
        if not super().complete():
            return False
        tables = read_json(self.path())["tables"] if config.weather().verify else []
        return all(holds(connect(), table) for table in tables)

    def run(self) -> None:
        """Run ``dbt build`` and write down what it did.

        Raises:
            TransformError: a model or a test failed.
        """
        started = time.monotonic()
        state = Path(self.data_dir).resolve()
        install_extensions(state / "duckdb-extensions")
        self.say("dbt build")
        with _alone(state / "dbt" / "lock", self.say) as lock:
            results = _build(state, lock)
        catalog = connect()
        tables = [
            _document(catalog.load_table(name), docs)
            for name, docs in sorted(_marts(state).items())
        ]
        write_json(
            self.path(),
            {
                "models": _models(results),
                "tests": _tests(results),
                "tables": [_state(table) for table in tables],
                "seconds": round(time.monotonic() - started, 3),
            },
        )
        tests = _tests(results)
        self.say(f"{len(_models(results))} models, {tests['pass']} tests passed", 100)


def install_extensions(folder: Path) -> None:
    """Put DuckDB's extensions from their wheels into a folder; those that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(config={"extension_directory": str(folder)}) as connection:
        for name in EXTENSIONS:
            duckdb_extensions.import_extension(name, con=connection)


@contextlib.contextmanager
def _alone(path: Path, say: Any) -> Iterator[IO[bytes]]:
    """Hold the lock of dbt's DuckDB file, which knows one writing process only.

    dbt inherits the lock: when this process is killed, the next run waits for the orphan.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another dbt build is running (lock {path}): waiting for its end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _build(state: Path, lock: IO[bytes]) -> list[dict[str, Any]]:
    project, folder = config.dbt_dir(), state / "dbt"
    outcome = folder / "target" / "run_results.json"
    outcome.unlink(missing_ok=True)
    command = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "build"]
    command += ["--project-dir", str(project), "--profiles-dir", str(project)]
    command += ["--target-path", str(folder / "target"), "--log-path", str(folder / "logs")]
    run = subprocess.run(  # noqa: S603 - our own dbt on our own project
        command,
        env=_environment(state),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        pass_fds=(lock.fileno(),),
    )
    results: list[dict[str, Any]] = (
        json.loads(outcome.read_text())["results"] if outcome.exists() else []
    )
    failed = [result for result in results if result["status"] in {"error", "fail"}]
    if failed:
        raise TransformError("; ".join(f"{r['unique_id']}: {r['message']}" for r in failed))
    if run.returncode:
        words = [line for line in (run.stdout + run.stderr).splitlines() if line.strip()]
        last = words[-1] if words else "no word of why"
        raise TransformError(f"dbt ended with {run.returncode}: {last} ({folder}/logs/dbt.log)")
    return results


def _environment(state: Path) -> dict[str, str]:
    catalog = config.catalog()
    return {
        **os.environ,
        "CATALOG_URI": catalog.uri,
        "CATALOG_WAREHOUSE": catalog.warehouse,
        "CATALOG_TOKEN": catalog.token,
        "WEATHER_DUCKDB": str(state / "dbt" / "weather.duckdb"),
        "WEATHER_DUCKDB_EXTENSIONS": str(state / "duckdb-extensions"),
        "DO_NOT_TRACK": "1",
    }


def _models(results: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        result["unique_id"].rpartition(".")[2]: {
            "status": result["status"],
            "message": result["message"],
            "seconds": round(result["execution_time"], 3),
        }
        for result in results
        if result["unique_id"].startswith("model.")
    }


def _tests(results: list[dict[str, Any]]) -> dict[str, int]:
    statuses = [r["status"] for r in results if not r["unique_id"].startswith("model.")]
    return {status: statuses.count(status) for status in ("pass", "warn", "skipped")}


def _marts(state: Path) -> dict[str, dict[str, str]]:
    """Give the columns' descriptions of every model that is a table in the catalog."""
    manifest = json.loads((state / "dbt" / "target" / "manifest.json").read_text())
    return {
        f"{node['schema']}.{node['alias']}": {
            name: column["description"] for name, column in node["columns"].items()
        }
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["database"] == "lake"
    }


def _document(table: Table, docs: dict[str, str]) -> Table:
    """Write the descriptions into the table's schema, where DuckDB has no way to."""
    fields = {field.name: field.doc for field in table.schema().fields}
    changed = {name: doc for name, doc in docs.items() if name in fields and fields[name] != doc}
    if changed:
        with table.update_schema() as update:
            for name, doc in changed.items():
                update.update_column(name, doc=doc)
    return table


def _state(table: Table) -> dict[str, Any]:
    snapshot = table.current_snapshot()
    return {
        "table": ".".join(table.name()),
        "table_uuid": str(table.metadata.table_uuid),
        "snapshot_id": snapshot.snapshot_id if snapshot else None,
        "rows": table.scan().count(),
    }
