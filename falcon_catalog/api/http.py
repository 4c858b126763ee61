"""HTTP in the specification's manner: bodies, errors, names in URLs, pages."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import unquote_plus

import falcon
import orjson
from falcon.routing import BaseConverter

from falcon_catalog.api.limits import check_body, check_depth, check_text
from falcon_catalog.catalog import files
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.errors import (
    BadRequestError,
    CatalogError,
    InternalServerError,
    MethodNotAllowedError,
    NoSuchRouteError,
    NoSuchWarehouseError,
    PayloadTooLargeError,
    ServiceUnavailableError,
    WarehouseUnavailableError,
    show,
)
from falcon_catalog.identifiers import (
    SEPARATOR,
    Namespace,
    Page,
    read_page_token,
    write_page_token,
)
from falcon_catalog.server.inline import INLINE, WouldBlock

_log = logging.getLogger(__name__)
_UNLIMITED = -1

T = TypeVar("T")


class Warehouses:
    """The warehouses of this server, by name and by location."""

    def __init__(self, catalogs: Sequence[Catalog]) -> None:
        self._catalogs = tuple(catalogs)

    def by_prefix(self, prefix: str | None) -> Catalog:
        """Return the catalog of a URL prefix; None is the default warehouse."""
        if prefix is None:
            return self._catalogs[0]
        return self._find(prefix, lambda catalog: catalog.name == prefix)

    def by_selector(self, selector: str) -> Catalog:
        """Return the catalog that ``?warehouse=`` names, by name or location; "" is the default."""
        if not selector:
            return self._catalogs[0]
        location = selector.rstrip("/")
        return self._find(selector, lambda catalog: location in (catalog.name, catalog.location))

    def _find(self, wanted: str, matches: Callable[[Catalog], bool]) -> Catalog:
        for catalog in self._catalogs:
            if matches(catalog):
                return catalog
        known = ", ".join(catalog.name for catalog in self._catalogs)
        raise NoSuchWarehouseError(f"Warehouse does not exist: {wanted} (there is: {known})")


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
    """Return the request's JSON object.

    Raises:
        BadRequestError: the body is empty, is not JSON, is not an object, or asks for too much.
        ServiceUnavailableError: there is too little memory to read it.
    """
    body = req.bounded_stream.read()
    if not body:
        raise BadRequestError("Invalid request body: it is empty, a JSON object is expected")
    return _object(req, body)


def read_optional_object(req: falcon.Request) -> dict[str, Any]:
    """Return the request's JSON object, empty if there is no body. Raises as ``read_object``."""
    body = req.bounded_stream.read()
    return _object(req, body) if body else {}


def _object(req: falcon.Request, body: bytes) -> dict[str, Any]:
    check_text(req.context.limits, body)
    value = files.parse(body, "Invalid request body: it")
    if not isinstance(value, dict):
        raise BadRequestError("Invalid request body: it is not a JSON object")
    check_depth(req.context.limits, body, value)
    check_body(req.context.limits, value)
    return value


def read_objects(body: Mapping[str, Any], name: str, *, required: bool) -> list[dict[str, Any]]:
    """Return the list of objects in a field of a request's body; null is as good as absent."""
    value = body.get(name)
    if value is None and not required:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BadRequestError(f"Invalid request body: {name} is not a list of objects")
    return value


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


def read_page(req: falcon.Request, *, always: bool = False) -> Page:
    """Return the page that a list request asks for, with room for one entry more.

    Without ``pageToken`` everything is asked for, unless a page is ``always``; the first page
    has an empty token.
    """
    token = req.get_param("pageToken")
    size = req.get_param("pageSize")
    if size is not None and not (size.isascii() and size.isdigit() and int(size) > 0):
        raise BadRequestError(f"Invalid pageSize {show(size)}: it is not a whole number above 0")
    if token is None and not always:
        return Page(None, _UNLIMITED)
    after = read_page_token(token) if token else None
    most: int = req.context.limits.page_size
    return Page(after, min(int(size or most), most) + 1)


def send_page(
    resp: falcon.Response,
    field: str,
    entries: Sequence[T],
    page: Page,
    *,
    name: Callable[[T], str],
    show: Callable[[T], Any],
) -> None:
    """Answer one page of a list, and the token of the next one where there is one."""
    token = None
    if page.size != _UNLIMITED and len(entries) == page.size:
        entries = entries[:-1]
        token = write_page_token(name(entries[-1]))
    send(resp, {field: [show(entry) for entry in entries], "next-page-token": token})


def send(resp: falcon.Response, body: object) -> None:
    """Answer a JSON body."""
    send_text(resp, orjson.dumps(body))


def send_text(resp: falcon.Response, text: bytes) -> None:
    """Answer a body that is JSON text already."""
    resp.content_type = falcon.MEDIA_JSON
    resp.delete_header("Content-Encoding")
    resp.data = text


def leave_loop_unless(quick: bool, req: falcon.Request) -> None:  # noqa: FBT001 - reads well
    """Let a thread answer, if this is the event loop and what is left to do is not ``quick``."""
    if not quick and INLINE in req.env:
        raise WouldBlock


def render_catalog_error(
    req: falcon.Request, resp: falcon.Response, error: CatalogError, _params: object
) -> None:
    """Answer an error in the one shape that the specification has."""
    if isinstance(error, ServiceUnavailableError):
        # Java repeats a POST that was answered with 503 only where this is there.
        resp.set_header("Retry-After", str(error.retry_after))
    is_server_error = error.status >= falcon.http_status_to_code(falcon.HTTP_500)
    # A missing warehouse is logged once, not for each request.
    if is_server_error and not isinstance(error, WarehouseUnavailableError):
        _log.error("%s %s id=%s: %s", req.method, req.path, req.context.id, error, exc_info=error)
    req.context.error = error.type
    resp.status = error.status
    send(resp, error.as_json())


def render_http_error(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: object
) -> None:
    """Answer what Falcon itself refuses, in the same shape."""
    known: dict[int, CatalogError] = {
        404: NoSuchRouteError(f"No route for request: {req.method} {req.path}"),
        405: MethodNotAllowedError(f"{req.method} is not allowed for {req.path}"),
        413: PayloadTooLargeError("The request body is larger than this server takes"),
    }
    resp.set_headers(error.headers or {})
    text = error.description or error.title or str(error)
    known_error = known.get(error.status_code) or BadRequestError(f"Invalid request: {text}")
    render_catalog_error(req, resp, known_error, params)


def render_failure(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: object
) -> None:
    """Answer a failure of the server; what failed is in its log, under the request's id."""
    _log.error("%s %s id=%s failed", req.method, req.path, req.context.id, exc_info=error)
    answer = InternalServerError(f"The server failed; its log has the request {req.context.id}")
    render_catalog_error(req, resp, answer, params)


def _decode(raw: str) -> str:
    try:
        return unquote_plus(raw, errors="strict")
    except UnicodeDecodeError as error:
        raise BadRequestError(f"Invalid path segment {show(raw)}: it is not UTF-8") from error
