"""What Java's exceptions mean to a caller in Python."""

from dataclasses import dataclass
from typing import Any

# Iceberg's exceptions, by the end of the class's name.
_UNKNOWN = "CommitStateUnknownException"
_LOST = ("CommitFailedException", "ValidationException")


@dataclass(frozen=True)
class Failure:
    """A failed statement: Java's reason in one line, and what became of a commit."""

    reason: str
    lost: bool
    """Whether another writer committed first, and nothing was changed."""
    unknown: bool
    """Whether a commit may have arrived."""


def errors() -> tuple[type[Exception], ...]:
    """Return the classes of exceptions that pyspark raises for failures in Java."""
    from py4j.protocol import Py4JError  # noqa: PLC0415 - an extra
    from pyspark.errors import PySparkException  # noqa: PLC0415

    return Py4JError, PySparkException


def failure(error: Exception) -> Failure:
    """Return what an exception of ``errors`` means."""
    causes: list[tuple[str, str]] = []
    java: Any = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    while java is not None:
        causes.append((str(java.getClass().getName()), str(java.getMessage())))
        java = java.getCause()
    # The innermost cause is the reason; the others are the way to it.
    name, message = causes[-1] if causes else (type(error).__name__, str(error))
    line = message.strip().partition("\n")[0]
    unknown = any(name.endswith(_UNKNOWN) for name, _ in causes)
    lost = not unknown and any(name.endswith(_LOST) for name, _ in causes)
    return Failure(f"{name.rpartition('.')[2]}: {line}", lost, unknown)
