"""A valid body for each request that has one, and for each update and requirement."""

from typing import Any

SCHEMA = {
    "type": "struct",
    "fields": [
        {"id": 1, "name": "id", "type": "long", "required": True},
        {"id": 2, "name": "data", "type": "string", "required": False, "doc": "text"},
    ],
}
VERSION = {
    "version-id": 1,
    "timestamp-ms": 1_700_000_000_000,
    "schema-id": 0,
    "summary": {"engine-name": "fuzz"},
    "default-namespace": ["ns"],
    "representations": [{"type": "sql", "sql": "select 1", "dialect": "spark"}],
}

NS = "/v1/namespaces/ns"
MANAGED = "/management/v1/warehouses/default"
SNAPSHOT = {
    "snapshot-id": 1,
    "sequence-number": 1,
    "timestamp-ms": 1_700_000_000_000,
    "manifest-list": "file:///nowhere/m.avro",
    "summary": {"operation": "append", "added-records": "1"},
    "schema-id": 0,
    "first-row-id": 0,
    "added-rows": 1,
}
SPEC = {"fields": [{"source-id": 1, "field-id": 1000, "name": "p", "transform": "bucket[4]"}]}
ORDER = {
    "order-id": 1,
    "fields": [
        {"source-id": 2, "transform": "identity", "direction": "asc", "null-order": "nulls-first"}
    ],
}
NESTED = {
    **SCHEMA,
    "schema-id": 0,
    "identifier-field-ids": [1],
    "fields": [
        *SCHEMA["fields"],
        {
            "id": 3,
            "name": "m",
            "required": False,
            "type": {
                "type": "map",
                "key-id": 4,
                "key": "string",
                "value-id": 5,
                "value-required": False,
                "value": {
                    "type": "list",
                    "element-id": 6,
                    "element": "decimal(9,2)",
                    "element-required": False,
                },
            },
        },
    ],
}
STATISTICS = {
    "snapshot-id": 1,
    "statistics-path": "file:///nowhere/s.puffin",
    "file-size-in-bytes": 9,
    "file-footer-size-in-bytes": 3,
    "blob-metadata": [
        {
            "type": "apache-datasketches-theta-v1",
            "snapshot-id": 1,
            "sequence-number": 1,
            "fields": [1],
            "properties": {"ndv": "1"},
        }
    ],
}
TABLE_UPDATES: list[dict[str, Any]] = [
    {"action": "assign-uuid", "uuid": "11111111-1111-4111-8111-111111111111"},
    {"action": "upgrade-format-version", "format-version": 3},
    {"action": "add-schema", "schema": NESTED, "last-column-id": 6},
    {"action": "set-current-schema", "schema-id": 0},
    {"action": "add-spec", "spec": SPEC},
    {"action": "set-default-spec", "spec-id": 0},
    {"action": "add-sort-order", "sort-order": ORDER},
    {"action": "set-default-sort-order", "sort-order-id": 0},
    {"action": "add-snapshot", "snapshot": SNAPSHOT},
    {
        "action": "set-snapshot-ref",
        "ref-name": "r",
        "type": "branch",
        "snapshot-id": 1,
        "max-ref-age-ms": 1,
        "max-snapshot-age-ms": 1,
        "min-snapshots-to-keep": 1,
    },
    {"action": "remove-snapshots", "snapshot-ids": [1]},
    {"action": "remove-snapshot-ref", "ref-name": "r"},
    {"action": "set-location", "location": "file:///nowhere"},
    {"action": "set-properties", "updates": {"k": "v", "write.metadata.path": "file:///no"}},
    {"action": "remove-properties", "removals": ["k"]},
    {"action": "set-statistics", "snapshot-id": 1, "statistics": STATISTICS},
    {"action": "remove-statistics", "snapshot-id": 1},
    {
        "action": "set-partition-statistics",
        "partition-statistics": {
            "snapshot-id": 1,
            "statistics-path": "file:///nowhere/p.parquet",
            "file-size-in-bytes": 9,
        },
    },
    {"action": "remove-partition-statistics", "snapshot-id": 1},
    {"action": "remove-partition-specs", "spec-ids": [0]},
    {"action": "remove-schemas", "schema-ids": [0]},
    {
        "action": "add-encryption-key",
        "encryption-key": {
            "key-id": "k",
            "encrypted-key-metadata": "Zg==",
            "encrypted-by-id": "m",
            "properties": {"a": "b"},
        },
    },
    {"action": "remove-encryption-key", "key-id": "k"},
]
REQUIREMENTS: list[dict[str, Any]] = [
    {"type": "assert-create"},
    {"type": "assert-table-uuid", "uuid": "11111111-1111-4111-8111-111111111111"},
    {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 1},
    {"type": "assert-last-assigned-field-id", "last-assigned-field-id": 2},
    {"type": "assert-current-schema-id", "current-schema-id": 0},
    {"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 999},
    {"type": "assert-default-spec-id", "default-spec-id": 0},
    {"type": "assert-default-sort-order-id", "default-sort-order-id": 0},
]
VIEW_UPDATES: list[dict[str, Any]] = [
    {"action": "add-schema", "schema": NESTED},
    {"action": "add-view-version", "view-version": VERSION},
    {"action": "set-current-view-version", "view-version-id": 1},
    {"action": "set-properties", "updates": {"k": "v"}},
    {"action": "remove-properties", "removals": ["k"]},
]
TABLE = {"namespace": ["ns"], "name": "t"}
RENAME = {"source": {"namespace": ["ns"], "name": "t"}, "destination": TABLE}
CREATE_TABLE = {
    "name": "n",
    "schema": NESTED,
    "location": "file:///nowhere/n",
    "partition-spec": SPEC,
    "write-order": ORDER,
    "stage-create": True,
    "properties": {"format-version": "3", "write.metadata.path": "file:///nowhere"},
}
CREATE_VIEW = {
    "name": "n",
    "schema": NESTED,
    "view-version": VERSION,
    "properties": {"k": "v"},
    "location": "file:///nowhere/n",
}
REGISTER = {"name": "n", "metadata-location": "file:///nowhere", "overwrite": True}
PLAN = {
    "snapshot-id": 1,
    "select": ["id"],
    "case-sensitive": True,
    "use-snapshot-schema": False,
    "min-rows-requested": 1,
    "stats-fields": ["id"],
    "filter": {
        "type": "and",
        "left": {"type": "not", "child": {"type": "eq", "term": "id", "value": 1}},
        "right": {
            "type": "lt",
            "left": {
                "type": "apply",
                "function": "bucket",
                "arguments": [{"type": "reference", "name": "id"}],
            },
            "right": {"type": "literal", "value": 1},
        },
    },
}
REPORT = {
    "report-type": "scan-report",
    "table-name": "t",
    "snapshot-id": 1,
    "filter": True,
    "schema-id": 0,
    "projected-field-ids": [1],
    "projected-field-names": ["id"],
    "metrics": {"result-data-files": {"unit": "count", "value": 1}},
    "metadata": {"k": "v"},
}
SIGN = {
    "region": "us-east-1",
    "uri": "https://bucket.s3.us-east-1.amazonaws.com/key",
    "method": "GET",
    "headers": {"h": ["v"]},
    "properties": {"k": "v"},
}
FUNCTION = {
    "function-uuid": "42fd3f91-bc10-41c1-8a52-92b57dd0a9b2",
    "format-version": 1,
    "definitions": [
        {
            "definition-id": "int",
            "specific-name": "f_int",
            "parameters": [{"name": "x", "type": "int", "doc": "text"}],
            "return-type": {"type": "list", "element": "int"},
            "return-nullable": True,
            "function-type": "udf",
            "versions": [
                {
                    "version-id": 1,
                    "timestamp-ms": 1_734_507_000_123,
                    "deterministic": True,
                    "on-null-input": "call",
                    "representations": [{"type": "sql", "dialect": "trino", "sql": "x + 1"}],
                }
            ],
            "current-version-id": 1,
        }
    ],
    "definition-log": [
        {
            "timestamp-ms": 1_734_507_000_123,
            "definition-versions": [{"definition-id": "int", "version-id": 1}],
        }
    ],
    "location": "file:///nowhere/f",
    "properties": {"k": "v"},
    "secure": False,
}
BODIES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/namespaces", {"namespace": ["ns"], "properties": {"k": "v"}}),
    ("POST", f"{NS}/properties", {"removals": ["a"], "updates": {"k": "v"}}),
    ("POST", f"{NS}/tables", CREATE_TABLE),
    ("POST", f"{NS}/register", REGISTER),
    ("POST", "/v1/tables/rename", RENAME),
    *(
        ("POST", f"{NS}/tables/t", {"requirements": [], "updates": [each]})
        for each in TABLE_UPDATES
    ),
    *(("POST", f"{NS}/tables/t", {"requirements": [each], "updates": []}) for each in REQUIREMENTS),
    (
        "POST",
        "/v1/transactions/commit",
        {"table-changes": [{"identifier": TABLE, "requirements": [], "updates": []}]},
    ),
    ("POST", f"{NS}/views", CREATE_VIEW),
    *(("POST", f"{NS}/views/v", {"requirements": [], "updates": [each]}) for each in VIEW_UPDATES),
    (
        "POST",
        f"{NS}/views/v",
        {"requirements": [{"type": "assert-view-uuid", "uuid": "x"}], "updates": []},
    ),
    ("POST", f"{NS}/register-view", {"name": "n", "metadata-location": "file:///nowhere"}),
    ("POST", "/v1/views/rename", RENAME),
    ("POST", f"{NS}/tables/t/plan", PLAN),
    ("POST", f"{NS}/tables/t/plan", {"start-snapshot-id": 1, "end-snapshot-id": 2}),
    ("POST", f"{NS}/tables/t/tasks", {"plan-task": "x"}),
    ("POST", f"{NS}/tables/t/metrics", REPORT),
    ("POST", f"{NS}/tables/t/sign", SIGN),
    ("PUT", f"{MANAGED}/namespaces/ns/functions/f", FUNCTION),
    ("POST", f"{MANAGED}/dropped/1/undrop", {"identifier": {"namespace": ["ns"], "name": "n"}}),
]
