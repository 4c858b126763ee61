"""Tables over HTTP."""

from typing import Any

import falcon

from falcon_catalog.api.access import note, note_rename, note_tables
from falcon_catalog.api.documents import (
    is_unchanged,
    send_commit,
    send_table,
    send_unchanged,
    table_tag,
    tag_answer,
)
from falcon_catalog.api.http import (
    leave_loop_unless,
    read_metadata_location,
    read_object,
    read_objects,
    read_page,
    send_page,
)
from falcon_catalog.catalog import commits, tables
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.catalog.documents import Snapshots
from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.identifiers import Namespace, TableIdentifier, check_name


class TablesResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables``."""

    in_warehouse = True

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, *, catalog: Catalog, namespace: Namespace
    ) -> None:
        """List the tables of a namespace."""
        page = read_page(req)
        found = tables.list_(catalog, namespace, page)
        send_page(
            resp,
            "identifiers",
            found,
            page,
            name=str,
            show=lambda name: TableIdentifier(namespace, name).as_json(),
        )

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, *, catalog: Catalog, namespace: Namespace
    ) -> None:
        """Create a table, or stage its creation."""
        body = read_object(req)
        note(req, table=body.get("name"))
        send_table(req, resp, tables.create(catalog, namespace, body))


class TableResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}``."""

    in_warehouse = True

    def on_get(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        *,
        catalog: Catalog,
        identifier: TableIdentifier,
    ) -> None:
        """Load a table, unless the client has its present state."""
        snapshots = _read_snapshots(req)
        row = tables.find(catalog, identifier)
        tag = table_tag(row.metadata_location, snapshots)
        if is_unchanged(req, tag):
            send_unchanged(resp, tag)
            return
        leave_loop_unless(tables.is_in_memory(catalog, row, snapshots), req)
        send_table(req, resp, tables.load(catalog, row, snapshots), tag=tag)

    def on_head(
        self,
        _req: falcon.Request,
        resp: falcon.Response,
        *,
        catalog: Catalog,
        identifier: TableIdentifier,
    ) -> None:
        """Tell whether a table exists."""
        tables.locate(catalog, identifier)
        resp.status = falcon.HTTP_204

    def on_post(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        *,
        catalog: Catalog,
        identifier: TableIdentifier,
    ) -> None:
        """Commit updates to a table, or create the table that was staged."""
        change = _read_change(read_object(req), identifier)
        committed = commits.commit(catalog, change)
        tag_answer(resp, table_tag(str(committed.metadata_location)))
        send_commit(req, resp, committed)

    def on_delete(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        *,
        catalog: Catalog,
        identifier: TableIdentifier,
    ) -> None:
        """Drop a table; its files stay, unless a purge is asked for."""
        purge = _read_bool(req, "purgeRequested")
        tables.drop(catalog, identifier, purge=purge)
        resp.status = falcon.HTTP_204


class UnregisterTableResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}/unregister``."""

    in_warehouse = True

    def on_post(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        *,
        catalog: Catalog,
        identifier: TableIdentifier,
    ) -> None:
        """Give a table up for another catalog to register."""
        given_up = tables.unregister(catalog, identifier)
        send_commit(req, resp, given_up)


class RenameTableResource:
    """``/v1/{prefix}/tables/rename``."""

    in_warehouse = True

    def on_post(self, req: falcon.Request, resp: falcon.Response, *, catalog: Catalog) -> None:
        """Give a table another name."""
        body = read_object(req)
        source = TableIdentifier.of(body.get("source"))
        destination = TableIdentifier.of(body.get("destination"))
        note_rename(req, source, destination)
        tables.rename(catalog, source, destination)
        resp.status = falcon.HTTP_204


class RegisterTableResource:
    """``/v1/{prefix}/namespaces/{namespace}/register``."""

    in_warehouse = True

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, *, catalog: Catalog, namespace: Namespace
    ) -> None:
        """Add a table that exists as files."""
        body = read_object(req)
        note(req, table=body.get("name"))
        identifier = TableIdentifier(namespace, check_name(body.get("name"), "table"))
        location, overwrite = read_metadata_location(body), tables.read_flag(body, "overwrite")
        send_table(req, resp, tables.register(catalog, identifier, location, overwrite=overwrite))


class TransactionResource:
    """``/v1/{prefix}/transactions/commit``."""

    in_warehouse = True

    def on_post(self, req: falcon.Request, resp: falcon.Response, *, catalog: Catalog) -> None:
        """Commit updates to many tables: to all of them, or to none."""
        changes = [
            _read_change(change, None)
            for change in read_objects(read_object(req), "table-changes", required=True)
        ]
        note_tables(req, [change.identifier for change in changes])
        commits.commit_all(catalog, changes)
        resp.status = falcon.HTTP_204


def _read_change(body: dict[str, Any], of: TableIdentifier | None) -> commits.Change:
    """Return the change that a CommitTableRequest asks for; the path's table comes first."""
    return commits.Change(
        identifier=of or TableIdentifier.of(body.get("identifier")),
        requirements=read_objects(body, "requirements", required=False),
        updates=read_objects(body, "updates", required=False),
    )


def _read_snapshots(req: falcon.Request) -> Snapshots:
    value = req.get_param("snapshots") or "all"
    if value == "all":
        return "all"
    if value == "refs":
        return "refs"
    raise BadRequestError(f"Invalid snapshots {show(value)}: it is neither all nor refs")


def _read_bool(req: falcon.Request, name: str) -> bool:
    # PyIceberg writes True and False, the others true and false.
    value = (req.get_param(name) or "false").lower()
    if value not in ("true", "false"):
        raise BadRequestError(f"Invalid {name} {show(value)}: it is neither true nor false")
    return value == "true"
