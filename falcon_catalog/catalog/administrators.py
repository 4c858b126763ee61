"""The last administrator: an enabled user or service with ``admin`` or ``own`` on the server."""

import contextlib
from collections.abc import Iterator

from falcon_catalog.catalog.privileges import ADMIN, OWN
from falcon_catalog.errors import ForbiddenError
from falcon_catalog.store import roles
from falcon_catalog.store.database import Transaction


def exist(tx: Transaction) -> bool:
    """Return whether there is an administrator."""
    return roles.any_enabled(tx, ADMIN | OWN)


@contextlib.contextmanager
def kept(tx: Transaction) -> Iterator[None]:
    """Undo what is changed inside if it takes the last administrator away.

    The caller has raised the generation before, so that no other change runs at the same time.

    Raises:
        ForbiddenError: it would.
    """
    before = exist(tx)
    yield
    if before and not exist(tx):
        raise ForbiddenError(
            "Not allowed: no enabled principal would have admin or own on the server. Grant one of"
            " them to another user or service first"
        )
