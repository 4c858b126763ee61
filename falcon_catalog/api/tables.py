"""Tables over HTTP."""

from typing import Any

import falcon
from falcon import Request, Response

from falcon_catalog.api.request_log import note_tables
from falcon_catalog.api.requests import (
    read_flag,
    read_object,
    read_objects,
)
from falcon_catalog.api.responses import (
    forbid_storing,
    inline_only_if,
    is_unchanged,
    send_commit,
    send_table,
    send_unchanged,
    table_tag,
    tag_response,
)
from falcon_catalog.api.tabulars import TabularResource
from falcon_catalog.catalog import access, commits, tabulars
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.commits import Change
from falcon_catalog.catalog.metadata_cache import Snapshots
from falcon_catalog.catalog.tabulars import TABLE
from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.identifiers import TableIdentifier


class TableResource(TabularResource):
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}``."""

    kind = TABLE

    def on_get(self, req: Request, resp: Response, call: Call, identifier: TableIdentifier) -> None:
        """Load a table, unless the client has its present state."""
        snapshots = _read_snapshots(req)
        row = tabulars.find(call, TABLE, identifier)
        tag = table_tag(row.metadata_location, snapshots)
        # A client that has the table must hear as well that its metadata file is missing.
        if (
            not access.wants_credentials(call)
            and is_unchanged(req, tag)
            and call.warehouse.files.is_still_there(row.metadata_location)
        ):
            send_unchanged(resp, tag)
            return
        metadata = call.warehouse.metadata
        inline_only_if(metadata.holds(row, snapshots), req)
        loaded = metadata.load(call.warehouse.files, row, identifier, snapshots)
        inline_only_if(access.is_known(call, identifier, loaded), req)
        loaded = access.add(call, identifier, loaded)
        tag = table_tag(row.metadata_location, snapshots, loaded.access.tag)
        if loaded.access.tag and is_unchanged(req, tag):
            send_unchanged(resp, tag)
            forbid_storing(req, resp)
            return
        send_table(req, resp, loaded, tag=tag)

    def on_post(
        self, req: Request, resp: Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Commit updates to a table, or create the table that was staged."""
        committed = commits.commit(call, [_read_change(read_object(req), identifier)])[0]
        tag_response(resp, table_tag(str(committed.metadata_location)))
        send_commit(req, resp, committed)

    def on_delete(
        self, req: Request, resp: Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Drop a table; its files stay, unless a purge is requested."""
        tabulars.drop(call, TABLE, identifier, purge=read_flag(req, "purgeRequested"))
        resp.status = falcon.HTTP_204


class UnregisterTableResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}/unregister``."""

    def on_post(
        self, req: Request, resp: Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Remove a table from the catalog, so that another catalog can register it."""
        send_commit(req, resp, tabulars.unregister(call, TABLE, identifier))


class TransactionResource:
    """``/v1/{prefix}/transactions/commit``."""

    def on_post(self, req: Request, resp: Response, call: Call) -> None:
        """Commit updates to many tables: to all of them, or to none."""
        changes = [
            _read_change(change, TableIdentifier.of(change.get("identifier")))
            for change in read_objects(read_object(req), "table-changes", required=True)
        ]
        note_tables(req, [change.identifier for change in changes])
        commits.commit(call, changes, transaction=True)
        resp.status = falcon.HTTP_204


def _read_change(body: dict[str, Any], identifier: TableIdentifier) -> Change:
    """Return the change that a CommitTableRequest describes."""
    requirements = read_objects(body, "requirements", required=False)
    return Change(identifier, requirements, read_objects(body, "updates", required=False))


def _read_snapshots(req: Request) -> Snapshots:
    value = req.get_param("snapshots") or "all"
    if value == "all":
        return "all"
    if value == "refs":
        return "refs"
    raise BadRequestError(f"Invalid snapshots {show(value)}: it is neither all nor refs")
