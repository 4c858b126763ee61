"""What maintenance raises."""


class RefusedError(ValueError):
    """An operation will not touch this table, or not with these options; the message says why."""


class UncheckedError(RefusedError):
    """A check that a deletion depends on could not be made; nothing was deleted."""


class OutcomeUnknownError(Exception):
    """Nobody knows whether a commit arrived: no file was deleted, and a second look is needed."""


class LostRaceError(Exception):
    """Another writer committed first; ``sure`` says that our commit cannot have arrived."""

    def __init__(self, message: str, *, sure: bool) -> None:
        super().__init__(message)
        self.sure = sure
