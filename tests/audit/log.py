"""The rows of the audit log, as the store has them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falcon_catalog.identifiers import SEPARATOR
from tests.catalog.serving import Server, sql

_COLUMNS = (
    "id, event_id, at_ms, topic, operation, warehouse, request_id, request_index, request_count,"
    " actor_id, actor, via, address, client, kind, object_id, uuid, namespace_path, name,"
    " former_path, former_name, state_before, state_after, detail"
)


@dataclass(frozen=True)
class Row:
    """An event."""

    id: int
    event_id: str
    at_ms: int
    topic: str
    operation: str
    warehouse: str | None
    request_id: str | None
    request_index: int
    request_count: int
    actor_id: int | None
    actor: str
    via: str
    address: str | None
    client: str | None
    kind: str
    object_id: int | None
    uuid: str | None
    namespace_path: str | None
    entity_name: str | None
    former_path: str | None
    former_name: str | None
    before: str | None
    after: str | None
    detail_text: str | None

    @property
    def name(self) -> str:
        """The object's full name."""
        return dotted(self.namespace_path, self.entity_name)

    @property
    def former(self) -> str:
        return dotted(self.former_path, self.former_name)

    @property
    def detail(self) -> Any:
        return json.loads(self.detail_text) if self.detail_text else None


def dotted(path: str | None, name: str | None) -> str:
    levels = path.split(SEPARATOR) if path else []
    return ".".join([*levels, *([name] if name else [])])


def rows(folder: Path, *topics: str) -> list[Row]:
    """Return the events of some topics, or of all but starts of servers."""
    found = [Row(*row) for row in sql(folder, f"SELECT {_COLUMNS} FROM events ORDER BY id")]
    found = [row for row in found if row.operation != "serve"]
    return [row for row in found if not topics or row.topic in topics]


def since(server: Server, known: Sequence[Row]) -> list[Row]:
    """Return the events after those that are known."""
    return rows(server.folder)[len(known) :]


def refusals(folder: Path) -> list[tuple[Any, ...]]:
    """Return outcome, operation, actor, entity, privilege and more of each refusal."""
    return sql(
        folder,
        "SELECT outcome, operation, actor, entity, privilege, more FROM refusals ORDER BY id",
    )
