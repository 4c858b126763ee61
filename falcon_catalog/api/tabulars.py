"""What tables and views have in common over HTTP: list, create, exist, rename, register."""

from collections.abc import Callable
from typing import Any

import falcon
from falcon import Request, Response

from falcon_catalog.api.request_log import note, note_rename
from falcon_catalog.api.requests import read_boolean, read_metadata_location, read_object, read_page
from falcon_catalog.api.responses import send_page
from falcon_catalog.catalog import tabulars
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.metadata_cache import Loaded
from falcon_catalog.catalog.tabulars import TABLE, Kind
from falcon_catalog.identifiers import Namespace, TableIdentifier, check_name

Send = Callable[[Request, Response, Loaded], None]


class TabularsResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables``, and ``views``."""

    def __init__(
        self, kind: Kind, create: Callable[[Call, Namespace, dict[str, Any]], Loaded], send: Send
    ) -> None:
        self._kind = kind
        self._create = create
        self._send = send

    def on_get(self, req: Request, resp: Response, call: Call, namespace: Namespace) -> None:
        """List the tables or views of a namespace."""
        page = read_page(req, call, self._kind.name, namespace)
        send_page(
            resp,
            "identifiers",
            tabulars.list_(call, self._kind, namespace, page),
            page,
            name=str,
            show=lambda name: TableIdentifier(namespace, name).as_json(),
        )

    def on_post(self, req: Request, resp: Response, call: Call, namespace: Namespace) -> None:
        """Create a table or view, or stage the creation of a table."""
        body = read_object(req)
        note(req, table=body.get("name"))
        self._send(req, resp, self._create(call, namespace, body))


class TabularResource:
    """A table or view; its own resource adds loading, committing and dropping."""

    kind: Kind

    def on_head(
        self, _req: Request, resp: Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Return whether a table or view exists."""
        tabulars.find(call, self.kind, identifier)
        resp.status = falcon.HTTP_204


class RenameResource:
    """``/v1/{prefix}/tables/rename``, and ``views/rename``."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def on_post(self, req: Request, resp: Response, call: Call) -> None:
        """Rename a table or view."""
        body = read_object(req)
        source = TableIdentifier.of(body.get("source"))
        destination = TableIdentifier.of(body.get("destination"))
        note_rename(req, source, destination)
        tabulars.rename(call, self._kind, source, destination)
        resp.status = falcon.HTTP_204


class RegisterResource:
    """``/v1/{prefix}/namespaces/{namespace}/register``, and ``register-view``."""

    def __init__(self, kind: Kind, send: Send) -> None:
        self._kind = kind
        self._send = send

    def on_post(self, req: Request, resp: Response, call: Call, namespace: Namespace) -> None:
        """Add a table or view that exists as files."""
        body = read_object(req)
        note(req, table=body.get("name"))
        identifier = TableIdentifier(namespace, check_name(body.get("name"), self._kind.name))
        location = read_metadata_location(body)
        overwrite = self._kind is TABLE and read_boolean(body, "overwrite")
        registered = tabulars.register(call, self._kind, identifier, location, overwrite=overwrite)
        self._send(req, resp, registered)
