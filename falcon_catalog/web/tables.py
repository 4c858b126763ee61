"""The page of a table."""

import falcon

from falcon_catalog.catalog import tabulars
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.tabulars import TABLE
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.web.namespaces import trail
from falcon_catalog.web.rendering import send_page


class TablePage:
    """``/ui/warehouses/{warehouse}/namespaces/{namespace}/tables/{table}``."""

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Show a table as its metadata describes it."""
        loaded = tabulars.load(call, TABLE, identifier)
        send_page(
            req,
            resp,
            "table.html",
            title=identifier.name,
            trail=trail(call, identifier.namespace),
            call=call,
            table=identifier,
            metadata=loaded.document.metadata,
            metadata_location=loaded.metadata_location,
        )
