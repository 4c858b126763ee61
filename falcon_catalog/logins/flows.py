"""Logins of people at an identity provider: device codes, and a browser on this machine.

Sources: RFC 8628 (device authorization), RFC 8252 (native applications).
"""

import html
import math
import secrets
import threading
import time
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from falcon_catalog.logins.code_flow import CodeFlow
from falcon_catalog.logins.files import Login, login_of
from falcon_catalog.logins.web import LoginError, RefusedError, checked, get, post

_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
_WAIT_SECONDS = 300
_INTERVAL, _SLOWER, _LONGEST = 5.0, 5.0, 1800.0


@dataclass(frozen=True, slots=True)
class Client:
    """A public client of an identity provider, as a catalog names it."""

    issuer: str
    """Its name in the catalog's settings."""
    url: str
    client_id: str
    scopes: tuple[str, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict)

    def discover(self) -> dict[str, Any]:
        """Return the provider's endpoints; raise LoginError if it has none."""
        found = get(f"{self.url.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self.url:
            raise LoginError(f"{self.url} says that it is another issuer")
        if not isinstance(found.get("token_endpoint"), str):
            raise LoginError(f"{self.url} has no token endpoint")
        return found

    def login(self, answer: dict[str, Any], endpoints: dict[str, Any]) -> Login:
        """Return the login that an answer of the token endpoint is."""
        return login_of(
            answer,
            issuer=self.issuer,
            token_endpoint=endpoints["token_endpoint"],
            client_id=self.client_id,
            parameters=self.parameters,
        )


def with_device_code(
    client: Client,
    endpoints: dict[str, Any],
    say: Callable[[str], object],
    sleep: Callable[[float], object] = time.sleep,
) -> Login:
    """Show a code to enter in any browser, and wait until that was done.

    Raises:
        LoginError: it was refused, or not done in time.
    """
    asked = {"client_id": client.client_id, "scope": " ".join(client.scopes), **client.parameters}
    begun = post(endpoints["device_authorization_endpoint"], asked)
    code, page = begun.get("device_code"), begun.get("verification_uri")
    if not isinstance(code, str) or not isinstance(page, str):
        raise LoginError(f"{client.url} gave no device code")
    say(f"Open {checked(page)} in a browser and enter the code {begun.get('user_code')}")
    if isinstance(begun.get("verification_uri_complete"), str):
        say(f"or open {checked(begun['verification_uri_complete'])}")
    interval = _seconds(begun.get("interval", _INTERVAL))
    deadline = time.monotonic() + _seconds(begun.get("expires_in", _WAIT_SECONDS))
    form = {
        "grant_type": _DEVICE,
        "device_code": code,
        "client_id": client.client_id,
        **client.parameters,
    }
    while time.monotonic() < deadline:
        sleep(interval)
        try:
            return client.login(post(endpoints["token_endpoint"], form), endpoints)
        except RefusedError as error:
            if error.code == "slow_down":
                interval += _SLOWER
            elif error.code != "authorization_pending":
                raise
    raise LoginError("The code was not entered in time: log in again")


def _seconds(value: object) -> float:
    """Return a time that a provider gives; raise LoginError if it is none."""
    try:
        found = float(str(value))
    except ValueError:
        found = math.nan
    if not found >= 0:
        raise LoginError(f"The identity provider gave {str(value)[:40]!r} as a time in seconds")
    return min(found, _LONGEST)


def with_browser(
    client: Client,
    endpoints: dict[str, Any],
    say: Callable[[str], object],
    open_browser: Callable[[str], object] = webbrowser.open,
) -> Login:
    """Open the provider's page in a browser on this machine, and wait for it to come back.

    Raises:
        LoginError: it was refused, or did not come back in time.
    """
    page = endpoints.get("authorization_endpoint")
    if not isinstance(page, str):
        raise LoginError(f"{client.url} has no page to log in")
    state = secrets.token_urlsafe(24)
    with _Callback(state) as callback:
        flow = CodeFlow(client.client_id, callback.uri, client.parameters, state=state)
        url = flow.page(checked(page), client.scopes)
        say(f"Log in with the browser. If it does not open, open {url}")
        open_browser(url)
        code = callback.wait(_WAIT_SECONDS)
        return client.login(post(endpoints["token_endpoint"], flow.form(code)), endpoints)


class _Callback:
    """A page on this machine that the identity provider sends the browser to."""

    def __init__(self, state: str) -> None:
        self._done = threading.Event()
        self._found: dict[str, str] = {}
        callback = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                found = {name: values[0] for name, values in parse_qs(parts.query).items()}
                # Any page can send a browser here: only the provider knows the state.
                is_ours = parts.path == "/callback" and secrets.compare_digest(
                    found.get("state", "").encode(), state.encode()
                )
                self.send_response(200 if is_ours else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                text = "You are logged in. Close this page." if is_ours else "No such page."
                if "error" in found:
                    text = html.escape(f"The login was refused: {found['error']}")
                self.wfile.write(f"<!doctype html><p>{text}</p>".encode())
                if is_ours:
                    callback.finish(found)

            def log_message(self, *_arguments: object) -> None:
                """Log nothing: the path has the code."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}/callback"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def finish(self, found: dict[str, str]) -> None:
        """Note what the provider sent."""
        self._found = found
        self._done.set()

    def wait(self, seconds: float) -> str:
        """Return the code that the provider sent."""
        if not self._done.wait(seconds):
            raise LoginError("The browser did not come back in time: log in again")
        if "code" not in self._found:
            reason = self._found.get("error_description") or self._found.get("error", "no code")
            raise LoginError(f"The login was refused: {reason}")
        return self._found["code"]
