"""The simulator as a WSGI app: its routes, and what stands before them."""

import logging
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any

import falcon

from jobs.nws_simulator.api import Alerts, Clock, Observations, Station, Stations
from jobs.nws_simulator.data import Source
from jobs.nws_simulator.faults import Faults, names
from jobs.nws_simulator.late import Late
from jobs.nws_simulator.query import Problem, render_problem, unexpected

log = logging.getLogger("jobs.nws_simulator")

RETRY_AFTER = "1"
CDN_PAGE = (
    "<html><head><title>Access Denied</title></head><body><h1>Access Denied</h1>"
    "<p>You don't have permission to access this server.</p>"
    "<p>Reference&#32;&#35;18&#46;5fa71402&#46;1357&#46;2013</p></body></html>"
)
HANG_STEP = 0.02


def make_app(
    source: Source,
    faults: Faults | None = None,
    *,
    hang: float = 60.0,
    now: Clock | None = None,
    late: float = 0.0,
) -> falcon.App[Any, Any]:
    """Return the simulator as a WSGI app.

    Args:
        source: what it serves, see `airports` and `recordings`.
        faults: which requests fail; none by default. A request can also select faults with the
            header `X-Simulator-Faults: throttle`.
        hang: how long the fault "timeout" holds an answer back, seconds.
        now: a clock; later observations do not exist yet. By default it is the present, and series
            with past dates are complete.
        late: share of the observations that come late, and of those corrected later; see `Late`.

    Raises:
        ValueError: `late` is out of range.
    """
    chosen = faults or Faults()
    app: falcon.App[Any, Any] = falcon.App(middleware=[Gate(chosen, hang)])
    app.add_error_handler(Problem, render_problem)
    app.add_error_handler(falcon.HTTPError, _render_http_error)
    clock = now or partial(datetime.now, UTC)
    live = now is not None or source.period is not None
    observations = Observations(source, chosen, clock, Late(late), live=live)
    app.add_route("/stations", Stations(source))
    app.add_route("/stations/{station_id}", Station(source))
    app.add_route("/stations/{station_id}/observations", observations)
    app.add_route("/stations/{station_id}/observations/latest", observations, suffix="latest")
    app.add_route("/alerts", Alerts(source, clock))
    return app


class Gate:
    """What stands before the API: its ids, its CDN that wants a User-Agent, and the faults."""

    def __init__(self, faults: Faults, hang: float) -> None:
        self._faults = faults
        self._hang = hang

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Choose the request's faults, and respond to those that replace the API's response."""
        correlation_id = uuid.uuid4().hex
        for header in ("X-Correlation-Id", "X-Request-Id"):
            resp.set_header(header, correlation_id)
        resp.set_header("X-Server-Id", "simulator")
        try:
            requested = names(req.get_header("X-Simulator-Faults", default="").replace(",", "+"))
        except ValueError as error:
            raise Problem(400, "Bad Request", str(error)) from error
        faults = requested or self._faults.choose(req.relative_uri)
        req.context.faults = faults
        if not req.user_agent or "forbidden" in faults:
            resp.status, resp.content_type, resp.text = 403, "text/html", CDN_PAGE
            resp.complete = True
        elif faults & {"throttle", "throttle-bare"}:
            raise _slow_down(resp, 429, "Too Many Requests", retry_after="throttle" in faults)
        elif faults & {"unavailable", "unavailable-bare"}:
            raise _slow_down(resp, 503, "Service Unavailable", retry_after="unavailable" in faults)
        elif "error" in faults:
            raise unexpected()
        elif "null-features" in faults:
            resp.content_type = "application/geo+json"
            resp.text = '{"type": "FeatureCollection", "features": null}'
            resp.complete = True
        elif "timeout" in faults:
            hung_up: Callable[[], bool] = req.env.get("waitress.client_disconnected", lambda: False)
            deadline = time.monotonic() + self._hang
            while time.monotonic() < deadline and not hung_up():
                time.sleep(HANG_STEP)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, _: object, __: object
    ) -> None:
        """Truncate the response if that is its fault, and log the request."""
        faults: frozenset[str] = getattr(req.context, "faults", frozenset())
        if "truncate" in faults:
            body = resp.render_body() or b""
            resp.text = None
            # A generator: of a file waitress would send the true length.
            resp.set_stream((part for part in [body[: len(body) // 2]]), len(body))
        log.info("%s %s %s %s", req.method, req.relative_uri, resp.status_code, "+".join(faults))


def _slow_down(resp: falcon.Response, status: int, title: str, *, retry_after: bool) -> Problem:
    if retry_after:
        resp.set_header("Retry-After", RETRY_AFTER)
    return Problem(status, title, "Please slow down.")


def _render_http_error(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: Any
) -> None:
    status = error.status_code
    title = HTTPStatus(status).phrase
    detail = error.description or f"{req.method} {req.path} is not served here"
    render_problem(req, resp, Problem(status, title, detail), params)
