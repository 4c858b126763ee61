"""Public keys of one identity provider, fetched in the background.

Discovery and the key set are fetched by one thread, every five minutes. While the provider is down
the last keys stay valid for a day. A token that names an unknown key makes the thread fetch at
once, though at most every 30 seconds, and few requests wait for it. Source: OpenID Connect
Discovery 1.0, RFC 7517.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from falcon_catalog.auth.fetching import SECONDS, FetchError, fetch_json, reach_of
from falcon_catalog.auth.tokens import InvalidTokenError, KeysUnavailableError
from falcon_catalog.errors import WouldWaitError

FRESH_SECONDS = 300.0
"""Between two fetches of the keys."""
STALE_SECONDS = 86400.0
"""For which keys are used that could not be fetched again."""
COOLDOWN_SECONDS = 30.0
"""Between two fetches for unknown keys."""
_DISCOVERY_SECONDS = 3600.0
_FIRST_RETRY, _LAST_RETRY = 2.0, 60.0
_MAX_KEYS = 100
_MAX_UNKNOWN = 1000
_MAX_WAITING = 4
_RSA_BITS = 2048
_KINDS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Key:
    """A public key of a provider."""

    kid: str | None
    kind: str
    """RSA, EC or OKP."""
    algorithm: str | None
    """The only algorithm that it is for; None if the provider does not say."""
    public: Any

    def fits(self, algorithm: str) -> bool:
        """Return whether signatures of an algorithm can be verified with it."""
        return self.kind == _KINDS[algorithm[:2]] and self.algorithm in (None, algorithm)


class IssuerKeys:
    """The keys of one provider. Safe to use from many threads."""

    def __init__(
        self, name: str, url: str, *, ca_file: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self._url, self._ca_file, self._clock = url, ca_file, clock
        self._keys: tuple[Key, ...] = ()
        self._fetched_at: float | None = None
        self._asked_at = float("-inf")
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._discovered: tuple[float, str] | None = None
        self.endpoints: Mapping[str, str] = {}
        """Of logins, as far as the provider has named them: authorization_endpoint and so on."""
        self._waiting = 0
        self._asked, self._answered = 1, 0  # fetches by number: the first one is due
        self._is_failing = False
        self._changed = threading.Condition()
        self._wanted = threading.Event()
        self._stopping = False

    def start(self) -> None:
        """Fetch the keys from now on."""
        threading.Thread(target=self._run, name=f"keys-{self.name}", daemon=True).start()

    def stop(self) -> None:
        """End the thread, and whoever waits for it."""
        self._stopping = True
        self._wanted.set()
        with self._changed:
            self._changed.notify_all()

    @property
    def is_available(self) -> bool:
        """Whether there are keys that may be used."""
        fetched = self._fetched_at
        return fetched is not None and self._clock() < fetched + STALE_SECONDS

    def find(self, kid: str | None, algorithm: str, *, wait: bool) -> list[Key]:
        """Return the keys that a token may be signed with.

        Args:
            kid: what the token calls its key; None if it does not say, which is clear only if the
                provider has one key.
            algorithm: of the token.
            wait: whether to wait for the keys, at most five seconds.

        Raises:
            InvalidTokenError: the provider has no such key.
            KeysUnavailableError: its keys could not be fetched.
            WouldWaitError: the keys must be waited for, and ``wait`` is false.
        """
        found = self._known(kid, algorithm)
        if found:
            return found
        asked = self._ask(kid)
        if asked is not None:
            if not wait:
                raise WouldWaitError
            if self._wait(asked):
                found = self._known(kid, algorithm)
                if found:
                    return found
                self._remember_unknown(kid)
            else:
                raise self._unavailable()
        if not self.is_available:
            raise self._unavailable()
        raise InvalidTokenError("its key is none of its issuer's")

    def refresh(self) -> None:
        """Fetch the keys now.

        Raises:
            FetchError: they cannot be fetched; the last ones stay.
        """
        begun = self._asked
        near = reach_of(self._url)
        now = self._clock()
        if self._discovered is None or now > self._discovered[0] + _DISCOVERY_SECONDS:
            try:
                self._discovered = now, self._discover(near)
            except FetchError:
                if self._discovered is None:
                    raise
        try:
            document = fetch_json(self._discovered[1], near=near, ca_file=self._ca_file)
            keys = read_keys(document)
        except FetchError:
            self._discovered = None  # they may have moved
            raise
        with self._changed:
            self._keys, self._fetched_at, self._answered = keys, self._clock(), begun
            for key in keys:
                if key.kid is not None:
                    self._unknown.pop(key.kid, None)

    def _discover(self, near: Any) -> str:
        """Return where the keys are."""
        url = f"{self._url.rstrip('/')}/.well-known/openid-configuration"
        document = fetch_json(url, near=near, ca_file=self._ca_file)
        if not isinstance(document, dict) or document.get("issuer") != self._url:
            raise FetchError(f"{url} is of another issuer than {self._url}")
        keys_url = document.get("jwks_uri")
        if not isinstance(keys_url, str):
            raise FetchError(f"{url} has no jwks_uri")
        self.endpoints = {
            name: found
            for name in ("authorization_endpoint", "token_endpoint")
            if isinstance(found := document.get(name), str)
        }
        return keys_url

    def _known(self, kid: str | None, algorithm: str) -> list[Key]:
        if not self.is_available:
            return []
        fitting = [key for key in self._keys if key.fits(algorithm)]
        if kid is not None:
            return [key for key in fitting if key.kid == kid]
        return fitting if len(self._keys) == 1 else []

    def _ask(self, kid: str | None) -> int | None:
        """Return the number of a fetch that may bring a key; None if none is worth it now."""
        with self._changed:
            now = self._clock()
            had_keys = self._fetched_at is not None
            if had_keys and (kid is None or self._unknown.get(kid, 0.0) > now):
                return None
            if self._answered < self._asked:  # one is about to begin, or has not ended
                return self._asked
            if not had_keys or now < self._asked_at + COOLDOWN_SECONDS:
                return None
            self._asked_at = now
            self._asked += 1
            self._wanted.set()
            return self._asked

    def _wait(self, asked: int) -> bool:
        """Wait until a fetch has ended; return whether it brought keys."""
        with self._changed:
            if self._waiting >= _MAX_WAITING:
                return False
            self._waiting += 1
            try:
                self._changed.wait_for(
                    lambda: self._answered >= asked or self._stopping, timeout=SECONDS
                )
                return self._answered >= asked and not self._is_failing
            finally:
                self._waiting -= 1

    def _unavailable(self) -> KeysUnavailableError:
        return KeysUnavailableError(f"The keys of the issuer {self.name} are not available")

    def _remember_unknown(self, kid: str | None) -> None:
        if kid is None:
            return
        with self._changed:
            self._unknown[kid] = self._clock() + FRESH_SECONDS
            self._unknown.move_to_end(kid)
            while len(self._unknown) > _MAX_UNKNOWN:
                self._unknown.popitem(last=False)

    def _run(self) -> None:
        retry = _FIRST_RETRY
        while not self._stopping:
            begun = self._asked
            try:
                self.refresh()
            except FetchError as error:
                self._report(error)
                pause, retry = retry, min(retry * 2, _LAST_RETRY)
            except Exception:  # noqa: BLE001 - the thread must live on
                self._is_failing = True
                _log.exception("the keys of an issuer cannot be read", extra={"issuer": self.name})
                pause = _LAST_RETRY
            else:
                if self._is_failing:
                    _log.info("the keys of an issuer are back", extra={"issuer": self.name})
                self._is_failing = False
                pause, retry = FRESH_SECONDS, _FIRST_RETRY
            with self._changed:
                self._answered = begun
                self._changed.notify_all()
            self._wanted.wait(pause)
            self._wanted.clear()

    def _report(self, error: FetchError) -> None:
        """Log the first failure of several."""
        if not self._is_failing:
            _log.warning(
                "the keys of an issuer cannot be fetched; the last ones are used for a day",
                extra={"issuer": self.name, "reason": str(error)},
            )
        self._is_failing = True


def read_keys(document: object) -> tuple[Key, ...]:
    """Return the keys of a key set that can verify signatures, without symmetric and weak ones.

    Raises:
        FetchError: it is no key set, or has no such key.
    """
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise FetchError("the key set is no object with keys")
    keys = [key for each in listed[:_MAX_KEYS] if (key := _read_key(each)) is not None]
    if not keys:
        raise FetchError("the key set has no key that can verify signatures")
    return tuple(keys)


def _read_key(values: object) -> Key | None:
    if not isinstance(values, Mapping) or values.get("kty") not in _KINDS.values():
        return None
    if values.get("use", "sig") != "sig":
        return None
    try:
        public = PyJWK(dict(values)).key
    except (PyJWTError, ValueError, TypeError):
        return None
    if hasattr(public, "private_bytes"):  # who publishes it has lost it
        return None
    if isinstance(public, RSAPublicKey) and public.key_size < _RSA_BITS:
        return None
    kid, algorithm = values.get("kid"), values.get("alg")
    return Key(
        kid if isinstance(kid, str) else None,
        str(values["kty"]),
        algorithm if isinstance(algorithm, str) else None,
        public,
    )
