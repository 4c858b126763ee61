"""Reading of requests: names in URLs, bodies, flags, pages."""

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, unquote_plus

import falcon
import orjson
from falcon.routing import BaseConverter

from falcon_catalog.api.limits import check_body, check_depth, check_text
from falcon_catalog.catalog import metadata_files
from falcon_catalog.catalog.call import Call
from falcon_catalog.decimals import read_decimal
from falcon_catalog.errors import BadRequestError, UnsupportedEncodingError, show
from falcon_catalog.identifiers import (
    SEPARATOR,
    UNLIMITED,
    Namespace,
    Page,
    read_page_token,
)

"""The size of a page that holds everything."""


class NameConverter(BaseConverter):
    """One path segment, decoded once."""

    def convert(self, value: str) -> str:
        """Decode as Java encodes: ``%XX``, and a plus is a space."""
        return _decode(value)


class NamespaceConverter(BaseConverter):
    """A namespace's levels in one path segment, joined by an encoded U+001F."""

    def convert(self, value: str) -> Namespace:
        """Decode once, then split: no name can hold the separator, so the order is free."""
        return Namespace.of(_decode(value).split(SEPARATOR))


def read_object(req: falcon.Request) -> dict[str, Any]:
    """Return the request's JSON object. The body is read once and cached.

    Raises:
        BadRequestError: the body is empty, not JSON, not an object, or exceeds a limit.
        UnsupportedEncodingError: it is compressed.
        ServiceUnavailableError: there is too little memory to read it.
    """
    body = read_optional_object(req)
    if not req.context.has_body:
        raise BadRequestError("Invalid request body: it is empty, a JSON object is expected")
    return body


def read_optional_object(req: falcon.Request) -> dict[str, Any]:
    """Return the request's JSON object, empty if there is no body. Raises as ``read_object``."""
    body: dict[str, Any] | None = getattr(req.context, "body", None)
    if body is None:
        text = req.bounded_stream.read()
        coding = req.get_header("Content-Encoding") or "identity"
        if text and coding.lower() != "identity":
            raise UnsupportedEncodingError(
                f"Invalid Content-Encoding {show(coding)}: this server takes request bodies"
                " without an encoding only"
            )
        body = _parse(req, text) if text else {}
        req.context.body, req.context.has_body = body, bool(text)
    return body


def digest(req: falcon.Request) -> str:
    """Return a digest of a request's query and JSON body. The order of keys does not matter."""
    body = read_optional_object(req)
    try:
        text = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        text = b""  # nested deeper than it writes, which no request that changes something needs
    query = f"{req.query_string}\n".encode()
    return hashlib.blake2b(query + text, digest_size=16).hexdigest()


def _parse(req: falcon.Request, text: bytes) -> dict[str, Any]:
    check_text(req.context.limits, text)
    value = metadata_files.parse(text, "Invalid request body: it")
    if not isinstance(value, dict):
        raise BadRequestError("Invalid request body: it is not a JSON object")
    check_depth(req.context.limits, text, value)
    check_body(req.context.limits, value)
    return value


def read_objects(body: Mapping[str, Any], name: str, *, required: bool) -> list[dict[str, Any]]:
    """Return the list of objects in a field of a request's body; null counts as absent."""
    value = body.get(name)
    if value is None and not required:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BadRequestError(f"Invalid request body: {name} is not a list of objects")
    return value


def check_fields(body: Mapping[str, Any], *fields: str) -> Mapping[str, Any]:
    """Return an object of a request; raise BadRequestError for a field that it cannot have."""
    if unknown := body.keys() - set(fields):
        raise BadRequestError(f"Invalid field {show(min(unknown))}: known are {', '.join(fields)}")
    return body


def read_boolean(body: Mapping[str, Any], name: str) -> bool:
    """Return a boolean field of a request's body; absent and null are false."""
    value = body.get(name)
    if not isinstance(value, bool | None):
        raise BadRequestError(f"Invalid {name}: {show(value)} is not true or false")
    return bool(value)


def read_metadata_location(body: Mapping[str, Any]) -> str:
    """Return the location of the metadata file that a register request names."""
    location = body.get("metadata-location")
    if not isinstance(location, str) or not location:
        raise BadRequestError(f"Invalid metadata-location: {show(location)} is not a location")
    return location


def read_namespace(req: falcon.Request, name: str) -> Namespace | None:
    """Return the namespace in a query parameter; absent and empty are None."""
    # Falcon has decoded the value, which leaves the separator itself between the levels.
    value = req.get_param(name)
    return Namespace.of(value.split(SEPARATOR)) if value else None


def decode_again(parent: Namespace | None) -> Namespace | None:
    """Return a parent namespace decoded once more.

    PyIceberg 0.12 encodes the levels of a parent twice; those of a path it encodes once. Other
    clients encode the separator twice as well.
    """
    return parent and Namespace.of(unquote(parent.path).split(SEPARATOR))


def read_flag(req: falcon.Request, name: str) -> bool:
    """Return a boolean query parameter; absent and empty are false."""
    # PyIceberg writes True and False, other clients true and false.
    value = (req.get_param(name) or "false").lower()
    if value not in ("true", "false"):
        raise BadRequestError(f"Invalid {name} {show(value)}: it is neither true nor false")
    return value == "true"


def read_page(
    req: falcon.Request, call: Call, what: str, *of: Namespace | str | None, always: bool = False
) -> Page:
    """Return the requested page of a list, with one entry more to tell whether it is the last.

    Without ``pageToken`` a list is not paged, unless ``always`` is set; the first page has an empty
    token. The list is what is listed, such as ``tables``, and ``of`` all that selects its entries.
    """
    parts = (part.path if isinstance(part, Namespace) else part or "" for part in of)
    identity = "\0".join([call.warehouse.name, what, *parts])
    token = req.get_param("pageToken")
    size = req.get_param("pageSize")
    most: int = req.context.limits.page_size
    wanted = most if size is None else read_decimal(size, most=most)
    if not wanted:
        raise BadRequestError(f"Invalid pageSize {show(size)}: it is not a whole number above 0")
    if token is None and not always:
        return Page(None, UNLIMITED)
    after = read_page_token(identity, token) if token else None
    return Page(after, wanted + 1, identity)


def _decode(raw: str) -> str:
    try:
        return unquote_plus(raw, errors="strict")
    except UnicodeDecodeError as error:
        raise BadRequestError(f"Invalid path segment {show(raw)}: it is not UTF-8") from error
