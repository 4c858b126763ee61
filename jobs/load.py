"""Load a period's raw files into the Iceberg tables of the namespace ``weather``."""

# Luigi says it is typed, but its methods are not.
# mypy: allow-untyped-calls

import dataclasses
import datetime as dt
import hashlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import luigi
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import BooleanExpression, In, IsNull, Or

from jobs import config, iceberg
from jobs.alerts import Alerts
from jobs.merging import Definition
from jobs.observations import Fetched, answers_of, fetch
from jobs.periods import Period, chunks, served
from jobs.reading import Tally, read_observations, read_stations
from jobs.records import Reject
from jobs.stations import Stations
from jobs.tables import ALERTS, OBSERVATIONS, QUARANTINE, SCHEMA_DRIFT, STATIONS
from jobs.targets import read_json, write_json
from jobs.tasks import PeriodTask, WeatherTask, log

# Rows of one commit: an hour of every reporting station is a tenth of it, and they fit in memory.
MAX_ROWS = 250_000


def connect() -> Catalog:
    """Connect to the catalog of the [catalog] settings."""
    settings = config.catalog()
    return iceberg.connect(
        settings.uri,
        settings.warehouse,
        settings.token,
        settings.credential,
        settings.timeout,
    )


class Load(PeriodTask):
    """A load into one table; its checkpoint says what it did."""

    definition: Definition

    def complete(self) -> bool:
        """Say whether the checkpoint is there and, if asked to verify, its table too."""
        if not super().complete():
            return False
        return not config.weather().verify or holds(connect(), read_json(self.path()))

    def link(self) -> str:
        """Give the catalog's page of the namespace, which a browser can open."""
        return f"{config.catalog().uri}/v1/namespaces/weather/tables"

    def gone(self) -> bool:
        """Say whether the service no longer has anything of the period."""
        history = config.weather().history_hours
        span = (self.period.start, self.period.end)
        return served(span, dt.datetime.now(dt.UTC), history) is None

    def open(self) -> Catalog:
        """Connect, and make the tables that there are not: the marts want them even if empty."""
        catalog = connect()
        for definition in (self.definition, QUARANTINE, SCHEMA_DRIFT):
            iceberg.ensure(catalog, definition)
        return catalog

    def load_id(self, files: Iterable[Path]) -> str:
        """Name a load by table, period and input."""
        digest = hashlib.sha256()
        for path in files:
            digest.update(path.read_bytes())
        return f"{self.definition.name}/{self.period}/{digest.hexdigest()}"

    def close(self, parts: list[iceberg.Loaded], tally: Tally, seconds: float, **more: Any) -> None:
        """Write the checkpoint of a load that is done."""
        checkpoint = _checkpoint(parts, tally, seconds) | more
        write_json(self.path(), checkpoint)
        what = f"{checkpoint['rows_in']} rows read"
        if "observations" in more:
            what = f"{more['observations']} observations of {more['stations']} stations"
        self.say(
            f"{what}, {checkpoint['rows_new']} new,"
            f" {checkpoint['rows_changed']} changed, {checkpoint['rows_rejected']} quarantined"
            f" -> {self.definition.name}",
            100,
        )

    def leave(self) -> None:
        """Write the checkpoint of a period that the service no longer has."""
        table = iceberg.ensure(self.open(), self.definition)
        nothing = iceberg.Loaded.nothing(table, f"{self.definition.name}/{self.period}/unavailable")
        checkpoint = _checkpoint([nothing], Tally(), 0.0) | {"status": "unavailable"}
        write_json(self.path(), checkpoint)
        self.say("unavailable: nothing is asked for", 100)


class LoadStations(Load):
    """Merge the stations into ``weather.stations``: what changed gets a row of its own."""

    definition = STATIONS

    def requires(self) -> list[WeatherTask]:
        """Ask for the stations' raw file."""
        return [] if self.gone() else [self.step(Stations)]

    def output(self) -> luigi.LocalTarget:
        """Name the checkpoint."""
        return self.place("load-stations.json")

    def run(self) -> None:
        """Load them."""
        if self.gone():
            self.leave()
            return
        started, source, tally = time.monotonic(), self.step(Stations), Tally()
        catalog, load_id = self.open(), self.load_id([source.path()])
        rows = read_stations(source.features(), source.fetched_at(), tally)
        keep_aside(catalog, tally, load_id)
        loaded = iceberg.load(catalog, STATIONS, rows, load_id=load_id)
        self.close([loaded], tally, time.monotonic() - started)


