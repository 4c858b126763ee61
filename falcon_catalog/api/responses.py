"""Writing responses: JSON, pages, errors, and metadata with its tag and compression."""

import functools
import gzip
import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import falcon
import orjson

from falcon_catalog.catalog.metadata_cache import Loaded
from falcon_catalog.errors import (
    BadRequestError,
    CatalogError,
    InternalServerError,
    MethodNotAllowedError,
    NoSuchRouteError,
    PayloadTooLargeError,
    ServiceUnavailableError,
    UnsupportedEncodingError,
    WarehouseUnavailableError,
)
from falcon_catalog.identifiers import UNLIMITED, Page, write_page_token
from falcon_catalog.server.inline import INLINE, WouldBlock

_log = logging.getLogger(__name__)
T = TypeVar("T")

# Less fits into the first packets of a connection anyway.
_WORTH_ZIPPING = 4096
# More takes milliseconds to put together and to send.
_LONG = 512 * 1024


def body_text(resp: falcon.Response) -> bytes:
    """Return the text of a response's body, decompressed if necessary."""
    body: bytes = resp.data or b""
    return gzip.decompress(body) if resp.get_header("Content-Encoding") == "gzip" else body


def send_table(
    req: falcon.Request, resp: falcon.Response, table: Loaded, *, tag: falcon.ETag | None = None
) -> None:
    """Respond with a LoadTableResult."""
    access = table.access
    if table.metadata_location is not None:
        tag_response(resp, tag or table_tag(table.metadata_location, access=access.tag))
    _send_document(req, resp, table, b",%b}" % access.fields)
    if access.credential is not None:
        forbid_storing(req, resp)


def send_view(req: falcon.Request, resp: falcon.Response, view: Loaded) -> None:
    """Respond with a LoadViewResult; the specification has no tags for views."""
    _send_document(req, resp, view, b',"config":{}}')


def send_commit(req: falcon.Request, resp: falcon.Response, committed: Loaded) -> None:
    """Respond with a CommitTableResponse or an UnregisterTableResult."""
    _send_document(req, resp, committed, b"}")


def _send_document(req: falcon.Request, resp: falcon.Response, loaded: Loaded, end: bytes) -> None:
    """Respond with metadata and its location, compressed where that pays."""
    start = b'{"metadata":'
    if loaded.metadata_location is not None:
        location = orjson.dumps(loaded.metadata_location)
        start = b'{"metadata-location":' + location + b',"metadata":'
    resp.set_header("Vary", "Accept-Encoding")
    if loaded.document.length >= _WORTH_ZIPPING and _takes_gzip(req):
        inline_only_if(loaded.document.has_gzip(start, end), req)
        send_text(resp, loaded.document.gzip(start, end))
        resp.set_header("Content-Encoding", "gzip")
    else:
        inline_only_if(loaded.document.length < _LONG, req)
        send_text(resp, loaded.document.text(start, end))


def _takes_gzip(req: falcon.Request) -> bool:
    """Return whether the client accepts gzip (RFC 9110, 12.5.3)."""
    wishes: dict[str, str] = {}
    for wish in (req.get_header("Accept-Encoding") or "").lower().split(","):
        coding, _, weight = wish.partition(";")
        wishes[coding.strip()] = weight.replace(" ", "").removeprefix("q=")
    weight = wishes.get("gzip", wishes.get("x-gzip", wishes.get("*", "0")))
    return weight.strip("0.") != "" or weight == ""


@functools.lru_cache(maxsize=1024)
def table_tag(metadata_location: str, snapshots: str = "all", access: str = "") -> falcon.ETag:
    """Return the tag of a table's state, all of it or with ``refs``' snapshots only.

    It is weak: plain and compressed, the same state has one tag. Credentials are a part of it
    (``access``), so that no client hears that nothing changed when its own are about to end.
    """
    seed = f"{snapshots}\0{metadata_location}\0{access}".encode()
    tag = falcon.ETag(hashlib.blake2b(seed, digest_size=16).hexdigest())
    tag.is_weak = True
    return tag


def tag_response(resp: falcon.Response, tag: falcon.ETag) -> None:
    """Set the ETag of a response."""
    resp.set_header("ETag", tag.dumps())


