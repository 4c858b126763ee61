"""Builders: metadata while updates are applied to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata.append_log import History, with_values
from falcon_catalog.metadata.json_fields import JSON, array_of, as_integer, required

FIRST_PARTITION_ID = 1000
UNPARTITIONED_LAST_ID = FIRST_PARTITION_ID - 1

LAST_ADDED = -1
"""In an update, the id of what the same request added last."""

SEQUENCE_NUMBERS_VERSION = 2
ROW_LINEAGE_VERSION = 3


@dataclass(kw_only=True)
class Builder:
    """Metadata of a table or view while updates are applied to it.

    ``meta`` is a shallow copy of the base, which never changes: values are replaced through
    ``put``, not modified in place, except properties and refs once they are its own copy.
    """

    meta: JSON
    now_ms: int
    changed: bool = False
    own_properties: bool = False
    last_added: dict[str, int] = field(default_factory=dict)
    """What -1 means in this request: ids by the key of the list."""
    known: dict[str, Any] = field(default_factory=dict)
    """Indexes of lists by their keys, which each addition of the request looks up."""

    def put(self, key: str, value: object) -> None:
        """Replace one part of the metadata."""
        self.meta[key] = value
        self.changed = True


@dataclass(kw_only=True)
class TableBuilder(Builder):
    """Metadata of a table while updates are applied to it.

    ``layout_changed`` is set when another schema, spec or order becomes current; the sets of
    snapshots decide what the snapshot log keeps.
    """

    creating: bool
    own_refs: bool = False
    layout_changed: bool = False
    snapshots_removed: bool = False
    added_snapshots: set[int] = field(default_factory=set)
    main_heads: set[int] = field(default_factory=set)
    before_head_ms: int = 0
    """When main came to where it was before the snapshots that were added; 0 if nowhere."""
    dangling: dict[str, JSON] = field(default_factory=dict)
    """Refs whose snapshot was removed, and that the request neither moved nor removed."""

    @property
    def version(self) -> int:
        """The format version at this point of the request."""
        version: int = self.meta["format-version"]
        return version

    def remove(self, key: str) -> None:
        """Remove one part of the metadata."""
        if self.meta.pop(key, None) is not None:
            self.changed = True


@dataclass(frozen=True, slots=True)
class Part:
    """A list of schemas, partition specs or sort orders, one of which is current.

    The texts are those of ``TableMetadata.Builder`` of Apache Iceberg's Java library.
    """

    key: str
    id_key: str
    current_key: str
    noun: str
    role: str

    def current(self, meta: JSON) -> JSON | None:
        """Return the current item; None while a table in creation has none."""
        return find(meta[self.key], self.id_key, meta[self.current_key])

    def set_current(self, builder: TableBuilder, update: Mapping[str, Any]) -> None:
        """Apply ``set-current-schema``, ``set-default-spec`` or ``set-default-sort-order``."""
        where = f"set-{self.current_key.removesuffix('-id')} update"
        item_id = required(update, self.current_key.partition("-")[2], as_integer, where)
        if item_id == LAST_ADDED:
            if self.key not in builder.last_added:
                raise BadRequestError(
                    f"Cannot set last added {self.noun}: no {self.noun} has been added"
                )
            item_id = builder.last_added[self.key]
        if item_id == builder.meta[self.current_key]:
            return
        if find(builder.meta[self.key], self.id_key, item_id) is None:
            raise BadRequestError(f"Cannot set {self.role} to unknown {self.noun}: {item_id}")
        builder.put(self.current_key, item_id)
        builder.layout_changed = True

    def remove(self, builder: TableBuilder, update: Mapping[str, Any]) -> None:
        """Apply ``remove-schemas`` or ``remove-partition-specs``; unknown ids are ignored."""
        where = f"remove-{self.key} update"
        ids = set(required(update, f"{self.id_key}s", array_of(as_integer), where))
        if builder.meta[self.current_key] in ids:
            raise BadRequestError(f"Cannot remove the {self.role}")
        kept = [item for item in builder.meta[self.key] if item[self.id_key] not in ids]
        if len(kept) != len(builder.meta[self.key]):
            builder.put(self.key, kept)
            builder.known.pop(self.key, None)


SCHEMAS = Part("schemas", "schema-id", "current-schema-id", "schema", "current schema")
SPECS = Part("partition-specs", "spec-id", "default-spec-id", "spec", "default partition spec")
ORDERS = Part(
    "sort-orders", "order-id", "default-sort-order-id", "sort order", "default sort order"
)


def from_base(base: Mapping[str, Any], now_ms: int) -> TableBuilder:
    """Return a builder that starts from the metadata of an existing table."""
    return TableBuilder(meta=dict(base), now_ms=now_ms, creating=False)


def for_new(version: int, now_ms: int) -> TableBuilder:
    """Return the builder of a new table, with the ids that its first updates count from."""
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
    """Return the counters of a format version, with their initial values."""
    started: JSON = {}
    if version >= SEQUENCE_NUMBERS_VERSION:
        started["last-sequence-number"] = 0
    if version >= ROW_LINEAGE_VERSION:
        started["next-row-id"] = 0
    return started


def find(items: Sequence[JSON], key: str, value: object) -> JSON | None:
    """Return the first item whose ``key`` is ``value``."""
    if isinstance(items, History):
        return next(iter(with_values(items, key, (value,))), None)
    return next((item for item in items if item[key] == value), None)
