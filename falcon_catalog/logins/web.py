"""JSON over HTTP for logins: https, or http to this machine; no redirects, with limits."""

import http.client
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

_SECONDS = 10
_MAX_BYTES = 1024 * 1024
_LOCAL = r"http://(?:localhost|127\.[0-9.]+|\[::1\])(?::[0-9]+)?(?:/.*)?"


class LoginError(Exception):
    """The login failed; the message is one line, fit for a terminal."""


class RefusedError(LoginError):
    """The identity provider answered with an error of OAuth."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any, **_options: Any) -> None:
        return None


_opener = build_opener(_NoRedirects())


def get(url: str, *, token: str | None = None) -> dict[str, Any]:
    """Return the JSON object at a URL; raise LoginError if there is none."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return _send(Request(checked(url), headers=headers))  # noqa: S310 - checked


def post(url: str, form: Mapping[str, str]) -> dict[str, Any]:
    """Return the JSON object that answers a form.

    Raises:
        RefusedError: the answer is an error of OAuth (RFC 6749, section 5.2).
        LoginError: there is no answer, or another one.
    """
    return _send(Request(checked(url), urlencode(form).encode()))  # noqa: S310 - checked


def checked(url: str) -> str:
    """Return a URL that a login may open; raise LoginError for one with another scheme."""
    if not re.fullmatch(rf"https://[^\s@]+|{_LOCAL}", url) or "@" in url.split("?", maxsplit=1)[0]:
        raise LoginError(f"{url!r} must be https://, or http:// to this machine, without a user")
    return url


def _send(request: Request) -> dict[str, Any]:
    url = request.full_url
    try:
        with _opener.open(request, timeout=_SECONDS) as response:
            found = json.loads(response.read(_MAX_BYTES))
    except HTTPError as error:
        raise _refusal(url, error) from None
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        raise LoginError(f"{url}: {error}") from None
    if not isinstance(found, dict):
        raise LoginError(f"{url}: the answer is no JSON object")
    return found


def _refusal(url: str, error: HTTPError) -> LoginError:
    with error:
        try:
            found = json.loads(error.read(_MAX_BYTES))
        except (OSError, ValueError, RecursionError):
            found = None
    if isinstance(found, dict) and isinstance(found.get("error"), str):
        return RefusedError(
            found["error"], f"{url}: {found.get('error_description') or found['error']}"
        )
    details = found.get("error") if isinstance(found, dict) else None
    message = details.get("message") if isinstance(details, dict) else None
    return LoginError(f"{url}: {message or error.code}")
