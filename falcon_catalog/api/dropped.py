"""Dropped tables and views over HTTP, in the management API."""

from datetime import UTC, datetime
from typing import Any

from falcon import Request, Response

from falcon_catalog.api.request_log import note
from falcon_catalog.api.requests import read_optional_object, read_page
from falcon_catalog.api.responses import send, send_page
from falcon_catalog.catalog import dropped as drops
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.dropped import DroppedRow
from falcon_catalog.identifiers import TableIdentifier


class DroppedResource:
    """``/management/v1/warehouses/{warehouse}/dropped``."""

    def on_get(self, req: Request, resp: Response, call: Call) -> None:
        """List the dropped tables and views."""
        page = read_page(req)
        rows = drops.list_(call, page)
        send_page(resp, "dropped", rows, page, name=lambda row: str(row.id), show=show)


class UndropResource:
    """``/management/v1/warehouses/{warehouse}/dropped/{dropped}/undrop``."""

    def on_post(self, req: Request, resp: Response, call: Call, dropped: int) -> None:
        """Undrop one; ``identifier`` in the body gives it another name."""
        name = read_optional_object(req).get("identifier")
        to = None if name is None else TableIdentifier.of(name)
        row = drops.undrop(call, dropped, to)
        back = to or row.identifier
        note(req, namespace=back.namespace, table=back.name)
        send(resp, show(row))


def show(row: DroppedRow) -> dict[str, Any]:
    """Return a dropped table or view as the management API shows it; times are ISO 8601, UTC."""
    return {
        "id": row.id,
        "type": row.kind,
        "identifier": row.identifier.as_json(),
        "uuid": row.uuid,
        "metadata-location": row.metadata_location,
        "purge": bool(row.purge),
        "dropped-at": _iso(row.dropped_at),
        "expires-at": _iso(row.expires_at),
        "purge-started": row.started_at is not None,
    } | ({"trouble": row.trouble} if row.trouble else {})


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
