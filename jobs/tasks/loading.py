"""What every load has: a catalog, a load id, and a checkpoint that says what it did."""

# Luigi says it is typed, but its methods are not.
# mypy: allow-untyped-calls

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError

from jobs import config
from jobs.lake import iceberg, rest
from jobs.lake.merging import Definition
from jobs.lake.tables import QUARANTINE, SCHEMA_DRIFT
from jobs.parse.batches import Tally
from jobs.targets import read_json, write_json
from jobs.tasks.base import PeriodTask
from jobs.tasks.periods import served


def connect() -> Catalog:
    """Connect to the catalog of the [catalog] settings."""
    settings = config.catalog()
    return rest.connect(
        settings.uri,
        settings.warehouse,
        settings.token,
        settings.credential,
        settings.timeout,
    )


class Load(PeriodTask):
    """A load into one table; its checkpoint says what it did."""

    definition: Definition

    def complete(self) -> bool:
        """Say whether the checkpoint is there and, if asked to verify, its table too."""
        if not super().complete():
            return False
        return not config.weather().verify or holds(connect(), read_json(self.path()))

    def link(self) -> str:
        """Give the catalog's page of the namespace, which a browser can open."""
        return f"{config.catalog().uri}/v1/namespaces/weather/tables"

    def gone(self) -> bool:
        """Say whether the service no longer has anything of the period."""
        history = config.weather().history_hours
        span = (self.period.start, self.period.end)
        return served(span, dt.datetime.now(dt.UTC), history) is None

    def open(self) -> Catalog:
        """Connect, and make the tables that there are not: the marts want them even if empty."""
        catalog = connect()
        for definition in (self.definition, QUARANTINE, SCHEMA_DRIFT):
            iceberg.ensure(catalog, definition)
        return catalog

    def load_id(self, files: Iterable[Path]) -> str:
        """Name a load by table, period and input."""
        digest = hashlib.sha256()
        for path in files:
            digest.update(path.read_bytes())
        return f"{self.definition.name}/{self.period}/{digest.hexdigest()}"

    def close(self, parts: list[iceberg.Loaded], tally: Tally, seconds: float, **more: Any) -> None:
        """Write the checkpoint of a load that is done."""
        checkpoint = checkpoint_of(parts, tally, seconds) | more
        write_json(self.path(), checkpoint)
        what = f"{checkpoint['rows_in']} rows read"
        if "observations" in more:
            what = f"{more['observations']} observations of {more['stations']} stations"
        self.say(
            f"{what}, {checkpoint['rows_new']} new,"
            f" {checkpoint['rows_changed']} changed, {checkpoint['rows_rejected']} quarantined"
            f" -> {self.definition.name}",
            100,
        )

    def leave(self) -> None:
        """Write the checkpoint of a period that the service no longer has."""
        table = iceberg.ensure(self.open(), self.definition)
        nothing = iceberg.Loaded.nothing(table, f"{self.definition.name}/{self.period}/unavailable")
        checkpoint = checkpoint_of([nothing], Tally(), 0.0) | {"status": "unavailable"}
        write_json(self.path(), checkpoint)
        self.say("unavailable: nothing is asked for", 100)


def holds(catalog: Catalog, checkpoint: dict[str, Any]) -> bool:
    """Say whether the catalog has the very table that a checkpoint speaks of."""
    try:
        table = catalog.load_table(checkpoint["table"])
    except NoSuchTableError:
        return False
    return bool(str(table.metadata.table_uuid) == checkpoint["table_uuid"])


def checkpoint_of(parts: list[iceberg.Loaded], tally: Tally, seconds: float) -> dict[str, Any]:
    """Sum up the commits of a load, and what was odd about its input."""
    rows = sum(part.rows_in for part in parts)
    return {
        **dataclasses.asdict(parts[-1]),
        "status": "loaded",
        "committed": any(part.committed for part in parts),
        "commits": sum(part.committed for part in parts),
        "records": tally.records,
        "duplicates": tally.duplicates,
        "unreadable_values": tally.unreadable,
        "rows_in": rows,
        "rows_new": sum(part.rows_new for part in parts),
        "rows_changed": sum(part.rows_changed for part in parts),
        "rows_rejected": sum(tally.reasons.values()),
        "reasons": dict(tally.reasons.most_common()),
        "drift": [drift._asdict() for drift in sorted(tally.drift)],
        "seconds": round(seconds, 3),
        "rows_per_second": round(rows / seconds) if seconds else None,
    }
