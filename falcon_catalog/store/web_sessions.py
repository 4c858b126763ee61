"""Rows of logins to the web pages, and of login links that were not used yet."""

import json
from dataclasses import dataclass

from falcon_catalog.store.database import Transaction

_MOST = 100
"""Sessions of one principal; a further login ends the oldest one."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session that is valid, and its principal."""

    principal_id: int
    name: str
    via: str
    groups: frozenset[tuple[str, str]]
    seen_at: int
    """When it was last used, to the minute; milliseconds since 1970-01-01 UTC."""


def insert(
    tx: Transaction,
    id_hash: str,
    principal_id: int,
    *,
    via: str,
    groups: frozenset[tuple[str, str]],
    token: str,
    expires_at: int,
) -> None:
    """Begin a session of a principal, even in the second in which its others were revoked."""
    tx.change(
        "INSERT INTO web_sessions (id_hash, principal_id, via, member_of, token, created_at,"
        " seen_at, expires_at) SELECT ?, id, ?, ?, ?,"
        " CASE WHEN sessions_since * 1000 > ? THEN sessions_since * 1000 ELSE ? END, ?, ?"
        " FROM principals WHERE id = ?",
        (
            *(id_hash, via, json.dumps(sorted(groups)), token),
            *(tx.now, tx.now, tx.now, expires_at, principal_id),
        ),
    )
    tx.change(
        "DELETE FROM web_sessions WHERE principal_id = ? AND id_hash <> ? AND id_hash NOT IN"
        " (SELECT id_hash FROM web_sessions WHERE principal_id = ?"
        " ORDER BY created_at DESC, id_hash LIMIT ?)",
        (principal_id, id_hash, principal_id, _MOST),
    )


def find(tx: Transaction, id_hash: str, *, now: int, seen_after: int) -> SessionRow | None:
    """Return a session, or None if it is not valid: over, idle, revoked or of a disabled one."""
    row = tx.one(
        "SELECT s.principal_id, p.name, s.via, s.member_of, s.seen_at FROM web_sessions s"
        " JOIN principals p ON p.id = s.principal_id"
        " WHERE s.id_hash = ? AND s.expires_at > ? AND s.seen_at > ? AND p.disabled = 0"
        " AND s.created_at >= p.sessions_since * 1000"
        " AND NOT EXISTS (SELECT 1 FROM revoked_tokens r WHERE r.jti = s.token)",
        (id_hash, now, seen_after),
    )
    if row is None:
        return None
    groups = frozenset((issuer, value) for issuer, value in json.loads(row[3]))
    return SessionRow(row[0], row[1], row[2], groups, row[4])


def note_use(tx: Transaction, id_hash: str) -> None:
    """Note that a session is in use."""
    tx.change("UPDATE web_sessions SET seen_at = ? WHERE id_hash = ?", (tx.now, id_hash))


def delete(tx: Transaction, id_hash: str) -> tuple[int, str, str] | None:
    """End a session; return id, name and ``via`` of its principal, or None if there is none."""
    row = tx.one(
        "SELECT p.id, p.name, s.via FROM web_sessions s JOIN principals p ON p.id = s.principal_id"
        " WHERE s.id_hash = ?",
        (id_hash,),
    )
    if row is None or not tx.change("DELETE FROM web_sessions WHERE id_hash = ?", (id_hash,)):
        return None
    return row[0], row[1], row[2]


def insert_code(tx: Transaction, code_hash: str, uid: int, *, expires_at: int) -> None:
    """Add a login link that a user of the machine has made."""
    tx.change(
        "INSERT INTO login_codes (code_hash, uid, expires_at) VALUES (?, ?, ?)",
        (code_hash, uid, expires_at),
    )


def take_code(tx: Transaction, code_hash: str) -> int | None:
    """Use up a login link; return the user who made it, or None if it is not valid."""
    row = tx.one(
        "DELETE FROM login_codes WHERE code_hash = ? RETURNING uid, expires_at", (code_hash,)
    )
    return None if row is None or row[1] <= tx.now else int(row[0])


def has_ended(tx: Transaction, *, now: int, seen_until: int) -> bool:
    """Return whether there are rows that ``delete_ended`` would delete."""
    row = tx.one(
        "SELECT EXISTS (SELECT 1 FROM web_sessions WHERE expires_at <= ? OR seen_at <= ?)"
        " OR EXISTS (SELECT 1 FROM login_codes WHERE expires_at <= ?)",
        (now, seen_until, now),
    )
    return row is not None and bool(row[0])


def delete_ended(tx: Transaction, *, seen_until: int) -> None:
    """Delete sessions that are over or idle, and links that have expired."""
    tx.change(
        "DELETE FROM web_sessions WHERE expires_at <= ? OR seen_at <= ?", (tx.now, seen_until)
    )
    tx.change("DELETE FROM login_codes WHERE expires_at <= ?", (tx.now,))


def delete_all(tx: Transaction) -> None:
    """End all sessions and login links."""
    tx.change("DELETE FROM web_sessions")
    tx.change("DELETE FROM login_codes")
