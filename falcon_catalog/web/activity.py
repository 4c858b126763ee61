"""Activity: what the server did in the last hour, and the audit log."""

from collections.abc import Mapping
from typing import Any

import falcon

from falcon_catalog.api.operations import audit_needs
from falcon_catalog.catalog import authorization, event_log
from falcon_catalog.catalog.authorization import SERVER, Need
from falcon_catalog.catalog.call import Call
from falcon_catalog.decimals import read_decimal
from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.identifiers import Namespace
from falcon_catalog.web import paths
from falcon_catalog.web.errors import note
from falcon_catalog.web.rendering import send_page
from falcon_catalog.web.samples import Minute, Samples
from falcon_catalog.web.site import Site

_SIZE = 100
_LATEST = 2**63 - 1
_HOUR_MS = 3600 * 1000
_PERIODS = {"": None, "1h": 1, "24h": 24, "7d": 7 * 24, "30d": 30 * 24}
_FIELDS = ("namespace", "table", "principal", "operation", "since", "refused")
_WIDTH, _HEIGHT = 480.0, 90.0


class ActivityPage:
    """``/ui/activity``: this process, and the audit log of all warehouses."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._samples = Samples(site.metrics, site.closing)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the last hour; to administrators also the audit log."""
        self._samples.start()
        calls = list(self._site.calls(req))
        administers = bool(calls) and authorization.permits(calls[0], "admin", SERVER)
        log = _shown_log(req, resp, calls[0], None) if administers else None
        send_page(
            req,
            resp,
            "activity.html",
            title="Activity",
            plots=_plots(self._samples.minutes()),
            warehouses=[
                (call.warehouse.name, paths.to_warehouse(call.warehouse.name, "activity"))
                for call in calls
                if authorization.permits(call, "grant", None)
            ],
            log=log,
            here=paths.ACTIVITY,
        )


class WarehouseActivityPage:
    """``/ui/warehouses/{warehouse}/activity``: the audit log of a warehouse."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, call: Call) -> None:
        """Show the audit log of a warehouse, or of what is in it."""
        name = call.warehouse.name
        send_page(
            req,
            resp,
            "activity.html",
            title=f"Activity in {name}",
            trail=[(name, paths.to_warehouse(name))],
            plots=None,
            warehouses=[],
            log=_shown_log(req, resp, call, name),
            here=paths.to_warehouse(name, "activity"),
        )


def audit_of_warehouse(req: falcon.Request, _params: Mapping[str, Any]) -> list[Need]:
    """`grant` on the table, the namespace or the warehouse that the query names."""
    return audit_needs(*_object(req))


def _object(req: falcon.Request) -> tuple[Namespace | None, str | None]:
    """Return the namespace, as people write it, and the table that a query names."""
    text, table = (req.get_param("namespace") or "").strip(), req.get_param("table") or None
    if not text and table is not None:
        raise BadRequestError(f"Invalid table {show(table)}: its namespace is missing")
    return (Namespace.of(text.split(".")) if text else None), table


def _shown_log(
    req: falcon.Request, resp: falcon.Response, call: Call, warehouse: str | None
) -> dict[str, Any]:
    """Return the rows that a query asks for, and the form that asked; with it what is wrong."""
    asked = {name: req.get_param(name) or "" for name in _FIELDS}
    shown = {
        "entries": [],
        "refused": asked["refused"] == "on",
        "asked": asked,
        "periods": list(_PERIODS),
        "next": None,
        "problem": "",
    }
    try:
        found = _read_log(req, call, warehouse)
    except BadRequestError as error:
        note(req, resp, error)
        return {**shown, "problem": error.message}
    query = {name: value for name, value in asked.items() if value}
    older = None if found.before is None else _query({**query, "before": str(found.before)})
    return {**shown, "entries": found.entries, "next": older}


def _read_log(req: falcon.Request, call: Call, warehouse: str | None) -> event_log.Listed:
    """Return the rows that a query asks for, newest first; raises BadRequestError."""
    namespace, table = _object(req)
    refused = req.get_param("refused") == "on"
    if refused and namespace is not None:
        raise BadRequestError("Refused requests are not listed by namespace or table")
    period = req.get_param("since") or ""
    if period not in _PERIODS:
        raise BadRequestError(f"Invalid period {show(period)}: it is none of {', '.join(_PERIODS)}")
    hours = _PERIODS[period]
    operation = (req.get_param("operation") or "").strip()
    wanted = event_log.named(
        namespace,
        table,
        warehouse=warehouse,
        actor=(req.get_param("principal") or "").strip() or None,
        operations=(operation,) if operation else (),
        since_ms=None if hours is None else call.now - hours * _HOUR_MS,
    )
    if warehouse is not None:
        wanted = event_log.only_own(call, wanted)
    before = read_decimal(req.get_param("before") or "", most=_LATEST) or None
    return event_log.list_(call, wanted, refused=refused, before=before, size=_SIZE)


def _query(values: Mapping[str, str]) -> str:
    return "&".join(f"{name}={falcon.uri.encode_value(value)}" for name, value in values.items())


def _plots(minutes: list[Minute]) -> list[dict[str, Any]]:
    """Return the plots of the last hour: title, unit, newest and highest value, and bars."""
    series: list[tuple[str, str, list[float | None]]] = [
        ("Requests", "a second", [each.requests for each in minutes]),
        ("Latency, 95 of 100 requests", "ms at most", [each.latency for each in minutes]),
        ("Commits", "a second", [each.commits for each in minutes]),
        ("Errors", "a second", [each.errors for each in minutes]),
    ]
    return [
        {
            "title": title,
            "unit": unit,
            "newest": values[-1] if values else None,
            "highest": max((each for each in values if each is not None), default=None),
            "bars": _bars(values),
            "width": _WIDTH,
            "height": _HEIGHT,
        }
        for title, unit, values in series
    ]


def _bars(values: list[float | None]) -> list[tuple[float, float, float, float]]:
    """Return x, y, width and height of a bar for each value, the newest at the right."""
    top = max((each for each in values if each is not None), default=0.0)
    step = _WIDTH / 60
    bars = []
    for age, value in enumerate(reversed(values)):
        if value and top:
            height = max(1.0, value / top * _HEIGHT)
            x = _WIDTH - (age + 1) * step
            bars.append((round(x, 1), round(_HEIGHT - height, 1), round(step - 1, 1), height))
    return bars
