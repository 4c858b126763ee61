"""The shapes of the weather service's API over a Source: routes and pages.

Source: the service's OpenAPI document, https://api.weather.gov/openapi.json, and recorded answers.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import falcon

from jobs.nws_simulator import query
from jobs.nws_simulator.alerts import alerts
from jobs.nws_simulator.data import Feature, Observation, Source
from jobs.nws_simulator.faults import Faults, spoil
from jobs.nws_simulator.late import Late, preliminary
from jobs.parse.records import state_of

GEOJSON = "application/geo+json"
CONTEXT = ["https://geojson.org/geojson-ld/geojson-context.jsonld", {"@version": "1.1"}]

Clock = Callable[[], datetime]

# Since when the lists of stations have not changed; and the date of a stale answer.
LONG_AGO = datetime(2013, 1, 1, tzinfo=UTC)
# How far back the service keeps alerts.
WEEK = timedelta(days=7)


class Stations:
    """`GET /stations`: pages by offset; a next page is offered past the end too, as there."""

    def __init__(self, source: Source) -> None:
        self._stations = source.stations

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer one page."""
        given = query.read(req, arrays=("id", "state"), single=("limit", "cursor"))
        ids, states = given.get("id", []), query.areas(given, "state")
        found = [
            feature
            for station_id, feature in self._stations.items()
            if (not ids or station_id in ids)
            and (not states or state_of(feature["properties"]) in states)
        ]
        offset, limit = query.offset_of(given), query.limit_of(given)
        page = found[offset : offset + limit]
        # One station nobody can draw spoils every page it is on; requested by its id it is there.
        bad = found[len(found) // 2 :][:1]
        if "bad-station" in req.context.faults and not ids and bad and bad[0] in page:
            raise query.unexpected()
        body = _collection(page) | {
            "observationStations": [feature["id"] for feature in page],
            "pagination": {
                "next": query.next_link(req, query.filters(given, ("id", "state")), offset + limit)
            },
        }
        _answer(req, resp, body, LONG_AGO)


class Station:
    """`GET /stations/{id}`."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def on_get(self, req: falcon.Request, resp: falcon.Response, station_id: str) -> None:
        """Answer the station."""
        query.read(req)
        _answer(req, resp, _known(self._source, station_id), LONG_AGO)


class Observations:
    """`GET /stations/{id}/observations` and `…/latest`: newest first, pages back in time.

    Args:
        source: what is served.
        faults: of the requests.
        now: the time it is.
        live: whether reports of a later time are still to come. Where the series is one of the
            past, a reader is at the end of the span that it requests.
        late: which reports come late.
    """

    def __init__(
        self, source: Source, faults: Faults, now: Clock, late: Late, *, live: bool
    ) -> None:
        self._source = source
        self._faults = faults
        self._now = now
        self._late = late
        self._live = live

    def on_get(self, req: falcon.Request, resp: falcon.Response, station_id: str) -> None:
        """Answer one page of [start, end], both ends included."""
        given = query.read(req, single=("start", "end", "limit", "cursor"))
        _known(self._source, station_id)
        start, end = query.moment_of(given, "start"), query.moment_of(given, "end")
        cursor = query.cursor_of(given, r"[0-9T:+.-]{20,40}")
        last = end
        if cursor:
            before = query.time_of("cursor", cursor) - timedelta(microseconds=1)
            last = before if end is None else min(before, end)
        when = self._now() if self._live else end
        seen = self._seen(station_id, start, last, when)
        found = list(islice(seen, query.limit_of(given)))
        finals = [(moment, self._late.final(station_id, moment)) for moment, _ in found]
        came = [moment if when and final > when else final for moment, final in finals]
        if _unchanged(req, resp, max(came, default=None)):
            return
        page = [self._render(station_id, moment, one, when) for moment, one in found]
        draw = self._faults.generator(req.relative_uri)
        body = _collection(spoil(page, req.context.faults, draw))
        if found:
            kept = query.filters(given, (), ("start", "end"))
            body["pagination"] = {"next": query.next_link(req, kept, found[-1][0].isoformat())}
        _write(resp, body)

    def on_get_latest(self, req: falcon.Request, resp: falcon.Response, station_id: str) -> None:
        """Answer the newest observation; with `require_qc` the newest with a passed value."""
        given = query.read(req, single=("require_qc",))
        _known(self._source, station_id)
        choosy = given.get("require_qc", ["false"])[0] == "true"
        when = self._now() if self._live else None
        for moment, one in self._seen(station_id, None, None, when):
            feature = self._render(station_id, moment, one, when)
            quantities = feature["properties"].values()
            flags = {one.get("qualityControl") for one in quantities if isinstance(one, dict)}
            if not choosy or flags & {"V", "C", "S"}:
                spoiled = spoil([feature], req.context.faults, self._faults.generator(""))
                _answer(req, resp, spoiled[0], moment)
                return
        raise query.Problem(404, "Not Found", f"no observations of station {station_id}")

    def _seen(
        self,
        station_id: str,
        start: datetime | None,
        end: datetime | None,
        when: datetime | None,
    ) -> Iterator[tuple[datetime, Observation]]:
        for moment, one in self._source.series(station_id, self._now(), start, end):
            if when is None or self._late.seen(station_id, moment, when):
                yield moment, one

    def _render(
        self, station_id: str, moment: datetime, one: Observation, when: datetime | None
    ) -> Feature:
        feature = one.render(moment)
        if when is not None and self._late.final(station_id, moment) > when:
            return preliminary(feature)
        return feature


class Alerts:
    """`GET /alerts`: newest first, pages by offset, those of the last week by default."""

    def __init__(self, source: Source, now: Clock) -> None:
        self._source = source
        self._now = now

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer one page of the alerts sent in [start, end]."""
        single = ("start", "end", "limit", "cursor")
        given = query.read(req, arrays=("area", "status"), single=single)
        now, areas = self._now(), query.areas(given, "area")
        end = query.moment_of(given, "end") or now
        start = query.moment_of(given, "start") or end - WEEK
        found = []
        if "test" in given.get("status", ["test"]):
            found = alerts(self._source, areas, start, end, now)
        offset, limit = query.offset_of(given), query.limit_of(given)
        endless = "endless-alerts" in req.context.faults
        page = found[:limit] if endless else found[offset : offset + limit]
        body = _collection([one.feature for one in page])
        body["title"] = "Watches, warnings, and advisories"
        changed = max((one.changed for one in page), default=None)
        if changed:
            body["updated"] = changed.isoformat()
        if endless or offset + limit < len(found):
            kept = query.filters(given, ("area", "status"), ("start", "end"))
            body["pagination"] = {"next": query.next_link(req, kept, offset + limit)}
        _answer(req, resp, body, changed)


def _known(source: Source, station_id: str) -> Feature:
    if station_id not in source.stations:
        raise query.Problem(404, "Not Found", f"station {station_id} does not exist")
    return source.stations[station_id]


def _collection(features: list[Feature]) -> dict[str, Any]:
    return {"@context": CONTEXT, "type": "FeatureCollection", "features": features}


def _unchanged(req: falcon.Request, resp: falcon.Response, changed: datetime | None) -> bool:
    """Set Last-Modified; return whether the response is a 304.

    Spoiled responses have no Last-Modified, because they must not be cached.
    """
    faults = req.context.faults
    if "stale-modified" in faults:
        changed = LONG_AGO
    elif changed is None or faults:
        return False
    resp.last_modified = changed
    since = req.if_modified_since
    if since is None or changed.replace(microsecond=0) > since:
        return False
    resp.status = 304
    return True


def _answer(
    req: falcon.Request, resp: falcon.Response, body: dict[str, Any], changed: datetime | None
) -> None:
    if not _unchanged(req, resp, changed):
        _write(resp, body)


def _write(resp: falcon.Response, body: dict[str, Any]) -> None:
    resp.content_type = GEOJSON
    resp.text = json.dumps(body)
