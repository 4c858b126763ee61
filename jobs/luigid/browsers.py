"""Protection of luigid from web pages of other origins.

Luigi's API executes GET requests without a password, so that any page that a user visits could
steer the tasks; after DNS rebinding it could read them as well.
"""

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import tornado.web
from tornado.httputil import HTTPServerRequest


class _Rejected(tornado.web.RequestHandler):
    def initialize(self, reason: str) -> None:
        self._why = reason

    def prepare(self) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{self._why}\n")


def protected(
    make: Callable[[Any], tornado.web.Application], names: Iterable[str]
) -> Callable[[Any], tornado.web.Application]:
    """Return ``luigi.server.app`` with checks before every handler.

    Args:
        make: creates the application of a scheduler.
        names: host names under which it is called, besides localhost and IP addresses.
    """
    known = {"localhost", *(name.lower() for name in names)}

    def protected_app(scheduler: Any) -> tornado.web.Application:
        application = make(scheduler)
        find = application.find_handler

        def find_handler(request: HTTPServerRequest, **options: Any) -> Any:
            if why := refusal(request, known):
                return application.get_handler_delegate(request, _Rejected, {"reason": why})
            return find(request, **options)

        application.find_handler = find_handler  # type: ignore[method-assign]
        return application

    return protected_app


def refusal(request: HTTPServerRequest, names: set[str]) -> str | None:
    """Return why a request is rejected; None if it is not."""
    if not _is_known(request.host, names):
        return f"Host {request.host!r} is not a name of this server: see --allow-host"
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.host.lower():
        return f"Origin {origin!r} may not call this server"
    site = request.headers.get("Sec-Fetch-Site", "none")
    if request.path.startswith("/api/") and site not in {"none", "same-origin"}:
        return f"A web page of another origin may not call this server (Sec-Fetch-Site: {site})"
    return None


def _is_known(authority: str, names: set[str]) -> bool:
    """Return whether a Host is an IP address, which is nobody's name, or one of the names."""
    try:
        host = (urlsplit(f"//{authority}").hostname or "").removesuffix(".")
        if host in names:
            return True
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
