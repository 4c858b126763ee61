"""Column defaults in their JSON form.

A default of the wrong form would make the table unreadable for every client, so it is refused.
Source: the table specification, appendix D ("JSON single-value
serialization") and "Default values".
"""

import re
from collections.abc import Callable
from typing import Any

from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.metadata.json_fields import (
    INT_MAX,
    as_boolean,
    as_integer,
    as_long,
    as_text,
)

_DATE = r"[+-]?[0-9]{4,6}-[0-9]{2}-[0-9]{2}"
_TIME = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
_ZONE = r"([+-][0-9]{2}:[0-9]{2}(:[0-9]{2})?|Z)"

_TEXT_FORMS = {
    "date": _DATE,
    "time": _TIME,
    "timestamp": f"{_DATE}T{_TIME}",
    "timestamp_ns": f"{_DATE}T{_TIME}",
    "timestamptz": f"{_DATE}T{_TIME}{_ZONE}",
    "timestamptz_ns": f"{_DATE}T{_TIME}{_ZONE}",
    "uuid": r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "binary": r"([0-9a-fA-F]{2})*",
    "string": r"[\s\S]*",
}


def check(value: Any, kind: Any, where: str) -> None:
    """Raise BadRequestError for a non-null default that is not its type's JSON form."""
    if isinstance(kind, dict):
        if kind["type"] != "struct" or value != {}:
            raise BadRequestError(f"Invalid {where}: the default of a nested type must be null")
        return
    if kind in _SCALARS:
        _SCALARS[kind](value, where)
    elif (form := _form_of(kind)) is None:
        raise BadRequestError(f"Invalid {where}: the default of {kind} must be null")
    elif not re.fullmatch(form, as_text(value, where)):
        raise BadRequestError(f"Invalid {where}: {show(value)} is not a default of {kind}")


def _form_of(kind: str) -> str | None:
    if kind.startswith("fixed["):
        return f"[0-9a-fA-F]{{{2 * min(int(kind[6:-1]), INT_MAX // 4)}}}"
    if kind.startswith("decimal("):
        scale = int(kind[:-1].rpartition(",")[2])
        exponent = r"([eE][+-]?[0-9]+)?"
        return r"-?[0-9]+" + (rf"(\.[0-9]{{1,{min(scale, 38)}}})?{exponent}" if scale else exponent)
    return _TEXT_FORMS.get(kind)


def _as_number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRequestError(f"Invalid {where}: must be a number, got {show(value)}")
    if isinstance(value, int):
        as_long(value, where)
    return value


_SCALARS: dict[str, Callable[[object, str], object]] = {
    "boolean": as_boolean,
    "int": as_integer,
    "long": as_long,
    "float": _as_number,
    "double": _as_number,
}
