"""What the pages of a table share: its metadata, its tabs, who changed it."""

import hashlib
from dataclasses import dataclass
from typing import Any

import falcon

from falcon_catalog.catalog import authorization, contents, event_log, tabulars
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.tabulars import TABLE
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.metadata.document import Document
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.web.namespaces import trail
from falcon_catalog.web.rendering import send_page

TABS = (
    ("", "Overview"),
    ("rows", "Rows"),
    ("history", "History"),
    ("diff", "Compare"),
    ("files", "Files"),
    ("properties", "Properties"),
    ("maintenance", "Maintenance"),
    ("grants", "Access"),
)
"""The part of a tab's path, and its title."""
_READ_AT_ONCE_BYTES = 64 * 1024
"""Of manifests: a page that shows more loads it afterwards."""
_SKEW_MS = 60_000
"""How far the clocks of writers may differ from the server's."""
_LATE_MS = 3_600_000
"""How long after its snapshot a commit may come."""


@dataclass(frozen=True, slots=True)
class TableView:
    """A table as it is now, for a visitor."""

    call: Call
    identifier: TableIdentifier
    document: Document
    metadata_location: str | None

    @property
    def metadata(self) -> JSON:
        """The table's metadata."""
        return self.document.metadata

    @property
    def uuid(self) -> str:
        """The table's uuid."""
        return str(self.metadata["table-uuid"])

    @property
    def state(self) -> str:
        """What differs after each change of the table."""
        location = (self.metadata_location or "").encode(errors="replace")
        return hashlib.blake2b(location, digest_size=8).hexdigest()

    def changes(self, since_ms: int, until_ms: int) -> list[JSON] | None:
        """Return the table's rows in the audit log; None if the visitor may not read them."""
        if not authorization.permits(self.call, "grant", self.identifier):
            return None
        return event_log.of_table(
            self.call, self.identifier, self.uuid, since_ms=since_ms, until_ms=until_ms
        )

    def authors(self, snapshots: list[JSON]) -> dict[int, JSON] | None:
        """Return the rows of the commits that added snapshots, by snapshot; None as ``changes``.

        The audit log no longer has rows that are older than its retention.
        """
        if not snapshots:
            return {}
        times = [snapshot["timestamp-ms"] for snapshot in snapshots]
        found = self.changes(min(times) - _SKEW_MS, max(times) + _LATE_MS)
        if found is None:
            return None
        return {
            snapshot_id: change
            for change in found
            for snapshot_id in change.get("detail", {}).get("snapshots", ())
        }


def open_(call: Call, identifier: TableIdentifier) -> TableView:
    """Return a table as it is now."""
    loaded = tabulars.load(call, TABLE, identifier)
    return TableView(call, identifier, loaded.document, loaded.metadata_location)


def is_deferred(req: falcon.Request, manifest_bytes: int = 0) -> bool:
    """Return whether a page leaves out what it must read many manifests for.

    The page loads it with a request of its own (``?load=true``), after it is shown. The first one
    of a process waits for the library that reads manifests.
    """
    if req.get_param("load") == "true":
        return False
    return manifest_bytes > _READ_AT_ONCE_BYTES or not contents.is_ready()


def is_unchanged(req: falcon.Request, resp: falcon.Response, table: TableView) -> bool:
    """Answer a page that refreshes itself, if the table is still in the ``?state=`` that it has."""
    if req.get_param("state") != table.state:
        return False
    resp.status = falcon.HTTP_204
    return True


def send(
    req: falcon.Request,
    resp: falcon.Response,
    view: TableView,
    template: str,
    tab: str,
    **values: Any,
) -> None:
    """Respond with a page of a table.

    Args:
        req: the request.
        resp: the response.
        view: the table.
        template: of the page, in the folder ``table``.
        tab: the part of the path of its tab.
        values: what the template uses.
    """
    identifier = view.identifier
    send_page(
        req,
        resp,
        f"table/{template}.html",
        title=identifier.name,
        trail=trail(view.call, identifier.namespace),
        call=view.call,
        table=identifier,
        metadata=view.metadata,
        state=view.state,
        tabs=TABS,
        tab=tab,
        **values,
    )
