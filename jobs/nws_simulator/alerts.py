"""Alerts made out of the reports by the criteria of the National Weather Service.

They are no alerts the service ever sent, and say so: their status is "Test". An alert is about
one station's zone, one event and one UTC day; where the event went on from the day before, it is
an update of that day's alert.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from jobs.nws_simulator.criteria import CRITERIA, Criterion, weather_of
from jobs.nws_simulator.data import Feature, Source
from jobs.nws_simulator.reports import API
from jobs.parse.records import state_of

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SENDER = "w-nws.webmaster@noaa.gov"
# An event still on at this hour goes on past midnight UTC if it is on again before that hour.
_STILL_ON, _EARLY = 21, 3

# Of the Federal Information Processing Standard 5-2, for the SAME codes of counties.
_STATES = (
    "AL01 AK02 AZ04 AR05 CA06 CO08 CT09 DE10 DC11 FL12 GA13 HI15 ID16 IL17 IN18 IA19 KS20 KY21"
    " LA22 ME23 MD24 MA25 MI26 MN27 MS28 MO29 MT30 NE31 NV32 NH33 NJ34 NM35 NY36 NC37 ND38 OH39"
    " OK40 OR41 PA42 RI44 SC45 SD46 TN47 TX48 UT49 VT50 VA51 WA53 WV54 WI55 WY56"
)
FIPS = {entry[:2]: entry[2:] for entry in _STATES.split()}


@dataclass(frozen=True, slots=True)
class _Event:
    """A criterion that was met at a station on a UTC day, from `first` to `last`."""

    station: Mapping[str, Any]
    criterion: Criterion
    first: datetime
    last: datetime

    @property
    def identifier(self) -> str:
        key = f"{self.station['stationIdentifier']} {self.criterion.event} {self.first.date()}"
        digest = hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest()
        return f"urn:oid:2.49.0.1.840.0.{digest}.001.1"

    def continues(self, earlier: "_Event") -> bool:
        """Return whether this is the same event as one of the day before."""
        went_on = earlier.last.hour >= _STILL_ON and self.first.hour < _EARLY
        return went_on and earlier.criterion.group == self.criterion.group


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as the service would send it, when it was sent, and when it changed last."""

    feature: Feature
    sent: datetime
    changed: datetime


def alerts(
    source: Source, states: list[str], start: datetime, end: datetime, now: datetime
) -> list[Alert]:
    """Return the alerts of some states (or all) sent in [start, end], newest first.

    An alert whose event is not over at `now` is still being extended.
    """
    found = []
    for station_id, feature in source.stations.items():
        properties = feature["properties"]
        if not properties.get("county") or (states and state_of(properties) not in states):
            continue
        day = start.replace(hour=0, minute=0, second=0, microsecond=0)
        while day <= min(end, now):
            for event in _events(source, station_id, day, now):
                if start <= event.first <= end:
                    before = _events(source, station_id, day - DAY, now)
                    earlier = next(filter(event.continues, before), None)
                    made = _feature(event, earlier)
                    found.append(Alert(made, event.first, event.last))
            day += DAY
    return sorted(found, key=lambda one: (one.sent, one.feature["id"]), reverse=True)


def _events(source: Source, station_id: str, day: datetime, now: datetime) -> list[_Event]:
    """Return the events at a station on a UTC day; per hour and group, the worst one."""
    until = min(day + DAY - timedelta(microseconds=1), now)
    hours = [
        (moment, weather_of(one.render(moment)["properties"]))
        for moment, one in source.series(station_id, now, day, until)
    ]
    station = source.stations[station_id]["properties"]
    met: dict[str, list[tuple[datetime, Criterion]]] = defaultdict(list)
    for moment, weather in hours:
        groups: set[str] = set()
        for criterion in CRITERIA:
            if criterion.group not in groups and criterion.met(weather):
                groups.add(criterion.group)
                met[criterion.event].append((moment, criterion))
    # Newest first.
    return [_Event(station, on[0][1], on[-1][0], on[0][0]) for on in met.values()]


def _feature(event: _Event, before: _Event | None) -> Feature:
    station, criterion = event.station, event.criterion
    zone_url = str(station.get(criterion.zone) or station["county"])
    county = str(station["county"]).rpartition("/")[2]
    sent, ends = _local(station, event.first), _local(station, event.last + HOUR)
    url = f"{API}/alerts/{event.identifier}"
    references = [
        {
            "@id": f"{API}/alerts/{one.identifier}",
            "identifier": one.identifier,
            "sender": SENDER,
            "sent": _local(one.station, one.first).isoformat(),
        }
        for one in filter(None, [before])
    ]
    head = f"{criterion.event} issued {_spoken(sent)} until {_spoken(ends)} by the simulator"
    return {
        "id": url,
        "type": "Feature",
        "geometry": None,
        "properties": {
            "@id": url,
            "@type": "wx:Alert",
            "id": event.identifier,
            "areaDesc": str(station.get("name")),
            "geocode": {
                "SAME": [f"0{FIPS[county[:2]]}{county[3:]}"] if county[:2] in FIPS else [],
                "UGC": [zone_url.rpartition("/")[2]],
            },
            "affectedZones": [zone_url],
            "references": references,
            "sent": sent.isoformat(),
            "effective": sent.isoformat(),
            "onset": sent.isoformat(),
            "expires": ends.isoformat(),
            "ends": ends.isoformat(),
            "status": "Test",
            "messageType": "Alert" if before is None else "Update",
            "category": "Met",
            "severity": criterion.severity,
            "certainty": "Observed",
            "urgency": "Immediate",
            "event": criterion.event,
            "sender": SENDER,
            "senderName": "Simulator of the weather service",
            "headline": head,
            "description": f"* WHAT...{criterion.what}\n\n* WHERE...{station.get('name')}.\n\n"
            f"* WHEN...From {_spoken(sent)} to {_spoken(ends)}, by the reports of"
            f" {station['stationIdentifier']}.\n\nMade out of past reports: a test, no warning.",
            "instruction": criterion.instruction,
            "response": criterion.response,
            "parameters": {"NWSheadline": [criterion.event.upper()], "BLOCKCHANNEL": ["EAS"]},
        },
    }


def _local(station: Mapping[str, Any], moment: datetime) -> datetime:
    return moment.astimezone(ZoneInfo(str(station.get("timeZone") or "UTC")))


def _spoken(moment: datetime) -> str:
    return f"{moment:%B} {moment.day} at {moment:%I:%M%p %Z}".replace(" at 0", " at ")
