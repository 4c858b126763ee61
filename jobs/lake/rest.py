"""Connect to an Iceberg REST catalog, with requests that end."""

from typing import Any
from urllib.parse import urlsplit

import requests
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import RestCatalog
from requests.adapters import HTTPAdapter

_TIMEOUT = "weather.request-timeout"


class CatalogUnreachableError(requests.ConnectionError):
    """The catalog gave no answer; the message is one line that names it."""


class _PatientAdapter(HTTPAdapter):
    """Send requests that end: with an answer, or within the timeout with one clear line."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        super().__init__()

    def send(self, request: requests.PreparedRequest, *rest: Any, **options: Any) -> Any:
        """Send a request."""
        options["timeout"] = options.get("timeout") or self._timeout
        try:
            return super().send(request, *rest, **options)
        except (requests.ConnectionError, requests.Timeout) as error:
            parts = urlsplit(str(request.url))
            raise CatalogUnreachableError(
                f"the catalog at {parts.scheme}://{parts.netloc} does not answer"
                f" ({_reason(error, self._timeout)}): is it running, and is [catalog] uri right?",
                request=request,
            ) from error


class _Catalog(RestCatalog):
    """PyIceberg's own catalog, whose requests end: it has no property for that.

    The headers are the one step before the session asks for its first token.
    """

    def _config_headers(self, session: requests.Session) -> None:
        super()._config_headers(session)
        for scheme in ("http://", "https://"):
            session.mount(scheme, _PatientAdapter(float(self.properties[_TIMEOUT])))


def connect(
    uri: str, warehouse: str, token: str = "", credential: str = "", timeout: float = 60.0
) -> Catalog:
    """Connect to an Iceberg REST catalog.

    With a credential, CLIENT_ID:CLIENT_SECRET, it asks the catalog for tokens (getToken of the
    REST specification, grant type client_credentials), and for another when one has expired.

    Raises:
        CatalogUnreachableError: nothing listens at the URL, or does not answer in time.
        pyiceberg.exceptions.OAuthError: the catalog does not know the credential.
    """
    properties = {"uri": uri, "warehouse": warehouse, _TIMEOUT: str(timeout)}
    if credential:
        properties["credential"] = credential
        properties["oauth2-server-uri"] = f"{uri.rstrip('/')}/v1/oauth/tokens"
    elif token:
        properties["token"] = token
    return _Catalog("weather", **properties)


def _reason(error: BaseException, timeout: float) -> str:
    """Find the operating system's word in a chain of errors."""
    if isinstance(error, requests.ReadTimeout | requests.ConnectTimeout):
        return f"nothing within {timeout:g} s"
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.strerror:
            return found.strerror.lower()
        found = found.__cause__ or found.__context__
    return type(error).__name__
