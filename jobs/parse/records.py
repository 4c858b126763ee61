"""Read the weather service's GeoJSON features into typed rows, or into explained rejects."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import unquote

from jobs.lake.schemas import ALERT_TEXTS, ALERT_TIMES, QUANTITIES, qc_column
from jobs.parse.schema_drift import unit_is_known, unknown
from jobs.parse.units import convert, number

Kind = Literal["station", "observation", "alert", "value"]
Json = Mapping[str, Any]
Row = dict[str, Any]

_STATION_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_ZONE_ID = re.compile(r"([A-Z]{2})[CZ][0-9]{3}")
_WKT_POINT = re.compile(r"\s*POINT\s*\(\s*(\S+)\s+(\S+)\s*\)\s*", re.IGNORECASE)
MAX_LATITUDE = 90.0
MAX_LONGITUDE = 180.0


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that cannot become a row, with the reason; `raw_json` is it as received."""

    record_id: str | None
    kind: Kind
    reason: str
    raw_json: str


def reject(kind: Kind, record: Any, reason: str) -> Reject:
    """Return a reject: the record as received, with the reason."""
    known = record if isinstance(record, dict) else {}
    record_id = as_text(_record_id(known, properties_of(known)))
    raw = json.dumps(record, default=repr, separators=(",", ":"))
    return Reject(record_id=record_id, kind=kind, reason=_clean(reason), raw_json=raw)


def parse_station(feature: Any) -> Row | Reject:
    """Return the row of a station feature (GeoJSON, or JSON-LD with its properties at the top)."""
    if not isinstance(feature, dict):
        return reject("station", feature, f"not a JSON object: {type(feature).__name__}")
    properties = properties_of(feature)
    station_id = _first_id(
        properties.get("stationIdentifier"), last_segment(_record_id(feature, properties))
    )
    if station_id is None:
        return reject("station", feature, "no station id: stationIdentifier and id name no station")
    longitude, latitude = _position(feature)
    return {
        "station_id": station_id,
        "name": as_text(properties.get("name")),
        "state": state_of(properties),
        "time_zone": as_text(properties.get("timeZone")),
        "longitude": longitude,
        "latitude": latitude,
        "elevation_m": _measure(properties.get("elevation"), "m"),
        "county": last_segment(properties.get("county")),
        "forecast_zone": last_segment(properties.get("forecast")),
        "fire_weather_zone": last_segment(properties.get("fireWeatherZone")),
        "provider": as_text(properties.get("provider")),
        "sub_provider": as_text(properties.get("subProvider")),
    }


def parse_observation(feature: Any) -> Row | Reject:
    """Return the row of an observation (GeoJSON, or JSON-LD with its properties at the top).

    Only the key is required: the station's id and the time. A value that is no number or whose
    unit is unknown becomes null; `unreadable_values` names such values.
    """
    if not isinstance(feature, dict):
        return reject("observation", feature, f"not a JSON object: {type(feature).__name__}")
    properties = properties_of(feature)
    station_id = station_of(feature)
    if station_id is None:
        return reject("observation", feature, "no station id: stationId and station name none")
    observed_at = observation_time(feature)
    if observed_at is None:
        given = properties.get("timestamp")
        return reject(
            "observation",
            feature,
            "no timestamp"
            if given is None
            else f"timestamp {given!r:.80} is not an ISO 8601 time with a UTC offset",
        )
    row: Row = {"station_id": station_id, "observed_at": observed_at}
    for quantity in QUANTITIES:
        raw = properties.get(quantity.field)
        row[quantity.column] = _measure(raw, quantity.unit)
        flag = raw.get("qualityControl") if isinstance(raw, dict) else None
        row[qc_column(quantity.column)] = as_flag(flag)
    row["text_description"] = as_text(properties.get("textDescription"))
    row["raw_message"] = as_text(properties.get("rawMessage"))
    row["present_weather"] = as_array(properties.get("presentWeather"))
    row["cloud_layers"] = as_array(properties.get("cloudLayers"))
    row["longitude"], row["latitude"] = _position(feature)
    row["elevation_m"] = _measure(properties.get("elevation"), "m")
    # What no column holds, and quantities in unknown units, are kept for a later reader.
    others = unknown(properties)
    for quantity in QUANTITIES:
        raw = properties.get(quantity.field)
        if isinstance(raw, dict) and raw.get("value") is not None:
            code = raw.get("unitCode")
            if not (isinstance(code, str) and unit_is_known(code)):
                others[quantity.field] = raw
    text = json.dumps(others, default=repr, separators=(",", ":"), sort_keys=True)
    row["other_properties"] = _clean(text) if others else None
    return row


def parse_alert(feature: Any) -> Row | Reject:
    """Return the row of an alert, of ALERT_SCHEMA; its id and its time are required."""
    if not isinstance(feature, dict):
        return reject("alert", feature, f"not a JSON object: {type(feature).__name__}")
    properties = properties_of(feature)
    alert_id = as_text(properties.get("id")) or last_segment(
        feature.get("id") or properties.get("@id")
    )
    if alert_id is None:
        return reject("alert", feature, "no alert id")
    row: Row = {"alert_id": alert_id}
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
    found = (_ZONE_ID.fullmatch(zone) for zone in zones)
    # The ids of earlier alerts: a list of objects, or CAP's "sender,id,sent" texts.
    raw = properties.get("references")
    references: list[str | None] = []
    if isinstance(raw, str):
        references = [parts[1] for part in raw.split() if len(parts := part.split(",")) > 1]
    elif isinstance(raw, list):
        objects = (one for one in raw if isinstance(one, dict))
        references = [as_text(o.get("identifier")) or last_segment(o.get("@id")) for o in objects]
    geometry = feature.get("geometry")
    return row | {
        "zones": zones,
        "same_codes": _texts(codes.get("SAME")),
        "references": [one for one in references if one],
        "states": sorted({zone[1] for zone in found if zone}),
        "geometry": json.dumps(geometry, separators=(",", ":")) if geometry else None,
    }


