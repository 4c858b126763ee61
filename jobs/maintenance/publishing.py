"""Commit to a catalog, and find out whether the commit arrived if the response is lost."""

import contextlib
import random
import time
from collections.abc import Callable, Iterable

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    AuthorizationExpiredError,
    BadRequestError,
    CommitFailedException,
    ForbiddenError,
    NoSuchTableError,
    TooManyRequestsError,
    UnauthorizedError,
)
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import AssertTableUUID, TableRequirement, TableUpdate

from jobs.maintenance.errors import LostRaceError, OutcomeUnknownError
from jobs.maintenance.state import spell

_TRIES = 6
_FIRST_WAIT = 0.1
_LONGEST_WAIT = 5.0

# Errors after which nothing was committed.
NOT_COMMITTED = (
    AuthorizationExpiredError,
    BadRequestError,
    CommitFailedException,
    ForbiddenError,
    NoSuchTableError,
    NotImplementedError,
    TooManyRequestsError,
    UnauthorizedError,
)


def publish(
    catalog: Catalog,
    table: Table,
    requirements: Iterable[TableRequirement],
    updates: Iterable[TableUpdate],
    arrived: Callable[[TableMetadata], bool],
) -> TableMetadata:
    """Commit, and resolve an unknown outcome.

    After a response that leaves the outcome open (5xx, broken connection) the table is loaded
    again. If it lacks the change, the same commit is repeated: its requirements let it succeed at
    most once, so the response to the second also settles the first.

    Args:
        catalog: where the table is.
        table: as it was when the change was computed.
        requirements: those of the change; the table's identity is added.
        updates: the change.
        arrived: returns whether metadata includes the change.

    Returns:
        Metadata that includes the change.

    Raises:
        LostRaceError: another writer committed first, and nothing was changed.
        OutcomeUnknownError: still unknown after several attempts; delete nothing.
    """
    requirements = (AssertTableUUID(uuid=table.metadata.table_uuid), *requirements)
    updates = tuple(updates)
    unknown: Exception | None = None
    for attempt in range(_TRIES):
        if attempt:
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt)
            time.sleep(random.uniform(0, wait))  # noqa: S311 - only jitter
        try:
            return catalog.commit_table(table, requirements, updates).metadata
        except Exception as error:
            lost = isinstance(error, CommitFailedException)
            if not isinstance(error, NOT_COMMITTED):
                unknown = error
            elif unknown is None:
                if lost:
                    raise LostRaceError(str(error), sure=True) from error
                raise
            with contextlib.suppress(Exception):  # the next attempt may be answered
                found = catalog.load_table(table.name()).metadata
                if found.table_uuid == table.metadata.table_uuid and arrived(found):
                    return found
            if lost:
                raise LostRaceError(str(error), sure=False) from error
    raise OutcomeUnknownError(
        f"{spell(table)}: cannot tell whether a commit arrived ({unknown}); no file was deleted,"
        " unreferenced files are removed by the next orphan removal"
    ) from unknown
