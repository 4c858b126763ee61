"""Errors of PostgreSQL and of the connection to it, as the errors that clients get.

Messages for clients name neither hosts nor users; the log has psycopg's own text.
"""

import psycopg
from psycopg import errors

from falcon_catalog.errors import BadRequestError, CatalogError, ServiceUnavailableError
from falcon_catalog.store.database import RolledBackError

_REASONS: tuple[tuple[tuple[type[psycopg.Error], ...], type[CatalogError], str], ...] = (
    (
        (errors.ReadOnlySqlTransaction,),
        ServiceUnavailableError,
        "The database takes no changes now: it is a standby or read-only",
    ),
    (
        (errors.ProgramLimitExceeded,),
        BadRequestError,
        "A name or location is too long for the database: {0}",
    ),
    (
        (errors.UntranslatableCharacter, errors.CharacterNotInRepertoire),
        BadRequestError,
        "The database cannot store a text: {0}",
    ),
    (
        (errors.SerializationFailure, errors.DeadlockDetected, psycopg.IntegrityError),
        RolledBackError,
        "Another change got in the way of this one: {0}",
    ),
    (
        (errors.InFailedSqlTransaction,),
        ServiceUnavailableError,
        "A statement of the change had failed, and the database rolled it back",
    ),
    (
        (errors.LockNotAvailable,),
        ServiceUnavailableError,
        "Other changes held what this one needs for too long",
    ),
    ((errors.QueryCanceled,), ServiceUnavailableError, "The database took too long"),
    (
        (errors.UndefinedTable, errors.InvalidSchemaName, errors.InsufficientPrivilege),
        ServiceUnavailableError,
        "The database refuses: {0}",
    ),
)


def is_refusal(error: psycopg.Error) -> bool:
    """Return whether the server answered with an error, and goes on with the session.

    If not, the connection is lost, or will be, and its last statement may have been executed: even
    an answer that ends the session (FATAL) can come after a COMMIT.
    """
    return error.diag.severity_nonlocalized == "ERROR"


def explained(error: psycopg.Error) -> Exception:
    """Return the error to raise for a statement that failed; its transaction is rolled back."""
    primary = error.diag.message_primary
    for kinds, kind, reason in _REASONS:
        if isinstance(error, kinds):
            return kind(f"{reason.format(primary)}. Nothing was changed")
    if isinstance(error, psycopg.DataError) and error.sqlstate is None:
        return BadRequestError("A text contains the character U+0000. Nothing was changed")
    # The end of a session after its timeout is an InternalError.
    is_end = error.diag.severity_nonlocalized in ("FATAL", "PANIC")
    if is_end or isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        reason = f"The database fails: {primary}" if primary else "The database does not answer"
        kind = ServiceUnavailableError if is_refusal(error) else RolledBackError
        return kind(f"{reason}. Nothing was changed")
    return error
