"""Load a period's raw files into the Iceberg tables of the namespace ``weather``."""

import dataclasses
import datetime as dt
import hashlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import BooleanExpression, In, IsNull, Or

from jobs import config
from jobs.lake import filters, iceberg, rest, runs
from jobs.lake.iceberg import Loaded
from jobs.lake.merging import Definition
from jobs.lake.tables import ALERTS, OBSERVATIONS, QUARANTINE, SCHEMA_DRIFT, STATIONS
from jobs.parse.batches import Tally, read_batch, read_observations, read_stations
from jobs.parse.records import Reject
from jobs.targets import read_json, write_json
from jobs.tasks import periods
from jobs.tasks.alerts import Alerts
from jobs.tasks.base import WESTERNMOST, PeriodTask, WeatherTask
from jobs.tasks.observations import Fetched, IncompleteError, fetch
from jobs.tasks.periods import Period, chunks, served
from jobs.tasks.stations import Stations

_GONE = (
    "it is older than the {:g} hours that the service keeps ([weather] history_hours), is not"
    " requested, and stays unavailable"
)
# Rows of one commit: an hour of every reporting station is a tenth of it, and they fit in memory.
MAX_ROWS = 250_000


def connect() -> Catalog:
    """Return the catalog of the [catalog] settings."""
    settings = config.settings().catalog
    return rest.connect(
        settings.uri, settings.warehouse, settings.token, settings.credential, settings.timeout
    )


def holds(catalog: Catalog, checkpoint: dict[str, Any]) -> bool:
    """Return whether the catalog has the very table that a checkpoint names."""
    try:
        table = catalog.load_table(checkpoint["table"])
    except NoSuchTableError:
        return False
    return bool(str(table.metadata.table_uuid) == checkpoint["table_uuid"])


def partitioned(definition: Definition) -> Definition:
    """Return a table's definition with partitions as ``[weather] partition_by`` says."""
    unit = config.settings().weather.partition_by
    return dataclasses.replace(definition, partition_unit=unit)


class Load(PeriodTask):
    """A load into one table; its checkpoint records the result."""

    definition: ClassVar[Definition]
    source: ClassVar[type[PeriodTask]]

    def requires(self) -> list[WeatherTask]:
        """Return the task whose raw file is loaded, unless the service no longer has the period."""
        return [] if self.gone() else [self.step(self.source)]

    def current(self) -> bool:
        """Return whether the period is loaded, or still unavailable; raw files may be gone."""
        return read_json(self.path())["status"] != "unavailable" or self.gone()

    def verified(self) -> bool:
        """Return whether the catalog still has the table of the checkpoint."""
        return holds(connect(), read_json(self.path()))

    def link(self) -> str:
        """Return the catalog's page of what this run has loaded."""
        settings = config.settings().catalog
        return rest.run_page(settings.pages_url(), settings.warehouse, str(self.period))

    def gone(self) -> bool:
        """Return whether the service no longer has anything of the period."""
        history = config.settings().weather.history_hours
        span = (self.period.start, self.period.end)
        return served(span, dt.datetime.now(dt.UTC), history) is None

    def run(self) -> None:
        """Load the raw file, or note that the period is unavailable."""
        if self.gone():
            self.leave()
            return
        started, tally = time.monotonic(), Tally()
        catalog, load_id = self.open(), self.load_id([self.step(self.source).path()])
        rows, scope = self.read(tally)
        quarantine(catalog, tally, load_id)
        table = partitioned(self.definition)
        loaded = iceberg.load(catalog, table, rows, load_id=load_id, scope=scope)
        cost = read_json(self.step(self.source).path()).get("cost", {})
        self.close([loaded], tally, time.monotonic() - started, self.failed(), cost)

    def failed(self) -> dict[str, str]:
        """Return what the service failed for while the raw file was fetched, with the errors."""
        return {}

    def read(self, tally: Tally) -> tuple[pa.Table, str | None]:
        """Return the rows of the raw file, and a filter that covers them."""
        raise NotImplementedError

    def open(self) -> Catalog:
        """Return the catalog with the tables created, which the marts need even if empty."""
        catalog = connect()
        for definition in (partitioned(self.definition), QUARANTINE, SCHEMA_DRIFT):
            iceberg.ensure(catalog, definition)
        return catalog

    def load_id(self, files: Iterable[Path]) -> str:
        """Return the name of a load: table, period and a digest of its input."""
        digest = hashlib.sha256()
        for path in files:
            digest.update(path.read_bytes())
        return f"{self.definition.name}/{self.period}/{digest.hexdigest()}"

    def close(
        self,
        parts: list[Loaded],
        tally: Tally,
        seconds: float,
        failed: dict[str, str],
        cost: dict[str, float],
        **more: Any,
    ) -> None:
        """Write the checkpoint of a load that is done, but for what the service failed for."""
        checkpoint = checkpoint_of(parts, tally, seconds) | more
        checkpoint |= {"failed": failed, "cost": cost}
        if failed:
            checkpoint["status"] = "degraded"
        write_json(self.path(), checkpoint)
        what = f"{checkpoint['rows_in']} rows read"
        if "observations" in more:
            what = f"{more['observations']} observations of {more['stations']} stations"
        self.progress(
            f"{what}, {checkpoint['rows_new']} new,"
            f" {checkpoint['rows_changed']} changed, {checkpoint['rows_rejected']} quarantined"
            f" -> {self.definition.name}",
            100,
        )
        self.degraded(failed)

    def leave(self) -> None:
        """Write the checkpoint of a period that the service no longer has."""
        table = iceberg.ensure(self.open(), partitioned(self.definition))
        load_id = f"{self.definition.name}/{self.period}/unavailable"
        nothing = Loaded.of(table, table.current_snapshot(), load_id)
        checkpoint = checkpoint_of([nothing], Tally(), 0.0) | {"status": "unavailable"}
        write_json(self.path(), checkpoint)
        self.progress("unavailable: nothing is requested", 100)


