"""Calls of Iceberg's procedures on Spark, and what their failures mean."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyiceberg.typedef import Identifier

from jobs.maintenance.errors import LostRaceError, OutcomeUnknownError, SparkError
from jobs.maintenance.names import spell
from jobs.spark.failures import errors, failure
from jobs.spark.progress import watched
from jobs.spark.session import CATALOG

log = logging.getLogger(__name__)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Spark:
    """A session with the catalog ``lake``."""

    session: Any

    @property
    def application(self) -> str:
        """The id that Iceberg writes into the summaries of the session's snapshots."""
        return str(self.session.sparkContext.applicationId)

    def call(
        self, table: Identifier, procedure: str, progress: Progress, **arguments: str
    ) -> list[Any]:
        """Call a procedure of Iceberg on a table.

        Args:
            table: its name.
            procedure: its name in ``system``.
            progress: called with lines of progress.
            arguments: SQL expressions.

        Returns:
            Its rows.

        Raises:
            LostRaceError: other writers committed first.
            OutcomeUnknownError: a commit may have arrived.
            SparkError: it failed for another reason.
        """
        title = spell(table)
        given = {"table": literal(qualified(table)), **arguments}
        words = ", ".join(f"{name} => {value}" for name, value in given.items())
        statement = f"CALL {CATALOG}.system.{procedure}({words})"
        log.debug("%s", statement)
        progress(f"{title}: Spark runs {procedure}")
        with (
            explained(f"{title}: {procedure}"),
            watched(self.session, lambda line: progress(f"{title}: {procedure}, {line}")),
        ):
            return list(self.session.sql(statement).collect())

    def metadata_table(self, table: Identifier, kind: str, snapshot: int | None = None) -> Any:
        """Return a metadata table, such as ``files``, as a DataFrame."""
        reader = self.session.read.format("iceberg")
        if snapshot is not None:
            reader = reader.option("versionAsOf", str(snapshot))
        return reader.load(f"{qualified(table)}.{kind}")


def qualified(table: Identifier) -> str:
    """Return a table's name in Spark SQL, with the catalog."""
    levels = ("`" + level.replace("`", "``") + "`" for level in table)
    return ".".join([CATALOG, *levels])


def literal(text: str) -> str:
    """Return a text as a literal of Spark SQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def options(values: dict[str, object]) -> str:
    """Return a map of options as Spark SQL; None is left out."""
    words = [
        f"{literal(name)}, {literal(str(value).lower() if isinstance(value, bool) else str(value))}"
        for name, value in values.items()
        if value is not None
    ]
    return f"map({', '.join(words)})"


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Translate Java's exceptions.

    Raises:
        LostRaceError, OutcomeUnknownError, SparkError: as ``Spark.call``.
    """
    try:
        yield
    except errors() as error:
        found = failure(error)
        words = f"{what}: {found.reason}"
        if found.unknown:
            raise OutcomeUnknownError(f"{words}; whether it was committed is unknown") from error
        if found.lost:
            raise LostRaceError(words, sure=True) from error
        raise SparkError(words) from error
