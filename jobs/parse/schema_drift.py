"""Schema drift: what the weather service sends beyond what is known. It is kept and counted.

What is known: the service's OpenAPI document, https://api.weather.gov/openapi.json, and recorded
answers of its years.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from jobs.lake.schemas import QUANTITIES
from jobs.parse.units import UNITS, unit_name

DriftKind = Literal["new_field", "new_code", "new_unit", "type"]
Json = Mapping[str, Any]

_EXAMPLE_LENGTH = 200
_ENVELOPE = frozenset({"@context", "@id", "@type", "geometry", "id", "properties", "type"})
_QUANTITY_FIELDS = frozenset(quantity.field for quantity in QUANTITIES)
_QUANTITY_KEYS = frozenset({"unitCode", "value", "maxValue", "minValue", "qualityControl"})
QC_CODES = frozenset("ZCSVXQGBT")
_CLOUD_AMOUNTS = frozenset({"OVC", "BKN", "SCT", "FEW", "SKC", "CLR", "VV"})

TEXTS = {
    "observation": frozenset(
        {"station", "stationId", "stationName", "timestamp", "rawMessage", "textDescription"}
    ),
    "station": frozenset(
        {"stationIdentifier", "name", "timeZone", "county", "forecast", "fireWeatherZone"}
        | {"provider", "subProvider"}
    ),
}
KNOWN = {
    "observation": _ENVELOPE
    | _QUANTITY_FIELDS
    | TEXTS["observation"]
    | {"elevation", "icon", "presentWeather", "cloudLayers"},
    "station": _ENVELOPE | TEXTS["station"] | {"elevation", "distance", "bearing"},
}


class Drift(NamedTuple):
    """One thing that is new: where it stands and what it is; the key of `weather.schema_drift`."""

    kind: DriftKind
    path: str
    detail: str


def notice(
    kind: Literal["observation", "station"], properties: Json
) -> Iterator[tuple[Drift, Any]]:
    """Yield the drift in a record, each with its value as an example."""
    where = f"{kind}.properties"
    for name in properties.keys() - KNOWN[kind]:
        value = properties[name]
        yield Drift("new_field", f"{where}.{name}", type_name(value)), value
    for name in TEXTS[kind] & properties.keys():
        value = properties[name]
        if value is not None and not isinstance(value, str):
            yield Drift("type", f"{where}.{name}", type_name(value)), value
    if kind == "observation":
        for name in _QUANTITY_FIELDS & properties.keys():
            yield from _quantity(f"{where}.{name}", properties[name])
        yield from _clouds(f"{where}.cloudLayers", properties.get("cloudLayers"))


def unknown(properties: Json) -> dict[str, Any]:
    """Return an observation's properties that no column holds."""
    return {name: properties[name] for name in sorted(properties.keys() - KNOWN["observation"])}


def unit_is_known(code: str) -> bool:
    """Return whether a unit code is one that values are converted from."""
    return unit_name(code) in UNITS


def clouds_are_known(layers: Any) -> bool:
    """Return whether an observation's cloud layers have no drift."""
    return not any(_clouds("", layers))


def example(value: Any) -> str:
    """Return a value as JSON, shortened."""
    text = json.dumps(value, default=repr, separators=(",", ":"))
    return text if len(text) <= _EXAMPLE_LENGTH else f"{text[:_EXAMPLE_LENGTH]}…"


def type_name(value: Any) -> str:
    """Return the name of a value's JSON type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(type(value), type(value).__name__)


def _quantity(path: str, value: Any) -> Iterator[tuple[Drift, Any]]:
    if value is None:
        return
    if not isinstance(value, dict):
        yield Drift("type", path, type_name(value)), value
        return
    for name in value.keys() - _QUANTITY_KEYS:
        yield Drift("new_field", f"{path}.{name}", type_name(value[name])), value
    unit, flag = value.get("unitCode"), value.get("qualityControl")
    if isinstance(unit, str) and not unit_is_known(unit):
        yield Drift("new_unit", path, unit), value
    if isinstance(flag, str) and flag.removeprefix("qc:") not in QC_CODES:
        yield Drift("new_code", f"{path}.qualityControl", flag), value


def _clouds(path: str, layers: Any) -> Iterator[tuple[Drift, Any]]:
    if layers is None:
        return
    if not isinstance(layers, list):
        yield Drift("type", path, type_name(layers)), layers
        return
    for layer in layers:
        amount = layer.get("amount") if isinstance(layer, dict) else None
        if isinstance(amount, str) and amount not in _CLOUD_AMOUNTS:
            yield Drift("new_code", f"{path}.amount", amount), layer
