"""Load a day's raw files into the Iceberg tables of the namespace ``weather``."""

# Luigi says it is typed, but its methods are not.
# mypy: allow-untyped-calls

import dataclasses
import datetime as dt
import hashlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import luigi
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError

from jobs import config, iceberg
from jobs.observations import Observations
from jobs.records import (
    Reject,
    dedupe_observations,
    parse_observation,
    parse_station,
    unreadable_values,
)
from jobs.schemas import OBSERVATION_SCHEMA, QUARANTINE_SCHEMA, STATION_SCHEMA
from jobs.stations import Stations
from jobs.targets import read_json, write_json
from jobs.tasks import WeatherTask

STATIONS = iceberg.Definition(
    name="weather.stations",
    doc="Weather stations, one row per station_id",
    schema=STATION_SCHEMA,
    key=("station_id",),
    prefer="newest",
)
OBSERVATIONS = iceberg.Definition(
    name="weather.observations",
    doc="Weather observations, one row per station_id and observed_at",
    schema=OBSERVATION_SCHEMA,
    key=("station_id", "observed_at"),
    prefer="fullest",
    partition_by_day="observed_at",
)
QUARANTINE = iceberg.Definition(
    name="weather.quarantine",
    doc="Records that could not become rows, as received, with the reason",
    schema=pa.schema(
        [
            *QUARANTINE_SCHEMA,
            pa.field("load_id", pa.string(), False, {"doc": "the load that met the record first"}),
            pa.field(
                "quarantined_at",
                pa.timestamp("us", "UTC"),
                False,
                {"doc": "when that load met it, UTC"},
            ),
        ]
    ),
    key=("kind", "reason", "raw"),
    prefer="oldest",
)


def connect() -> Catalog:
    """Connect to the catalog of the [catalog] settings."""
    settings = config.catalog()
    return iceberg.connect(settings.uri, settings.warehouse, settings.token)


class _Load(WeatherTask):
    """A load into one table; its checkpoint says what it did."""

    def complete(self) -> bool:
        """Say whether the checkpoint is there and, if asked to verify, its table too."""
        if not super().complete():
            return False
        return not config.weather().verify or holds(connect(), read_json(self.path()))

    def link(self) -> str:
        """Give the catalog's page of the namespace, which a browser can open."""
        return f"{config.catalog().uri}/v1/namespaces/weather/tables"

    def load(
        self,
        definition: iceberg.Definition,
        rows: list[Any],
        rejects: list[Reject],
        files: Iterable[Path],
        scope: str | None = None,
    ) -> dict[str, Any]:
        """Load rows and rejects, then write the checkpoint, which is returned."""
        started = time.monotonic()
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
        load_id = f"{definition.name}/{self.date}/{digest}"
        catalog = connect()
        iceberg.ensure(catalog, QUARANTINE)
        if rejects:
            _quarantine(catalog, rejects, load_id)
        table = pa.Table.from_pylist(rows, schema=definition.schema)
        loaded = iceberg.load(catalog, definition, table, load_id=load_id, scope=scope)
        checkpoint = {
            **dataclasses.asdict(loaded),
            "rows_rejected": len(rejects),
            "input_sha256": digest,
            "seconds": round(time.monotonic() - started, 3),
        }
        write_json(self.path(), checkpoint)
        self.say(
            f"{loaded.rows_in} rows read, {loaded.rows_new} new, {loaded.rows_changed} changed,"
            f" {len(rejects)} quarantined -> {definition.name}",
            100,
        )
        return checkpoint


class LoadStations(_Load):
    """Merge the stations into ``weather.stations``: the newest word on each stays."""

    def requires(self) -> Stations:
        """Ask for the stations' raw file."""
        return self.step(Stations)

    def output(self) -> luigi.LocalTarget:
        """Name the checkpoint."""
        return self.place("load-stations.json")

    def run(self) -> None:
        """Load them."""
        source = self.requires()
        parsed = [parse_station(feature) for feature in source.features()]
        rejects = [row for row in parsed if isinstance(row, Reject)]
        rows = {row["station_id"]: row for row in parsed if not isinstance(row, Reject)}
        self.load(STATIONS, list(rows.values()), rejects, [source.path()])


class LoadObservations(_Load):
    """Merge the day's observations into ``weather.observations``.

    One row per station and time stays: the one with the most values, of equals the newest.
    """

    def requires(self) -> Observations:
        """Ask for the observations' raw files."""
        return self.step(Observations)

    def output(self) -> luigi.LocalTarget:
        """Name the checkpoint."""
        return self.place("load-observations.json")

    def run(self) -> None:
        """Load them."""
        files = self.requires().files()
        features = [
            feature
            for path in files
            for answer in read_json(path)
            for feature in answer["features"]
        ]
        parsed = [parse_observation(feature) for feature in features]
        rejects = [row for row in parsed if isinstance(row, Reject)]
        rows = dedupe_observations(row for row in parsed if not isinstance(row, Reject))
        unreadable = sum(len(unreadable_values(feature)) for feature in features)
        if unreadable:
            self.say(f"{unreadable} values are null: no number, or in an unknown unit")
        times = [row["observed_at"] for row in rows]
        self.load(OBSERVATIONS, rows, rejects, files, _days(times) if times else None)


def _days(times: list[dt.datetime]) -> str:
    """Cover whole UTC days, so that an overwrite replaces whole partitions."""
    first, last = (
        dt.datetime.combine(time.astimezone(dt.UTC), dt.time(), dt.UTC)
        for time in (min(times), max(times))
    )
    after = last + dt.timedelta(days=1)
    return f"observed_at >= '{first.isoformat()}' and observed_at < '{after.isoformat()}'"


def _quarantine(catalog: Catalog, rejects: list[Reject], load_id: str) -> None:
    now = dt.datetime.now(dt.UTC)
    rows = {
        (reject.kind, reject.reason, reject.raw_json): {
            "kind": reject.kind,
            "record_id": reject.record_id,
            "reason": reject.reason,
            "raw": reject.raw_json,
            "load_id": load_id,
            "quarantined_at": now,
        }
        for reject in rejects
    }
    table = pa.Table.from_pylist(list(rows.values()), schema=QUARANTINE.schema)
    day = load_id.rpartition("/")[0]
    iceberg.load(catalog, QUARANTINE, table, load_id=load_id, scope=f"load_id like '{day}/%'")


def holds(catalog: Catalog, checkpoint: dict[str, Any]) -> bool:
    """Say whether the catalog has the very table that a checkpoint speaks of."""
    try:
        table = catalog.load_table(checkpoint["table"])
    except NoSuchTableError:
        return False
    return bool(str(table.metadata.table_uuid) == checkpoint["table_uuid"])
