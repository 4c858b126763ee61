"""View metadata and updates, as clients send them."""

from typing import Any

from falcon_catalog.metadata import view

UUID = "fa6506c3-7681-40c8-86dc-e36561f83385"
CREATED_MS = 1_600_000_000_000
NOW_MS = CREATED_MS + 1_000_000

JSON = dict[str, Any]


def schema(*names: str, schema_id: int = 0) -> JSON:
    columns = [
        {"id": number, "name": name, "type": "long", "required": True}
        for number, name in enumerate(names, 3)
    ]
    return {"type": "struct", "schema-id": schema_id, "fields": columns}


def version(sql: str = "select * from ns.tbl", dialect: str = "spark", **more: Any) -> JSON:
    extra = {key.replace("_", "-"): value for key, value in more.items()}
    return {
        "version-id": 1,
        "timestamp-ms": CREATED_MS,
        "schema-id": 0,
        "summary": {"engine-name": "spark"},
        "default-namespace": ["ns"],
        "representations": [query(sql, dialect)],
        **extra,
    }


def query(sql: str, dialect: str) -> JSON:
    return {"type": "sql", "sql": sql, "dialect": dialect}


def request(**more: Any) -> JSON:
    extra = {key.replace("_", "-"): value for key, value in more.items()}
    known = {"schema": schema("x", schema_id=5), "view-version": version(), "properties": {}}
    return {"name": "view", **known, **extra}


def create(**more: Any) -> JSON:
    return view.create(
        request(**more), location="file:/warehouse/view", view_uuid=UUID, now_ms=CREATED_MS
    )


def apply(base: JSON, *updates: JSON) -> JSON:
    return view.apply(base, updates, now_ms=NOW_MS)


def add_version(sql: str = "select 1", dialect: str = "spark", **more: Any) -> JSON:
    return {"action": "add-view-version", "view-version": version(sql, dialect, **more)}


def add_schema(*names: str, schema_id: int = 0) -> JSON:
    return {"action": "add-schema", "schema": schema(*names, schema_id=schema_id)}


def set_version(version_id: int = -1) -> JSON:
    return {"action": "set-current-view-version", "view-version-id": version_id}


def set_properties(**updates: str) -> JSON:
    named = {key.replace("__", ".").replace("_", "-"): value for key, value in updates.items()}
    return {"action": "set-properties", "updates": named}


def replaced(base: JSON, sql: str, **more: Any) -> JSON:
    """Return a view after its query was replaced."""
    return apply(base, add_version(sql, **more), set_version())


def version_ids(meta: JSON) -> list[int]:
    return [one["version-id"] for one in meta["versions"]]


def logged(meta: JSON) -> list[int]:
    return [entry["version-id"] for entry in meta["version-log"]]
