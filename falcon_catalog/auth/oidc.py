"""Tokens of identity providers, verified.

Only issuers of the settings are accepted, by their exact name, and only asymmetric algorithms. The
signature is checked first, then the claims. Keys come from the issuer alone: the headers jku, x5u,
x5c and jwk are ignored. Sources: RFC 7519, RFC 8725 (best practices), RFC 9068.
"""

import base64
import binascii
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from falcon_catalog import rules
from falcon_catalog.auth.fetching import FetchError, fetch_json, reach_of
from falcon_catalog.auth.issuer_keys import IssuerKeys
from falcon_catalog.auth.tokens import (
    MAX_TOKEN_CHARACTERS,
    InvalidTokenError,
    KeysUnavailableError,
)
from falcon_catalog.logins.code_flow import CodeFlow
from falcon_catalog.settings import IssuerSettings

_LEEWAY_SECONDS = 60
_MAX_HEADER_BYTES = 1024
_MAX_NAME = 255
_MAX_GROUPS = 1000
_SEGMENTS = 3
_MOST_LOGINS = 4
"""Logins that wait for one provider at the same time: each keeps a thread for some seconds."""
_LAST_TIME = 1 << 33  # the year 2242


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verified token says about the user."""

    issuer: str
    """The name of the issuer in the settings."""
    subject: str
    display_name: str | None
    groups: frozenset[tuple[str, str]]
    issued_at: int
    """Seconds since 1970-01-01 UTC; 0 if the token does not say."""
    expires_at: int


class Issuer:
    """An identity provider of the settings."""

    def __init__(
        self,
        name: str,
        settings: IssuerSettings,
        keys: IssuerKeys | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.settings = settings
        self.keys = keys or IssuerKeys(name, settings.url, ca_file=settings.ca_file)
        self._clock = clock
        self._logins = threading.BoundedSemaphore(_MOST_LOGINS)

    def verify(self, token: str, *, wait: bool) -> Verified:
        """Return what a token says, if it is valid.

        Args:
            token: the token.
            wait: whether to wait for keys, at most five seconds.

        Raises:
            InvalidTokenError: it is not valid here; the message says why.
            KeysUnavailableError: the keys could not be fetched.
            WouldWaitError: the keys must be waited for, and ``wait`` is false.
        """
        return self._check(self._decode(token, self.settings.token_types, wait=wait))

    def begin_login(self, redirect_uri: str) -> tuple[CodeFlow, str]:
        """Return a login with a browser, and the page of the provider that it begins with.

        Raises:
            KeysUnavailableError: the provider has not answered yet, or has no such page.
        """
        page = self.keys.endpoints.get("authorization_endpoint")
        if page is None:
            raise KeysUnavailableError(f"The issuer {self.name} has named no page for logins yet")
        settings = self.settings
        parameters = dict(map(rules.pair, settings.login_parameters))
        flow = CodeFlow(settings.login_client_id, redirect_uri, parameters)
        # A session needs no refresh token, for which some providers ask people's consent.
        scopes = [scope for scope in settings.login_scopes if scope != "offline_access"]
        return flow, flow.page(page, scopes)

    def finish_login(self, flow: CodeFlow, code: str) -> str:
        """Return the access token that a login ends with, which is not verified yet.

        Raises:
            InvalidTokenError: the provider refuses the code, or its ID token is of another login.
            KeysUnavailableError: it cannot be reached, or too many logins wait for it.
        """
        endpoint = self.keys.endpoints.get("token_endpoint")
        if endpoint is None or not self._logins.acquire(blocking=False):
            raise KeysUnavailableError(f"The issuer {self.name} cannot answer now")
        try:
            found = fetch_json(
                endpoint,
                near=reach_of(self.settings.url),
                ca_file=self.settings.ca_file,
                form=flow.form(code),
            )
        except FetchError as error:
            raise InvalidTokenError(
                f"the issuer {self.name} does not confirm it: {error}"
            ) from None
        finally:
            self._logins.release()
        tokens = found if isinstance(found, dict) else {}
        access, identity = tokens.get("access_token"), tokens.get("id_token")
        if isinstance(identity, str):
            self._check_identity(identity, flow)
        elif "openid" in self.settings.login_scopes:
            raise InvalidTokenError(f"the issuer {self.name} sent no ID token")
        if not isinstance(access, str):
            raise InvalidTokenError(f"the issuer {self.name} sent no access token")
        return access

    def _check_identity(self, token: str, flow: CodeFlow) -> None:
        """Check an ID token. Source: OpenID Connect Core 1.0, section 3.1.3.7."""
        content = self._decode(token, (), wait=True)
        if content.get("iss") not in (self.settings.url, *self.settings.aliases):
            raise InvalidTokenError("the issuer of its ID token is another one")
        self._check_times(content)
        audience = content.get("aud")
        if flow.client_id not in (audience if isinstance(audience, list) else [audience]):
            raise InvalidTokenError("its ID token is meant for another client")
        if content.get("nonce") != flow.nonce:
            raise InvalidTokenError("its ID token is of another login")

    def _decode(self, token: str, kinds: Sequence[str], *, wait: bool) -> dict[str, Any]:
        """Return the content of a token with a valid signature; it may have one of some types."""
        algorithm, kid = self._read_header(token, kinds)
        for key in self.keys.find(kid, algorithm, wait=wait):
            try:
                decoded = jwt.api_jws.PyJWS().decode(token, key.public, algorithms=[algorithm])
            except (jwt.InvalidTokenError, jwt.InvalidKeyError, ValueError, TypeError):
                continue
            return _object(decoded, "its content")
        raise InvalidTokenError("its signature is wrong")

    def _read_header(self, token: str, kinds: Sequence[str]) -> tuple[str, str | None]:
        """Return the algorithm and the name of the key."""
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise InvalidTokenError("it is too long")
        segments = token.split(".")
        if len(segments) != _SEGMENTS or not token.isascii():
            raise InvalidTokenError("it is no signed token")
        try:
            text = base64.urlsafe_b64decode(segments[0] + "=" * (-len(segments[0]) % 4))
        except (binascii.Error, ValueError):
            raise InvalidTokenError("its header cannot be read") from None
        if len(text) > _MAX_HEADER_BYTES:
            raise InvalidTokenError("its header is too long")
        header = _object(text, "its header")
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self.settings.algorithms:
            raise InvalidTokenError("its algorithm is not accepted")
        if "crit" in header or "b64" in header:
            raise InvalidTokenError("its header demands an extension")
        if kid is not None and not isinstance(kid, str):
            raise InvalidTokenError("its kid is no text")
        found = str(header.get("typ", "")).lower().removeprefix("application/")
        if kinds and found not in {kind.lower() for kind in kinds}:
            raise InvalidTokenError("its type (typ) is not accepted")
        return algorithm, kid

    def _check(self, content: Mapping[str, Any]) -> Verified:
        settings = self.settings
        if content.get("iss") not in (settings.url, *settings.aliases):
            raise InvalidTokenError("its issuer is another one")
        issued, expires = self._check_times(content)
        audience = content.get(settings.audience_claim)
        audiences = audience if isinstance(audience, list) else [audience]
        if not any(isinstance(one, str) and one in settings.audiences for one in audiences):
            raise InvalidTokenError("it is meant for another audience")
        for name, value in map(rules.pair, settings.required_claims):
            if content.get(name) != value:
                raise InvalidTokenError(f"its claim {name} is not as required")
        subject = content.get(settings.subject_claim)
        if not _is_name(subject):
            raise InvalidTokenError("it names no subject, or one that cannot be printed")
        shown = content.get(settings.name_claim)
        return Verified(
            self.name,
            str(subject),
            str(shown) if _is_name(shown) else None,
            self._groups(content),
            issued,
            expires,
        )

    def _check_times(self, content: Mapping[str, Any]) -> tuple[int, int]:
        """Return when a token was issued, or 0, and when it expires."""
        now = self._clock()
        expires = _time(content, "exp")
        if expires is None:
            raise InvalidTokenError("it has no end (exp)")
        if expires <= now:
            raise InvalidTokenError("it has expired")
        if expires > now + self.settings.max_lifetime + _LEEWAY_SECONDS:
            raise InvalidTokenError("it is valid for too long")
        issued = _time(content, "iat") or 0
        if max(issued, _time(content, "nbf") or 0) > now + _LEEWAY_SECONDS:
            raise InvalidTokenError("it is not valid yet")
        return issued, expires

    def _groups(self, content: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
        claim = self.settings.groups_claim
        if not claim:
            return frozenset()
        found: object = content.get(claim)
        if found is None:
            found = content
            for part in claim.split("/"):
                found = found.get(part) if isinstance(found, Mapping) else None
        values = found if isinstance(found, list) else [found]
        if len(values) > _MAX_GROUPS:
            raise InvalidTokenError(f"it names more than {_MAX_GROUPS} groups")
        return frozenset((self.name, one) for one in values if isinstance(one, str) and one)


class Issuers:
    """The identity providers of the settings."""

    def __init__(self, issuers: Mapping[str, IssuerSettings]) -> None:
        """Fetch their keys from now on."""
        self._all = [Issuer(name, each) for name, each in issuers.items()]
        self._by_url = {
            url: one for one in self._all for url in (one.settings.url, *one.settings.aliases)
        }
        for one in self._all:
            one.keys.start()

    @property
    def names(self) -> frozenset[str]:
        """Their names in the settings."""
        return frozenset(one.name for one in self._all)

    def of(self, url: str) -> Issuer | None:
        """Return the issuer that a token claims to be from; None if it is none of the settings."""
        return self._by_url.get(url)

    def for_login(self, name: str) -> Issuer | None:
        """Return the issuer of a name, if people can log in with a browser there."""
        for one in self._all:
            if one.name == name and one.settings.login_client_id:
                return one
        return None

    def unavailable(self) -> list[str]:
        """Return the names of those without keys."""
        return [one.name for one in self._all if not one.keys.is_available]

    def close(self) -> None:
        """End the threads that fetch keys."""
        for one in self._all:
            one.keys.stop()


def _object(text: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text, object_pairs_hook=_without_twins)
    except (ValueError, RecursionError):
        raise InvalidTokenError(f"{what} cannot be read") from None
    if not isinstance(found, dict):
        raise InvalidTokenError(f"{what} is no object")
    return found


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is repeated")
    return found


def _time(content: Mapping[str, Any], name: str) -> int | None:
    """Return a claim that is a time, in seconds; None if there is none."""
    if name not in content:
        return None
    found = content[name]
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise InvalidTokenError(f"its claim {name} is no time")
    if not 0 <= found < _LAST_TIME:
        raise InvalidTokenError(f"its claim {name} is no time")
    return int(found)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_NAME and value.isprintable()
