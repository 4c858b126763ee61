"""The check: all probes of all operations and rules, each with its own result."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from falcon_catalog.conformance.answers import AbsentError, FailureError
from falcon_catalog.conformance.catalog import Catalog
from falcon_catalog.conformance.operations import BY_ID, OPERATIONS
from falcon_catalog.conformance.probes import (
    commits,
    config,
    extras,
    lists,
    names,
    namespaces,
    requests,
    scans,
    tables,
    updates,
    views,
)
from falcon_catalog.conformance.probes.probe import Probe
from falcon_catalog.conformance.sandbox import Sandbox

Status = Literal["pass", "fail", "absent"]

_OPERATIONS: Mapping[str, tuple[Probe, ...]] = {
    **config.PROBES,
    **namespaces.PROBES,
    **tables.PROBES,
    **commits.PROBES,
    **extras.PROBES,
    **scans.PROBES,
    **views.PROBES,
}
RULES: Mapping[str, tuple[Probe, ...]] = {
    **updates.PROBES,
    **lists.PROBES,
    **names.PROBES,
    **requests.PROBES,
    **config.RULES,
}
PROBES = {operation.id: _OPERATIONS[operation.id] for operation in OPERATIONS} | dict(RULES)
"""The probes of each operation, in the specification's order, then of each rule."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one probe."""

    claim: str
    """What the catalog must do."""
    status: Status
    reason: str
    """Why it failed, or what is absent; empty when it passed."""


@dataclass(frozen=True, slots=True)
class Row:
    """One operation or rule with the results of its probes."""

    subject: str
    findings: tuple[Finding, ...]

    @property
    def status(self) -> Status:
        """``fail`` if any probe failed, ``absent`` if all of them are absent, else ``pass``."""
        found = {finding.status for finding in self.findings}
        if "fail" in found:
            return "fail"
        return "pass" if "pass" in found else "absent"

    @property
    def endpoint(self) -> str:
        """The operation's route; empty for a rule."""
        operation = BY_ID.get(self.subject)
        return operation.endpoint if operation else ""


def check(catalog: Catalog, sandbox: Sandbox, only: Container[str] = PROBES) -> Iterator[Row]:
    """Probe the operations of a catalog, then the rules; with ``only``, some of them.

    The caller clears the sandbox.
    """
    for subject, probes in PROBES.items():
        if subject not in only:
            continue
        if subject in BY_ID and not catalog.offers(subject):
            absent = Finding(f"Offer {subject}.", "absent", f"{subject} is not advertised")
            yield Row(subject, (absent,))
        else:
            yield Row(subject, tuple(_run(probe, sandbox) for probe in probes))


def _run(probe: Probe, sandbox: Sandbox) -> Finding:
    claim = (probe.__doc__ or "").strip()
    try:
        probe(sandbox)
    except AbsentError as absent:
        return Finding(claim, "absent", str(absent))
    except FailureError as failure:
        return Finding(claim, "fail", str(failure))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        # Probes read answers as the specification defines them; this one differs.
        reason = f"an answer does not have the specified shape: {type(error).__name__}: {error}"
        return Finding(claim, "fail", reason)
    return Finding(claim, "pass", "")
