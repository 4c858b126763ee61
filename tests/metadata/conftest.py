"""Builders of requests and updates, as clients send them."""

from typing import Any

import pytest

from falcon_catalog.metadata import table

UUID = "9c12d441-03fe-4693-9a96-a0705ddf69c1"
CREATED_MS = 1_600_000_000_000


class Make:
    """Small words for JSON that tests would otherwise repeat."""

    uuid = UUID
    created_ms = CREATED_MS

    def column(
        self, field_id: int, name: str, kind: Any = "long", *, required: bool = False, **more: Any
    ) -> dict[str, Any]:
        extra = {key.replace("_", "-"): value for key, value in more.items()}
        return {"id": field_id, "name": name, "type": kind, "required": required, **extra}

    def schema(self, *columns: dict[str, Any], **more: Any) -> dict[str, Any]:
        extra = {key.replace("_", "-"): value for key, value in more.items()}
        return {"type": "struct", "schema-id": 0, "fields": list(columns), **extra}

    def events(self) -> dict[str, Any]:
        """Return a schema with one column of each kind that partitions are made of."""
        return self.schema(
            self.column(1, "id", "long", required=True),
            self.column(2, "name", "string"),
            self.column(3, "at", "timestamptz"),
            self.column(
                4, "place", {"type": "struct", "fields": [self.column(5, "city", "string")]}
            ),
        )

    def request(self, schema: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        extra = {key.replace("_", "-"): value for key, value in more.items()}
        return {"name": "events", "schema": schema or self.events(), **extra}

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        return table.create(
            request, location="file:/warehouse/events", table_uuid=UUID, now_ms=CREATED_MS
        )

    def table(self, version: int = 2, **more: Any) -> dict[str, Any]:
        properties = {"format-version": str(version), **more.pop("properties", {})}
        return self.create(self.request(properties=properties, **more))

    def apply(self, base: dict[str, Any] | None, *updates: dict[str, Any], **more: Any) -> Any:
        now_ms = more.pop("now_ms", CREATED_MS + 1_000_000)
        return table.apply(base, updates, now_ms=now_ms, **more)

    def partition(self, source_id: int, transform: str, name: str, **more: Any) -> dict[str, Any]:
        extra = {key.replace("_", "-"): value for key, value in more.items()}
        return {"source-id": source_id, "transform": transform, "name": name, **extra}

    def sort(self, source_id: int, transform: str = "identity", **more: Any) -> dict[str, Any]:
        extra = {key.replace("_", "-"): value for key, value in more.items()}
        return {
            "source-id": source_id,
            "transform": transform,
            "direction": "asc",
            "null-order": "nulls-first",
            **extra,
        }

    def add_schema(self, *columns: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"action": "add-schema", "schema": self.schema(*columns, **more)}

    def add_spec(self, *fields: dict[str, Any]) -> dict[str, Any]:
        return {"action": "add-spec", "spec": {"spec-id": 0, "fields": list(fields)}}

    def add_order(self, *fields: dict[str, Any]) -> dict[str, Any]:
        order = {"order-id": 1 if fields else 0, "fields": list(fields)}
        return {"action": "add-sort-order", "sort-order": order}

    def set_schema(self, schema_id: int) -> dict[str, Any]:
        return {"action": "set-current-schema", "schema-id": schema_id}

    def set_spec(self, spec_id: int) -> dict[str, Any]:
        return {"action": "set-default-spec", "spec-id": spec_id}

    def set_order(self, order_id: int) -> dict[str, Any]:
        return {"action": "set-default-sort-order", "sort-order-id": order_id}

    def snapshot(self, snapshot_id: int, parent: int | None = None, **more: Any) -> dict[str, Any]:
        extra = {key.replace("_", "-"): value for key, value in more.items()}
        snapshot = {
            "snapshot-id": snapshot_id,
            "sequence-number": snapshot_id,
            "timestamp-ms": CREATED_MS + snapshot_id,
            "manifest-list": f"file:/warehouse/events/metadata/snap-{snapshot_id}.avro",
            "summary": {"operation": "append", "added-records": "1"},
            "schema-id": 0,
            **extra,
        }
        if parent is not None:
            snapshot["parent-snapshot-id"] = parent
        return snapshot

    def add_snapshot(self, snapshot_id: int, parent: int | None = None, **more: Any) -> Any:
        return {"action": "add-snapshot", "snapshot": self.snapshot(snapshot_id, parent, **more)}

    def set_ref(self, name: str, snapshot_id: int, kind: str = "branch", **more: Any) -> Any:
        extra = {key.replace("_", "-"): value for key, value in more.items()}
        return {
            "action": "set-snapshot-ref",
            "ref-name": name,
            "type": kind,
            "snapshot-id": snapshot_id,
            **extra,
        }

    def append(self, snapshot_id: int, parent: int | None = None, **more: Any) -> list[Any]:
        return [self.add_snapshot(snapshot_id, parent, **more), self.set_ref("main", snapshot_id)]

    def history(self, count: int, version: int = 2) -> dict[str, Any]:
        """Return a table with that many appended snapshots, 1, 2, 3 …, each a commit."""
        meta = self.table(version)
        for number in range(1, count + 1):
            more = {"first_row_id": number - 1, "added_rows": 1} if version > 2 else {}
            meta = self.apply(meta, *self.append(number, number - 1 or None, **more))
        return meta


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()
