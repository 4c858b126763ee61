"""The cookies of the pages: a session, and a login at an identity provider that has begun.

Over https they have the prefix ``__Host-``, which no other host can set, and Secure. Over http,
which is for this machine, cookies are shared by all ports: the name has the port, so that two
catalogs on one machine do not end each other's sessions. Source: RFC 6265 and its successor
(draft-ietf-httpbis-rfc6265bis).
"""

import re
from datetime import UTC, datetime
from typing import Literal

import falcon

Kind = Literal["session", "login"]
_SAME_SITE: dict[Kind, str] = {"session": "Strict", "login": "Lax"}
"""A login comes back from another site."""

_PORT = re.compile(r":([0-9]{1,5})$")
_PAST = datetime(2000, 1, 1, tzinfo=UTC)


def read(req: falcon.Request, kind: Kind) -> str | None:
    """Return the value of a cookie, or None."""
    names = [_name(req, kind, secure=True)]
    if req.get_header("X-Forwarded-Proto") != "https":
        names.append(_name(req, kind, secure=False))
    for name in names:
        if found := req.get_cookie_values(name):
            return found[0]
    return None


def write(
    req: falcon.Request,
    resp: falcon.Response,
    kind: Kind,
    value: str,
    *,
    secure: bool,
    seconds: int,
) -> None:
    """Give the browser a cookie; ``secure`` where it uses https."""
    resp.set_cookie(
        _name(req, kind, secure=secure),
        value,
        max_age=seconds or None,
        expires=None if seconds else _PAST,
        path="/",
        secure=secure,
        http_only=True,
        same_site=_SAME_SITE[kind],
    )


def delete(req: falcon.Request, resp: falcon.Response, kind: Kind) -> None:
    """Take a cookie from the browser."""
    for secure in (True, False):
        name = _name(req, kind, secure=secure)
        if name in req.cookies:
            write(req, resp, kind, "", secure=secure, seconds=0)


def is_secure(req: falcon.Request, kind: Kind) -> bool:
    """Return whether the browser sent a cookie of https."""
    return _name(req, kind, secure=True) in req.cookies


def _name(req: falcon.Request, kind: Kind, *, secure: bool) -> str:
    stem = "falcon" if kind == "session" else f"falcon-{kind}"
    if secure:
        return f"__Host-{stem}"
    port = _PORT.search(req.get_header("Host") or "")
    return f"{stem}-{port[1] if port else 80}"
