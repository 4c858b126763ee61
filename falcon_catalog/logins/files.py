"""The file of logins: tokens by the address of a catalog, for the eyes of their owner only."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from falcon_catalog.logins.web import LoginError, RefusedError, post

_EARLY_SECONDS = 30
"""A token is renewed so long before it ends."""


@dataclass(frozen=True, slots=True)
class Login:
    """How somebody is logged in to a catalog."""

    token: str = field(repr=False)
    expires_at: float
    """Seconds since 1970-01-01 UTC."""
    issuer: str = ""
    """The name of the identity provider in the catalog's settings; empty: the catalog itself."""
    token_endpoint: str = ""
    client_id: str = ""
    refresh_token: str = field(default="", repr=False)
    parameters: dict[str, str] = field(default_factory=dict)
    """What is added to each request for a token."""


def path() -> Path:
    """Return the file: in the user's state directory, as the XDG Base Directories have it."""
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if state.startswith("/") else Path.home() / ".local/state"
    return folder / "falcon-catalog" / "logins.json"


def save(uri: str, login: Login) -> None:
    """Keep a login to the catalog at an address, instead of the last one."""
    with _locked():
        _write({**_read(), _key(uri): asdict(login)})


def remove(uri: str) -> bool:
    """Forget the login to a catalog; return False if there is none."""
    if not path().exists():
        return False
    with _locked():
        logins = _read()
        found = logins.pop(_key(uri), None)
        _write(logins)
    return found is not None


def token_for(uri: str) -> str | None:
    """Return a valid token for the catalog at an address, renewed if need be; None without a login.

    Raises:
        LoginError: it has expired and cannot be renewed.
    """
    if not path().exists():
        return None
    with _locked():
        logins = _read()
        found = logins.get(_key(uri))
        if found is None:
            return None
        try:
            login = Login(**found)
        except TypeError:
            raise _damaged() from None
        if time.time() < login.expires_at - _EARLY_SECONDS:
            return login.token
        if login.refresh_token:
            login = _renewed(uri, login)
            _write({**logins, _key(uri): asdict(login)})
        elif time.time() >= login.expires_at:
            raise _expired(uri)
        return login.token


def login_of(
    answer: dict[str, Any], *, issuer: str, token_endpoint: str, client_id: str, **more: Any
) -> Login:
    """Return the login that the answer of a token endpoint is; raise LoginError if it is none."""
    token, seconds = answer.get("access_token"), answer.get("expires_in", 3600)
    if not isinstance(token, str) or not isinstance(seconds, int | float):
        raise LoginError(f"{token_endpoint}: the answer has no access_token")
    refresh = answer.get("refresh_token") or more.pop("refresh_token", "")
    more.pop("refresh_token", None)
    return Login(
        token=token,
        expires_at=time.time() + seconds,
        issuer=issuer,
        token_endpoint=token_endpoint,
        client_id=client_id,
        refresh_token=refresh if isinstance(refresh, str) else "",
        **more,
    )


def _renewed(uri: str, login: Login) -> Login:
    form = {
        "grant_type": "refresh_token",
        "refresh_token": login.refresh_token,
        "client_id": login.client_id,
        **login.parameters,
    }
    try:
        answer = post(login.token_endpoint, form)
    except RefusedError:
        raise _expired(uri) from None
    return login_of(
        answer,
        issuer=login.issuer,
        token_endpoint=login.token_endpoint,
        client_id=login.client_id,
        refresh_token=login.refresh_token,
        parameters=login.parameters,
    )


def _expired(uri: str) -> LoginError:
    return LoginError(f"The login to {uri} has expired: falcon-catalog login --uri {uri}")


def _key(uri: str) -> str:
    return uri.rstrip("/")


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Keep other processes out: a refresh token is valid once."""
    folder = path().parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder / "logins.lock", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _read() -> dict[str, dict[str, Any]]:
    file = path()
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return {}
    with open(handle, encoding="utf-8") as opened:  # noqa: PTH123 - a descriptor
        state = os.fstat(handle)
        if state.st_mode & 0o077 or state.st_uid != os.geteuid():
            raise LoginError(f"{file} can be read by others: chmod 600 {file}, or log in again")
        try:
            found = json.load(opened)
        except ValueError:
            found = None
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise _damaged()
    return found


def _write(logins: dict[str, dict[str, Any]]) -> None:
    file = path()
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    with open(handle, "w", encoding="utf-8") as opened:  # noqa: PTH123 - a descriptor
        json.dump(logins, opened, indent=1)
    new.replace(file)


def _damaged() -> LoginError:
    return LoginError(f"{path()} is damaged: remove it, and log in again")
