"""Pages for errors: what is wrong, in the words of the API, and where to go on."""

import logging

import falcon

from falcon_catalog.api.responses import failure, rejection
from falcon_catalog.errors import (
    CatalogError,
    NotAuthenticatedError,
    ServiceUnavailableError,
)
from falcon_catalog.web import paths
from falcon_catalog.web.rendering import is_fragment, send_page

_log = logging.getLogger(__name__)
_TITLES = {
    400: "This request cannot be understood",
    403: "Not allowed",
    404: "Not found",
    409: "It has changed meanwhile",
    503: "Not available now",
}


def render_catalog_error(
    req: falcon.Request, resp: falcon.Response, error: CatalogError, _params: object
) -> None:
    """Respond with a page about an error; with the login page where a login is missing."""
    note(req, resp, error)
    if isinstance(error, NotAuthenticatedError):
        _send_to_login(req, resp)
        return
    if isinstance(error, ServiceUnavailableError):
        resp.set_header("Retry-After", str(error.retry_after))
    if error.status >= falcon.http_status_to_code(falcon.HTTP_500):
        _log.error("%s %s id=%s: %s", req.method, req.path, req.context.id, error, exc_info=error)
    title = _TITLES.get(error.status, "It did not work")
    send_page(req, resp, "error.html", title=title, message=error.message, id=req.context.id)


def note(req: falcon.Request, resp: falcon.Response, error: CatalogError) -> None:
    """Respond with the status of an error, and let the log and the audit log have it."""
    resp.status, req.context.error = error.status, error.type
    if error.refusal is not None:
        req.context.refusal = error.refusal


def render_http_error(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: object
) -> None:
    """Respond with a page to what Falcon itself rejects."""
    resp.set_headers(error.headers or {})
    found = rejection(req, error, f"There is no page at {req.path}")
    render_catalog_error(req, resp, found, params)


def render_failure(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: object
) -> None:
    """Respond to an internal failure; the log has the details, under the request's id."""
    render_catalog_error(req, resp, failure(req, error), params)


def _send_to_login(req: falcon.Request, resp: falcon.Response) -> None:
    resp.status = falcon.HTTP_303
    target = paths.LOGIN if req.method != "GET" else f"{paths.LOGIN}?next={_encoded(req)}"
    if is_fragment(req):  # htmx would put the login page into the part of the page
        resp.status = falcon.HTTP_204
        resp.set_header("HX-Redirect", target)
    resp.location = target


def _encoded(req: falcon.Request) -> str:
    query = f"?{req.query_string}" if req.query_string else ""
    return falcon.uri.encode_value(f"{req.path}{query}")
