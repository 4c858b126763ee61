"""What a storage check found: one result for each check, in a fixed order."""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Outcome = Literal["passed", "failed", "skipped"]

CHECKS = MappingProxyType(
    {
        "settings": "The extra for this kind of storage is installed, and the credential that the"
        " settings name is there.",
        "reach": "The store answers this server: host, TLS, proxy, clock, key, region and bucket"
        " are right.",
        "create": "The server can create a file.",
        "read": "The server can read it, and it is unchanged.",
        "list": "The server can list it.",
        "conditional-write": "The store refuses to create a file that exists. Otherwise two commits"
        " could overwrite each other.",
        "delete": "The server can delete a file.",
        "marker": "The location is this catalog's warehouse, or new.",
        "durable": "Local files survive a power failure: each is synced, on a file system that is"
        " not in memory.",
        "vend": "The store issues a temporary credential for one table, and it is complete.",
        "vended-inside": "The credential creates, reads, lists and deletes in its table.",
        "vended-outside": "It can neither read, list, write nor delete outside of it.",
        "vended-sibling": "Nor in a table whose location begins with the same text.",
        "vended-read-only": "A credential for reading can read and list, and neither write nor"
        " delete.",
        "signing": "Requests that the server signs are accepted, and it signs none outside of the"
        " table.",
        "signing-copy": "The store does not copy a foreign object if a client adds the header to a"
        " signed request.",
        "clean-up": "Nothing of the check is left in the store.",
    }
)
"""All checks in the order in which they run, and what each proves."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one check."""

    check: str
    outcome: Outcome
    milliseconds: int
    detail: str = ""
    """What was found, or why the check was skipped."""
    remedy: str = ""
    """What the operator can do. Only for one that failed."""

    def as_json(self) -> dict[str, Any]:
        """Return the result as the command and the management API show it."""
        shown: dict[str, Any] = {
            "check": self.check,
            "outcome": self.outcome,
            "duration-ms": self.milliseconds,
        }
        if self.detail:
            shown["detail"] = self.detail
        if self.remedy:
            shown["remedy"] = self.remedy
        return shown


@dataclass(frozen=True, slots=True)
class Report:
    """The results for one warehouse."""

    warehouse: str
    location: str
    access: str
    results: tuple[Result, ...] = field(default_factory=tuple)

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(result.outcome != "failed" for result in self.results)

    def count(self, outcome: Outcome) -> int:
        """Return how many checks have this outcome."""
        return sum(result.outcome == outcome for result in self.results)

    def as_json(self) -> dict[str, Any]:
        """Return the report as the command and the management API show it."""
        return {
            "warehouse": self.warehouse,
            "location": self.location,
            "access": self.access,
            "passed": self.passed,
            "checks": [result.as_json() for result in self.results],
        }
