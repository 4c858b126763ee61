"""Protection from web pages: reject what a browser sends for a page of another origin.

A page that a user visits can make the browser send requests to servers of the user's machine and
network, and after DNS rebinding it can read the responses. No token is needed where none is
required. Source: the Fetch standard (CORS and Sec-Fetch-Site), RFC 6454 (Origin), RFC 9110 (Host).
"""

import functools
import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import falcon

from falcon_catalog.api.oauth import TOKENS_PATH
from falcon_catalog.errors import (
    CatalogError,
    ForbiddenError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
    show,
)
from falcon_catalog.rules import listen_address
from falcon_catalog.settings import Settings

_HEADERS_OF_ALL = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Accept, If-None-Match,"
    " Idempotency-Key, X-Iceberg-Access-Delegation, X-Client-Version, X-Client-Git-Commit-Short,"
    " X-Request-Id",
    "Access-Control-Max-Age": "600",
}
_EXPOSED = "ETag, X-Request-Id, Retry-After, Location"
_ANY = "*"
PAGES = "/ui/"
"""The pages have paths below this one, but for the home page."""
LOGIN_PAGE = f"{PAGES}login"
MAX_FORM_BYTES = 64 * 1024
"""Of the body of a form that a page sends."""
_FORM = "application/x-www-form-urlencoded"
_BODILESS = ("GET", "HEAD", "OPTIONS")
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]/@\s]+))(?::[0-9]*)?")
_ABSOLUTE_FORM = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")

Header = Callable[[str], str | None]
"""Returns the value of a request's header, or None."""


def is_page(path: str) -> bool:
    """Return whether a path is that of a page: of ``web``, not of the API."""
    return path == "/" or path.startswith(PAGES)


class Browsers:
    """Check Host, Origin, Sec-Fetch-Site and Content-Type; allow the pages of ``cors.origins``."""

    def __init__(self, settings: Settings) -> None:
        listen = listen_address(settings.server.listen)
        own = () if isinstance(listen, Path) else (listen[0],)
        names = ("localhost", *own, *settings.server.allowed_hosts)
        self._hosts = frozenset(name.lower() for name in names)
        self._origins = frozenset(settings.cors.origins)
        self._varies = bool(self._origins) and _ANY not in self._origins
        self._headers = _HEADERS_OF_ALL | ({"Vary": "Origin"} if self._varies else {})

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Reject what a page may not send; answer the browser's question whether it may."""
        origin = req.get_header("Origin")
        resp.set_headers(self.headers_for(origin))
        target = _ABSOLUTE_FORM.match(req.env.get("REQUEST_URI") or "")
        authority = target[1] if target else req.get_header("Host")
        self.check(
            req.method,
            req.path,
            req.get_header,
            origin=origin,
            authority=authority,
            has_body=bool(req.content_length),
        )
        if (
            req.method == "OPTIONS"
            and req.get_header("Access-Control-Request-Method")
            and self._is_listed(origin)
        ):
            resp.set_headers(_PREFLIGHT)
            resp.status = falcon.HTTP_204
            resp.complete = True

    def process_response(
        self,
        _req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        _succeeded: bool,  # noqa: FBT001 - Falcon's signature
    ) -> None:
        """Tell caches that the response depends on the page; responders set Vary as well."""
        if self._varies and "Origin" not in (resp.get_header("Vary") or ""):
            resp.append_header("Vary", "Origin")

    def headers_for(self, origin: str | None) -> Mapping[str, str]:
        """Return the headers of every response to a page of ``origin``; None: to no page."""
        if origin is None or not self._is_listed(origin):
            return self._headers
        return {
            **self._headers,
            "Access-Control-Allow-Origin": origin if self._varies else _ANY,
            "Access-Control-Expose-Headers": _EXPOSED,
        }

    def check(
        self,
        method: str,
        path: str,
        header: Header,
        *,
        origin: str | None,
        authority: str | None,
        has_body: bool,
    ) -> None:
        """Check a request by its head.

        Args:
            method: its method.
            path: its path.
            header: returns its other headers.
            origin: the origin of the page that sent it.
            authority: host and port that it is sent to; None in HTTP/1.0.
            has_body: whether a body comes with it.

        Raises:
            ForbiddenError: a page of another origin sent it, or it came under another host's name.
            UnsupportedMediaTypeError: its body is no JSON, which a page could send unasked.
            PayloadTooLargeError: it is a form larger than any page has.
        """
        if authority is not None and (host := _name(authority)) and host not in self._hosts:
            raise ForbiddenError(
                f"Host {show(authority)} is not a name of this server: if it is one, add it to"
                " server.allowed_hosts"
            )
        if not self._is_listed(origin):
            own = () if authority is None else (f"http://{authority}", f"https://{authority}")
            if origin is not None and origin.lower() not in map(str.lower, own):
                raise ForbiddenError(
                    f"Origin {show(origin)} may not call this server: if its pages may, add it to"
                    " cors.origins"
                )
            if header("Sec-Fetch-Site") == "cross-site" and not _opens_page(method, path, header):
                raise ForbiddenError(
                    "A web page of another site may not call this server (Sec-Fetch-Site:"
                    " cross-site)"
                )
        if has_body and method not in _BODILESS and path != TOKENS_PATH:
            kind, expected = header("Content-Type"), _FORM if is_page(path) else falcon.MEDIA_JSON
            if (kind or "").partition(";")[0].strip().lower() != expected:
                raise UnsupportedMediaTypeError(
                    f"Content-Type {show(kind)} is not supported: the body must be {expected}"
                )
            length = header("Content-Length") or ""
            if is_page(path) and length.isdecimal() and int(length) > MAX_FORM_BYTES:
                raise PayloadTooLargeError(f"The form is larger than {MAX_FORM_BYTES} bytes")

    def refusal(self, method: str, path: str, header: Header) -> CatalogError | None:
        """Return the error for a request whose body is still to come; as ``check``."""
        try:
            host, origin = header("Host"), header("Origin")
            self.check(method, path, header, origin=origin, authority=host, has_body=True)
        except CatalogError as error:
            return error
        return None

    def _is_listed(self, origin: str | None) -> bool:
        return origin is not None and (origin in self._origins or _ANY in self._origins)


def _opens_page(method: str, path: str, header: Header) -> bool:
    """Return whether a link of another site is followed to a page: it is shown, not read by it."""
    return (
        method in ("GET", "HEAD")
        and is_page(path)
        and header("Sec-Fetch-Mode") == "navigate"
        and header("Sec-Fetch-Dest") == "document"
    )


@functools.lru_cache(maxsize=256)
def _name(authority: str) -> str:
    """Return the host name of an authority in lower case; "" for an IP address.

    An address is nobody's name: only a name can be resolved to another address later.
    """
    match = _AUTHORITY.fullmatch(authority)
    host = (match[1] or match[2]).lower().removesuffix(".") if match else authority
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host or "."
    return ""
