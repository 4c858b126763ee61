"""The properties of a table, its statistics files and its metadata log."""

import falcon

from falcon_catalog.catalog.call import Call
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.web.tables import view

_LOGGED = 100


class PropertiesPage:
    """``…/tables/{table}/properties``."""

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Show properties, statistics files, and the last metadata files."""
        table = view.open_(call, identifier)
        log = list(table.metadata.get("metadata-log") or ())
        view.send(
            req,
            resp,
            table,
            "properties",
            "properties",
            properties=sorted(table.metadata["properties"].items()),
            statistics=table.metadata.get("statistics") or [],
            partition_statistics=table.metadata.get("partition-statistics") or [],
            log=log[: -_LOGGED - 1 : -1],
            logged=len(log),
            metadata_location=table.metadata_location,
        )
