"""Raw tables in a catalog of their own, dbt builds of them, and rows to fill them with."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.lake import iceberg
from jobs.lake.merging import Definition
from jobs.lake.tables import OBSERVATIONS, QUARANTINE, STATIONS
from jobs.transform import building, running

Row = dict[str, Any]
LONG_AGO = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)


def nothing(_words: str, _percent: float | None = None) -> None:
    """Hear of a build's progress."""


class Lake:
    """A catalog with raw tables, and a folder for dbt."""

    def __init__(self, server: Any, folder: Path) -> None:
        self.catalog = server.connect()
        self.folder = folder
        self._loads = 0

    def load(self, definition: Definition, rows: Sequence[Row]) -> None:
        """Append rows as they are: what a load would make of them is not the matter here."""
        table = iceberg.ensure(self.catalog, definition)
        table.append(pa.Table.from_pylist(list(rows), schema=table.schema().as_arrow()))

    def observe(self, *rows: Row) -> None:
        self.load(OBSERVATIONS, rows)

    def describe(self, **zones: str | None) -> None:
        """Add stations that were always described as they are."""
        self.load(STATIONS, [station(name, time_zone=zone) for name, zone in zones.items()])

    def put_aside(self, *rows: Row) -> None:
        self.load(QUARANTINE, rows)

    def delete(self, definition: Definition, rows: str) -> None:
        self.catalog.load_table(definition.name).delete(rows)

    def build(self, as_of: dt.datetime = LONG_AGO, **more: str) -> Row:
        wanted = building.Build("Transform", "2013-07-02", as_of, self.folder, **more)
        return building.build(self.catalog, wanted, nothing)

    def run(self, *arguments: str) -> None:
        """Run a dbt command by hand."""
        with running.alone(self.folder, nothing) as lock:
            as_of = LONG_AGO.isoformat()
            running.run(self.folder, lock, [list(arguments)], nothing, WEATHER_AS_OF=as_of)

    def rows(self, mart: str, namespace: str = "marts") -> list[Row]:
        return self.catalog.load_table(f"{namespace}.{mart}").scan().to_arrow().to_pylist()

    def keyed(self, mart: str, key: str) -> dict[str, Row]:
        rows = self.rows(mart)
        found = {row[key]: row for row in rows}
        assert len(found) == len(rows)
        return found

    def marts(self) -> list[str]:
        names = (name for _, name in self.catalog.list_tables("marts"))
        return sorted(name for name in names if not name.startswith("snap_"))

    def content(self) -> dict[str, list[str]]:
        return {name: sorted(map(str, self.rows(name))) for name in self.marts()}

    def days(self, station_id: str) -> dict[str, Row]:
        return {
            str(row["local_date"]): row
            for row in self.rows("fct_daily_station_weather")
            if row["station_id"] == station_id
        }

    def hour(self, station_id: str, hour: dt.datetime) -> Row:
        (row,) = [
            row
            for row in self.rows("fct_observations_hourly")
            if row["station_id"] == station_id and row["hour_utc"] == hour
        ]
        return row

    def state(self) -> dict[str, tuple[str, int]]:
        tables = [self.catalog.load_table(name) for name in self.catalog.list_tables("marts")]
        return {
            table.name()[-1]: (str(table.metadata.table_uuid), len(table.snapshots()))
            for table in tables
        }


def station(station_id: str, **more: Any) -> Row:
    return {"station_id": station_id, "valid_from": LONG_AGO, "is_current": True, **more}


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)


def at(station_id: str, time: dt.datetime, **values: Any) -> Row:
    return {"station_id": station_id, "observed_at": time, **values}


def hours(station_id: str, start: dt.datetime, count: int, **values: Any) -> list[Row]:
    return [at(station_id, start + dt.timedelta(hours=n), **values) for n in range(count)]