def _texts(raw: Any) -> list[str]:
    return [one for item in raw if (one := as_text(item))] if isinstance(raw, list) else []


def unreadable_values(feature: Any) -> list[str]:
    """Return the values of an observation that `parse_observation` had to turn into nulls.

    Each entry reads like "windSpeed: 12 in unit 'furlong'". Empty for a well-formed record.
    """
    if not isinstance(feature, dict):
        return []
    found = []
    for quantity in QUANTITIES:
        raw = properties_of(feature).get(quantity.field)
        given = raw.get("value") if isinstance(raw, dict) else raw
        if given is not None and _measure(raw, quantity.unit) is None:
            unit = raw.get("unitCode") if isinstance(raw, dict) else None
            found.append(f"{quantity.field}: {given!r:.40} in unit {unit!r:.40}")
    return found


def observation_time(feature: Json) -> datetime | None:
    """Return an observation's time in UTC, or None when it has no readable one.

    Where `timestamp` cannot be read the record's own URL, which ends with the time, is used.
    """
    properties = properties_of(feature)
    own_url = _record_id(feature, properties)
    _, found, tail = own_url.rpartition("/observations/") if own_url else ("", "", "")
    return as_time(properties.get("timestamp")) or (as_time(unquote(tail)) if found else None)


def station_of(feature: Json) -> str | None:
    """Return the id of the station an observation is of, or None when it names none."""
    properties = properties_of(feature)
    own_url = _record_id(feature, properties)
    head, found, _ = own_url.rpartition("/observations/") if own_url else ("", "", "")
    return station_among(properties.get("stationId"), properties.get("station")) or (
        _first_id(last_segment(head)) if found else None
    )


def station_among(station_id: Any, url: Any) -> str | None:
    """Return a station's id, given as such or as the end of the station's URL."""
    return _first_id(station_id, last_segment(url))


def last_segment(url: Any) -> str | None:
    """Return the last part of a URL's path: the identifier it ends with."""
    return as_text(url.rstrip("/").rpartition("/")[2]) if isinstance(url, str) else None


def as_text(raw: Any) -> str | None:
    """Return a text that is not empty, or None."""
    return _clean(raw) if isinstance(raw, str) and raw else None


def as_time(raw: Any) -> datetime | None:
    """Return an ISO 8601 time with an offset, in UTC, or None."""
    if not isinstance(raw, str):
        return None
    try:
        moment = datetime.fromisoformat(raw)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def properties_of(feature: Json) -> Json:
    """Return a record's properties: GeoJSON's, or the record itself where it is JSON-LD."""
    properties = feature.get("properties", feature)
    return properties if isinstance(properties, dict) else {}


def state_of(properties: Json) -> str | None:
    """Return the two-letter state of a station, from its county zone (…/county/AZC005 → AZ)."""
    zone = _ZONE_ID.fullmatch(last_segment(properties.get("county")) or "")
    return zone[1] if zone else None


def _record_id(feature: Json, properties: Json) -> str | None:
    for candidate in (feature.get("id"), properties.get("@id"), feature.get("@id")):
        if isinstance(candidate, str) and candidate:
            return candidate
    return None


def _first_id(*candidates: Any) -> str | None:
    for candidate in candidates:
        if isinstance(candidate, str) and _STATION_ID.fullmatch(candidate):
            return candidate
    return None


def _clean(text: str) -> str:
    # JSON can carry half of a surrogate pair, which no UTF-8 column can.
    return text.encode("utf-8", "replace").decode("utf-8")


def as_array(raw: Any) -> str | None:
    """Return a list as JSON; None for anything else, and for values that JSON lacks."""
    if not isinstance(raw, list):
        return None
    try:
        return json.dumps(raw, default=repr, separators=(",", ":"), allow_nan=False)
    except ValueError:  # NaN and Infinity, which Python reads and JSON does not know
        return None


def _measure(raw: Any, unit: str) -> float | None:
    if not isinstance(raw, dict) or not isinstance(raw.get("unitCode"), str):
        return None
    value = number(raw.get("value"))
    return None if value is None else convert(value, raw["unitCode"], unit)


def as_flag(raw: Any) -> str | None:
    """Return a quality-control flag without the prefix of former years."""
    return as_text(raw.removeprefix("qc:")) if isinstance(raw, str) else None


def _position(feature: Json) -> tuple[float | None, float | None]:
    """Return (longitude, latitude) of a GeoJSON point or of JSON-LD's "POINT(lon lat)"."""
    geometry = feature.get("geometry")
    pair: Any = geometry.get("coordinates") if isinstance(geometry, dict) else None
    if isinstance(geometry, str) and (point := _WKT_POINT.fullmatch(geometry)):
        pair = point.groups()
    if not isinstance(pair, list | tuple) or len(pair) < len(("longitude", "latitude")):
        return None, None
    longitude, latitude = number(pair[0]), number(pair[1])
    if longitude is None or latitude is None:
        return None, None
    if abs(longitude) > MAX_LONGITUDE or abs(latitude) > MAX_LATITUDE:
        return None, None
    return longitude, latitude
