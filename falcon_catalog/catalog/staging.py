"""The next state of a table or view, computed from its present one; nothing is stored here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from falcon_catalog.catalog import growth, loading, namespaces, placement
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.catalog.kinds import TABLE, Kind
from falcon_catalog.errors import CatalogError, CommitFailedError
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.metadata import table as metadata_builder
from falcon_catalog.metadata.document import Document
from falcon_catalog.store import tabulars

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What a client asks of one table or view: requirements that must hold, then updates."""

    identifier: TableIdentifier
    requirements: Sequence[JSON]
    updates: Sequence[JSON]
    kind: Kind = TABLE


@dataclass(frozen=True, slots=True)
class Staged:
    """The next state of a table or view, not yet pointed at."""

    kind: Kind
    identifier: TableIdentifier
    row: tabulars.TabularRow | None
    """The row to swap; None when there is to be a new one."""
    base: JSON | None
    document: Document
    metadata_location: str
    from_create: bool = False
    """Whether a direct create asks, not the commit of a staged one: other error, same deed."""

    @property
    def metadata(self) -> JSON:
        """The metadata as plain JSON, but for its histories."""
        return self.document.metadata

    @property
    def unchanged(self) -> bool:
        """Whether there is nothing to store."""
        return self.metadata is self.base


def stage(catalog: Catalog, change: Change) -> Staged:
    """Compute the next state of a table or view from its present one.

    Raises:
        CommitFailedError, NoSuchTableError, NoSuchViewError, NoSuchNamespaceError,
        AlreadyExistsError, ForbiddenError, BadRequestError: as ``commits.commit_all``.
    """
    view = catalog.database.glance()
    row = tabulars.find(view, catalog.warehouse_id, change.identifier)
    if _creates(change) and not _is_created(row, change):
        namespaces.require(catalog.database.glance(), catalog, change.identifier.namespace)
        if row is not None:
            raise cannot_create(row.kind, change.identifier)
        metadata = metadata_builder.apply(None, change.updates, now_ms=view.now)
        _check(catalog, change, None, metadata)
        return first_state(change.kind, change.identifier, metadata, from_create=False)
    if row is None or row.kind != change.kind.name:
        raise change.kind.missing(change.identifier)
    return _next_state(catalog, change, row, view.now)


def _next_state(catalog: Catalog, change: Change, row: tabulars.TabularRow, now: int) -> Staged:
    document = loading.load(catalog, row, change.kind)
    base = metadata = document.metadata
    if not _creates(change):
        metadata = change.kind.advance(
            base, change.requirements, change.updates, now, row.metadata_location
        )
    if metadata is base:
        return Staged(change.kind, change.identifier, row, base, document, row.metadata_location)
    _check(catalog, change, base, metadata)
    location = placement.new_metadata_location(metadata, row.metadata_location)
    return Staged(change.kind, change.identifier, row, base, Document(metadata), location)


def _check(catalog: Catalog, change: Change, base: JSON | None, metadata: JSON) -> None:
    """Check what the warehouse allows, and what it allows to grow."""
    placement.check_metadata(catalog, metadata)
    growth.check_metadata(catalog, f"{change.kind.name} {change.identifier}", base, metadata)


def first_state(
    kind: Kind, identifier: TableIdentifier, metadata: JSON, *, from_create: bool
) -> Staged:
    """Return the state of a table or view that is to be made."""
    location = placement.new_metadata_location(metadata, None)
    document = Document(metadata)
    return Staged(kind, identifier, None, None, document, location, from_create=from_create)


def _creates(change: Change) -> bool:
    """Tell whether this is the commit of a staged create, which only tables have."""
    if change.kind is not TABLE:
        return False
    creates = any(item.get("type") == "assert-create" for item in change.requirements)
    if creates:
        metadata_builder.check_requirements(None, change.requirements)
    return creates


def _is_created(row: tabulars.TabularRow | None, change: Change) -> bool:
    """Tell whether this very create was committed before and only its answer was lost.

    The uuid was drawn when the create was staged, so no other create can carry it.
    """
    if row is None or row.kind != "table":
        return False
    return any(
        update.get("action") == "assign-uuid" and str(update.get("uuid")).lower() == row.uuid
        for update in change.updates
    )


def cannot_create(by: tabulars.Kind, identifier: TableIdentifier) -> CatalogError:
    """Return the error for the commit of a staged create whose name is taken."""
    if by == TABLE.name:
        return CommitFailedError("Requirement failed: table already exists")
    return TABLE.name_taken(by, identifier)
