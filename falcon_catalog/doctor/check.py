"""Check a catalog: its database, each pointer and each metadata file against each other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from falcon_catalog.doctor import database, metadata_files, storage, tables
from falcon_catalog.doctor.findings import SEVERITIES, Finding, counted
from falcon_catalog.doctor.metadata_files import MetadataFile
from falcon_catalog.doctor.storage import Missing
from falcon_catalog.doctor.tables import Ages, Checked
from falcon_catalog.fileio.base import Entry, FileIO
from falcon_catalog.locations import is_local, key_or_none, nested
from falcon_catalog.settings import Settings
from falcon_catalog.store import paths, reading, survey, warehouses
from falcon_catalog.store.database import DamagedStoreError, Transaction, now_ms
from falcon_catalog.store.grants import Entity
from falcon_catalog.store.sqlite import locks
from falcon_catalog.store.survey import Place, Pointer

DAY_MS = 24 * 60 * 60 * 1000
_SETTLED_MS = 10 * 60 * 1000
_PAGE = 500
_ATTEMPTS = 20
_MAX_REQUESTS = 16  # at the same time

Progress = Callable[[str], None]


@dataclass(slots=True)
class Report:
    """The result of a check."""

    counts: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    orphans: dict[Pointer, list[MetadataFile]] = field(default_factory=dict)
    """Metadata files in table folders that nothing refers to."""
    lacking: list[Missing] = field(default_factory=list)
    """Warehouses that are not available; nothing in them was checked."""
    empty_folders: list[Entry] = field(default_factory=list)
    """Table folders that contain no file."""

    @property
    def clean(self) -> bool:
        """Whether no action is needed."""
        return all(finding.severity == "note" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return whether it is clean, what was checked, and the findings."""
        found = [finding.as_json() for finding in self.findings]
        return {"clean": self.clean, "counts": self.counts, "findings": found}


@dataclass(frozen=True, slots=True)
class Scope:
    """The store to check, and how thoroughly."""

    settings: Settings
    files: FileIO
    deep: bool = False
    older_than_ms: int = DAY_MS
    """Age from which an unreferenced metadata file is an orphan, and an empty folder left over."""

    @property
    def ages(self) -> Ages:
        """The ages of files at this moment; without a server no file is too new to check."""
        now, store = now_ms(), self.settings.store
        in_use = not store.is_file or locks.may_be_in_use(store.path)
        settled = now - _SETTLED_MS if in_use else now + DAY_MS
        orphaned = min(settled, now - self.older_than_ms)
        return Ages(settled=settled, orphaned=orphaned, now=now)

    @property
    def requests(self) -> int:
        """How many requests to object stores may run at the same time."""
        storages = self.settings.warehouse.storages.values()
        limits = (each.max_requests for each in storages if not is_local(each.location))
        return min([_MAX_REQUESTS, *limits])

    def roots(self, tx: Transaction) -> list[str]:
        """Return the locations of all warehouses and the allowed ones.

        A warehouse missing from the settings is one finding, not one for each of its tables.
        """
        named = self.settings.warehouse.roots
        unnamed = [root for name, root in warehouses.marked(tx) if name not in named]
        every = (*self.settings.warehouse.locations, *unnamed)
        return [each for each in every if key_or_none(each) is not None]


def check(scope: Scope, progress: Progress) -> Report:
    """Check a store, which may be in use. Changes nothing.

    Raises:
        StoreError: the database does not exist, or has another schema version.
    """
    report = Report()
    try:
        with reading(scope.settings.store) as tx:
            if scope.settings.store.is_file:
                report.findings += database.damage(tx)
            if not report.findings:
                _check(tx, scope, report, progress)
    except DamagedStoreError as error:
        report.findings.append(Finding("database-damaged", "store", str(error)))
    report.findings.sort(key=lambda f: (SEVERITIES.index(f.severity), f.check, f.subject, f.what))
    return report


def _check(tx: Transaction, scope: Scope, report: Report, progress: Progress) -> None:
    roots = scope.settings.warehouse.roots
    report.findings += database.check(scope.files, scope.settings.store, tx, set(roots))
    report.lacking = storage.missing(scope.files, tx, scope.settings)
    report.findings += storage.findings(tx, report.lacking)
    sharing: set[int] = set()
    for outer, inner in nested(survey.location_keys(tx)):
        if abs(outer) == abs(inner) or (outer < 0 and inner < 0):
            continue  # several tables may name one folder in their properties
        sharing |= {abs(outer), abs(inner)}
        above, below = (survey.pointer(tx, "living", abs(row)) for row in (outer, inner))
        same_kind = above is not None and below is not None and above.kind == below.kind
        if same_kind and not scope.settings.warehouse.allow_overlap:
            inside = "it is" if inner > 0 else "a folder that its properties name is"
            what = f"{inside} in or at {'' if outer > 0 else 'a folder of '}{above}"
            report.findings.append(Finding("overlap", str(below), what))
    orphans = _check_pointers(tx, scope, report, sharing, progress)
    for pointer, file in orphans:
        report.orphans.setdefault(pointer, []).append(file)
    for pointer, found in report.orphans.items():
        report.findings.append(Finding("orphan-metadata", str(pointer), _sum(found), "orphans"))
    report.counts["orphaned metadata files"] = len(orphans)
    report.counts["bytes in them"] = sum(file.bytes for _, file in orphans)
    absent = {one.root.location for one in report.lacking if one.condition.state == "absent"}
    _check_folders(tx, scope, report, set(roots.values()) - absent)


