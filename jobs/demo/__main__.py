"""Demonstrate catalog, pipeline, marts, maintenance and report on real observations.

``python -m jobs.demo`` is what ``make demo`` runs. It starts the catalog and the simulator of the
weather service on free ports, runs the pipeline, proves that no row is lost or twice, and stops
what it started. The state stays in ``var/demo``: a second run finds everything done. ``serve``
leaves the catalog running, ``stop`` stops it; ``crash`` begins anew in ``var/demo-crash``, with
faults of the weather service and a kill of the catalog. With ``--s3`` the tables are in an emulator
of Amazon S3, everything else in ``var/demo-s3``.
"""

import contextlib
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

from jobs.addresses import split_address
from jobs.demo import steps, tables
from jobs.demo.next_steps import DEFAULT, IN_S3, SERVED, how_to_stop, next_steps, shown
from jobs.demo.object_store import WAREHOUSE, ObjectStore, confined, without_proxy
from jobs.demo.proof import prove
from jobs.lake import rest
from jobs.stack import processes, verbs
from jobs.stack.processes import StackError, free_address
from jobs.stack.services import Service

# Mostly DuckDB's extensions.
SPACE = 250 << 20


@dataclass(frozen=True)
class State:
    """The demo's files."""

    folder: Path
    objects: ObjectStore | None = None
    """The object store that the tables are in; None: they are in the folder."""

    @property
    def store_file(self) -> Path:
        """The catalog's database."""
        return self.folder / "catalog.db"

    @property
    def store(self) -> str:
        """Its URL."""
        return f"sqlite:///{self.store_file}"

    @property
    def warehouse(self) -> str:
        """URL of the tables' folder."""
        return WAREHOUSE if self.objects else f"file://{self.folder / 'warehouse'}"

    @property
    def settings(self) -> Path | None:
        """More settings of the catalog."""
        return self.objects.settings if self.objects else None

    @property
    def runs(self) -> bool:
        """Whether something was left running."""
        return any((self.folder / "run").glob("*.json"))

    @property
    def weather(self) -> Path:
        """The pipeline's data_dir."""
        return self.folder / "weather"


def _address(value: str | None) -> str | None:
    """Return an address with its port, a free one for port 0."""
    if value is None:
        return None
    try:
        _, port = split_address(value, lowest=0)
        return value if port else free_address(value.rpartition(":")[0])
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    except OSError as error:
        raise click.BadParameter(f"cannot listen on {value}: {error.strerror}") from None


EPILOG = """\b
run     do that, and stop all servers (default)
serve   do that, and leave the catalog running
stop    stop the catalog of serve
crash   begin anew, with faults of the weather service and a kill -9 of the catalog
"""


