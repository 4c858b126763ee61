"""What a principal may do, by sets and parents alone: no SQL, no cache, nothing of the product."""

from collections.abc import Iterable
from dataclasses import dataclass, field

CONTAINS = {
    "list": {"list"},
    "describe": {"describe", "list"},
    "select": {"select", "describe", "list"},
    "write": {"write", "select", "describe", "list"},
    "create": {"create", "list"},
    "drop": {"drop", "list"},
    "grant": {"grant", "describe", "list"},
    "own": {"list", "describe", "select", "write", "create", "drop", "grant"},
    "admin": {"admin", "list", "describe", "grant"},
}
PRIVILEGES = tuple(CONTAINS)
Grants = Iterable[tuple[str, str]]
"""Pairs of an entity and a privilege, whoever of a principal and its roles holds them."""


@dataclass
class Evaluator:
    """Entities by the container of each; the server has none."""

    parents: dict[str, str | None]
    managed: set[str] = field(default_factory=set)
    detached: set[str] = field(default_factory=set)
    """What was dropped: its namespace is only a name, so that it leads to its warehouse alone."""

    def chain(self, entity: str) -> list[str]:
        """Return an entity and its containers, innermost first."""
        found, at = [], entity
        while at is not None:
            found.append(at)
            at = self.parents[at]
        return found

    def holds(self, grants: Grants, entity: str) -> set[str]:
        """Return the privileges that grants give on an entity."""
        held: set[str] = set()
        chain = self.chain(entity)
        for on, privilege in grants:
            if on in chain:
                gives = CONTAINS[privilege]
                if privilege == "own" and self.managed & set(self.chain(on)[1:]):
                    gives = gives - {"grant"}
                held |= gives
        return held

    def gains(self, grants: Grants, entity: str, into: str) -> bool:
        """Return whether a principal gets more on an entity by moving it into a namespace."""
        held, there = self.holds(grants, entity), self.holds(grants, into)
        return "grant" not in held and bool(there - held - {"list", "create", "drop", "admin"})

    def sees(self, grants: Grants, entity: str) -> bool:
        """Return whether the entity may be known: by its grants, or those on what is inside."""
        inside = any(entity in self._opened_by(on) for on, _ in grants)
        return inside or "list" in self.holds(grants, entity)

    def _opened_by(self, on: str) -> list[str]:
        """Return what a grant on an entity opens: itself and the way to it."""
        chain = self.chain(on)
        return [on, *chain[-2:]] if on in self.detached else chain
