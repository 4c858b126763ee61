"""The tables dbt makes: their documentation in the lake, and what they are after a build."""

import datetime as dt
import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from jobs import config

DAILY = "marts.fct_daily_station_weather"


def describe(catalog: Catalog, state: Path) -> list[dict[str, Any]]:
    """Write the descriptions into the tables and return their state; absent ones are left out."""
    found = []
    for name, docs in sorted(_columns(state).items()):
        try:
            table = catalog.load_table(name)
        except NoSuchTableError:
            continue
        found.append(_state(_document(table, docs)))
    return found


def day_fingerprints(catalog: Catalog, first: dt.date, last: dt.date) -> dict[dt.date, str]:
    """Return a digest of the reports that each local day of the daily mart is computed from."""
    rows = (
        catalog.load_table(DAILY)
        .scan(
            row_filter=f"local_date >= '{first}' and local_date <= '{last}'",
            selected_fields=("local_date", "station_id", "reports_fingerprint"),
        )
        .to_arrow()
        .to_pylist()
    )
    digests: dict[dt.date, Any] = defaultdict(hashlib.sha256)
    for row in sorted(rows, key=lambda row: str(row["station_id"])):
        digests[row["local_date"]].update(
            f"{row['station_id']} {row['reports_fingerprint']}\n".encode()
        )
    return {day: digest.hexdigest() for day, digest in digests.items()}


def project_digest() -> str:
    """Return a digest of everything the marts are computed by: models and macros."""
    digest = hashlib.sha256()
    project = config.dbt_dir()
    for path in sorted(project.rglob("*")):
        if path.suffix in {".sql", ".yml"} and path.is_file() and "target" not in path.parts:
            digest.update(str(path.relative_to(project)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _columns(state: Path) -> dict[str, dict[str, str]]:
    """Return the columns' descriptions of every model and snapshot that is a table in the lake."""
    manifest = json.loads((state / "dbt" / "target" / "manifest.json").read_text())
    return {
        f"{node['schema']}.{node['alias']}": {
            name: column["description"] for name, column in node["columns"].items()
        }
        for node in manifest["nodes"].values()
        if node["resource_type"] in {"model", "snapshot"} and node["database"] == "lake"
    }


def _document(table: Table, docs: dict[str, str]) -> Table:
    """Write the descriptions into the table's schema, where DuckDB has no way to."""
    fields = {field.name: field.doc for field in table.schema().fields}
    changed = {name: doc for name, doc in docs.items() if name in fields and fields[name] != doc}
    if changed:
        with table.update_schema() as update:
            for name, doc in changed.items():
                update.update_column(name, doc=doc)
    return table


def _state(table: Table) -> dict[str, Any]:
    snapshot = table.current_snapshot()
    return {
        "table": ".".join(table.name()),
        "table_uuid": str(table.metadata.table_uuid),
        "snapshot_id": snapshot.snapshot_id if snapshot else None,
        "rows": table.scan().count(),
    }
