"""Fetch the alerts of the chosen states and read them into typed rows, or explained rejects."""

import datetime as dt
import json
import re
from typing import Any

from jobs import config
from jobs.lake.schemas import ALERT_TEXTS, ALERT_TIMES
from jobs.parse.records import Reject, as_text, as_time, last_segment, properties_of, reject
from jobs.targets import read_json, write_json
from jobs.tasks.base import PeriodTask
from jobs.tasks.periods import served
from jobs.tasks.stations import client

_ZONE = re.compile(r"([A-Z]{2})[CZ][0-9]{3}")


class Alerts(PeriodTask):
    """Fetch the alerts there are: ``alerts.json.gz``, a GeoJSON FeatureCollection as received.

    Those of ``[weather] alert_states``, or else of the states whose stations are read; without
    any of them none is asked for.
    """

    file = "alerts.json.gz"
    resources = {"nws": 1}  # noqa: RUF012 - Luigi's own idiom

    def run(self) -> None:
        """Fetch and keep the alerts."""
        settings, now = config.settings().weather, dt.datetime.now(dt.UTC)
        states = settings.alert_states or self.states
        window = self.period.window(None, settings.trailing_hours)
        clipped = served(window, now, settings.history_hours)
        features = client().alerts(states, *clipped) if states and clipped else []
        write_json(
            self.path(),
            {
                "type": "FeatureCollection",
                "fetched_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "states": list(states),
                "features": features,
            },
        )
        self.progress(f"{len(features)} alerts of {', '.join(states) or 'no state'}", 100)

    def rows(self) -> list[dict[str, Any] | Reject]:
        """Read them back as rows and rejects; of one alert that came twice the last one."""
        kept = read_json(self.path())
        fetched_at = dt.datetime.fromisoformat(kept["fetched_at"])
        rows: dict[Any, dict[str, Any] | Reject] = {}
        for feature in kept["features"]:
            row = parse_alert(feature)
            if isinstance(row, Reject):
                rows[row] = row
            else:
                rows[row["alert_id"]] = {**row, "fetched_at": fetched_at}
        return list(rows.values())


def parse_alert(feature: Any) -> dict[str, Any] | Reject:
    """Read one alert feature into a row of ALERT_SCHEMA; its id and its time are required."""
    if not isinstance(feature, dict):
        return reject("alert", feature, f"not a JSON object: {type(feature).__name__}")
    properties = properties_of(feature)
    alert_id = as_text(properties.get("id")) or last_segment(
        feature.get("id") or properties.get("@id")
    )
    if alert_id is None:
        return reject("alert", feature, "no alert id")
    row: dict[str, Any] = {"alert_id": alert_id}
    row |= {name: as_text(properties.get(field)) for name, (field, _) in ALERT_TEXTS.items()}
    row |= {name: as_time(properties.get(name)) for name in ALERT_TIMES}
    if row["sent"] is None:
        given = properties.get("sent")
        return reject("alert", feature, f"sent {given!r:.80} is not an ISO 8601 time with offset")
    geocode = properties.get("geocode")
    codes = geocode if isinstance(geocode, dict) else {}
    zones = _texts(codes.get("UGC")) or [
        zone for url in _texts(properties.get("affectedZones")) if (zone := last_segment(url))
    ]
    found = (_ZONE.fullmatch(zone) for zone in zones)
    geometry = feature.get("geometry")
    return row | {
        "zones": zones,
        "same_codes": _texts(codes.get("SAME")),
        "references": _references(properties.get("references")),
        "states": sorted({zone[1] for zone in found if zone}),
        "geometry": json.dumps(geometry, separators=(",", ":")) if geometry else None,
    }


def _texts(raw: Any) -> list[str]:
    return [one for item in raw if (one := as_text(item))] if isinstance(raw, list) else []


def _references(raw: Any) -> list[str]:
    """Read the ids of earlier alerts: a list of objects, or CAP's "sender,id,sent" texts."""
    if isinstance(raw, str):
        return [parts[1] for part in raw.split() if len(parts := part.split(",")) > 1]
    told = [one for one in raw if isinstance(one, dict)] if isinstance(raw, list) else []
    found = (as_text(one.get("identifier")) or last_segment(one.get("@id")) for one in told)
    return [reference for reference in found if reference]
