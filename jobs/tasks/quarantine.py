"""Keep what could not become rows, and what nobody knew, in tables of their own."""

import datetime as dt

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import BooleanExpression, In, IsNull, Or

from jobs.lake import iceberg
from jobs.lake.tables import QUARANTINE, SCHEMA_DRIFT
from jobs.parse.batches import Tally


def keep_aside(catalog: Catalog, tally: Tally, load_id: str) -> None:
    """Load what was put aside into ``weather.quarantine``, and what is new where drift is kept."""
    now = dt.datetime.now(dt.UTC)
    rejects = {(one.kind, one.reason, one.raw_json): one for one in tally.take_rejects()}
    if rejects:
        rows = [
            {
                "kind": one.kind,
                "record_id": one.record_id,
                "reason": one.reason,
                "raw": one.raw_json,
                "load_id": load_id,
                "quarantined_at": now,
            }
            for one in rejects.values()
        ]
        table = pa.Table.from_pylist(rows, schema=QUARANTINE.schema)
        scope = _same_records({one.record_id for one in rejects.values()})
        iceberg.load(catalog, QUARANTINE, table, load_id=load_id, scope=scope)
    if tally.drift:
        new = [
            {**drift._asdict(), "example": value, "first_seen": now}
            for drift, value in tally.drift.items()
        ]
        table = pa.Table.from_pylist(new, schema=SCHEMA_DRIFT.schema)
        iceberg.load(catalog, SCHEMA_DRIFT, table, load_id=load_id)


def _same_records(ids: set[str | None]) -> BooleanExpression:
    """Find what was put aside of the same records before."""
    nameless: BooleanExpression = IsNull("record_id")  # type: ignore[arg-type, misc]
    known = ids - {None}
    if not known:
        return nameless
    return Or(In("record_id", known), nameless)  # type: ignore[arg-type, call-arg, misc]