class LoadStations(Load):
    """Merge the stations into ``weather.stations``: what changed gets a row of its own."""

    definition, source, file = STATIONS, Stations, "load-stations.json"

    def read(self, tally: Tally) -> tuple[pa.Table, str | None]:
        """Return the stations; all stored ones are compared."""
        stations = self.step(Stations)
        return read_stations(stations.features(), stations.fetched_at(), tally), None


class LoadAlerts(Load):
    """Merge the alerts into ``weather.alerts``: the newest version of each stays."""

    definition, source, file = ALERTS, Alerts, "load-alerts.json"

    def failed(self) -> dict[str, str]:
        """Return the error of the alerts, if the service failed for them."""
        return self.step(Alerts).failed()

    def read(self, tally: Tally) -> tuple[pa.Table, str | None]:
        """Return the alerts, and the hours in which they were sent."""
        found = []
        for row in self.step(Alerts).rows():
            tally.records += 1
            if isinstance(row, Reject):
                tally.reject(row)
            else:
                found.append(row)
        rows = pa.Table.from_pylist(found, schema=ALERTS.schema)
        return rows, filters.times(rows, "sent") if found else None


class LoadObservations(Load):
    """Fetch the period's observations and merge them into ``weather.observations``.

    One row per station and time stays: the one with the most values, of equals the newest.
    Stations that the service fails for degrade the load and are requested again by later periods.
    If the service is down, what it returned is loaded at once; the task then fails, its next try
    requests the rest, and until then ``load-observations.incomplete.json`` says what is missing.
    """

    definition, source, file = OBSERVATIONS, Stations, "load-observations.json"
    resources = {"nws": 1}  # noqa: RUF012 - Luigi's own idiom

    def current(self) -> bool:
        """Return whether the load is current: not of a day that was over for some stations only."""
        made = dt.datetime.fromtimestamp(self.written() / 1e9, dt.UTC)
        early = made < self.period.end + WESTERNMOST and made < self.closes() <= periods.now()
        return super().current() and not early

    def run(self) -> None:
        """Fetch what is missing, and load all of it.

        Raises:
            IncompleteError: the service is down; what it returned before is loaded.
        """
        if self.gone():
            self.leave()
            self.require(0, _GONE.format(config.settings().weather.history_hours))
            return
        found = fetch(self, self.step(Stations))
        started, tally = time.monotonic(), Tally()
        catalog = self.open()
        parts = list(self._load(catalog, found, tally))
        seconds = time.monotonic() - started
        note = self.path().with_name("load-observations.incomplete.json")
        if found.down:
            loaded = checkpoint_of(parts, tally, seconds) if parts else {}
            write_json(note, loaded | {"failed": found.failed, "status": "incomplete"})
        try:
            found.require_service()
        except IncompleteError as error:
            now = dt.datetime.now(dt.UTC)
            runs.record(
                catalog,
                run_id=f"{self.task_family}/{self.period}/{now.isoformat()}",
                task=self.task_family,
                period=str(self.period),
                status="failed",
                started_at=now - dt.timedelta(seconds=seconds + found.cost["seconds"]),
                finished_at=now,
                message=str(error)[:2000],
                rows_read=sum(tally.stations.values()),
                rows_changed=sum(part.rows_new + part.rows_changed for part in parts),
                requests=round(found.cost["requests"]),
                bytes_read=round(found.cost["bytes"]),
            )
            raise
        counts = tally.stations.values()
        self.close(
            parts,
            tally,
            seconds,
            found.failed,
            found.cost,
            stations=len(counts),
            stations_with_observations=sum(count > 0 for count in counts),
            observations=sum(counts),
            batches=found.batches,
            failed_before=read_json(note)["failed"] if note.exists() else {},
        )
        note.unlink(missing_ok=True)
        self.require(sum(counts), f"received of {len(counts)} stations")

    def require(self, observations: int, reason: str) -> None:
        """Warn if a period has fewer observations than are expected of any."""
        least = config.settings().weather.min_observations
        if observations < least:
            self.warn(
                f"{observations} observations, fewer than {least} ([weather] min_observations):"
                f" {reason}"
            )

    def _load(self, catalog: Catalog, found: Fetched, tally: Tally) -> Iterator[Loaded]:
        """Load file after file, in one commit unless they are more than fit in memory."""
        tables: list[pa.Table] = []
        files: list[Path] = []
        for number, path in enumerate(found.files, 1):
            tables.append(read_observations(read_batch(path), tally))
            files.append(path)
            last = number == len(found.files)
            if last or sum(table.num_rows for table in tables) >= MAX_ROWS:
                rows, load_id = pa.concat_tables(tables), self.load_id(files)
                if tally.unreadable:
                    self.progress(f"{tally.unreadable} values are null: no number, or unknown unit")
                quarantine(catalog, tally, load_id)
                scope = filters.station_times(rows) if rows.num_rows else None
                table = partitioned(OBSERVATIONS)
                yield iceberg.load(catalog, table, rows, load_id=load_id, scope=scope)
                self.progress(f"{number} of {len(found.files)} batches loaded")
                tables, files = [], []


