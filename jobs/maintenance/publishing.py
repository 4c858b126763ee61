"""Commit to a catalog so that in the end it is known whether the commit arrived."""

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
from pyiceberg.io import FileIO
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import AssertTableUUID, TableRequirement, TableUpdate

from jobs.maintenance.errors import LostRaceError, OutcomeUnknownError
from jobs.maintenance.state import spell

_TRIES = 6
_FIRST_WAIT = 0.1
_LONGEST_WAIT = 5.0

# What a catalog answers, or PyIceberg raises, when nothing was committed.
SURELY_NOT = (
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
    """Commit, and when the answer is lost find out what became of it.

    After an answer that tells nothing (a 5xx, a broken connection) the table is looked at; when
    the change is not there, the very same commit is sent again. Its requirements let it arrive
    at most once, so either answer to the second settles the first, too.

    Args:
        catalog: where the table is.
        table: as it was when the change was computed.
        requirements: what must still hold; the table's identity is added.
        updates: the change.
        arrived: says whether metadata has the change in it.

    Returns:
        Metadata that has the change in it.

    Raises:
        LostRaceError: another writer was first, and nothing was changed.
        OutcomeUnknownError: nobody could tell, in several tries; delete nothing.
    """
    requirements = (AssertTableUUID(uuid=table.metadata.table_uuid), *requirements)
    updates = tuple(updates)
    doubt: Exception | None = None
    for attempt in range(_TRIES):
        if attempt:
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt)
            time.sleep(random.uniform(0, wait))  # noqa: S311 - only jitter
        try:
            return catalog.commit_table(table, requirements, updates).metadata
        except SURELY_NOT as error:
            if doubt is None:
                if isinstance(error, CommitFailedException):
                    raise LostRaceError(str(error), sure=True) from error
                raise
            found = _search(catalog, table, arrived)
            if found is not None:
                return found
            if isinstance(error, CommitFailedException):
                raise LostRaceError(str(error), sure=False) from error
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the commit may be in
            doubt = error
            found = _search(catalog, table, arrived)
            if found is not None:
                return found
    raise OutcomeUnknownError(
        f"{spell(table)}: cannot tell whether a commit arrived ({doubt}); no file was deleted,"
        " what is not referenced goes with the next orphan removal"
    ) from doubt


def _search(
    catalog: Catalog, table: Table, arrived: Callable[[TableMetadata], bool]
) -> TableMetadata | None:
    """Look whether a commit arrived; None when it did not, or when the catalog is silent."""
    try:
        metadata = catalog.load_table(table.name()).metadata
    except Exception:  # noqa: BLE001 - the next try may be answered
        return None
    same = metadata.table_uuid == table.metadata.table_uuid
    return metadata if same and arrived(metadata) else None


def discard(io: FileIO, paths: Iterable[str]) -> None:
    """Delete files that no table ever got; what resists stays, for orphan removal."""
    for path in paths:
        try:
            io.delete(path)
        except Exception:  # noqa: BLE001, S112 - an orphan is harmless, a raised error hides another
            continue
