"""Access to a table's files over HTTP."""

import falcon

from falcon_catalog.api.http import read_object, send
from falcon_catalog.catalog import credentials
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.identifiers import TableIdentifier


class CredentialsResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}/credentials``."""

    in_warehouse = True

    def on_get(
        self,
        _req: falcon.Request,
        resp: falcon.Response,
        *,
        catalog: Catalog,
        identifier: TableIdentifier,
    ) -> None:
        """Load credentials. For which plan, through which views: it changes nothing."""
        vended = credentials.vend(catalog, identifier)
        send(resp, {"storage-credentials": vended})


class SignResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}/sign``."""

    in_warehouse = True

    def on_post(
        self,
        req: falcon.Request,
        _resp: falcon.Response,
        *,
        catalog: Catalog,
        identifier: TableIdentifier,
    ) -> None:
        """Sign a request to an object store, which a local warehouse never can."""
        credentials.sign(catalog, identifier, read_object(req))
