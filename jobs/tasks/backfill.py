"""Load years of raw files on Spark: ``luigi --module jobs BackfillObservations --date …``."""

import contextlib
import datetime as dt
import hashlib
import itertools
import json
import logging
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
from luigi.contrib.external_program import ExternalProgramRunError
from luigi.contrib.spark import PySparkTask
from pyiceberg.catalog import Catalog

from jobs import config
from jobs.lake import iceberg, rest, runs
from jobs.lake.iceberg import Loaded
from jobs.lake.merging import Definition
from jobs.lake.tables import OBSERVATIONS, QUARANTINE, SCHEMA_DRIFT, STATIONS
from jobs.parse.batches import Tally, read_stations
from jobs.spark import backfill, session
from jobs.spark.failures import errors, failure
from jobs.targets import read_json, write_json
from jobs.tasks.base import STATIONS_FILE, DaysTask, log
from jobs.tasks.load import checkpoint_of, connect, partitioned, quarantine
from jobs.tasks.periods import Period


class NoRawFilesError(FileNotFoundError):
    """There are no raw files of the days and the choice of stations."""

    transient = False


class BackfillError(Exception):
    """The program on Spark failed; the message has its reason."""


class BackfillObservations(PySparkTask, DaysTask):
    """Load the raw files of many days into the tables, on Spark; fetches nothing.

    The raw files are those that ``Observations`` and the loads leave in ``data_dir``, of the same
    choice of stations and of any period that overlaps the days. Years are committed one by one, by
    the rules of the local path, so that both can be mixed, repeated and run side by side:

        luigi --module jobs BackfillObservations --date 2022-12-31 --days 3650
    """

    file = "backfill-observations.json"

    # Spark's own lines go where Luigi's go, as they come.
    capture_output = False
    stream_for_searching_tracking_url = "none"

    # What the program on Spark gets with this task, which is pickled for it.
    access: dict[str, Any]
    definition: Definition
    location: str
    parts: list[backfill.Part]
    result: str

    @property
    def span(self) -> Period:
        """All the days."""
        return Period(self.date - dt.timedelta(days=self.days - 1), self.date)

    def current(self) -> bool:
        """Return whether the raw files are those that were loaded, or gone."""
        files = self.raw_files()
        return not files or read_json(self.path())["inputs"] == _digest(files)

    def raw_files(self) -> list[Path]:
        """Return the raw files of observations, by the end of their periods."""
        return [
            file
            for folder in self._folders()
            for file in sorted([*folder.glob("*observations-*.json.gz")], key=lambda f: f.name)
            if file.name.startswith(("observations-", "partial-observations-"))
        ]

    def run(self) -> None:
        """Load stations here and observations on Spark, then write what came of it.

        Raises:
            NoRawFilesError: there are none.
            SparkUnavailableError: pyspark or Java is missing.
            BackfillError: the program on Spark failed.
        """
        session.require()
        files, started = self.raw_files(), dt.datetime.now(dt.UTC)
        if not files:
            raise NoRawFilesError(
                f"no raw files of {self.span} for {self.selection()} in {self.data_dir}:"
                " Observations and LoadDays leave them there, until [maintenance] raw_days"
            )
        catalog = connect()
        self.definition = partitioned(OBSERVATIONS)
        for definition in (self.definition, STATIONS, QUARANTINE, SCHEMA_DRIFT):
            iceberg.ensure(catalog, definition)
        self.location = catalog.load_table(OBSERVATIONS.name).location()
        stations = self._load_stations(catalog)
        settings = config.settings().catalog
        self.access = {
            name: getattr(settings, name)
            for name in ("uri", "warehouse", "token", "credential", "timeout")
        }
        self.parts = [
            backfill.Part(
                f"{OBSERVATIONS.name}/backfill-{year}/{_digest(some)}",
                tuple(str(file.resolve()) for file in some),
            )
            for year, some in _by_year(files)
        ]
        with tempfile.TemporaryDirectory() as folder:
            self.result = str(Path(folder, "result.json"))
            try:
                super().run()
            except ExternalProgramRunError:
                # Its own text has the whole environment, secrets included.
                raise BackfillError(_reason(Path(self.result))) from None
            done = read_json(Path(self.result))
        loads = [*stations, *done["parts"]]
        rows = sum(part["rows_in"] for part in loads)
        changed = sum(part["rows_new"] + part["rows_changed"] for part in loads)
        message = f"{len(files)} files, {rows} rows read, {changed} new or changed"
        finished = dt.datetime.now(dt.UTC)
        runs.record(
            catalog,
            run_id=f"{self.task_family}/{self.span}/{_digest(files)}",
            task=self.task_family,
            period=str(self.span),
            status="success",
            started_at=started,
            finished_at=finished,
            message=message,
            rows_read=rows,
            rows_changed=changed,
        )
        write_json(
            self.path(),
            {
                "inputs": _digest(files),
                "files": len(files),
                "loads": loads,
                "seconds": round((finished - started).total_seconds(), 3),
            },
        )
        self.progress(message, 100)

    def main(self, sc: Any, *_: Any) -> None:
        """Load the parts, in the driver's process; called by luigi's runner for PySpark."""
        from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra

        logging.basicConfig(format="%(levelname)s: %(message)s", force=True)
        log.setLevel(logging.INFO)
        try:
            catalog = rest.connect(**self.access)
            spark = session.connect(SparkSession(sc), catalog.properties)
            parts = [self._load(spark, catalog, part) for part in self.parts]
            write_json(Path(self.result), {"parts": parts})
        except Exception as error:
            of_java = isinstance(error, errors())
            why = failure(error).reason if of_java else f"{type(error).__name__}: {error}"
            with contextlib.suppress(OSError):
                write_json(Path(self.result), {"error": why})
            raise

    def _load(self, spark: Any, catalog: Catalog, part: backfill.Part) -> dict[str, Any]:
        started = dt.datetime.now(dt.UTC)

        def report(line: str) -> None:
            # Not ``progress``: the pickled task has lost the scheduler.
            log.info("%s: %s", part.load_id.rpartition("/")[0], line)

        loaded, tally = backfill.load(spark, catalog, self.definition, part, report)
        quarantine(catalog, tally, part.load_id)
        report(f"{loaded.rows_in} rows, {loaded.rows_new} new, {loaded.rows_changed} changed")
        seconds = (dt.datetime.now(dt.UTC) - started).total_seconds()
        return checkpoint_of([loaded], tally, seconds)

    def _load_stations(self, catalog: Catalog) -> list[dict[str, Any]]:
        """Load the stations of each period, the older first, as ``LoadStations`` does."""
        files = [folder / STATIONS_FILE for folder in self._folders()]
        found = [(read_json(file), file) for file in files if file.exists()]
        before: Any = None
        done = []
        for content, file in sorted(found, key=lambda one: str(one[0].get("fetched_at"))):
            if content["features"] == before or "fetched_at" not in content:
                continue
            before, tally = content["features"], Tally()
            fetched_at = dt.datetime.fromisoformat(content["fetched_at"])
            rows: pa.Table = read_stations(before, fetched_at, tally)
            load_id = f"{STATIONS.name}/backfill/{_digest([file])}"
            quarantine(catalog, tally, load_id)
            loaded: Loaded = iceberg.load(catalog, STATIONS, rows, load_id=load_id)
            done.append(checkpoint_of([loaded], tally, 0.0))
        return done

    def _folders(self) -> Iterator[Path]:
        """Yield the folders of periods that overlap the days, by the periods' ends."""
        wanted, found = self.span, []
        for folder in Path(self.data_dir).glob(f"*/{self.selection()}"):
            with contextlib.suppress(ValueError):
                period = Period.parse(folder.parent.name)
                if period.first <= wanted.last and wanted.first <= period.last:
                    found.append((period.end, period.start, folder))
        yield from (folder for _, _, folder in sorted(found))

    # Luigi's [spark] settings, with flags and environment as all others.

    @property
    def spark_submit(self) -> str:
        """The program: the one that is configured, else pyspark's own."""
        configured, spec = str(super().spark_submit), find_spec("pyspark")
        if configured != "spark-submit" or spec is None or spec.origin is None:
            return configured
        return str(Path(spec.origin).with_name("bin") / "spark-submit")

    @property
    def conf(self) -> dict[str, str]:
        """All settings; those of the catalog follow in the session, since they have secrets."""
        return session.static_settings(config.settings().spark.settings(), [self.location])

    # The driver reads data_dir, so it runs here; the others are in ``conf``.
    deploy_mode = "client"
    master = packages = jars = driver_memory = executor_memory = None

    @property
    def pyspark_python(self) -> str:
        """The Python of executors, which needs this package: this one."""
        given = config.settings().spark.settings()
        return given.get("spark.pyspark.python", sys.executable)

    pyspark_driver_python = sys.executable


def _by_year(files: list[Path]) -> Iterator[tuple[int, list[Path]]]:
    def year(file: Path) -> int:
        return Period.parse(file.parents[1].name).last.year

    for number, some in itertools.groupby(files, year):
        yield number, list(some)


def _digest(files: list[Path]) -> str:
    """Return a digest of raw files, which are never changed in place: names, sizes and times."""
    facts = [
        (file.parents[1].name, file.name, stat.st_size, stat.st_mtime_ns)
        for file in files
        for stat in [file.stat()]
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _reason(result: Path) -> str:
    """Return why the program failed, as far as it could say."""
    if result.exists():
        return str(read_json(result)["error"])
    return "spark-submit failed before the program started: the lines above have the reason"
