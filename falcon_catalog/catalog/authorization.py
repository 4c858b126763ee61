"""The one gate that every operation passes before it reads, writes or replays anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from falcon_catalog.catalog.call import Call
from falcon_catalog.identifiers import Namespace, TableIdentifier

Privilege = Literal["list", "describe", "select", "write", "create", "drop", "grant", "admin"]
Entity = Namespace | TableIdentifier | None
"""What a privilege is needed on; None is the warehouse."""


@dataclass(frozen=True, slots=True)
class Need:
    """A privilege, and the entity that it is needed on."""

    privilege: Privilege
    entity: Entity


def require(call: Call, needs: Sequence[Need]) -> None:
    """Return if the caller holds every privilege that an operation needs.

    Every caller with a valid token holds all privileges: there are no grants yet.
    """
