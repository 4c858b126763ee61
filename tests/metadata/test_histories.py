"""Random histories: every state is valid, and where PyIceberg is right, the same as its own."""

import copy
import json
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pyiceberg.table.metadata import TableMetadata, TableMetadataUtil
from pyiceberg.table.update import TableUpdate, update_table_metadata

from falcon_catalog.metadata import table
from falcon_catalog.metadata.builder import find

RANDOM = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
KINDS = ["int", "long", "string", "date", "timestamptz", "decimal(9, 2)", "double"]
TRANSFORMS = {
    "int": ["identity", "bucket[4]", "truncate[10]"],
    "long": ["identity", "bucket[4]", "truncate[10]"],
    "string": ["identity", "bucket[4]", "truncate[10]"],
    "date": ["identity", "day", "year"],
    "timestamptz": ["day", "hour"],
    "decimal(9, 2)": ["identity", "bucket[4]"],
    "double": ["identity"],
}

Updates = list[dict[str, Any]]


class History:
    """Draws valid commits for the table as it is, so that each can follow the last."""

    def __init__(self, make: Any, data: st.DataObject, *, plain: bool) -> None:
        self.make = make
        self.data = data
        self.plain = plain  # only what PyIceberg's own builder does right
        self.versions = [1, 2] if plain else [1, 2, 3]
        self.meta: dict[str, Any] = make.table(self.draw(st.sampled_from(self.versions)))
        self.next_snapshot = 100
        self.now_ms = make.created_ms

    def draw(self, strategy: st.SearchStrategy[Any]) -> Any:
        return self.data.draw(strategy)

    def schema(self) -> dict[str, Any]:
        return find(self.meta["schemas"], "schema-id", self.meta["current-schema-id"])

    def used_columns(self) -> set[int]:
        spec = find(self.meta["partition-specs"], "spec-id", self.meta["default-spec-id"])
        order = find(self.meta["sort-orders"], "order-id", self.meta["default-sort-order-id"])
        return {field["source-id"] for field in spec["fields"] + order["fields"]}

    def add_column(self) -> Updates:
        fields, last = self.schema()["fields"], self.meta["last-column-id"] + 1
        kind = self.draw(st.sampled_from(KINDS))
        return self.new_schema([*fields, self.make.column(last, f"c{last}", kind)])

    def drop_column(self) -> Updates:
        fields, used = self.schema()["fields"], self.used_columns()
        free = [field for field in fields if field["id"] not in used and field["name"][0] == "c"]
        if not free:
            return []
        gone = self.draw(st.sampled_from(free))
        return self.new_schema([field for field in fields if field is not gone])

    def rename_column(self) -> Updates:
        fields = [dict(field) for field in self.schema()["fields"]]
        self.draw(st.sampled_from(fields))["name"] = f"n{len(self.meta['schemas'])}"
        return self.new_schema(fields)

    def new_schema(self, fields: list[Any]) -> Updates:
        ids = [schema["schema-id"] for schema in self.meta["schemas"]]
        if any(schema["fields"] == fields for schema in self.meta["schemas"]) and self.plain:
            return []
        schema = {**self.make.schema(*fields), "schema-id": max(ids) + 1}
        return [{"action": "add-schema", "schema": schema}, self.make.set_schema(-1)]

    def partition(self) -> Updates:
        fields = [field for field in self.schema()["fields"] if str(field["type"]) in TRANSFORMS]
        column = self.draw(st.sampled_from(fields))
        transform = self.draw(st.sampled_from(TRANSFORMS[column["type"]]))
        spec_id = max(spec["spec-id"] for spec in self.meta["partition-specs"]) + 1
        field_id = 1000 if self.meta["format-version"] == 1 else self.meta["last-partition-id"] + 1
        field = self.make.partition(column["id"], transform, f"p{spec_id}", field_id=field_id)
        return [
            {"action": "add-spec", "spec": {"spec-id": spec_id, "fields": [field]}},
            self.make.set_spec(-1),
        ]

    def sort(self) -> Updates:
        fields = [field for field in self.schema()["fields"] if str(field["type"]) in TRANSFORMS]
        direction = self.draw(st.sampled_from(["asc", "desc"]))
        chosen = self.make.sort(self.draw(st.sampled_from(fields))["id"], direction=direction)
        if any(order["fields"] == [chosen] for order in self.meta["sort-orders"]) and self.plain:
            return []
        order_id = max(order["order-id"] for order in self.meta["sort-orders"]) + 1
        order = {"order-id": order_id, "fields": [chosen]}
        return [{"action": "add-sort-order", "sort-order": order}, self.make.set_order(-1)]

    def append(self) -> Updates:
        self.next_snapshot += 1
        branch = self.draw(st.sampled_from(["main", "main", "audit"]))
        head = self.meta["refs"].get(branch)
        more = {"first_row_id": self.meta.get("next-row-id", 0), "added_rows": 3}
        snapshot = self.make.add_snapshot(
            self.next_snapshot,
            head and head["snapshot-id"],
            timestamp_ms=self.now_ms - 5,
            sequence_number=self.meta.get("last-sequence-number", -1) + 1,
            **(more if self.meta["format-version"] == 3 else {}),
        )
        return [snapshot, self.make.set_ref(branch, self.next_snapshot)]

    def tag(self) -> Updates:
        known = [snapshot["snapshot-id"] for snapshot in self.meta["snapshots"]]
        name = self.draw(st.sampled_from(["t1", "t2", "t3"]))
        return [self.make.set_ref(name, self.draw(st.sampled_from(known)), "tag")] if known else []

    def roll_back(self) -> Updates:
        known = [snapshot["snapshot-id"] for snapshot in self.meta["snapshots"]]
        return [self.make.set_ref("main", self.draw(st.sampled_from(known)))] if known else []

    def drop_ref(self) -> Updates:
        name = self.draw(st.sampled_from(["main", "audit", "t1"]))
        return [{"action": "remove-snapshot-ref", "ref-name": name}]

    def properties(self) -> Updates:
        key = self.draw(st.sampled_from(["a", "b", "write.metadata.previous-versions-max"]))
        value = str(self.draw(st.integers(0, 5)))
        return [{"action": "set-properties", "updates": {key: value}}]

    def move(self) -> Updates:
        place = self.draw(st.sampled_from(["file:/here", "file:/there"]))
        same = place == self.meta["location"] and self.plain
        return [] if same else [{"action": "set-location", "location": place}]

    def upgrade(self) -> Updates:
        version = self.draw(st.sampled_from(self.versions))
        version = max(version, self.meta["format-version"])
        return [{"action": "upgrade-format-version", "format-version": version}]

    def statistics(self) -> Updates:
        known = [snapshot["snapshot-id"] for snapshot in self.meta["snapshots"]]
        if not known:
            return []
        file = {
            "snapshot-id": self.draw(st.sampled_from(known)),
            "statistics-path": "p",
            "file-size-in-bytes": self.draw(st.integers(0, 9)),
        }
        full = {**file, "file-footer-size-in-bytes": 1, "blob-metadata": []}
        return [
            {"action": "set-statistics", "statistics": full},
            {"action": "set-partition-statistics", "partition-statistics": file},
        ]

    def remove_snapshots(self) -> Updates:
        known = [snapshot["snapshot-id"] for snapshot in self.meta["snapshots"]]
        if not known or self.plain:
            return []
        ids = self.draw(st.lists(st.sampled_from(known), max_size=2))
        at_them = [name for name, ref in self.meta["refs"].items() if ref["snapshot-id"] in ids]
        return [
            {"action": "remove-snapshots", "snapshot-ids": ids},
            *({"action": "remove-snapshot-ref", "ref-name": name} for name in at_them),
        ]

    def commit(self) -> Updates:
        """Draw one commit, apply it, and return its updates."""
        steps = [
            self.add_column,
            self.drop_column,
            self.rename_column,
            self.partition,
            self.sort,
            self.append,
            self.append,
            self.tag,
            self.roll_back,
            self.drop_ref,
            self.properties,
            self.move,
            self.upgrade,
            self.statistics,
            self.remove_snapshots,
        ]
        self.now_ms += 1_000
        updates: Updates = self.draw(st.sampled_from(steps))()
        self.meta = self.make.apply(
            self.meta, *updates, metadata_location="old.json", now_ms=self.now_ms
        )
        return updates


