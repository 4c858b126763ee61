"""``falcon-catalog show``."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from falcon_catalog.console import schemas
from falcon_catalog.console.connection import Client, client_command
from falcon_catalog.console.entities import NAME, Namespace, children, find, is_table, is_view
from falcon_catalog.console.names import Name
from falcon_catalog.console.output import ABSENT, Column, Output, iso
from falcon_catalog.console.snapshots import schema_of, select
from falcon_catalog.console.statistics import operation, summary, totals

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot
    from pyiceberg.table.statistics import PartitionStatisticsFile, StatisticsFile
    from pyiceberg.view import View


@client_command("show")
@click.argument("name", type=NAME)
def command(client: Client, name: Name) -> None:
    """Show a table, a view or a namespace.

    \b
    Examples:
        falcon-catalog show weather
        falcon-catalog show weather.observations
        falcon-catalog show weather.observations@2026-11-01
        falcon-catalog show weather.observations --json

    With a branch, a tag, a snapshot id or a time after @ it is the table as of then: schema, rows,
    size and files. Rows and sizes are those of the snapshot's summary.
    """
    found = find(client, name)
    out = client.out
    if not is_table(found) and name.at is not None:
        raise click.UsageError(f"{name.entity} has no snapshots: only tables have")
    if out.quiet and not out.as_json:
        out.names([name])
    elif isinstance(found, Namespace):
        _show_namespace(client, found, name)
    elif is_table(found):
        _show_table(out, found, name)
    elif is_view(found):
        _show_view(out, found, name)


def _show_namespace(client: Client, namespace: Namespace, name: Name) -> None:
    out = client.out
    entries = children(client, namespace.parts)
    counts = {kind: sum(each.kind == kind for each in entries) for kind in _KINDS}
    if out.as_json:
        out.document(
            {
                "name": str(name.entity),
                "parts": list(name.parts),
                "kind": "namespace",
                "properties": namespace.properties,
                "contents": [{"name": str(each), "kind": each.kind} for each in entries],
            }
        )
        return
    out.line(f"namespace {name.entity}", style="bold")
    out.pairs((plural, out.count(counts[kind])) for kind, plural in _KINDS.items())
    _properties(out, namespace.properties)
    if entries:
        out.heading("Contents")
        out.table(
            [Column("name", may_wrap=True), Column("kind")],
            ((str(each), each.kind) for each in entries),
        )


_KINDS = {"namespace": "namespaces", "table": "tables", "view": "views"}


def _show_table(out: Output, table: "Table", name: Name) -> None:
    snapshot = select(table, name)
    schema = schema_of(table, snapshot)
    if out.as_json:
        out.document(_table_document(table, name, snapshot, schema))
        return
    counted = totals(snapshot)
    metadata = table.metadata
    out.line(f"table {name}", style="bold")
    pairs = [
        ("location", table.location()),
        ("uuid", str(metadata.table_uuid)),
        ("format version", str(table.format_version)),
        ("metadata file", table.metadata_location),
        ("last change", out.moment(metadata.last_updated_ms)),
    ]
    if snapshot is None:
        pairs.append(("snapshot", "none"))
    else:
        at = f"{out.moment(snapshot.timestamp_ms)}, {operation(snapshot)}"
        pairs.append(("snapshot", f"{snapshot.snapshot_id}, {at}"))
    pairs += [
        ("rows", out.count(counted.rows)),
        ("size", out.size(counted.size)),
        ("data files", out.count(counted.files)),
        ("delete files", out.count(counted.delete_files)),
        ("partitioned by", ", ".join(schemas.partitioning(table.spec(), schema)) or ABSENT),
        ("sorted by", ", ".join(schemas.ordering(table.sort_order(), schema)) or ABSENT),
    ]
    out.pairs(pairs)
    _schema(out, schema)
    _refs(out, table)
    _properties(out, table.properties)
    _statistics(out, table)


def _refs(out: Output, table: "Table") -> None:
    refs = table.metadata.refs
    if not refs:
        return
    out.heading("Branches and tags")
    columns = [Column("name", may_wrap=True), Column("kind"), Column("snapshot")]
    columns.append(Column("time (UTC)"))
    rows = []
    for ref in sorted(refs):
        at = table.snapshot_by_id(refs[ref].snapshot_id)
        moment = out.stamp(at.timestamp_ms if at else None)
        rows.append((ref, str(refs[ref].snapshot_ref_type), str(refs[ref].snapshot_id), moment))
    out.table(columns, rows)


def _statistics(out: Output, table: "Table") -> None:
    metadata = table.metadata
    files: list[tuple[str, StatisticsFile | PartitionStatisticsFile]] = [
        *(("statistics", each) for each in metadata.statistics),
        *(("partition statistics", each) for each in metadata.partition_statistics),
    ]
    if not files:
        return
    out.heading("Statistics")
    columns = [Column("kind"), Column("snapshot"), Column("size", is_number=True)]
    columns.append(Column("file", may_wrap=True))
    out.table(
        columns,
        (
            (kind, str(each.snapshot_id), out.size(each.file_size_in_bytes), each.statistics_path)
            for kind, each in files
        ),
    )


def _show_view(out: Output, view: "View", name: Name) -> None:
    version = view.current_version()
    if out.as_json:
        document = view.metadata.model_dump(mode="json", by_alias=True)
        out.document({"name": str(name), "parts": list(name.parts), "kind": "view", **document})
        return
    out.line(f"view {name}", style="bold")
    out.pairs(
        [
            ("location", view.location()),
            ("uuid", str(view.uuid())),
            ("version", f"{version.version_id}, {out.moment(version.timestamp_ms)}"),
            ("default catalog", version.default_catalog or ABSENT),
            ("default namespace", str(Name(tuple(version.default_namespace))) or ABSENT),
        ]
    )
    for representation in version.representations:
        out.heading(f"SQL ({representation.root.dialect})")
        for line in representation.root.sql.splitlines():
            out.line(line)
    _schema(out, view.schema())
    out.heading("Versions")
    columns = [
        Column("version", is_number=True),
        Column("time (UTC)"),
        Column("dialects", may_be_cut=True),
    ]
    out.table(
        columns,
        (
            (
                str(each.version_id),
                out.stamp(each.timestamp_ms),
                ", ".join(one.root.dialect for one in each.representations),
            )
            for each in sorted(view.versions, key=lambda each: -each.version_id)
        ),
    )
    _properties(out, view.properties)


def _schema(out: Output, schema: "Schema") -> None:
    out.heading(f"Schema {schema.schema_id}")
    columns = [
        Column("id", is_number=True, style="dim"),
        Column("field", may_wrap=True),
        Column("type", style="cyan"),
        Column("null"),
        Column("doc", may_wrap=True),
    ]
    identifiers = set(schema.identifier_field_ids)
    rows = []
    for field in schemas.fields(schema):
        nested = "  " * (field.depth - 1) + "└ " if field.depth else ""
        key = " (key)" if field.field_id in identifiers else ""
        null = "required" if field.is_required else "optional"
        rows.append(
            (str(field.field_id), f"{nested}{field.name}", field.type, f"{null}{key}", field.doc)
        )
    out.table(columns, rows)


def _properties(out: Output, properties: dict[str, str]) -> None:
    if properties:
        out.heading("Properties")
        out.pairs(sorted(properties.items()))


def _table_document(
    table: "Table", name: Name, snapshot: "Snapshot | None", schema: "Schema"
) -> dict[str, Any]:
    metadata, counted = table.metadata, asdict(totals(snapshot))
    dumped = metadata.model_dump(mode="json", by_alias=True)
    shown = None
    if snapshot is not None:
        shown = {
            "snapshot-id": snapshot.snapshot_id,
            "parent-snapshot-id": snapshot.parent_snapshot_id,
            "sequence-number": snapshot.sequence_number,
            "timestamp": iso(snapshot.timestamp_ms),
            "operation": operation(snapshot),
            "summary": summary(snapshot),
        }
    return {
        "name": str(name),
        "parts": list(name.parts),
        "kind": "table",
        "location": table.location(),
        "uuid": str(metadata.table_uuid),
        "format-version": table.format_version,
        "metadata-location": table.metadata_location,
        "last-updated": iso(metadata.last_updated_ms),
        "snapshot": shown,
        **{key.replace("_", "-"): value for key, value in counted.items()},
        "schema": schema.model_dump(mode="json", by_alias=True),
        "partition-spec": table.spec().model_dump(mode="json", by_alias=True),
        "sort-order": table.sort_order().model_dump(mode="json", by_alias=True),
        "refs": dumped.get("refs", {}),
        "properties": table.properties,
        "statistics": dumped.get("statistics", []),
        "partition-statistics": dumped.get("partition-statistics", []),
    }
