"""Read typed fields of JSON that a client sent; anything unexpected is a 400 that names it.

``where`` is what is being read ("add-schema update", "snapshot of add-snapshot update"); it starts
every message.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from falcon_catalog.errors import BadRequestError, show

T = TypeVar("T")
Reader = Callable[[object, str], Any]

JSON = dict[str, Any]

INT_MAX = 2**31 - 1
LONG_MAX = 2**63 - 1

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?")
_INTEGER_TEXT = re.compile(r"[+-]?[0-9]{1,10}")


def as_object(value: object, where: str) -> Mapping[str, Any]:
    """Return the value if it is a JSON object."""
    if not isinstance(value, Mapping):
        raise BadRequestError(f"Invalid {where}: must be an object, got {show(value)}")
    return value


def as_integer(value: object, where: str, *, limit: int = INT_MAX) -> int:
    """Return the value if it is an integer of 32 bits (or of ``limit``)."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadRequestError(f"Invalid {where}: must be an integer, got {show(value)}")
    if not -limit - 1 <= value <= limit:
        bits = limit.bit_length() + 1
        raise BadRequestError(f"Invalid {where}: {show(value)} does not fit in {bits} bits")
    return value


def as_long(value: object, where: str) -> int:
    """Return the value if it is an integer of 64 bits."""
    return as_integer(value, where, limit=LONG_MAX)


def as_text(value: object, where: str) -> str:
    """Return the value if it is a string."""
    if not isinstance(value, str):
        raise BadRequestError(f"Invalid {where}: must be a string, got {show(value)}")
    return value


def as_boolean(value: object, where: str) -> bool:
    """Return the value if it is true or false."""
    if not isinstance(value, bool):
        raise BadRequestError(f"Invalid {where}: must be true or false, got {show(value)}")
    return value


def as_array(value: object, where: str) -> list[Any]:
    """Return the value as a list if it is a JSON array."""
    if not isinstance(value, list | tuple):
        raise BadRequestError(f"Invalid {where}: must be an array, got {show(value)}")
    return list(value)


def as_texts(value: object, where: str) -> dict[str, str]:
    """Return the value as a dict if it is an object whose values are all strings."""
    source = as_object(value, where)
    for key, text in source.items():
        if not (isinstance(key, str) and isinstance(text, str)):
            as_text(key, f"{where}, a key")
            as_text(text, f"{where}, value of {show(key)}")
    return dict(source)


def required(
    source: Mapping[str, Any], key: str, read: Callable[[object, str], T], where: str
) -> T:
    """Read a field that must be there, e.g. ``required(update, "schema-id", as_integer, …)``."""
    if key not in source:
        raise BadRequestError(f"Invalid {where}: missing field {key}")
    return read(source[key], f"{where}, field {key}")


def optional(
    source: Mapping[str, Any], key: str, read: Callable[[object, str], T], where: str
) -> T | None:
    """Read a field that may be absent or null."""
    value = source.get(key)
    return None if value is None else read(value, f"{where}, field {key}")


def array_of(read: Callable[[object, str], T]) -> Callable[[object, str], list[T]]:
    """Return a reader of arrays whose elements ``read`` accepts."""

    def read_array(value: object, where: str) -> list[T]:
        items = as_array(value, where)
        return [read(item, f"{where}[{position}]") for position, item in enumerate(items)]

    return read_array


@dataclass(frozen=True, slots=True)
class Maybe:
    """The reader of a field that may be absent or null."""

    read: Reader


Fields = Mapping[str, Reader | Maybe]


def object_of(fields: Fields) -> Callable[[object, str], JSON]:
    """Return a reader of objects with these fields: its result has no others, and no nulls."""

    def read_object(value: object, where: str) -> JSON:
        source, found = as_object(value, where), {}
        for key, read in fields.items():
            if not isinstance(read, Maybe):
                found[key] = required(source, key, read, where)
            elif source.get(key) is not None:
                found[key] = read.read(source[key], f"{where}, field {key}")
        return found

    return read_object


def one_of(*words: str) -> Callable[[object, str], str]:
    """Return a reader of one of these words."""

    def read_word(value: object, where: str) -> str:
        if (text := as_text(value, where)) not in words:
            raise BadRequestError(
                f"Invalid {where}: must be one of {', '.join(words)}, got {show(text)}"
            )
        return text

    return read_word


def as_uuid(value: object, where: str) -> str:
    """Return the value if it is a UUID's text."""
    text = as_text(value, where)
    if not _UUID.fullmatch(text):
        raise BadRequestError(f"Invalid {where}: {show(text)} is no UUID")
    return text


def as_base64(value: object, where: str) -> str:
    """Return the value if it is base64 as Java's basic decoder reads it, padded or not."""
    text = as_text(value, where)
    if not _BASE64.fullmatch(text):
        raise BadRequestError(f"Invalid {where}: {show(text)} is not base64")
    return text


def actions(updates: object, known: Collection[str]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the updates of a commit, each with its action; 400 when that is not known."""
    given = array_of(as_object)(updates, "updates")
    named = [(required(update, "action", as_text, "update"), update) for update in given]
    unknown = next((action for action, _ in named if action not in known), None)
    if unknown is not None:
        raise BadRequestError(f"Unknown update action: {show(unknown)}")
    return named


def text_of(value: object, where: str) -> bytes:
    """Return JSON that a client sent as text; it may be nested too deeply to be written."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise BadRequestError(f"Invalid {where}: nested too deeply") from error


def integer_text(text: str) -> int | None:
    """Return the 32-bit integer a property's text spells, or None."""
    if not _INTEGER_TEXT.fullmatch(text):
        return None
    number = int(text)
    return number if -INT_MAX - 1 <= number <= INT_MAX else None
