"""A preview: some rows of one snapshot, with a filter and chosen columns."""

from collections.abc import Mapping
from typing import Any

from falcon_catalog.query.messages import Message
from falcon_catalog.query.scanning import Snapshot
from falcon_catalog.query.server import QueryError, Server
from falcon_catalog.query.values import rows_as_text
from falcon_catalog.wording import no_column


def run(server: Server, job: Mapping[str, Any]) -> Message:
    """Return the rows that a job describes; raise QueryError if it names what there is not."""
    snapshot = Snapshot(server, job["table"])
    schema = snapshot.schema
    if chosen := job["columns"]:
        try:
            schema = schema.select(*chosen)
        except ValueError:
            known = list(schema.column_names)
            missing = next((name for name in chosen if name not in known), chosen[0])
            raise QueryError(f"Invalid columns: {no_column(missing, known)}") from None
    limit = int(job["limit"])
    shown = snapshot.arrow_schema(schema)
    names = [field.name for field in shown]
    # One more than is shown: it says whether there are more.
    batches = snapshot.batches(schema, snapshot.filter(job["filter"]), limit + 1)
    columns = ([batch.column(name).to_pylist() for name in names] for batch in batches)
    rows, more = rows_as_text((row for each in columns for row in zip(*each, strict=True)), limit)
    return {
        "columns": [{"name": field.name, "type": str(field.field_type)} for field in schema.fields],
        "rows": rows,
        "more": more,
    }
