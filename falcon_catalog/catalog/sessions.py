"""Sessions of the web pages: a browser's cookie holds a random id, the store only its hash.

A session is looked up for each request, so that a principal that is removed, disabled or revoked
has none from its next request on, in every process.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from falcon_catalog import auth
from falcon_catalog.catalog import accounts, events, identity
from falcon_catalog.catalog.call import Principal, StoreCall
from falcon_catalog.catalog.events import Event
from falcon_catalog.catalog.identity import Realm
from falcon_catalog.errors import (
    CatalogError,
    NotAuthenticatedError,
    ServiceUnavailableError,
)
from falcon_catalog.settings import WebSettings
from falcon_catalog.store import grants
from falcon_catalog.store import web_sessions as rows
from falcon_catalog.store.database import Database, Transaction, again, now_ms

CODE_SECONDS = 600
"""For which a login link can be used."""
_NOTE_MS = 60_000
"""A session's last use is stored at most once in this time: each time is a transaction."""
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is logged in."""

    id: str = field(repr=False)
    """What its cookie holds."""
    principal: Principal

    @property
    def form_token(self) -> str:
        """What the forms of its pages contain, and no other page can know."""
        return hashlib.sha256(f"form {self.id}".encode()).hexdigest()[:43]


@dataclass(frozen=True, slots=True)
class _Proof:
    """Who logs in."""

    principal: Principal
    token: str = ""
    """The name of the token among the revoked ones; empty if it was another proof."""
    until: int | None = None
    """When the session must end at the latest, in milliseconds."""


def open_with_secret(
    call: StoreCall, realm: Realm, settings: WebSettings, name: str, secret: str
) -> str:
    """Begin a session of a principal that presents its secret; return the session's id.

    Raises:
        InvalidClientError: no principal has this name, or the secret is wrong.
        UnsupportedGrantTypeError: this catalog takes no secrets.
    """
    return _open(call, settings, lambda: _Proof(identity.identify_client(realm, name, secret)))


def open_with_token(
    call: StoreCall, realm: Realm, settings: WebSettings, token: str, *, outlives: bool = False
) -> str:
    """Begin a session of the principal that a token was issued to; return the session's id.

    It ends when the token expires, unless it ``outlives`` it: a token that comes from a login at
    an identity provider only identifies the user.

    Raises:
        NotAuthenticatedError: the token is not valid.
        ServiceUnavailableError: it cannot be judged now.
    """

    def prove() -> _Proof:
        principal = identity.identify(realm, token)
        names = auth.unverified_names(token)
        until = None if outlives or names is None else (names[2] - 1) * 1000
        return _Proof(principal, identity.revoked_name(token), until)

    return _open(call, settings, prove)


def open_with_code(call: StoreCall, realm: Realm, settings: WebSettings, code: str) -> str:
    """Use up a login link and begin a session for who made it; return the session's id.

    Its principal is that of the user of the machine, as on a Unix socket.

    Raises:
        NotAuthenticatedError: the link is unknown, was used, or has expired.
    """
    uid = _take_code(call, code)
    if uid is None:
        raise NotAuthenticatedError(
            "The login link is not valid: it can be used once, within ten minutes."
            " falcon-catalog login --link prints another one"
        )
    return _open(call, settings, lambda: _Proof(identity.identify_local(realm, uid)))


@again
def _take_code(call: StoreCall, code: str) -> int | None:
    with call.store.write() as tx:
        return rows.take_code(tx, _hash(code))


def identify(realm: Realm, settings: WebSettings, session: str) -> Session | None:
    """Return a session that is valid, or None. Its use counts."""
    database = realm.database
    hashed, now = _hash(session), now_ms()
    idle_since = now - settings.session_idle * 1000
    row = rows.find(database.autocommit(), hashed, now=now, seen_after=idle_since)
    if row is None or identity.objection(realm, row.via):
        return None
    if row.seen_at < now - _NOTE_MS:
        with suppress(CatalogError), database.write() as tx:  # a page needs no writable store
            rows.note_use(tx, hashed)
    return Session(session, Principal(row.principal_id, row.name, row.via, row.groups))


@again
def close(call: StoreCall, session: str) -> None:
    """End a session, if it has not ended."""
    with call.store.write() as tx:
        found = rows.delete(tx, _hash(session))
        if found is not None:
            principal = Principal(*found)
            event = accounts.event("closeSession", principal.name, id=principal.id)
            events.record(tx, replace(call, principal=principal), event)


@again
def make_code(call: StoreCall, uid: int) -> str:
    """Return the code of a link that logs a user of the machine in, once, within ten minutes."""
    code = auth.draw_secret()
    with call.store.write() as tx:
        rows.insert_code(tx, _hash(code), uid, expires_at=tx.now + CODE_SECONDS * 1000)
        event = Event("createLoginLink", "server", None, "access", detail={"uid": uid})
        events.record(tx, call, event)
    return code


def remove_ended(database: Database, settings: WebSettings) -> None:
    """Remove the rows of sessions and login links that have ended."""
    now = now_ms()
    idle_since = now - settings.session_idle * 1000
    if rows.has_ended(database.autocommit(), now=now, seen_until=idle_since):
        with database.write() as tx:
            rows.delete_ended(tx, seen_until=idle_since)


def _open(call: StoreCall, settings: WebSettings, prove: Callable[[], _Proof]) -> str:
    """Begin a session, for which nothing was revoked between the proof and the COMMIT."""
    for _ in range(_ATTEMPTS):
        generation = grants.generation(call.store.autocommit())
        proof = prove()
        session = _open_at(call, settings, proof, generation)
        if session is not None:
            return session
    raise ServiceUnavailableError("Permissions change at the moment: log in again")


@again
def _open_at(call: StoreCall, settings: WebSettings, proof: _Proof, generation: int) -> str | None:
    """Begin a session; return None if permissions have changed since a generation."""
    with call.store.write() as tx:
        if grants.generation(tx) != generation:
            return None
        return _insert(call, tx, settings, proof)


def _insert(call: StoreCall, tx: Transaction, settings: WebSettings, proof: _Proof) -> str:
    session, principal = auth.draw_secret(), proof.principal
    end = tx.now + settings.session_lifetime * 1000
    rows.insert(
        tx,
        _hash(session),
        principal.id,
        via=principal.via,
        groups=principal.groups,
        token=proof.token,
        expires_at=end if proof.until is None else min(end, proof.until),
    )
    event = accounts.event("openSession", principal.name, id=principal.id)
    events.record(tx, replace(call, principal=principal), event)
    return session


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
