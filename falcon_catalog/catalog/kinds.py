"""Tables and views: they share the names of a namespace; here is in what they differ."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from falcon_catalog.catalog.base import Catalog
from falcon_catalog.errors import (
    AlreadyExistsError,
    CatalogError,
    NoSuchTableError,
    NoSuchViewError,
)
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.metadata import table as table_metadata
from falcon_catalog.metadata import view as view_metadata
from falcon_catalog.store import tabulars
from falcon_catalog.store.database import Transaction

JSON = dict[str, Any]
Updates = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a catalog must know of a kind of thing that has a name and a metadata file."""

    name: tabulars.Kind
    uuid_key: str
    """The field of the metadata that holds its uuid."""
    advance: Callable[[JSON, Updates, Updates, int, str], JSON]
    """Apply (base, requirements, updates, milliseconds, base's location); no change: base."""
    validate: Callable[[JSON], JSON]
    """Check and complete metadata that somebody else wrote."""
    complete: Callable[[JSON], JSON]
    """Fill in what metadata in the catalog may leave out."""
    missing_error: type[CatalogError]

    def uuid_of(self, metadata: JSON) -> str:
        """Return the uuid in the form in which rows hold it."""
        return str(metadata[self.uuid_key]).lower()

    def missing(self, identifier: TableIdentifier) -> CatalogError:
        """Return the error for a name that nothing of this kind has."""
        return self.missing_error(f"{self.name.capitalize()} does not exist: {identifier}")

    def name_taken(self, by: tabulars.Kind, identifier: TableIdentifier) -> AlreadyExistsError:
        """Return the error for a new one whose name a table or view has."""
        same = "" if by == self.name else " with same name"
        return AlreadyExistsError(f"{by.capitalize()}{same} already exists: {identifier}")


def require(
    tx: Transaction, catalog: Catalog, identifier: TableIdentifier, kind: Kind
) -> tabulars.TabularRow:
    """Return the row of a table or view that must exist."""
    row = tabulars.find(tx, catalog.warehouse_id, identifier)
    if row is None or row.kind != kind.name:
        raise kind.missing(identifier)
    return row


def require_free(
    tx: Transaction, catalog: Catalog, identifier: TableIdentifier, kind: Kind
) -> None:
    """Raise AlreadyExistsError when a table or view has the name of a new one."""
    row = tabulars.find(tx, catalog.warehouse_id, identifier)
    if row is not None:
        raise kind.name_taken(row.kind, identifier)


def _advance_table(
    base: JSON, requirements: Updates, updates: Updates, now_ms: int, metadata_location: str
) -> JSON:
    if table_metadata.is_replay(base, updates):
        return base
    table_metadata.check_requirements(base, requirements)
    return table_metadata.apply(base, updates, now_ms=now_ms, metadata_location=metadata_location)


def _advance_view(
    base: JSON, requirements: Updates, updates: Updates, now_ms: int, _metadata_location: str
) -> JSON:
    view_metadata.check_requirements(base, requirements)
    return view_metadata.apply(base, updates, now_ms=now_ms)


TABLE = Kind(
    "table",
    "table-uuid",
    _advance_table,
    table_metadata.validate,
    table_metadata.complete,
    NoSuchTableError,
)
VIEW = Kind(
    "view", "view-uuid", _advance_view, view_metadata.validate, lambda view: view, NoSuchViewError
)
