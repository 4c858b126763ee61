"""Access to the files of one table, as clients are given it, and a cache of what was issued."""

import hashlib
import logging
import threading
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from falcon_catalog.catalog.lru import LRU
from falcon_catalog.errors import ObjectStoreError, ServiceUnavailableError
from falcon_catalog.fileio.bulkhead import Bulkhead
from falcon_catalog.fileio.delegation import Credential

_log = logging.getLogger(__name__)
_COST = 12 * 1024  # bytes of memory for credentials, JSON and key, estimated on the high side
_PATIENCE_SECONDS = 5  # without any progress; a token service far away takes one
_MINT_SECONDS = 60  # more than a mint takes with all its retries


@dataclass(frozen=True)
class Access:
    """What the answer with a table says about access to the table's files."""

    config: Mapping[str, str] = field(default_factory=dict, repr=False)
    credential: Credential | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    """Other fields of the answer."""

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The ``storage-credentials`` of the specification: one, or none."""
        if self.credential is None:
            return []
        return [{"prefix": self.credential.prefix, "config": dict(self.config)}]

    @cached_property
    def fields(self) -> bytes:
        """The fields of a LoadTableResult, as JSON without the braces around them."""
        answer: dict[str, Any] = {"config": dict(self.config), **self.more}
        if self.credential is not None:
            answer["storage-credentials"] = self.entries
        return orjson.dumps(answer)[1:-1]

    @cached_property
    def tag(self) -> str:
        """What is another one for other credentials; empty without any."""
        if self.credential is None:
            return ""
        return hashlib.blake2b(self.fields, digest_size=16).hexdigest()


NO_ACCESS = Access()
"""Nothing is said: DuckDB takes any key for credentials, and so would hide those of its user."""


@dataclass(frozen=True, slots=True)
class _Issued:
    access: Access
    renew_at: int


class IssuedCredentials:
    """The credentials that a warehouse has issued, served until half of their life is over.

    Clients that come together wait for one mint, and hear of its failure, which is not kept. A
    token service that does not answer keeps only a few threads of the server waiting.
    """

    def __init__(self, what: str, limit: int, limit_bytes: int = 48 << 20) -> None:
        """Let ``limit`` threads wait for a token service, which messages name as ``what``."""
        self._what = what
        self._bulkhead = Bulkhead(what, limit, _PATIENCE_SECONDS)
        self._kept: LRU[Hashable, _Issued] = LRU(limit_bytes, lambda _: _COST)
        self._guard = threading.Lock()
        self._minting: dict[Hashable, Future[Access]] = {}
        self.hits = 0
        """Requests served with what was issued before. May be read at any time, as all counts."""
        self.issued = 0
        """Credentials that the token service issued."""
        self.failures = 0
        """Requests that it refused or did not answer."""

    def find(self, key: Hashable, now: int) -> Access | None:
        """Return what was issued for a key, if half of its life is left (``now`` in ms)."""
        found = self._kept.get(key)
        return None if found is None or now >= found.renew_at else found.access

    def get(self, key: Hashable, now: int, mint: Callable[[], Access]) -> Access:
        """Return what was issued for a key, or issue it.

        Raises:
            ServiceUnavailableError: too many threads are waiting already.
            Exception: what ``mint`` raises.
        """
        if (found := self.find(key, now)) is not None:
            with self._guard:
                self.hits += 1
            return found
        with self._bulkhead:
            with self._guard:
                if (found := self.find(key, now)) is not None:
                    return found
                flight = self._minting.get(key)
                if is_ours := flight is None:
                    flight = self._minting[key] = Future()
            if is_ours:
                self._mint(key, now, mint, flight)
            try:
                return flight.result(_MINT_SECONDS)
            except TimeoutError:
                raise ServiceUnavailableError(f"{self._what} takes too long to answer") from None

    def _mint(
        self, key: Hashable, now: int, mint: Callable[[], Access], flight: Future[Access]
    ) -> None:
        """Issue credentials, and let all who wait know how that ended."""
        try:
            access = mint()
        except BaseException as error:  # noqa: BLE001 - each of them raises it
            timed_out = isinstance(error, ObjectStoreError) and error.reason == "timeout"
            failure: BaseException | None = error
            if isinstance(error, ServiceUnavailableError):
                _log.error("%s", error)
        else:
            timed_out, failure = False, None
            if access.credential is not None:
                half = (access.credential.expires_at - now) // 2
                self._kept.put(key, _Issued(access, now + half))
        self._bulkhead.report(timed_out=timed_out)
        with self._guard:
            del self._minting[key]
            self.issued += failure is None
            self.failures += isinstance(failure, ServiceUnavailableError)
        if failure is None:
            flight.set_result(access)
        else:
            flight.set_exception(failure)
