"""Demonstrate catalog, pipeline, marts, maintenance and report on real observations.

``python -m jobs.demo`` is what ``make demo`` runs. It starts the catalog and the simulator of the
weather service on free ports, runs the pipeline, shows what it made and stops what it started.
The state stays in ``var/demo``: a second run finds everything done.
"""

import datetime as dt
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click
import duckdb
from requests import RequestException

from jobs.demo import steps, tables
from jobs.demo.next_steps import next_steps
from jobs.lake import rest
from jobs.stack import processes
from jobs.stack.processes import StackError

# Mostly DuckDB's extensions.
SPACE = 250 << 20


@dataclass(frozen=True)
class State:
    """The demo's files."""

    folder: Path

    @property
    def store(self) -> str:
        """URL of the catalog's database."""
        return f"sqlite:///{self.folder / 'catalog.db'}"

    @property
    def warehouse(self) -> str:
        """URL of the tables' folder."""
        return f"file://{self.folder / 'warehouse'}"

    @property
    def weather(self) -> Path:
        """The pipeline's data_dir."""
        return self.folder / "weather"


@click.command()
@click.option(
    "--state",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/demo"),
    show_default=True,
    help="Folder of everything the demo makes.",
)
@click.option(
    "--listen",
    default="127.0.0.1:0",
    show_default=True,
    help="Where the catalog listens meanwhile; port 0 takes a free one.",
)
def main(folder: Path, listen: str) -> None:
    """Fill an Iceberg lakehouse with real weather and show it."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        _demo(State(folder.resolve()), listen)
    except BrokenPipeError:
        raise  # the reader of our output has closed it
    except (StackError, OSError, duckdb.Error, RequestException) as error:
        line = " ".join(str(error).split())
        raise click.ClickException(f"the demo stopped: {line}") from None


def _demo(state: State, listen: str) -> None:
    started = time.monotonic()
    state.folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(state.folder).free
    if not state.weather.exists() and free < SPACE:
        raise StackError(
            f"{state.folder} has {free >> 20} MB free, and the demo needs {SPACE >> 20} MB"
        )
    log = state.folder / "catalog.log"
    with processes.catalog(state.store, state.warehouse, listen, log) as server:
        click.echo(f"Catalog      {server.url}   (state in {state.folder})")
        _configure(state, server.url)
        steps.run(server, state.folder, state.weather)
        _show(state, server.url)
    next_day = steps.LAST_DAY + dt.timedelta(days=1)
    click.echo(next_steps(state.store, state.warehouse, state.weather, next_day))
    click.echo(f"Done in {time.monotonic() - started:.0f} s. All servers are stopped.")


def _show(state: State, uri: str) -> None:
    catalog = rest.connect(uri, "default")
    first = steps.LAST_DAY - dt.timedelta(days=steps.DAYS - 1)
    mart = tables.daily(uri, state.weather, first, steps.LAST_DAY)
    click.echo(f"\nThe hours ingested\n\n{tables.hours(state.weather)}")
    click.echo(f"\nThe daily mart, marts.fct_daily_station_weather\n\n{mart}")
    click.echo(f"\nThe snapshots that made it\n\n{tables.snapshots(catalog)}")
    click.echo(f"\nThe runs, weather.pipeline_runs\n\n{tables.runs(catalog)}")
    report = steps.report()
    click.echo(f"\nThe report, one file to open in a browser\n\n  {report}")


def _configure(state: State, uri: str) -> None:
    """Set the pipeline's settings for this process and its children."""
    os.environ.update(
        {
            "WEATHER_DATA_DIR": str(state.weather),
            "WEATHER_STATIONS": ",".join(steps.STATIONS),
            "WEATHER_STATES": "",
            "WEATHER_ALERT_STATES": "NJ,NY",
            # The simulator marks the alerts that it derives from its records as tests.
            "WEATHER_ALERT_STATUSES": "Actual,Test",
            # The simulator's hours are of 2013, and it forgets nothing.
            "WEATHER_HISTORY_HOURS": "0",
            "WEATHER_VERIFY": "true",
            "WEATHER_REQUESTS_PER_SECOND": "50",
            # Everything is on this machine, whatever proxy leads out of it.
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "CATALOG_URI": uri,
            "CATALOG_WAREHOUSE": "default",
        }
    )


if __name__ == "__main__":
    main()