def _check_pointers(
    tx: Transaction, scope: Scope, report: Report, sharing: set[int], progress: Progress
) -> list[tuple[Pointer, MetadataFile]]:
    """Check all tables and views; return the orphans that none of them refers to."""
    ages = scope.ages
    orphans: list[tuple[Pointer, MetadataFile]] = []
    reached: set[str] = set()
    roots = scope.roots(tx)
    files, allowed = scope.files.within(roots), [scope.files.resolve(each) for each in roots]
    for place in survey.PLACES:  # a table dropped during the check is seen twice, never missed
        there = (p for p in _pages(tx, place) if not any(one.holds(p) for one in report.lacking))
        for number, pointer in enumerate(there, 1):
            seen, checked = _settled(tx, files, pointer, scope, ages)
            report.findings += checked.findings
            report.findings += tables.outside(scope.files, seen, allowed)
            report.findings += _unknown_paths(tx, seen, checked.paths)
            # A view may lie in a table's folder; what a table has in its own is not an orphan.
            own = seen.location_key if seen.kind == "table" else None
            reached |= {each for each in checked.reached if not (own and each.startswith(own))}
            if seen.id not in sharing:
                orphans += [(seen, file) for file in checked.orphans]
            what = f"{place} tables and views"
            report.counts[what] = number
            if number % _PAGE == 0:
                progress(f"{number} {what} checked")
    return [one for one in orphans if key_or_none(one[1].location) not in reached]


def _unknown_paths(tx: Transaction, pointer: Pointer, named: frozenset[str]) -> Iterator[Finding]:
    """Yield a finding if the store does not know a folder that properties name."""
    if pointer.place == "dropped" or not named:
        return
    unknown = sorted(named.difference(paths.of(tx, Entity("tabular", pointer.id))))
    if unknown and survey.pointer(tx, pointer.place, pointer.id) == pointer:
        repair = f"repoint={pointer.id}@{pointer.metadata_location}"
        yield Finding("paths-unknown", str(pointer), ", ".join(unknown), repair)


def _pages(tx: Transaction, place: Place) -> Iterator[Pointer]:
    """Yield all pointers, in short reads: a long one would prevent checkpoints of the log."""
    after = 0
    while page := survey.pointers(tx, place, after=after, size=_PAGE):
        yield from page
        after = page[-1].id


def _settled(
    tx: Transaction, files: FileIO, pointer: Pointer, scope: Scope, ages: Ages
) -> tuple[Pointer, Checked]:
    """Check a table or view, again if its row changed while findings were collected."""
    for _ in range(_ATTEMPTS):
        checked = tables.check(files, pointer, ages, deep=scope.deep, requests=scope.requests)
        if not checked.findings:
            return pointer, checked
        again = survey.pointer(tx, pointer.place, pointer.id)
        if again == pointer:
            return pointer, checked
        if again is None:
            return pointer, Checked()
        pointer = again
    what = f"it changed during all of {_ATTEMPTS} checks"
    return pointer, Checked([Finding("too-busy", str(pointer), what)])


def _check_folders(tx: Transaction, scope: Scope, report: Report, roots: set[str]) -> None:
    """Add findings about table folders that no row claims."""
    settled = scope.ages.settled
    every = survey.all_pointers(tx)
    claimed = {pointer.location_key for pointer in every}
    for pointer in every:
        if metadata_file := key_or_none(pointer.metadata_location):
            claimed.add(f"{metadata_file.rsplit('/', 3)[0]}/")  # around the folder that it is in
    for root in roots:
        for folder, found in metadata_files.unclaimed(scope.files, root, claimed):
            if found and all(file.changed < settled for file in found):
                report.findings.append(Finding("unclaimed-folder", folder.location, _sum(found)))
            elif not found and 0 < folder.changed < now_ms() - scope.older_than_ms:
                # Without a time it is none: Arrow leaves empty objects that look like folders.
                report.empty_folders.append(folder)
                what = "no file in it"
                report.findings.append(
                    Finding("empty-folders", folder.location, what, "empty-folders")
                )


def _sum(found: list[MetadataFile]) -> str:
    return f"{counted(len(found), 'metadata file')}, {sum(file.bytes for file in found)} bytes"
