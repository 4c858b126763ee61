"""Authorization of every operation, before it reads, writes or replays anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.privileges import Privilege
from falcon_catalog.fileio.delegation import Permission
from falcon_catalog.identifiers import Namespace, TableIdentifier

SERVER: Final = "server"
"""The entity of privileges on the server itself."""
Entity = Namespace | TableIdentifier | Literal["server"] | None
"""The entity that a privilege is needed on; None for the warehouse."""


@dataclass(frozen=True, slots=True)
class Need:
    """A privilege that an operation needs on an entity."""

    privilege: Privilege
    entity: Entity


def permission_of(_call: Call, _table: TableIdentifier) -> Permission:
    """Return what a caller may do with a table's files.

    Everybody may write them: there are no grants yet.
    """
    return "write"


def require(call: Call, needs: Sequence[Need]) -> None:
    """Return if the caller holds every privilege that an operation needs.

    Every caller with a valid token holds all privileges: there are no grants yet.
    """
