"""Load a period's raw files into the Iceberg tables of the namespace ``weather``."""

# Luigi says it is typed, but its methods are not.
# mypy: allow-untyped-calls

import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path

import luigi
import pyarrow as pa
from pyiceberg.catalog import Catalog

from jobs import config
from jobs.lake import filters, iceberg
from jobs.lake.tables import ALERTS, OBSERVATIONS, STATIONS
from jobs.parse.batches import Tally, read_observations, read_stations
from jobs.parse.records import Reject
from jobs.targets import read_json, write_json
from jobs.tasks.alerts import Alerts
from jobs.tasks.base import WeatherTask, log
from jobs.tasks.loading import Load, checkpoint_of
from jobs.tasks.observations import Fetched, answers_of, fetch
from jobs.tasks.periods import Period, chunks
from jobs.tasks.quarantine import keep_aside
from jobs.tasks.stations import Stations

# Rows of one commit: an hour of every reporting station is a tenth of it, and they fit in memory.
MAX_ROWS = 250_000


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
        scope = filters.times(rows, "sent") if rows.num_rows else None
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
            note = checkpoint_of(parts, tally, seconds) if parts else {}
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
        scope = filters.station_times(rows) if rows.num_rows else None
        return iceberg.load(catalog, OBSERVATIONS, rows, load_id=load_id, scope=scope)


def loads(task: WeatherTask, *periods: Period) -> list[Load]:
    """Give the loads of periods, for the stations of a task."""
    kinds: tuple[type[Load], ...] = (LoadStations, LoadObservations, LoadAlerts)
    return [task.step(kind, period=period) for period in periods for kind in kinds]


def day_loads(task: WeatherTask, date: dt.date, days: int) -> list[Load]:
    """Give the loads of the days that end with a date, many days in one where they are many."""
    return loads(task, *chunks(date, days, config.weather().chunk_days))
