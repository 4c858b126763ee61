"""A change of prefix for locations, and for text that contains them."""

import re
from dataclasses import dataclass
from typing import Any

from falcon_catalog.errors import CatalogError
from falcon_catalog.locations import is_local, local_path, overlap
from falcon_catalog.store.database import StoreError

EXTRA = "pip install '.[relocate]' in a clone of the repository"

_HEAD = re.compile(r"(?:file:(?://[^/]*)?)?", re.IGNORECASE)


class RelocationError(StoreError):
    """The relocation is impossible, or its result is wrong."""


@dataclass(frozen=True, slots=True)
class Move:
    """A move of everything in the folder ``old`` to the folder ``new``."""

    old: str
    """An absolute path, like ``new``, without scheme, ``..`` and trailing slash."""
    new: str

    @classmethod
    def of(cls, old: str, new: str) -> "Move":
        """Return the move between two locations.

        Raises:
            BadRequestError: one of them is no location.
            RelocationError: one is in an object store, or lies inside the other.
        """
        for location in (old, new):
            if not is_local(location):
                raise RelocationError(
                    f"{location} is in an object store: only folders can be relocated, to other"
                    " folders. To move tables between stores, create them anew there"
                )
        move = cls(local_path(old), local_path(new))
        if overlap(old, new):
            raise RelocationError(
                f"{old} and {new} must not lie inside one another: a second run could not "
                "distinguish what was moved from what was not"
            )
        return move

    def __call__(self, location: str) -> str:
        """Return the new location in the old spelling: ``file:///x``, ``file:/x`` or ``/x``.

        A location outside ``old``, or one that is not local, is returned unchanged.
        """
        try:
            path = local_path(location)
        except CatalogError:
            return location
        if not f"{path}/".startswith(f"{self.old}/"):
            return location
        head = _HEAD.match(location)
        start = head.end() if head else 0
        rest = location[start:]
        if not f"{rest}/".startswith(f"{self.old}/"):  # /a//b and /a/./b are /a/b
            rest = path + ("/" if rest.endswith("/") else "")
        return location[:start] + self.new + rest[len(self.old) :]

    def deep(self, value: Any) -> Any:
        """Return a JSON value with every location in it moved."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {name: self.deep(one) for name, one in value.items()}
        return [self.deep(one) for one in value] if isinstance(value, list) else value

    def changes(self, location: str) -> bool:
        """Return whether a location lies in ``old``."""
        return self(location) != location

    def is_mentioned(self, text: str) -> bool:
        """Return whether a text contains ``old`` or a path in it."""
        return bool(re.search(rf"(?<![\w.-]){re.escape(self.old)}(?![\w.-])", text))

    def bound(self, value: bytes) -> bytes:
        """Return a lower or upper bound of locations, moved."""
        try:
            return self(value.decode()).encode()
        except UnicodeDecodeError:
            return value
