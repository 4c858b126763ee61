"""The page of a function: its definitions."""

import falcon
import orjson

from falcon_catalog.catalog import functions
from falcon_catalog.catalog.call import Call
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.web.namespaces import trail
from falcon_catalog.web.rendering import send_page


class FunctionPage:
    """``/ui/warehouses/{warehouse}/namespaces/{namespace}/functions/{function}``."""

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Show a function."""
        metadata = orjson.loads(functions.load(call, identifier))
        send_page(
            req,
            resp,
            "function.html",
            title=identifier.name,
            trail=trail(call, identifier.namespace),
            call=call,
            function=identifier,
            metadata=metadata,
            text=orjson.dumps(metadata, option=orjson.OPT_INDENT_2).decode(),
        )
