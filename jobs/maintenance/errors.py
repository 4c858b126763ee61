"""Errors of table maintenance."""


class RefusedError(ValueError):
    """The operation is not allowed on this table or with these options; the message says why."""


class UncheckedError(RefusedError):
    """A check that must precede a deletion is impossible; nothing was deleted."""


class OutgrownError(RefusedError):
    """The table has more files than the built-in engine is allowed to maintain."""


class OutcomeUnknownError(Exception):
    """It is unknown whether a commit arrived; no file was deleted."""


class LostRaceError(Exception):
    """Another writer committed first; with ``sure`` our own commit cannot have arrived."""

    def __init__(self, message: str, *, sure: bool) -> None:
        super().__init__(message)
        self.sure = sure


class SparkError(Exception):
    """A procedure on Spark failed, and committed nothing; the message has Java's reason."""