@RANDOM
@given(data=st.data())
def test_any_history_is_valid_readable_and_never_changes_its_past(
    make: Any, data: st.DataObject
) -> None:
    history = History(make, data, plain=False)
    for _ in range(data.draw(st.integers(1, 12))):
        base, before = history.meta, copy.deepcopy(history.meta)
        updates = history.commit()
        sent = copy.deepcopy(updates)
        assert base == before
        assert updates == sent
        assert table.validate(history.meta) is history.meta
    parsed = TableMetadataUtil.parse_obj(orjson.loads(orjson.dumps(history.meta)))
    assert parsed.schema().schema_id == history.meta["current-schema-id"]
    assert parsed.current_snapshot_id == history.meta.get("current-snapshot-id")


def comparable(metadata: TableMetadata) -> dict[str, Any]:
    """Return metadata as PyIceberg writes it, without clocks and v1's copies."""
    dumped = json.loads(metadata.model_dump_json())
    stamps = {item["snapshot-id"]: item["timestamp-ms"] for item in dumped["snapshots"]}
    for entry in dumped["snapshot-log"]:
        if entry["timestamp-ms"] != stamps[entry["snapshot-id"]]:
            entry["timestamp-ms"] = "the time of a rollback"
    for key in ("last-updated-ms", "schema", "partition-spec"):
        dumped.pop(key, None)
    if dumped["format-version"] == 1:
        dumped.pop("last-sequence-number", None)
        for snapshot in dumped["snapshots"]:
            snapshot.pop("sequence-number", None)
    return dumped


@RANDOM
@given(data=st.data())
def test_plain_commits_give_what_pyiceberg_makes_of_them(make: Any, data: st.DataObject) -> None:
    history = History(make, data, plain=True)
    for _ in range(data.draw(st.integers(1, 8))):
        base = history.meta
        updates = history.commit()
        theirs = update_table_metadata(
            TableMetadataUtil.parse_obj(base),
            tuple(TypeAdapter(list[TableUpdate]).validate_python(updates)),
            metadata_location="old.json",
        )
        assert comparable(TableMetadataUtil.parse_obj(history.meta)) == comparable(theirs)