class LoadAlerts(Load):
    """Merge the alerts into ``weather.alerts``: the newest word on each stays."""

    definition = ALERTS

    def requires(self) -> list[WeatherTask]:
        """Ask for the alerts' raw file."""
        return [] if self.gone() else [self.step(Alerts)]

    def output(self) -> luigi.LocalTarget:
        """Name the checkpoint."""
        return self.place("load-alerts.json")

    def run(self) -> None:
        """Load them."""
        if self.gone():
            self.leave()
            return
        started, source, tally = time.monotonic(), self.step(Alerts), Tally()
        catalog, load_id = self.open(), self.load_id([source.path()])
        read = source.rows()
        tally.records = len(read)
        for row in read:
            if isinstance(row, Reject):
                tally.put_aside(row)
        keep_aside(catalog, tally, load_id)
        found = [row for row in read if not isinstance(row, Reject)]
        rows = pa.Table.from_pylist(found, schema=ALERTS.schema)
        scope = _times(rows, "sent") if rows.num_rows else None
        loaded = iceberg.load(catalog, ALERTS, rows, load_id=load_id, scope=scope)
        self.close([loaded], tally, time.monotonic() - started)


class LoadObservations(Load):
    """Fetch the period's observations and merge them into ``weather.observations``.

    One row per station and time stays: the one with the most values, of equals the newest. What
    a failing service gave is loaded at once; the task then fails, and its next try asks for the
    rest.
    """

    definition = OBSERVATIONS
    resources = {"nws": 1}  # noqa: RUF012 - Luigi's own idiom

    def requires(self) -> list[WeatherTask]:
        """Ask for the stations, which make the batches and their windows."""
        return [] if self.gone() else [self.step(Stations)]

    def output(self) -> luigi.LocalTarget:
        """Name the checkpoint."""
        return self.place("load-observations.json")

    def run(self) -> None:
        """Fetch what is not there yet, and load all of it.

        Raises:
            IncompleteError: the service failed for some batches; the others are loaded.
        """
        if self.gone():
            hours = config.weather().history_hours
            log.warning(
                "%s is older than the %g hours that the service keeps ([weather] history_hours):"
                " it is not asked for, and stays unavailable",
                self.period,
                hours,
            )
            self.leave()
            return
        found = fetch(self, self.step(Stations))
        started, tally = time.monotonic(), Tally()
        parts = list(self._load(self.open(), found, tally))
        seconds = time.monotonic() - started
        self._require_whole(found, parts, tally, seconds)
        if not tally.records:
            log.warning("no observations of %s", self.period)
        counts = tally.stations.values()
        self.close(
            parts,
            tally,
            seconds,
            stations=len(counts),
            stations_with_observations=sum(count > 0 for count in counts),
            observations=sum(counts),
            batches=found.batches,
            failed_before=read_json(note)["failed"] if (note := self._note()).exists() else {},
        )
        note.unlink(missing_ok=True)

    def _note(self) -> Path:
        """Name the file that tells what is missing as long as something is."""
        return self.path().with_name("load-observations.incomplete.json")

    def _require_whole(
        self, found: Fetched, parts: list[iceberg.Loaded], tally: Tally, seconds: float
    ) -> None:
        if found.failed_batches:
            what = {"failed_batches": list(found.failed_batches), "failed": found.failed}
            note = _checkpoint(parts, tally, seconds) if parts else {}
            write_json(self._note(), note | what | {"status": "incomplete"})
        found.require_whole()

    def _load(self, catalog: Catalog, found: Fetched, tally: Tally) -> Iterator[iceberg.Loaded]:
        """Load file after file, in one commit unless they are more than fit in memory."""
        tables: list[pa.Table] = []
        files: list[Path] = []
        for number, path in enumerate(found.files, 1):
            (answers,) = answers_of([path])
            tables.append(read_observations(answers, tally))
            files.append(path)
            last = number == len(found.files)
            if last or sum(table.num_rows for table in tables) >= MAX_ROWS:
                yield self._commit(catalog, pa.concat_tables(tables), files, tally)
                self.say(f"{number} of {len(found.files)} batches loaded", None)
                tables, files = [], []

    def _commit(
        self, catalog: Catalog, rows: pa.Table, files: list[Path], tally: Tally
    ) -> iceberg.Loaded:
        load_id = self.load_id(files)
        if tally.unreadable:
            self.say(f"{tally.unreadable} values are null: no number, or in an unknown unit")
        keep_aside(catalog, tally, load_id)
        scope = _station_times(rows) if rows.num_rows else None
        return iceberg.load(catalog, OBSERVATIONS, rows, load_id=load_id, scope=scope)