@click.command(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument(
    "action", type=click.Choice(["run", "serve", "stop", "crash"]), required=False, default="run"
)
@click.option(
    "--state",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of everything the demo makes. [default: var/demo, with --s3 var/demo-s3, for crash"
    " var/demo-crash]",
)
@click.option("--s3", is_flag=True, help="Keep the tables in an emulator of Amazon S3.")
@click.option(
    "--listen",
    callback=lambda _context, _option, value: _address(value),
    metavar="HOST:PORT",
    help="Where the catalog listens; port 0 takes a free one. [default: a free port, for serve"
    " 127.0.0.1:8181]",
)
def main(action: str, folder: Path | None, listen: str | None, *, s3: bool) -> None:
    """Fill an Iceberg lakehouse with real weather and show it."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    without_proxy()
    chosen = folder or (Path("var/demo-crash") if action == "crash" else IN_S3 if s3 else DEFAULT)
    place = chosen.resolve()
    state = State(place, ObjectStore(place) if s3 else None)
    served = _service(state, (listen if action in {"serve", "stop"} else None) or SERVED)
    try:
        if action == "stop":
            in_s3 = State(IN_S3.resolve(), ObjectStore(IN_S3.resolve()))
            either = [state] if folder or s3 else [state, in_s3]
            for one in [each for each in either if each.runs] or [state]:
                _stop(one, served)
            return
        if not _can_serve(state, served, required=action == "serve"):
            served = _service(state, free_address())
        place_of_run = "127.0.0.1:0" if action == "serve" or not listen else listen
        _demo(state, place_of_run, action, served)
        if action == "serve":
            _serve(state, served)
            click.echo(how_to_stop(state.folder, served))
    except BrokenPipeError:
        raise  # the reader of our output has closed it
    except (StackError, OSError, duckdb.Error, RequestException) as error:
        line = " ".join(str(error).split())
        raise click.ClickException(f"the demo stopped: {line}") from None


def _can_serve(state: State, served: Service, *, required: bool) -> bool:
    """Return whether the catalog can be left running at its address, or is already.

    Raises:
        StackError: it cannot, and that is ``required``.
    """
    if processes.find(verbs.pid_file(state.folder, served)) is not None:
        return True
    try:
        verbs.require_port(served)
    except StackError:
        if required:
            raise
        return False
    return True


def _serve(state: State, served: Service) -> None:
    """Start what is left running; a store comes first, and the settings that name it."""
    if state.objects:
        state.objects.forget()
        verbs.start(state.folder, [state.objects.service(free_address())], lambda _: None)
        state.objects.configure()
    verbs.start(state.folder, [served], lambda _: None)


def _stop(state: State, served: Service) -> None:
    before = [state.objects.service(free_address())] if state.objects else []
    verbs.stop(state.folder, [*before, served], click.echo)


def _service(state: State, listen: str) -> Service:
    program = str(Path(sys.executable).with_name("falcon-catalog"))
    places = ["--store", state.store, "--warehouse", state.warehouse]
    if state.settings:
        places += ["--config", str(state.settings)]
    return Service(
        name="catalog",
        listen=listen,
        variable="make demo-serve LISTEN",
        command=(program, "serve", "--listen", listen, *places),
        health=("GET", "/health/ready"),
        keeps=(),
        environment=processes.without_settings(),
    )


def _demo(state: State, listen: str, action: str, served: Service) -> None:
    started, crash = time.monotonic(), action == "crash"
    if crash and state.store_file.exists():
        raise StackError(
            f"{state.folder} holds an earlier demo: remove it, or name another --state"
        )
    state.folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(state.folder).free
    if not state.weather.exists() and free < SPACE:
        raise StackError(
            f"{state.folder} has {free >> 20} MB free, and the demo needs {SPACE >> 20} MB"
        )
    log = state.folder / "catalog.log"
    with contextlib.ExitStack() as stack:
        if state.objects:
            store = stack.enter_context(state.objects.running())
            click.echo(f"Store        {store.url}, emulates Amazon S3: {state.warehouse}")
        server = stack.enter_context(
            processes.catalog(state.store, state.warehouse, listen, log, state.settings)
        )
        click.echo(f"Catalog      {server.url}, state in {shown(state.folder)}")
        _configure(state, server.url, served.url)
        with steps.simulator(state.folder, crash=crash) as service:
            click.echo(f"Weather      {service.url}, simulates api.weather.gov: records of 2013")
            if crash:
                click.echo("Faults       a fifth of its responses fail; the catalog is killed once")
            steps.run(server, service, state.folder, state.weather, crash=crash)
        steps.link_report(served.url)
        _show(state, server.url)
    if crash:
        count = steps.injected(state.folder)
        click.echo(
            f"Recovered    from {count} injected API failures and one kill -9 of the catalog"
        )
    elif action == "run":
        click.echo(f"\n{next_steps(state.folder, served, s3=state.objects is not None)}")
    click.echo(f"Done in {time.monotonic() - started:.0f} s.")


def _show(state: State, uri: str) -> None:
    catalog = rest.connect(uri, "default")
    first = steps.LAST_DAY - dt.timedelta(days=steps.DAYS - 1)
    mart = tables.daily(uri, state.weather, first, steps.LAST_DAY)
    click.echo(f"\nThe daily mart, marts.fct_daily_station_weather\n\n{mart}\n")
    click.echo(f"Lakehouse    {tables.held(catalog)}")
    if state.objects:
        click.echo(f"Store        {state.objects.held()} in {state.warehouse}")
        click.echo(f"Access       {confined(catalog)}")
    click.echo(f"Report       {shown(steps.report())}")
    with steps.simulator(state.folder, crash=False, log="proof.log") as service:
        proof = prove(service.url, catalog, steps.STATIONS, first, steps.LAST_DAY)
    click.echo(f"Proof        {proof}")
    if not proof.holds:
        raise StackError(f"the table and the weather service differ: {proof}")


def _configure(state: State, uri: str, pages: str) -> None:
    """Set the pipeline's settings for this process and its children.

    ``uri`` is the catalog of this run, ``pages`` where it is served afterwards.
    """
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
            "CATALOG_URI": uri,
            "CATALOG_WAREHOUSE": "default",
            "CATALOG_PAGES": pages,
        }
    )


if __name__ == "__main__":
    main()
