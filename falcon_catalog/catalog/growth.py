"""What many requests may add up to: each is small, and what they leave behind stays."""

from collections.abc import Mapping
from typing import Any

import orjson

from falcon_catalog.catalog.base import Catalog
from falcon_catalog.errors import BadRequestError

Properties = Mapping[str, str]
JSON = Mapping[str, Any]


def check_metadata(catalog: Catalog, of: str, before: JSON | None, after: JSON) -> None:
    """Check what a table's or view's next metadata adds up to.

    Args and errors as ``check_properties``.
    """
    had = None if before is None else before.get("properties", {})
    check_properties(catalog, of, had, after.get("properties", {}))


def check_properties(
    catalog: Catalog, of: str, before: Properties | None, after: Properties
) -> None:
    """Check that the properties of something stay within their bound, or at least do not grow.

    Args:
        catalog: where.
        of: what has them, for the message.
        before: what they are now; None: it is new.
        after: what they would be.

    Raises:
        BadRequestError: they would be more than ``limits.properties_bytes``, and more than now.
    """
    if after is before:
        return  # as in almost every commit
    size = len(orjson.dumps(after))
    if size <= catalog.properties_bytes:
        return
    # What was there before the limit was, or was registered, can be changed, but only for less.
    if before is None or size > len(orjson.dumps(before)):
        raise BadRequestError(
            f"Invalid properties of {of}: {size} bytes of JSON in all, at most"
            f" {catalog.properties_bytes} are allowed"
        )
