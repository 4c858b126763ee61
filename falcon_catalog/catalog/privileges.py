"""Privileges: their names, the bits that grants store, and which of them contain others."""

from collections.abc import Iterable
from typing import Literal

Privilege = Literal[
    "list", "describe", "select", "write", "create", "drop", "grant", "own", "admin"
]

LIST, DESCRIBE, SELECT, WRITE, CREATE, DROP, GRANT, OWN, ADMIN = (1 << n for n in range(9))

BITS: dict[Privilege, int] = {
    "list": LIST,
    "describe": DESCRIBE,
    "select": SELECT,
    "write": WRITE,
    "create": CREATE,
    "drop": DROP,
    "grant": GRANT,
    "own": OWN,
    "admin": ADMIN,
}
"""The bit of each privilege, as a grant stores it."""

ALLOWS: dict[Privilege, str] = {
    "list": "to see that it exists",
    "describe": "to load its metadata",
    "select": "to read data",
    "write": "to change data and metadata",
    "create": "to create inside of it",
    "drop": "to drop it",
    "grant": "to grant all these on it to others",
    "own": "all of these, and to grant `own`",
    "admin": "on the server only: to manage principals, roles, warehouses and grants, and to see"
    " metadata",
}
"""What each privilege allows, in the words of docs/permissions.md."""

CONTAINED: dict[int, int] = {
    DESCRIBE: LIST,
    SELECT: LIST | DESCRIBE,
    WRITE: LIST | DESCRIBE | SELECT,
    CREATE: LIST,
    DROP: LIST,
    GRANT: LIST | DESCRIBE,
    OWN: LIST | DESCRIBE | SELECT | WRITE | CREATE | DROP | GRANT,
    ADMIN: LIST | DESCRIBE | GRANT,
}
"""What each privilege contains besides itself: ``admin`` on the server reads no data."""

ALL = sum(BITS.values())


def effective(bits: int) -> int:
    """Return granted bits with all that they contain.

    Raises:
        ValueError: there are bits that this version does not know.
    """
    if bits & ~ALL:
        raise ValueError(f"unknown privileges in a grant: {bits:#x}")
    for bit, contained in CONTAINED.items():
        if bits & bit:
            bits |= contained
    return bits


def names(bits: int) -> list[Privilege]:
    """Return the names of the bits that are set."""
    return [name for name, bit in BITS.items() if bits & bit]


def bits_of(privileges: Iterable[Privilege]) -> int:
    """Return the bits of some privileges."""
    bits = 0
    for privilege in privileges:
        bits |= BITS[privilege]
    return bits
