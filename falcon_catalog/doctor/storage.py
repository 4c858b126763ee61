"""Warehouses that are not available: nothing in them can be checked, repaired or copied."""

from dataclasses import dataclass

from falcon_catalog.catalog.mount import Condition, Root, examine, roots_of
from falcon_catalog.doctor.findings import Finding, counted
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.locations import key, key_or_none, strip_slash, with_scheme
from falcon_catalog.settings import Settings
from falcon_catalog.store import survey, warehouses
from falcon_catalog.store.database import Transaction
from falcon_catalog.store.survey import Pointer


@dataclass(frozen=True, slots=True)
class Missing:
    """A warehouse that is not mounted, or belongs to another store."""

    root: Root
    condition: Condition

    def __str__(self) -> str:
        return f"the {self.root} is not available: {self.condition.why}"

    def holds(self, pointer: Pointer) -> bool:
        """Return whether a table's metadata file is in this warehouse."""
        own = key_or_none(pointer.metadata_location)
        inside = own is not None and own.startswith(key(self.root.location))
        return inside and pointer.warehouse == self.root.name


def missing(files: FileIO, tx: Transaction, settings: Settings) -> list[Missing]:
    """Return the warehouses that are not available.

    If the settings and the store's mark name different locations, both are checked: without the
    usual ``--warehouse``, all tables would otherwise seem lost.
    """
    named = roots_of(settings.warehouse.roots)
    roots = {(each.name, key(each.location)) for each in named}
    marked = [
        Root(name, strip_slash(with_scheme(location)))
        for name, location in warehouses.marked(tx)
        if (name, location) not in roots
    ]
    found = [(each, examine(files, tx, each)) for each in (*named, *marked)]
    return [Missing(each, condition) for each, condition in found if not condition.is_there]


def findings(tx: Transaction, lacking: list[Missing]) -> list[Finding]:
    """Return one finding for each unavailable warehouse."""
    every = survey.all_pointers(tx) if lacking else []
    found = []
    for one in lacking:
        inside = [pointer.place for pointer in every if one.holds(pointer)]
        content = (
            f"{counted(inside.count('living'), 'living table or view')} and"
            f" {counted(inside.count('dropped'), 'dropped one')} lie in it"
        )
        check = "warehouse-missing" if one.condition.state == "absent" else "warehouse-foreign"
        what = f"{one.condition.why}; {content}; the id of this store is {warehouses.store_id(tx)}"
        found.append(Finding(check, str(one.root), what))
    return found
