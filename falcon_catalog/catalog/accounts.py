"""The verbs of principals: users of identity providers, and services with a secret."""

import re
from collections.abc import Mapping
from typing import Any

from falcon_catalog.auth import draw_secret, hash_secret
from falcon_catalog.catalog import administrators, events
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.events import Event
from falcon_catalog.catalog.privileges import names
from falcon_catalog.errors import (
    AlreadyExistsError,
    BadRequestError,
    NoSuchPrincipalError,
    show,
)
from falcon_catalog.identifiers import Page
from falcon_catalog.store import grants
from falcon_catalog.store import principals as rows
from falcon_catalog.store.database import Transaction, again
from falcon_catalog.store.principals import PrincipalRow

# No colon: clients write "name:secret". No space: the name is in log lines. No ~: it separates the
# issuer of a user from the subject.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_SUBJECT_CHARACTERS = 255


def list_(call: StoreCall, page: Page) -> list[PrincipalRow]:
    """Return users and services, ordered by name."""
    with call.store.read() as tx:
        return rows.list_(tx, page, kinds={"user", "service"})


def get(call: StoreCall, name: str) -> PrincipalRow:
    """Return a user or service; raise NoSuchPrincipalError if there is none of this name."""
    with call.store.read() as tx:
        return require_account(tx, name)


@again
def add(call: StoreCall, name: str, *, privileges: int = 0) -> str:
    """Add a service; return its secret, of which only a hash is stored.

    Args:
        call: who adds it.
        name: of the service.
        privileges: the bits that it has on the server (``catalog.privileges``).

    Raises:
        AlreadyExistsError: the name is taken.
        BadRequestError: the name is invalid.
    """
    check_name(name, "principal")
    secret = draw_secret()
    hashed = hash_secret(secret)
    with call.store.write() as tx:
        grants.touch(tx)
        added = rows.insert(tx, name, hashed, created_by=call.actor)
        if added is None:
            raise AlreadyExistsError(f"Principal already exists: {name}")
        if privileges:
            grants.set_bits(tx, grants.SERVER, added, privileges, by=call.actor)
        held = {"type": "service", "privileges": names(privileges)}
        events.record(tx, call, event("createPrincipal", name, id=added, detail=held))
    return secret


@again
def add_user(
    call: StoreCall, issuer: str, subject: str, *, display_name: str | None = None
) -> PrincipalRow:
    """Add a user of an identity provider before its first request; return it.

    Raises:
        AlreadyExistsError: the user exists.
        BadRequestError: the issuer's name or the subject is invalid.
    """
    check_name(issuer, "issuer")
    _check_text(subject, "subject")
    if display_name is not None:
        _check_text(display_name, "display-name")
    name = f"{issuer}~{subject}"
    with call.store.write() as tx:
        grants.touch(tx)
        added = rows.insert(
            tx,
            name,
            "",
            kind="user",
            issuer=issuer,
            subject=subject,
            display_name=display_name,
            created_by=call.actor,
        )
        if added is None:
            raise AlreadyExistsError(f"Principal already exists: {name}")
        detail = {"type": "user"}
        events.record(tx, call, event("createPrincipal", name, id=added, detail=detail))
        return require(tx, name)


@again
def set_disabled(call: StoreCall, name: str, *, disabled: bool) -> PrincipalRow:
    """Disable a user or service, or enable it again; its grants stay. Return it.

    Raises:
        NoSuchPrincipalError: no user or service has this name.
        ForbiddenError: it is the last administrator.
    """
    with call.store.write() as tx:
        grants.touch(tx)
        row = require_account(tx, name)
        with administrators.kept(tx):
            rows.set_disabled(tx, row.id, disabled=disabled)
        if row.disabled != disabled:
            detail = {"disabled": disabled}
            events.record(tx, call, event("updatePrincipal", name, id=row.id, detail=detail))
        return require_account(tx, name)


@again
def rotate(call: StoreCall, name: str, overlap_seconds: int) -> str:
    """Give a service another secret, and return it; the old one ends after ``overlap_seconds``.

    Raises:
        NoSuchPrincipalError: no user or service has this name.
        BadRequestError: it is a user of an identity provider.
    """
    secret = draw_secret()
    hashed = hash_secret(secret)
    with call.store.write() as tx:
        row = require_account(tx, name)
        if row.kind != "service":
            raise BadRequestError(
                f"Invalid principal {name}: it is a user of an identity provider, which has no"
                " secret here"
            )
        rows.replace_secret(tx, name, hashed, overlap_ms=overlap_seconds * 1000)
        detail = {"overlap-seconds": overlap_seconds}
        events.record(tx, call, event("rotateSecret", name, id=row.id, detail=detail))
    return secret


@again
def remove(call: StoreCall, name: str) -> None:
    """Remove a user or service with its grants, and invalidate its tokens.

    Raises:
        NoSuchPrincipalError: no user or service has this name.
        ForbiddenError: it is the last administrator.
    """
    with call.store.write() as tx:
        grants.touch(tx)
        row = require_account(tx, name)
        with administrators.kept(tx):
            rows.delete(tx, name)
        events.record(tx, call, event("deletePrincipal", name, id=row.id))


def event(
    operation: str,
    name: str,
    kind: str = "principal",
    *,
    id: int | None = None,  # noqa: A002 - as in Event
    detail: Mapping[str, Any] | None = None,
) -> Event:
    """Return the event of a change of a user, a service or a role."""
    return Event(operation, kind, name, "access", id=id, detail=detail)


def require(tx: Transaction, name: str) -> PrincipalRow:
    """Return the row of a user, service or role; raise NoSuchPrincipalError if there is none."""
    row = rows.find(tx, name)
    if row is None:
        raise NoSuchPrincipalError(f"Principal does not exist: {name}")
    return row


def require_account(tx: Transaction, name: str) -> PrincipalRow:
    """Return the row of a user or service; raise NoSuchPrincipalError if there is none."""
    row = require(tx, name)
    if row.kind == "role":
        raise NoSuchPrincipalError(f"Principal does not exist: {name} (it is a role)")
    return row


def check_name(name: object, what: str) -> str:
    """Return a name of a service, a role or an issuer; raise BadRequestError if it is invalid."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadRequestError(
            f"Invalid {what} name {show(name)}: it must be 1 to 64 letters, digits and . _ @ -, "
            "a letter or digit first"
        )
    return name


def as_json(row: PrincipalRow) -> dict[str, Any]:
    """Return a user or service as the management API shows it: never a secret."""
    return {
        "name": row.name,
        "type": row.kind,
        "disabled": row.disabled,
        "created-at-ms": row.created_at,
        "created-by": row.created_by,
    } | (
        {"issuer": row.issuer, "subject": row.subject, "display-name": row.display_name}
        if row.kind == "user"
        else {}
    )


def _check_text(text: object, what: str) -> None:
    if (
        not isinstance(text, str)
        or not 0 < len(text) <= _SUBJECT_CHARACTERS
        or not text.isprintable()
    ):
        raise BadRequestError(
            f"Invalid {what} {show(text)}: it must be 1 to {_SUBJECT_CHARACTERS} printable"
            " characters"
        )
