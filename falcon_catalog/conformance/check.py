"""The check: every probe of every operation and rule, each judged by itself."""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from falcon_catalog.conformance.answers import AbsentError, FailureError
from falcon_catalog.conformance.catalog import Catalog
from falcon_catalog.conformance.operations import BY_ID, OPERATIONS
from falcon_catalog.conformance.probes import (
    commits,
    config,
    errors,
    extras,
    lists,
    moves,
    names,
    namespaces,
    retries,
    scans,
    tables,
    updates,
    views,
)
from falcon_catalog.conformance.room import Room

Status = Literal["pass", "fail", "absent"]
Probe = Callable[[Room], None]

_OPERATIONS: Mapping[str, tuple[Probe, ...]] = {
    **config.PROBES,
    **namespaces.PROBES,
    **tables.PROBES,
    **moves.PROBES,
    **commits.PROBES,
    **extras.PROBES,
    **scans.PROBES,
    **views.PROBES,
}
RULES: Mapping[str, tuple[Probe, ...]] = {
    **updates.PROBES,
    **lists.PROBES,
    **names.PROBES,
    **retries.PROBES,
    **errors.PROBES,
    **config.RULES,
}
PROBES = {operation.id: _OPERATIONS[operation.id] for operation in OPERATIONS} | dict(RULES)
"""What is asked of each operation, in the specification's order, and then of each rule."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe found."""

    claim: str
    """What the catalog ought to do."""
    status: Status
    reason: str
    """Why it failed, or what is absent; empty when it passed."""


@dataclass(frozen=True, slots=True)
class Row:
    """One operation or rule, and what all its probes found."""

    subject: str
    findings: tuple[Finding, ...]

    @property
    def status(self) -> Status:
        """One failure fails it; it is absent only if all of it is."""
        found = {finding.status for finding in self.findings}
        if "fail" in found:
            return "fail"
        return "pass" if "pass" in found else "absent"

    @property
    def endpoint(self) -> str:
        """The operation's route; empty for a rule."""
        operation = BY_ID.get(self.subject)
        return operation.endpoint if operation else ""


def check(catalog: Catalog, room: Room, only: Container[str] = PROBES) -> Iterator[Row]:
    """Probe a catalog, operation by operation, then rule by rule.

    What the probes make stays in the room; clearing it is the caller's.

    Args:
        catalog: what to check.
        room: where.
        only: the operations and rules that are asked for.
    """
    for subject, probes in PROBES.items():
        if subject not in only:
            continue
        if subject in BY_ID and not catalog.offers(subject):
            absent = Finding(f"Offer {subject}.", "absent", f"{subject} is not advertised")
            yield Row(subject, (absent,))
        else:
            yield Row(subject, tuple(_judge(probe, room) for probe in probes))


def _judge(probe: Probe, room: Room) -> Finding:
    claim = (probe.__doc__ or "").strip()
    try:
        probe(room)
    except AbsentError as absent:
        return Finding(claim, "absent", str(absent))
    except FailureError as failure:
        return Finding(claim, "fail", str(failure))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        # Probes read answers as the specification shapes them; this one is shaped otherwise.
        reason = f"an answer is not shaped as specified: {type(error).__name__}: {error}"
        return Finding(claim, "fail", reason)
    return Finding(claim, "pass", "")