def loads(task: WeatherTask, *periods: Period) -> list[Load]:
    """Return the loads of periods, for the stations of a task."""
    kinds: tuple[type[Load], ...] = (LoadStations, LoadObservations, LoadAlerts)
    return [task.step(kind, period=period) for period in periods for kind in kinds]


def day_loads(task: WeatherTask, date: dt.date, days: int) -> list[Load]:
    """Return the loads of the days that end with a date, in chunks if they are many."""
    return loads(task, *chunks(date, days, config.settings().weather.chunk_days))


def quarantine(catalog: Catalog, tally: Tally, load_id: str) -> None:
    """Load rejects into ``weather.quarantine``, and schema drift into ``weather.schema_drift``."""
    now = dt.datetime.now(dt.UTC)
    rejects = {(one.kind, one.reason, one.raw_json): one for one in tally.rejects}
    tally.rejects = []
    if rejects:
        rows = [
            {
                "kind": one.kind,
                "record_id": one.record_id,
                "reason": one.reason,
                "raw": one.raw_json,
                "load_id": load_id,
                "quarantined_at": now,
            }
            for one in rejects.values()
        ]
        ids = {one.record_id for one in rejects.values()} - {None}
        scope: BooleanExpression = IsNull("record_id")  # type: ignore[arg-type, misc]
        if ids:
            scope = Or(In("record_id", ids), scope)  # type: ignore[arg-type, call-arg, misc]
        table = pa.Table.from_pylist(rows, schema=QUARANTINE.schema)
        iceberg.load(catalog, QUARANTINE, table, load_id=load_id, scope=scope)
    if tally.drift:
        new = [
            {**drift._asdict(), "example": value, "first_seen": now}
            for drift, value in tally.drift.items()
        ]
        table = pa.Table.from_pylist(new, schema=SCHEMA_DRIFT.schema)
        iceberg.load(catalog, SCHEMA_DRIFT, table, load_id=load_id)


def checkpoint_of(parts: list[Loaded], tally: Tally, seconds: float) -> dict[str, Any]:
    """Return the sum of a load's commits, and what was unexpected in its input."""
    rows = sum(part.rows_in for part in parts)
    return {
        **dataclasses.asdict(parts[-1]),
        "status": "loaded",
        "committed": any(part.committed for part in parts),
        "commits": sum(part.committed for part in parts),
        "records": tally.records,
        "duplicates": tally.duplicates,
        "unreadable_values": tally.unreadable,
        "rows_in": rows,
        "rows_new": sum(part.rows_new for part in parts),
        "rows_changed": sum(part.rows_changed for part in parts),
        "rows_rejected": sum(tally.reasons.values()),
        "reasons": dict(tally.reasons.most_common()),
        "drift": [drift._asdict() for drift in sorted(tally.drift)],
        "seconds": round(seconds, 3),
        "rows_per_second": round(rows / seconds) if seconds else None,
    }