def forbid_storing(req: falcon.Request, resp: falcon.Response) -> None:
    """Mark a response with credentials: it is for this caller alone, and kept nowhere."""
    resp.set_header("Cache-Control", "private, no-store")
    resp.set_header("Vary", "Accept-Encoding, Authorization, X-Iceberg-Access-Delegation")
    req.context.has_credentials = True


def is_unchanged(req: falcon.Request, tag: falcon.ETag) -> bool:
    """Return whether the client has the state of this tag already (RFC 9110, weakly compared)."""
    known = req.if_none_match or []
    return any(etag == "*" or str(etag) == str(tag) for etag in known)


def send_unchanged(resp: falcon.Response, tag: falcon.ETag) -> None:
    """Respond that the client has the present state."""
    tag_response(resp, tag)
    resp.set_header("Vary", "Accept-Encoding")
    resp.status = falcon.HTTP_304


def send_page(
    resp: falcon.Response,
    field: str,
    entries: Sequence[T],
    page: Page,
    *,
    name: Callable[[T], str],
    show: Callable[[T], Any],
) -> None:
    """Respond with one page of a list, and the token of the next page if there is one."""
    token = None
    if page.size != UNLIMITED and len(entries) == page.size:
        entries = entries[:-1]
        token = write_page_token(page.of, name(entries[-1]))
    send(resp, {field: [show(entry) for entry in entries], "next-page-token": token})


def send(resp: falcon.Response, body: object) -> None:
    """Respond with a JSON body."""
    send_text(resp, orjson.dumps(body))


def send_text(resp: falcon.Response, text: bytes) -> None:
    """Respond with JSON text."""
    resp.content_type = falcon.MEDIA_JSON
    resp.delete_header("Content-Encoding")
    resp.data = text


def inline_only_if(quick: bool, req: falcon.Request) -> None:  # noqa: FBT001 - reads well
    """Leave the response to a thread, unless what remains to be done is ``quick``."""
    if not quick and INLINE in req.env:
        raise WouldBlock


def render_catalog_error(
    req: falcon.Request, resp: falcon.Response, error: CatalogError, _params: object
) -> None:
    """Respond with an error in the form that the specification defines."""
    if isinstance(error, ServiceUnavailableError):
        # Java repeats a POST that was answered with 503 only where this is there.
        resp.set_header("Retry-After", str(error.retry_after))
    if isinstance(error, UnsupportedEncodingError):
        resp.set_header("Accept-Encoding", "identity")  # RFC 9110, 15.5.16
    is_server_error = error.status >= falcon.http_status_to_code(falcon.HTTP_500)
    # A missing warehouse is logged once, not for each request.
    if is_server_error and not isinstance(error, WarehouseUnavailableError):
        _log.error("%s %s id=%s: %s", req.method, req.path, req.context.id, error, exc_info=error)
    req.context.error = error.type
    if error.refusal is not None:
        req.context.refusal = error.refusal
    resp.status = error.status
    send(resp, error.as_json())


def render_http_error(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: object
) -> None:
    """Respond to what Falcon itself rejects, in the same form."""
    resp.set_headers(error.headers or {})
    no_route = f"No route for request: {req.method} {req.path}"
    render_catalog_error(req, resp, rejection(req, error, no_route), params)


def rejection(req: falcon.Request, error: falcon.HTTPError, no_route: str) -> CatalogError:
    """Return the error for what Falcon itself rejects; ``no_route`` is the message of a 404."""
    known: dict[int, CatalogError] = {
        404: NoSuchRouteError(no_route),
        405: MethodNotAllowedError(f"{req.method} is not allowed for {req.path}"),
        413: PayloadTooLargeError("The request body is larger than this server takes"),
    }
    text = error.description or error.title or str(error)
    return known.get(error.status_code) or BadRequestError(f"Invalid request: {text}")


def render_failure(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: object
) -> None:
    """Respond to an internal failure; the log has the details, under the request's id."""
    render_catalog_error(req, resp, failure(req, error), params)


def failure(req: falcon.Request, error: Exception) -> CatalogError:
    """Log an internal failure under the request's id; return the error that names the id alone."""
    _log.error("%s %s id=%s failed", req.method, req.path, req.context.id, exc_info=error)
    return InternalServerError(f"The server failed; its log has the request {req.context.id}")
