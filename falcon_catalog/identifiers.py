"""Names: namespaces, tables, and the opaque tokens that continue a list.

A name is any Unicode text without control characters. The levels of a namespace travel in
URLs joined by U+001F, so that character can never be part of a name.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from falcon_catalog.decimals import read_decimal
from falcon_catalog.errors import BadRequestError, show

SEPARATOR = "\x1f"
MAX_NAME_LENGTH = 255  # characters
MAX_LEVELS = 64
_LAST_ID = 2**63 - 1
_TOKEN_VERSION = b"2"
_DIGEST_BYTES = 8


def check_name(name: object, what: str) -> str:
    """Return ``name`` if it is valid for a ``what`` ("table", "namespace level" …).

    Raises:
        BadRequestError: it is not a string, is empty or too long, or has a control character.
    """
    if not isinstance(name, str):
        raise BadRequestError(f"Invalid {what} name: {show(name)} is not a string")
    if not name:
        raise BadRequestError(f"Invalid {what} name: it is empty")
    if len(name) > MAX_NAME_LENGTH:
        raise BadRequestError(
            f"Invalid {what} name: {len(name)} characters, at most {MAX_NAME_LENGTH} are allowed"
        )
    for character in name:
        if character < " " or character == "\x7f" or "\ud800" <= character <= "\udfff":
            raise BadRequestError(
                f"Invalid {what} name {name!r}: it contains the control character {character!r}"
            )
    return name


@dataclass(frozen=True, slots=True, order=True)
class Namespace:
    """One or more levels, outermost first."""

    levels: tuple[str, ...]

    @classmethod
    def of(cls, levels: object) -> "Namespace":
        """Check the ``namespace`` array of a request.

        Raises:
            BadRequestError: it is not a list of names, or is empty.
        """
        if not isinstance(levels, list | tuple):
            raise BadRequestError(f"Invalid namespace: {show(levels)} is not a list of names")
        if not levels:
            raise BadRequestError("Invalid namespace: it has no levels")
        if len(levels) > MAX_LEVELS:
            raise BadRequestError(
                f"Invalid namespace: {len(levels)} levels, at most {MAX_LEVELS} are allowed"
            )
        return cls(tuple(check_name(level, "namespace level") for level in levels))

    @classmethod
    def from_path(cls, path: str) -> "Namespace":
        """Return the namespace of a stored ``path``."""
        return cls(tuple(path.split(SEPARATOR)))

    @property
    def path(self) -> str:
        """The levels joined by U+001F: the form in which a namespace is stored."""
        return SEPARATOR.join(self.levels)

    @property
    def parent(self) -> "Namespace | None":
        """The namespace around this one, or None at the top."""
        return Namespace(self.levels[:-1]) if len(self.levels) > 1 else None

    def __str__(self) -> str:
        return ".".join(self.levels)


@dataclass(frozen=True, slots=True, order=True)
class TableIdentifier:
    """The name of a table or view inside its namespace."""

    namespace: Namespace
    name: str

    @classmethod
    def of(cls, value: object) -> "TableIdentifier":
        """Check the ``{"namespace": [...], "name": "..."}`` of a request.

        Raises:
            BadRequestError: it is not such an object.
        """
        if not isinstance(value, dict):
            raise BadRequestError(f"Invalid table identifier: {show(value)} is not an object")
        return cls(Namespace.of(value.get("namespace")), check_name(value.get("name"), "table"))

    def as_json(self) -> dict[str, object]:
        """The shape that the specification gives identifiers."""
        return {"namespace": list(self.namespace.levels), "name": self.name}

    def __str__(self) -> str:
        return f"{self.namespace}.{self.name}"


UNLIMITED = 2**63 - 1
"""The size of a page that holds a whole list."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: at most ``size`` entries, those after the name ``after``."""

    after: str | None
    size: int
    of: str = ""
    """The list: what it lists, and of what. A token continues no other list."""

    @property
    def after_id(self) -> int:
        """The id after which a list ordered by ids goes on; 0 at its beginning.

        Raises:
            BadRequestError: the token was not issued by this server.
        """
        number = read_decimal(self.after or "0", most=_LAST_ID)
        if number is None:
            raise BadRequestError(f"Invalid pageToken: {show(self.after)} is not an id")
        return number


def write_page_token(of: str, last: str) -> str:
    """Return the opaque token that continues the list ``of`` after the name ``last``."""
    content = _TOKEN_VERSION + _digest(of) + last.encode()
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def read_page_token(of: str, token: str) -> str:
    """Return the name after which the list ``of`` goes on.

    Raises:
        BadRequestError: the token was not issued by this server, or for another list.
    """
    padded = token + "=" * (-len(token) % 4)
    try:
        decoded = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
        if decoded[:1] != _TOKEN_VERSION:
            raise ValueError(decoded[:1])
        last = decoded[1 + _DIGEST_BYTES :].decode()
    except (binascii.Error, ValueError) as error:
        raise BadRequestError(
            f"Invalid pageToken {show(token)}: it was not issued by this server"
        ) from error
    if decoded[1 : 1 + _DIGEST_BYTES] != _digest(of):
        raise BadRequestError(f"Invalid pageToken {show(token)}: it belongs to another list")
    return last


def _digest(of: str) -> bytes:
    return hashlib.blake2b(of.encode(errors="replace"), digest_size=_DIGEST_BYTES).digest()
