"""Convert the weather service's quantities between units, by their unit code."""

import math
from typing import Any, NamedTuple


class Unit(NamedTuple):
    """A unit as a line onto its dimension's base unit: base = value x factor + offset."""

    dimension: str
    factor: float
    offset: float = 0.0


UNITS: dict[str, Unit] = {
    "degC": Unit("temperature", 1.0),
    "degF": Unit("temperature", 5 / 9, -160 / 9),
    "K": Unit("temperature", 1.0, -273.15),
    "m_s-1": Unit("speed", 1.0),
    "km_h-1": Unit("speed", 1 / 3.6),
    "kt": Unit("speed", 1852 / 3600),
    "mi_h-1": Unit("speed", 0.44704),
    "Pa": Unit("pressure", 1.0),
    "hPa": Unit("pressure", 100.0),
    "mbar": Unit("pressure", 100.0),
    "kPa": Unit("pressure", 1000.0),
    "inHg": Unit("pressure", 3386.389),
    "mm": Unit("length", 0.001),
    "cm": Unit("length", 0.01),
    "m": Unit("length", 1.0),
    "km": Unit("length", 1000.0),
    "in": Unit("length", 0.0254),
    "ft": Unit("length", 0.3048),
    "mi": Unit("length", 1609.344),
    "percent": Unit("ratio", 1.0),
    "%": Unit("ratio", 1.0),
    "degree_(angle)": Unit("angle", 1.0),
    "degree": Unit("angle", 1.0),
}

# Beyond a millionth of a unit there is only the noise of binary fractions (6.7000000000000002).
DECIMALS = 6


def unit_name(code: str) -> str:
    """Return a unit code without its vocabulary: "wmoUnit:degC", "unit:degC" and "degC" are one.

    The service has used the prefixes wmoUnit, wmo, unit, uc and nwsUnit over the years.
    """
    return code.rsplit(":", 1)[-1]


def convert(value: float, code: str, to: str) -> float | None:
    """Return a value converted from the unit of `code` to the unit named `to`.

    Returns None when the code is unknown or measures another dimension, or when the result is
    not a finite number. `to` must be a key of UNITS (KeyError).
    """
    target = UNITS[to]
    name = unit_name(code)
    source = UNITS.get(name)
    if source is None or source.dimension != target.dimension:
        return None
    if name != to:
        value = (value * source.factor + source.offset - target.offset) / target.factor
    # Adding zero turns -0.0 into 0.0.
    return round(value, DECIMALS) + 0.0 if math.isfinite(value) else None


def number(raw: Any) -> float | None:
    """Return a JSON number, or that of a string; None for anything else.

    The service sent its values as strings for some weeks of June 2020.
    """
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return None
    try:
        value = float(raw)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None
