"""Probes: what they are, and those of requests that must be refused."""

from collections.abc import Callable

from falcon_catalog.conformance.answers import Answer
from falcon_catalog.conformance.sandbox import Sandbox

Probe = Callable[[Sandbox], None]
"""One claim about a catalog, its docstring; it raises FailureError when the claim is false."""

Error = tuple[int, str | None]
"""The status and the type of an error; None for any type."""

BAD_REQUEST: Error = (400, None)
CONFLICT: Error = (409, "CommitFailedException")
NO_NAMESPACE: Error = (404, "NoSuchNamespaceException")
NO_TABLE: Error = (404, "NoSuchTableException")
NO_VIEW: Error = (404, "NoSuchViewException")
TAKEN: Error = (409, "AlreadyExistsException")


def refuses(error: Error, when: str, *requests: Callable[[Sandbox], Answer]) -> Probe:
    """Return the probe that each of some requests gets an error.

    ``when`` completes the claim "Return 404 NoSuchTableException …".
    """

    def probe(sandbox: Sandbox) -> None:
        for request in requests:
            request(sandbox).error(*error)

    probe.__doc__ = f"Return {' '.join(str(part) for part in error if part)} {when}."
    return probe


def needs_namespace(operation: str, body: object = None) -> Probe:
    """Return the probe of an operation in a namespace that does not exist."""
    return refuses(
        NO_NAMESPACE,
        "for a namespace that does not exist",
        lambda s: s.catalog.call(operation, body, namespace=s.missing_namespace),
    )


def needs_table(operation: str, body: object = None) -> Probe:
    """Return the probe of an operation on a table that does not exist."""
    return refuses(
        NO_TABLE, "for a table that does not exist", lambda s: s.call(operation, s.missing(), body)
    )