def loads(task: WeatherTask, *periods: Period) -> list[Load]:
    """Give the loads of periods, for the stations of a task."""
    kinds: tuple[type[Load], ...] = (LoadStations, LoadObservations, LoadAlerts)
    return [task.step(kind, period=period) for period in periods for kind in kinds]


def day_loads(task: WeatherTask, date: dt.date, days: int) -> list[Load]:
    """Give the loads of the days that end with a date, many days in one where they are many."""
    return loads(task, *chunks(date, days, config.weather().chunk_days))


def keep_aside(catalog: Catalog, tally: Tally, load_id: str) -> None:
    """Load what was put aside into ``weather.quarantine``, and what is new where drift is kept."""
    now = dt.datetime.now(dt.UTC)
    rejects = {(one.kind, one.reason, one.raw_json): one for one in tally.take_rejects()}
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
        table = pa.Table.from_pylist(rows, schema=QUARANTINE.schema)
        scope = _same_records({one.record_id for one in rejects.values()})
        iceberg.load(catalog, QUARANTINE, table, load_id=load_id, scope=scope)
    if tally.drift:
        new = [
            {**drift._asdict(), "example": value, "first_seen": now}
            for drift, value in tally.drift.items()
        ]
        table = pa.Table.from_pylist(new, schema=SCHEMA_DRIFT.schema)
        iceberg.load(catalog, SCHEMA_DRIFT, table, load_id=load_id)


def holds(catalog: Catalog, checkpoint: dict[str, Any]) -> bool:
    """Say whether the catalog has the very table that a checkpoint speaks of."""
    try:
        table = catalog.load_table(checkpoint["table"])
    except NoSuchTableError:
        return False
    return bool(str(table.metadata.table_uuid) == checkpoint["table_uuid"])


def _checkpoint(parts: list[iceberg.Loaded], tally: Tally, seconds: float) -> dict[str, Any]:
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


def _times(rows: pa.Table, column: str) -> str:
    """Cover whole hours, so that the filter reads well and an hour's overwrite is an hour's."""
    span = pc.min_max(rows.column(column)).as_py()
    first = span["min"].replace(minute=0, second=0, microsecond=0)
    after = span["max"].replace(minute=0, second=0, microsecond=0) + dt.timedelta(hours=1)
    return f"{column} >= '{first.isoformat()}' and {column} < '{after.isoformat()}'"


def _station_times(rows: pa.Table) -> str:
    """Cover the hours of the stations from the first to the last one; batches go by their names."""
    stations = pc.min_max(rows.column("station_id")).as_py()
    within = f"station_id >= '{stations['min']}' and station_id <= '{stations['max']}'"
    return f"{_times(rows, 'observed_at')} and {within}"


def _same_records(ids: set[str | None]) -> BooleanExpression:
    """Find what was put aside of the same records before."""
    nameless: BooleanExpression = IsNull("record_id")  # type: ignore[arg-type, misc]
    known = ids - {None}
    if not known:
        return nameless
    return Or(In("record_id", known), nameless)  # type: ignore[arg-type, call-arg, misc]
