"""The OpenAPI document of the management API, as the package contains it."""

import functools
from importlib import resources

from falcon import Request, Response

from falcon_catalog.api.responses import send_text


@functools.cache
def document() -> bytes:
    """Return the text of the document."""
    return resources.files("falcon_catalog.api").joinpath("management.openapi.json").read_bytes()


class OpenApiResource:
    """``/management/v1/openapi.json``."""

    def __init__(self) -> None:
        self._document = document()  # now: an upgrade beside a running server may take the file

    def on_get(self, _req: Request, resp: Response) -> None:
        """Show the document."""
        send_text(resp, self._document)
