"""Rows of planned scans. Expired rows are ignored."""

from dataclasses import dataclass
from typing import Literal

from falcon_catalog.store.database import Transaction

Status = Literal["submitted", "completed", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A planned scan as stored."""

    status: Status
    metadata_location: str
    request: bytes
    error: str | None
    lease_until: int


@dataclass(frozen=True, slots=True)
class PageRow:
    """One page of a plan's result."""

    token: str
    content: bytes
    plan_id: str


def insert(
    tx: Transaction,
    plan_id: str,
    table_id: int,
    *,
    status: Status,
    metadata_location: str,
    request: bytes,
    lease_until: int,
    expires_at: int,
) -> None:
    """Add a plan, and delete expired ones."""
    tx.change(
        "DELETE FROM plans WHERE id IN"  # noqa: S608
        f" (SELECT id FROM plans WHERE expires_at <= ?{tx.row_lock('skip')})",
        (tx.now,),
    )
    tx.change(
        "INSERT INTO plans (id, table_id, status, metadata_location, request, lease_until,"
        " created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (plan_id, table_id, status, metadata_location, request, lease_until, tx.now, expires_at),
    )


def find(tx: Transaction, plan_id: str, table_id: int) -> PlanRow | None:
    """Return a plan of a table, or None."""
    row = tx.one(
        "SELECT status, metadata_location, request, error, lease_until FROM plans"
        " WHERE id = ? AND table_id = ? AND expires_at > ?",
        (plan_id, table_id, tx.now),
    )
    return None if row is None else PlanRow(*row)


def claim(
    tx: Transaction, plan_id: str, worker: str, *, lease_until: int, expires_at: int
) -> PlanRow | None:
    """Lease a submitted plan to a worker, which starts over; None unless it is free."""
    claimed = tx.change(
        "UPDATE plans SET worker = ?, lease_until = ?, expires_at = ?"
        " WHERE id = ? AND status = 'submitted' AND lease_until <= ?",
        (worker, lease_until, expires_at, plan_id, tx.now),
    )
    if not claimed:
        return None
    tx.change("DELETE FROM plan_pages WHERE plan_id = ?", (plan_id,))
    row = tx.one(
        "SELECT status, metadata_location, request, error, lease_until FROM plans WHERE id = ?",
        (plan_id,),
    )
    return None if row is None else PlanRow(*row)


def extend(
    tx: Transaction, plan_id: str, worker: str, *, lease_until: int, expires_at: int
) -> bool:
    """Renew the lease of a worker's plan; return False if another worker has it."""
    return bool(
        tx.change(
            "UPDATE plans SET lease_until = ?, expires_at = ?"
            " WHERE id = ? AND worker = ? AND status = 'submitted'",
            (lease_until, expires_at, plan_id, worker),
        )
    )


def finish(
    tx: Transaction,
    plan_id: str,
    worker: str,
    *,
    status: Status,
    error: str | None,
    expires_at: int,
) -> bool:
    """Store the outcome of a worker's plan; return False if another worker has it."""
    return bool(
        tx.change(
            "UPDATE plans SET status = ?, error = ?, expires_at = ?"
            " WHERE id = ? AND worker = ? AND status = 'submitted'",
            (status, error, expires_at, plan_id, worker),
        )
    )


def cancel(tx: Transaction, plan_id: str) -> None:
    """Cancel a plan and delete its pages; its worker stops. A failed plan stays failed."""
    tx.change(
        "UPDATE plans SET status = 'cancelled' WHERE id = ? AND status <> 'failed'", (plan_id,)
    )
    tx.change("DELETE FROM plan_pages WHERE plan_id = ?", (plan_id,))


def add_page(tx: Transaction, plan_id: str, number: int, token: str, content: bytes) -> None:
    """Add a page to a plan's result."""
    tx.change(
        "INSERT INTO plan_pages (token, plan_id, number, content) VALUES (?, ?, ?, ?)",
        (token, plan_id, number, content),
    )


def first_page(tx: Transaction, plan_id: str) -> PageRow | None:
    """Return the page that belongs to the plan's own result, or None."""
    row = tx.one(
        "SELECT token, content, plan_id FROM plan_pages WHERE plan_id = ? AND number = 0",
        (plan_id,),
    )
    return None if row is None else PageRow(*row)


def later_tokens(tx: Transaction, plan_id: str) -> list[str]:
    """Return the tokens of the plan's other pages, in order."""
    rows = tx.all(
        "SELECT token FROM plan_pages WHERE plan_id = ? AND number > 0 ORDER BY number", (plan_id,)
    )
    return [row[0] for row in rows]


def find_page(tx: Transaction, token: str, table_id: int) -> PageRow | None:
    """Return the page of a table's plan task, or None."""
    row = tx.one(
        "SELECT p.token, p.content, p.plan_id FROM plan_pages p JOIN plans ON plans.id = p.plan_id"
        " WHERE p.token = ? AND p.number > 0 AND plans.table_id = ? AND plans.expires_at > ?"
        " AND plans.status = 'completed'",
        (token, table_id, tx.now),
    )
    return None if row is None else PageRow(*row)
