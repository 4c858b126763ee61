"""Single HTTP requests to an endpoint of the settings, through the proxy of the environment."""

import ssl
from http.client import HTTPResponse
from typing import Any
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from falcon_catalog.settings import StorageSettings


def open_url(request: Request, settings: StorageSettings | None) -> Any:
    """Send a request; no redirect is followed, nothing is added to it.

    Raises:
        HTTPError: the status is not 2xx.
        URLError: there is no connection.
    """
    ca_file = settings.ca_file or None if settings else None
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        HTTPHandler(),
        HTTPSHandler(context=ssl.create_default_context(cafile=ca_file)),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    response: HTTPResponse = opener.open(request, timeout=settings.timeout if settings else 10)
    return response
