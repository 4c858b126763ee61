"""Requests that PyIceberg has no function for, in the session of its catalog."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from falcon_catalog.console.connection import Client
from falcon_catalog.console.failures import ConsoleError, NotFoundError, message, not_authorized

if TYPE_CHECKING:
    from requests import Response

_NOT_FOUND, _FORBIDDEN, _UNAUTHORIZED = 404, 403, 401
NO_ROUTE = (400, 404, 405, 501)
"""How catalogs answer a path that they do not know; Apache's server answers 400."""


def in_catalog(client: Client, path: str) -> str:
    """Return the URL of a path below the catalog's prefix, such as ``views/rename``."""
    return str(client.catalog.url(path))


def in_management(client: Client, path: str) -> str:
    """Return the URL of a path below the warehouse in falcon-catalog's management API."""
    base = client.address.uri.rstrip("/")
    return f"{base}/management/v1/warehouses/{warehouse(client)}/{path}"


def warehouse(client: Client) -> str:
    """Return the name of the warehouse that requests are about."""
    prefix = client.catalog.properties.get("prefix") or client.address.properties.get("warehouse")
    return str(prefix or "default")


def send(
    client: Client,
    verb: str,
    url: str,
    body: dict[str, Any] | None = None,
    *,
    absent: Collection[int] = (_NOT_FOUND,),
) -> Any:
    """Send a request; return the JSON of the response, None if it has none.

    Raises:
        NotFoundError: the answer is 404, or another status of ``absent``.
        ConsoleError: it is another error.
    """
    from requests import HTTPError

    session = client.catalog._session  # noqa: SLF001 - it has the token, and its renewal
    answer: Response = session.request(verb, url, json=body)
    try:
        answer.raise_for_status()
    except HTTPError as error:
        wrapped = RuntimeError(str(error))
        wrapped.__cause__ = error
        text = message(wrapped)
        if answer.status_code in absent:
            raise NotFoundError(text) from None
        if answer.status_code == _FORBIDDEN:
            text = f"{client.address.uri} does not permit it: {text}"
        if answer.status_code == _UNAUTHORIZED:
            raise not_authorized(client.address.uri, text) from None
        raise ConsoleError(text) from None
    return answer.json() if answer.content else None
