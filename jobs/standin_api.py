"""The shapes of the weather service's API over a Source: routes, pages, problems.

Source: the service's OpenAPI document, https://api.weather.gov/openapi.json, and recorded answers.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import falcon

from jobs.records import state_of
from jobs.standin_data import Feature, Source
from jobs.standin_faults import Faults, spoil

GEOJSON = "application/geo+json"
PROBLEM = "application/problem+json"
MAX_LIMIT = 500
CONTEXT = ["https://geojson.org/geojson-ld/geojson-context.jsonld", {"@version": "1.1"}]

Clock = Callable[[], datetime]


class Problem(Exception):  # noqa: N818 - RFC 9457's name
    """An error the API tells as application/problem+json."""

    def __init__(
        self, status: int, title: str, detail: str, parameters: Iterable[tuple[str, str]] = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.parameters = list(parameters)


def bad_request(parameter: str, message: str) -> Problem:
    """Make the 400 of one wrong query parameter."""
    return Problem(400, "Bad Request", "Bad Request", [(f"query.{parameter}", message)])


def render_problem(_: falcon.Request, resp: falcon.Response, error: Problem, *__: Any) -> None:
    """Write a problem as the service does."""
    correlation_id = str(resp.get_header("X-Correlation-Id") or uuid.uuid4())
    kind = error.title.title().replace(" ", "")
    body: dict[str, Any] = {
        "correlationId": correlation_id,
        "title": error.title,
        "type": f"https://api.weather.gov/problems/{kind}",
        "status": error.status,
        "detail": error.detail,
        "instance": f"https://api.weather.gov/requests/{correlation_id}",
    }
    if error.parameters:
        body["parameterErrors"] = [
            {"parameter": name, "message": message} for name, message in error.parameters
        ]
    resp.status = error.status
    resp.content_type = PROBLEM
    resp.text = json.dumps(body)


class Stations:
    """`GET /stations`: pages by offset; a next page is offered past the end too, as there."""

    def __init__(self, source: Source) -> None:
        self._stations = source.stations

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer one page."""
        query = _query(req, arrays=("id", "state"), single=("limit", "cursor"))
        ids, states = query.get("id", []), query.get("state", [])
        for state in states:
            if not re.fullmatch("[A-Z]{2}", state):
                raise bad_request("state", f"{state!r} is not a two-letter area code")
        found = [
            feature
            for station_id, feature in self._stations.items()
            if (not ids or station_id in ids)
            and (not states or state_of(feature["properties"]) in states)
        ]
        offset, limit = int(_cursor(query, r"[0-9]{1,9}") or 0), _limit(query)
        page = found[offset : offset + limit]
        kept = [(f"{name}[{i}]", value) for name in query for i, value in _kept(query, name)]
        body = _collection(page) | {
            "observationStations": [feature["id"] for feature in page],
            "pagination": {"next": _next(req, kept, offset + limit)},
        }
        _answer(resp, body)


