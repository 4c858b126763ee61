"""Table metadata while updates are applied to it: the state between a base and its successor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from falcon_catalog.metadata.append_log import History
from falcon_catalog.metadata.json_fields import JSON

FIRST_PARTITION_ID = 1000
UNPARTITIONED_LAST_ID = FIRST_PARTITION_ID - 1

SEQUENCE_NUMBERS_VERSION = 2
ROW_LINEAGE_VERSION = 3


class Builder(Protocol):
    """What the drafts of tables and of views have in common."""

    meta: JSON
    own_properties: bool
    """Whether the properties are the builder's own already, and may be changed in place."""

    def put(self, key: str, value: object) -> None:
        """Replace one part of the metadata."""


@dataclass
class TableBuilder:
    """Metadata in the making.

    ``meta`` is a shallow copy of the base: values are replaced through ``put``, never
    changed in place (but properties, once they are the builder's own), so the base stays as
    it was. The ``last_added_*`` ids are what -1 means in this request; ``layout_changed``
    says that another schema, spec or order is in force; the snapshot sets decide what the
    snapshot log keeps.
    """

    meta: JSON
    now_ms: int
    creating: bool
    changed: bool = False
    layout_changed: bool = False
    snapshots_removed: bool = False
    own_properties: bool = False
    snapshot_ms: int = 0
    last_added_schema: int | None = None
    last_added_spec: int | None = None
    last_added_order: int | None = None
    added_snapshots: set[int] = field(default_factory=set)
    main_heads: set[int] = field(default_factory=set)
    dangling: dict[str, JSON] = field(default_factory=dict)
    """Refs whose snapshot was removed, and that the request itself neither moved nor removed."""

    @property
    def version(self) -> int:
        """The format version the table has at this point of the request."""
        version: int = self.meta["format-version"]
        return version

    def put(self, key: str, value: object) -> None:
        """Replace one part of the metadata."""
        self.meta[key] = value
        self.changed = True

    def remove(self, key: str) -> None:
        """Leave one part of the metadata out."""
        if self.meta.pop(key, None) is not None:
            self.changed = True

    def schema(self) -> JSON | None:
        """Return the current schema, None while a table in creation has none."""
        return find(self.meta["schemas"], "schema-id", self.meta["current-schema-id"])


def from_base(base: Mapping[str, Any], now_ms: int) -> TableBuilder:
    """Start from the metadata of a table that exists."""
    return TableBuilder(meta=dict(base), now_ms=now_ms, creating=False)


def for_new(version: int, now_ms: int) -> TableBuilder:
    """Start from nothing: a table in creation, with the ids its first updates count from."""
    meta: JSON = {
        "format-version": version,
        "table-uuid": None,
        "location": None,
        "last-updated-ms": now_ms,
        "last-column-id": 0,
        "current-schema-id": 0,
        "schemas": [],
        "default-spec-id": 0,
        "partition-specs": [],
        "last-partition-id": UNPARTITIONED_LAST_ID,
        "default-sort-order-id": 0,
        "sort-orders": [],
        "properties": {},
        "refs": {},
        "snapshots": [],
        "statistics": [],
        "partition-statistics": [],
        "snapshot-log": [],
        "metadata-log": [],
        **counters(version),
    }
    return TableBuilder(meta=meta, now_ms=now_ms, creating=True)


def counters(version: int) -> JSON:
    """Return the counters that tables of a format version have, as they start."""
    started: JSON = {}
    if version >= SEQUENCE_NUMBERS_VERSION:
        started["last-sequence-number"] = 0
    if version >= ROW_LINEAGE_VERSION:
        started["next-row-id"] = 0
    return started


def find(items: Sequence[JSON], key: str, value: object) -> JSON | None:
    """Return the first item whose ``key`` is ``value``."""
    if isinstance(items, History):
        return next(iter(items.with_values(key, (value,))), None)
    return next((item for item in items if item[key] == value), None)
