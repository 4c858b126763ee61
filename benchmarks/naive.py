"""The baseline: Falcon in front of PyIceberg's SqlCatalog, without a thought for speed.

Each GET loads the table and writes its metadata as JSON again, each POST updates the table as
PyIceberg does. That is how catalogs in Python are commonly made. ``python -m benchmarks.naive
FOLDER WAREHOUSE``; how to reach the warehouse is in PyIceberg's own variables,
``PYICEBERG_CATALOG__NAIVE__…``.
"""

import sys
from pathlib import Path

import falcon
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.rest import TableResponse
from pyiceberg.table import CommitTableRequest

from benchmarks.bare import serve


class _Resource:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog


class Namespaces(_Resource):
    """Create namespaces."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create one."""
        body = req.get_media()
        self._catalog.create_namespace(tuple(body["namespace"]))
        resp.media = body


class Register(_Resource):
    """Add tables that exist as files."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, namespace: str) -> None:
        """Add one."""
        body = req.get_media()
        self._catalog.register_table((namespace, body["name"]), body["metadata-location"])
        resp.media = {}


class Tables(_Resource):
    """Load tables and commit to them."""

    def on_get(
        self, _req: falcon.Request, resp: falcon.Response, namespace: str, table: str
    ) -> None:
        """Load one."""
        loaded = self._catalog.load_table((namespace, table))
        answer = TableResponse.model_validate(
            {"metadata-location": loaded.metadata_location, "metadata": loaded.metadata}
        )
        resp.text = answer.model_dump_json(by_alias=True)

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, namespace: str, table: str
    ) -> None:
        """Commit to one."""
        request = CommitTableRequest.model_validate_json(req.bounded_stream.read())
        loaded = self._catalog.load_table((namespace, table))
        committed = self._catalog.commit_table(loaded, request.requirements, request.updates)
        resp.text = committed.model_dump_json(by_alias=True)


def make_app(folder: Path, warehouse: str) -> falcon.App[falcon.Request, falcon.Response]:
    """Return the application over a new catalog, whose database is in ``folder``."""
    catalog = load_catalog(
        "naive", type="sql", uri=f"sqlite:///{folder}/naive.db", warehouse=warehouse
    )
    app = falcon.App()
    app.add_route("/v1/namespaces", Namespaces(catalog))
    app.add_route("/v1/namespaces/{namespace}/register", Register(catalog))
    app.add_route("/v1/namespaces/{namespace}/tables/{table}", Tables(catalog))
    return app


if __name__ == "__main__":
    serve(make_app(Path(sys.argv[1]), sys.argv[2]))
