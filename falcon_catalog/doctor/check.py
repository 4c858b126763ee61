"""Examine a catalog: its database, each pointer, each metadata file, against each other."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from falcon_catalog.doctor import database, metadata_files, storage, tables
from falcon_catalog.doctor.findings import SEVERITIES, Finding, counted
from falcon_catalog.doctor.metadata_files import MetadataFile, Skeleton
from falcon_catalog.doctor.storage import Missing
from falcon_catalog.doctor.tables import Ages, Examined
from falcon_catalog.errors import CatalogError
from falcon_catalog.locations import key, local_path
from falcon_catalog.settings import Settings
from falcon_catalog.store import locks, read_only, survey, warehouses
from falcon_catalog.store.database import DamagedStoreError, StoreError, Transaction
from falcon_catalog.store.survey import Place, Pointer

DAY_MS = 24 * 60 * 60 * 1000
_SETTLED_MS = 10 * 60 * 1000
_PAGE = 500
_LOOKS = 20
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

Tell = Callable[[str], None]


@dataclass(slots=True)
class Report:
    """What was looked at, and what was found."""

    counts: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    orphans: dict[Pointer, list[MetadataFile]] = field(default_factory=dict)
    """Metadata files in tables' folders that nothing reaches."""
    lacking: list[Missing] = field(default_factory=list)
    """Warehouses in which nothing was looked at: they are not there."""
    skeletons: list[Skeleton] = field(default_factory=list)
    """Tables' folders without a file."""

    @property
    def clean(self) -> bool:
        """Whether nobody has to act."""
        return all(finding.severity == "note" for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is examined, and how thoroughly."""

    path: Path
    settings: Settings
    deep: bool = False
    older_than_ms: int = DAY_MS
    """The age at which a metadata file that nothing reaches is an orphan, or a folder left over."""


def examine(scope: Scope, tell: Tell) -> Report:
    """Examine a store that is served or not; nothing is changed.

    Raises:
        StoreError: there is no database to look at, or its schema is of another version.
    """
    report = Report()
    try:
        _examine(scope, report, tell)
    except StoreError as error:
        known = isinstance(error, DamagedStoreError)
        if not known and getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF not in _DAMAGE:
            raise
        report.findings.append(Finding("database-damaged", "store", str(error)))
    report.findings.sort(key=lambda f: (SEVERITIES.index(f.severity), f.check, f.subject, f.what))
    return report


def _examine(scope: Scope, report: Report, tell: Tell) -> None:
    with read_only.look(scope.path) as tx:
        if damaged := database.damage(tx):
            report.findings += damaged
            return
        report.findings += database.examine(scope.path, tx, set(roots(scope.settings)))
        report.lacking = storage.missing(tx, scope.settings)
        report.findings += storage.findings(tx, report.lacking)
        sharing = _overlaps(tx, scope, report)
        _examine_pointers(tx, scope, report, sharing, tell)
        _unclaimed(tx, scope, report)


def roots(settings: Settings) -> dict[str, str]:
    """Return the location of each warehouse, by name."""
    return settings.warehouse.roots


def ages(scope: Scope) -> Ages:
    """Return what is too young to be judged: nothing, where no server can be writing it."""
    now = read_only.now_ms()
    settled = now - _SETTLED_MS if locks.may_be_in_use(scope.path) else now + DAY_MS
    return Ages(settled=settled, orphaned=min(settled, now - scope.older_than_ms))


def _overlaps(tx: Transaction, scope: Scope, report: Report) -> set[int]:
    """Tell of tables over one another; return the rows that share a place."""
    sharing: set[int] = set()
    for outer, inner in database.overlaps(tx):
        sharing |= {outer, inner}
        if not scope.settings.warehouse.allow_overlap:
            above, below = (survey.pointer(tx, "living", row) for row in (outer, inner))
            report.findings.append(Finding("overlap", str(below), f"it lies in or at {above}"))
    return sharing


def _examine_pointers(
    tx: Transaction, scope: Scope, report: Report, sharing: set[int], tell: Tell
) -> None:
    limits = ages(scope)
    orphans: list[tuple[Pointer, MetadataFile]] = []
    reached: set[str] = set()
    allowed = _allowed(tx, scope.settings)
    for place in ("living", "dropped"):  # what is dropped meanwhile is seen twice, never not at all
        there = (p for p in _pages(tx, place) if not any(one.holds(p) for one in report.lacking))
        for number, pointer in enumerate(there, 1):
            seen, examined = _settled(tx, pointer, limits, deep=scope.deep)
            report.findings += examined.findings
            report.findings += tables.outside(seen, allowed)
            reached |= {p for p in examined.reached if not p.startswith(seen.location_key)}
            if seen.id not in sharing:
                orphans += [(seen, file) for file in examined.orphans]
            what = f"{place} tables and views"
            report.counts[what] = number
            if number % _PAGE == 0:
                tell(f"{number} {what} examined")
    _tell_of_orphans(orphans, reached, report)


def _allowed(tx: Transaction, settings: Settings) -> list[str]:
    """Return the resolved paths that rows may lead to.

    A warehouse that no settings name is told of once, not for each table in it.
    """
    named = roots(settings)
    unnamed = [root for name, root in warehouses.marked(tx) if name not in named]
    locations = (*named.values(), *settings.warehouse.allowed_locations, *unnamed)
    return [path for location in locations if (path := tables.resolved(location)) is not None]


def _pages(tx: Transaction, place: Place) -> Iterator[Pointer]:
    """Yield all pointers, in many short reads: a long one would keep the log from being folded."""
    after = 0
    while page := survey.pointers(tx, place, after=after, size=_PAGE):
        yield from page
        after = page[-1].id


def _settled(
    tx: Transaction, pointer: Pointer, limits: Ages, *, deep: bool
) -> tuple[Pointer, Examined]:
    """Examine one; if something is found, see that the row did not change meanwhile."""
    for _ in range(_LOOKS):
        examined = tables.examine(pointer, limits, deep=deep)
        if not examined.findings:
            return pointer, examined
        again = survey.pointer(tx, pointer.place, pointer.id)
        if again == pointer:
            return pointer, examined
        if again is None:
            return pointer, Examined()
        pointer = again
    return pointer, Examined([Finding("too-busy", str(pointer), f"{_LOOKS} looks were in vain")])


def _tell_of_orphans(
    orphans: list[tuple[Pointer, MetadataFile]], reached: set[str], report: Report
) -> None:
    for pointer, file in orphans:
        if file.path not in reached:
            report.orphans.setdefault(pointer, []).append(file)
    for pointer, found in report.orphans.items():
        report.findings.append(Finding("orphan-metadata", str(pointer), _sum(found), "orphans"))
    every = [file for found in report.orphans.values() for file in found]
    report.counts["orphaned metadata files"] = len(every)
    report.counts["bytes in them"] = sum(file.bytes for file in every)


def _unclaimed(tx: Transaction, scope: Scope, report: Report) -> None:
    limits = ages(scope)
    every = [*survey.pointers(tx, "living"), *survey.pointers(tx, "dropped")]
    claimed = {pointer.location_key for pointer in every}
    for pointer in every:
        with contextlib.suppress(CatalogError):
            claimed.add(key(pointer.metadata_location.rsplit("/", 2)[0]))
    absent = {one.root.location for one in report.lacking if one.condition.state == "absent"}
    for root in set(roots(scope.settings).values()) - absent:
        for folder, found in metadata_files.unclaimed(local_path(root), claimed):
            if all(file.changed < limits.settled for file in found):
                report.findings.append(Finding("unclaimed-folder", folder, _sum(found)))
        for skeleton in metadata_files.skeletons(local_path(root), claimed):
            if skeleton.changed < read_only.now_ms() - scope.older_than_ms:
                report.skeletons.append(skeleton)
                report.findings.append(
                    Finding("empty-folders", skeleton.path, "no file in it", "empty-folders")
                )


def _sum(found: list[MetadataFile]) -> str:
    return f"{counted(len(found), 'metadata file')}, {sum(file.bytes for file in found)} bytes"
