"""Defaults of the fields that a metadata file may omit.

Source: the table specification, "Table Metadata Fields" (v1 optional fields) and
"Version 1 to 2" of appendix E.
"""

import uuid

from falcon_catalog.metadata.builder import FIRST_PARTITION_ID, UNPARTITIONED_LAST_ID, counters
from falcon_catalog.metadata.json_fields import JSON

NO_SNAPSHOT = -1
EMPTY_ARRAYS = ("snapshots", "snapshot-log", "metadata-log", "statistics", "partition-statistics")


def with_defaults(metadata: JSON) -> JSON:
    """Return metadata with all fields and no nulls; the same object if nothing changes.

    The fields must be of the right type.
    """
    kept = {key: value for key, value in metadata.items() if value is not None}
    if kept.get("current-snapshot-id") == NO_SNAPSHOT:
        del kept["current-snapshot-id"]
    version = kept["format-version"]
    defaults: JSON = {key: [] for key in EMPTY_ARRAYS}
    defaults |= {"properties": {}, "refs": {}}
    defaults |= {"sort-orders": [{"order-id": 0, "fields": []}], "default-sort-order-id": 0}
    if version == 1 and "table-uuid" not in kept:
        defaults["table-uuid"] = uuid_of(kept["location"])
    if version == 1 and (schema := kept.get("schema")) is not None:
        schema_id = schema.get("schema-id", 0)
        defaults["schemas"] = [{**schema, "schema-id": schema_id}]
        defaults["current-schema-id"] = schema_id
    if version == 1 and (fields := kept.get("partition-spec")) is not None:
        numbered = [
            {"field-id": number, **field} for number, field in enumerate(fields, FIRST_PARTITION_ID)
        ]
        defaults["partition-specs"] = [{"spec-id": 0, "fields": numbered}]
        defaults["default-spec-id"] = 0
    specs = kept.get("partition-specs") or defaults.get("partition-specs", [])
    field_ids = [field.get("field-id", 0) for spec in specs for field in spec["fields"]]
    defaults["last-partition-id"] = max([UNPARTITIONED_LAST_ID, *field_ids])
    full = defaults | counters(version) | kept
    current, main = full.get("current-snapshot-id"), full["refs"].get("main")
    if current is not None and main is None:
        full["refs"] = {**full["refs"], "main": {"snapshot-id": current, "type": "branch"}}
    elif current is None and main is not None:
        full["current-snapshot-id"] = main["snapshot-id"]
    return metadata if full == metadata else full


def uuid_of(location: str) -> str:
    """Return the uuid of a v1 table whose file has none: the same, whoever reads the file."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, location))
