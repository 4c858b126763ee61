"""How large a table the built-in engine maintains, which reads manifests into memory."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from jobs.maintenance import reach
from jobs.maintenance.errors import OutgrownError
from jobs.maintenance.names import Name, identifier
from jobs.maintenance.names import spell as spell_name
from jobs.maintenance.results import Result, spell_bytes
from jobs.maintenance.state import spell

# Measured on a table of 42 columns with 100,000 files: compact and rewrite-manifests peak at 2.7 GB
# and take 12 seconds before the first row is read (docs/pipeline.md).
_BYTES_PER_FILE = 27 << 10


@dataclass(frozen=True)
class Limits:
    """Numbers of live files in a table's current snapshot; 0 is no limit."""

    warn_files: int = 100_000
    """More of them are maintained with a warning."""
    max_files: int = 1_000_000
    """A table with more of them is refused."""


def limited(
    operation: Callable[..., Result], limits: Limits, warn: Callable[[str], None]
) -> Callable[..., Result]:
    """Return an operation of the built-in engine that checks first how large the table is.

    Its result has the warning, which ``warn`` gets at once.
    """

    def run(catalog: Catalog, name: Name, **options: Any) -> Result:
        warning = outgrown(catalog, name, limits)
        if warning is None:
            return operation(catalog, name, **options)
        warn(f"{spell_name(identifier(name))}: warning: {warning}")
        return replace(operation(catalog, name, **options), warnings=(warning,))

    return run


def outgrown(catalog: Catalog, name: Name, limits: Limits) -> str | None:
    """Return a warning if a table outgrows the built-in engine; None if it does not.

    Only the manifest list of the current snapshot is read.

    Raises:
        OutgrownError: it has more than ``limits.max_files`` files.
    """
    if not limits.warn_files and not limits.max_files:
        return None
    table = catalog.load_table(identifier(name))
    files = _count(table)
    words = (
        f"{files:,} files, about {spell_bytes(files * _BYTES_PER_FILE)} of memory for the built-in"
        " engine"
    )
    if limits.max_files and files > limits.max_files:
        raise OutgrownError(
            f"{spell(table)} has {words}, more than max_files ({limits.max_files:,}): use"
            " --engine spark, or allow more with --max-files (0: no limit)"
        )
    if limits.warn_files and files > limits.warn_files:
        return f"{words}, more than warn_files ({limits.warn_files:,}): consider --engine spark"
    return None


def _count(table: Table) -> int:
    snapshot = table.current_snapshot()
    manifests = reach.manifests(table.io, snapshot) if snapshot else []
    return sum((m.added_files_count or 0) + (m.existing_files_count or 0) for m in manifests)
