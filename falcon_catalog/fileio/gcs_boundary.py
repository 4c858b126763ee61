"""Credential access boundaries of Google Cloud: what a token may do in some folders of buckets.

A boundary has up to ten rules, each with a bucket, roles and a condition in CEL, of which Google
accepts nothing but ``startsWith`` and the like here. What a token may do is what its identity may
do and one of the rules allows.
Source: https://cloud.google.com/iam/docs/downscoping-short-lived-credentials and
https://cloud.google.com/iam/docs/reference/sts/rest/v1/AccessBoundary
"""

import json
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from falcon_catalog.errors import BadRequestError
from falcon_catalog.fileio.delegation import Permission, Scope
from falcon_catalog.locations import Location, parse

MAX_RULES = 10
MAX_EXPRESSION = 2048  # characters
ROLES: Mapping[Permission, str] = {
    "read": "roles/storage.objectViewer",
    "write": "roles/storage.objectUser",
}
"""The second one reads, lists, creates, replaces and deletes, and makes folders."""


def access_boundary(scope: Scope) -> dict[str, Any]:
    """Return the boundary that opens the folders of a scope and nothing beside them.

    Raises:
        BadRequestError: a location is a whole bucket, too long for a condition, or has characters
            that none can name; or there are more locations than rules.
    """
    places = _outermost(parse(location, frozenset({"gs"})) for location in scope.locations)
    if len(places) > MAX_RULES:
        raise BadRequestError(
            f"Credentials cannot be issued for {len(places)} locations, at most for {MAX_RULES}:"
            " an access boundary has no more rules"
        )
    rules = [
        {
            "availableResource": f"//storage.googleapis.com/projects/_/buckets/{place.authority}",
            "availablePermissions": [f"inRole:{ROLES[scope.permission]}"],
            "availabilityCondition": {"expression": _condition(place)},
        }
        for place in places
    ]
    return {"accessBoundary": {"accessBoundaryRules": rules}}


def _outermost(places: Iterable[Location]) -> list[Location]:
    """Return the places that are not inside another one."""
    found: list[Location] = []
    for place in sorted(set(places), key=lambda place: place.key):  # a folder before what is in it
        if not found or not place.inside(found[-1]):
            found.append(place)
    return found


def _condition(place: Location) -> str:
    """Return the condition that holds for what is in a folder, and for lists of it.

    ``folders/`` is for buckets with a hierarchical namespace. A list has no object's name; what it
    is restricted by is its prefix, and one without the slash would show siblings.
    """
    if not place.path:
        raise BadRequestError(
            f"Credentials cannot be issued for gs://{place.authority}: they would open all of the"
            " bucket"
        )
    bucket, prefix = f"projects/_/buckets/{place.authority}", f"{place.path}/"
    listed = "api.getAttribute('storage.googleapis.com/objectListPrefix', '')"
    expression = (
        f"resource.name.startsWith({literal(f'{bucket}/objects/{prefix}')})"
        f" || resource.name.startsWith({literal(f'{bucket}/folders/{prefix}')})"
        f" || {listed}.startsWith({literal(prefix)})"
    )
    if len(expression) > MAX_EXPRESSION:
        raise BadRequestError(
            f"Credentials cannot be issued for gs://{place.authority}/{place.path[:80]}…: its"
            f" condition has {len(expression)} characters, Google takes {MAX_EXPRESSION}"
        )
    return expression


def literal(text: str) -> str:
    """Return a text as a string literal of CEL, in single quotes.

    Raises:
        BadRequestError: it has a character that CEL cannot name.
    """
    pieces = []
    for character in text:
        if character in "\\'\"":
            pieces.append(f"\\{character}")
        elif unicodedata.category(character) == "Cs":
            raise BadRequestError(f"Invalid location {json.dumps(text)}: it contains a surrogate")
        elif unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp"):
            code = ord(character)
            pieces.append(f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}")
        else:
            pieces.append(character)
    return f"'{''.join(pieces)}'"
