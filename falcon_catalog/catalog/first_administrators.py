"""The first administrators: those of the settings, and whether there is any."""

import logging

from falcon_catalog.catalog import accounts, administrators, events
from falcon_catalog.catalog.events import Event, Origin
from falcon_catalog.catalog.privileges import ADMIN, OWN, names
from falcon_catalog.settings import AuthSettings
from falcon_catalog.store import grants, roles
from falcon_catalog.store import principals as rows
from falcon_catalog.store.database import Database, Transaction

_PREFIX = "~"
"""Begins the names of roles of administrators: no name that people give begins so."""
BY = "settings"
"""Who granted what the settings ask for."""
_ORIGIN = Origin(None, BY, BY)
_log = logging.getLogger(__name__)


def ensure(database: Database, settings: AuthSettings) -> None:
    """Grant ``admin`` on the server to ``auth.admins`` and to the ``admin_groups`` of issuers.

    What is so already is not written again. A group has it through a role of its issuer.
    """
    missing = [name for name in settings.admins if not _is_ensured(database, name)]
    wanted = {
        (f"{_PREFIX}{name}-admins", name, value)
        for name, issuer in settings.issuers.items()
        for value in issuer.admin_groups
    }
    found = roles.groups(database.autocommit())
    there = {(each.role, each.issuer, each.value) for each in found if each.role[0] == _PREFIX}
    if not missing and wanted == there:
        return
    with database.write() as tx:
        grants.touch(tx)
        for name in missing:
            _ensure(tx, name)
        for role, issuer, value in there - wanted:
            roles.remove_group(tx, issuer, value, _role(tx, role))
            _record_group(tx, role, "removed", issuer, value)
        for role, issuer, value in wanted - there:
            roles.add_group(tx, issuer, value, _role(tx, role))
            _record_group(tx, role, "added", issuer, value)


def are_missing(database: Database, settings: AuthSettings) -> bool:
    """Return whether nobody can manage principals: no user, no service, no group."""
    if any(issuer.admin_groups for issuer in settings.issuers.values()):
        return False
    return not administrators.exist(database.autocommit())


def _role(tx: Transaction, name: str) -> int:
    """Return the id of a role of administrators; it is made if it is not there."""
    rows.insert(tx, name, "", kind="role", created_by=BY)
    row = rows.find(tx, name)
    if row is None:
        raise LookupError(name)
    grants.set_bits(tx, grants.SERVER, row.id, ADMIN, by=BY)
    return row.id


def _is_ensured(database: Database, name: str) -> bool:
    with database.read() as tx:
        row = _find(tx, name)
        return row is not None and bool(grants.bits(tx, grants.SERVER, row.id) & (ADMIN | OWN))


def _ensure(tx: Transaction, name: str) -> None:
    issuer, tilde, subject = name.partition("~")
    row = _find(tx, name)
    if row is None and tilde:
        rows.insert(tx, name, "", kind="user", issuer=issuer, subject=subject, created_by=BY)
        row = _find(tx, name)
    if row is None:
        _log.warning(
            "auth.admins names a principal that does not exist: falcon-catalog principals add NAME"
            " makes one",
            extra={"principal": name},
        )
        return
    before = grants.bits(tx, grants.SERVER, row.id)
    grants.set_bits(tx, grants.SERVER, row.id, before | ADMIN, by=BY)
    event = Event("grant", "server", None, "access")
    event.before, event.after = (",".join(names(bits)) for bits in (before, before | ADMIN))
    event.detail = {"principal": row.name, "privileges": ["admin"]}
    events.record(tx, _ORIGIN, event)
    _log.info("administrator of the settings", extra={"principal": row.name})


def _record_group(tx: Transaction, role: str, what: str, issuer: str, value: str) -> None:
    """Record that members of a group get the privilege ``admin``, or lose it."""
    detail = {what: {"issuer": issuer, "group": value}, "privileges": ["admin"]}
    events.record(tx, _ORIGIN, accounts.event("updateGroups", role, "role", detail=detail))


def _find(tx: Transaction, name: str) -> rows.PrincipalRow | None:
    issuer, tilde, subject = name.partition("~")
    return rows.find_subject(tx, issuer, subject) if tilde else rows.find(tx, name)