class Station:
    """`GET /stations/{id}`."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def on_get(self, req: falcon.Request, resp: falcon.Response, station_id: str) -> None:
        """Answer the station."""
        _query(req)
        _answer(resp, _known(self._source, station_id))


class Observations:
    """`GET /stations/{id}/observations` and `…/latest`: newest first, pages back in time."""

    def __init__(self, source: Source, faults: Faults, now: Clock) -> None:
        self._source = source
        self._faults = faults
        self._now = now

    def on_get(self, req: falcon.Request, resp: falcon.Response, station_id: str) -> None:
        """Answer one page of [start, end], both ends included."""
        query = _query(req, single=("start", "end", "limit", "cursor"))
        _known(self._source, station_id)
        start, end = _moment(query, "start"), _moment(query, "end")
        told, limit = _cursor(query, r"[0-9T:+.-]{20,40}"), _limit(query)
        before = _time("cursor", told) if told else None
        found = [
            (moment, one)
            for moment, one in self._source.series(station_id, self._now())
            if (start is None or moment >= start)
            and (end is None or moment <= end)
            and (before is None or moment < before)
        ][:limit]
        page = [one.render(moment) for moment, one in found]
        draw = self._faults.generator(req.relative_uri)
        body = _collection(spoil(page, req.context.faults, draw))
        if found:
            kept = [(name, query[name][0]) for name in ("start", "end") if name in query]
            body["pagination"] = {"next": _next(req, kept, found[-1][0].isoformat())}
        _answer(resp, body)

    def on_get_latest(self, req: falcon.Request, resp: falcon.Response, station_id: str) -> None:
        """Answer the newest observation; with `require_qc` the newest with a passed value."""
        query = _query(req, single=("require_qc",))
        _known(self._source, station_id)
        choosy = query.get("require_qc", ["false"])[0] == "true"
        for moment, one in self._source.series(station_id, self._now()):
            feature = one.render(moment)
            if not choosy or _passed(feature):
                _answer(resp, spoil([feature], req.context.faults, self._faults.generator(""))[0])
                return
        raise Problem(404, "Not Found", f"no observations of station {station_id}")


def _query(
    req: falcon.Request, *, arrays: tuple[str, ...] = (), single: tuple[str, ...] = ()
) -> dict[str, list[str]]:
    """Read the query; `id=A,B` and `id[0]=A&id[1]=B` are one. An unknown parameter is a 400."""
    query: dict[str, list[str]] = {}
    for key, value in req.params.items():
        name = re.sub(r"\[[0-9]*\]$", "", key)
        if name not in arrays and key not in single:
            raise bad_request(key, f"Query parameter {key!r} is not recognized")
        for one in value if isinstance(value, list) else [value]:
            query.setdefault(name, []).extend(one.split(",") if name in arrays else [one])
    return query


def _kept(query: dict[str, list[str]], name: str) -> Iterable[tuple[int, str]]:
    return enumerate(query[name]) if name in ("id", "state") else ()


def _limit(query: dict[str, list[str]]) -> int:
    raw = query.get("limit", [str(MAX_LIMIT)])[0]
    if not re.fullmatch("[0-9]{1,9}", raw) or not 1 <= int(raw) <= MAX_LIMIT:
        raise bad_request("limit", f"{raw!r} is not a number between 1 and {MAX_LIMIT}")
    return int(raw)


def _cursor(query: dict[str, list[str]], shape: str) -> str | None:
    if "cursor" not in query:
        return None
    raw = query["cursor"][0]
    try:
        told = str(json.loads(base64.b64decode(raw, validate=True))["s"])
    except (ValueError, KeyError, TypeError):
        told = ""
    if not re.fullmatch(shape, told):
        raise bad_request("cursor", f"{raw!r} is not a cursor of this list")
    return told


def _moment(query: dict[str, list[str]], name: str) -> datetime | None:
    return _time(name, query[name][0]) if name in query else None


def _time(name: str, raw: str) -> datetime:
    try:
        moment = datetime.fromisoformat(raw)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise bad_request(name, f"{raw!r} is not an ISO 8601 time with an offset")


def _next(req: falcon.Request, kept: list[tuple[str, str]], position: int | str) -> str:
    # The service keeps its filters in the link, in this bracketed form, and forgets the limit.
    told = json.dumps({"s": position}, separators=(",", ":")).encode()
    cursor = base64.b64encode(told).decode()
    return f"{req.prefix}{req.path}?{urlencode([*kept, ('cursor', cursor)])}"


def _known(source: Source, station_id: str) -> Feature:
    if station_id not in source.stations:
        raise Problem(404, "Not Found", f"station {station_id} does not exist")
    return source.stations[station_id]


def _passed(feature: Feature) -> bool:
    quantities = feature["properties"].values()
    flags = {value.get("qualityControl") for value in quantities if isinstance(value, dict)}
    return bool(flags & {"V", "C", "S"})


def _collection(features: list[Feature]) -> dict[str, Any]:
    return {"@context": CONTEXT, "type": "FeatureCollection", "features": features}


def _answer(resp: falcon.Response, body: dict[str, Any]) -> None:
    resp.content_type = GEOJSON
    resp.text = json.dumps(body)
