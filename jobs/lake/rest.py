"""Connection to an Iceberg REST catalog, with request timeouts."""

from typing import Any, cast
from urllib.parse import quote, urlsplit

import requests
from pyiceberg.catalog import Catalog
from requests.adapters import HTTPAdapter

from jobs.lake.credentials import RenewingCatalog

_TIMEOUT = "weather.request-timeout"


class CatalogUnreachableError(requests.ConnectionError):
    """The catalog gave no answer; the message is one line that names it."""

    transient = True


class _Adapter(HTTPAdapter):
    """Sends requests that end: with a response, or within the timeout with one clear line."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        super().__init__()

    def send(self, request: requests.PreparedRequest, *rest: Any, **options: Any) -> Any:
        """Send a request."""
        options["timeout"] = options.get("timeout") or self._timeout
        try:
            return super().send(request, *rest, **options)
        except (requests.ConnectionError, requests.Timeout) as error:
            reason, cause = type(error).__name__, cast("BaseException | None", error)
            if isinstance(error, requests.ReadTimeout | requests.ConnectTimeout):
                reason, cause = f"nothing within {self._timeout:g} s", None
            while cause is not None:  # the operating system's reason, if it gave one
                if isinstance(cause, OSError) and cause.strerror:
                    reason = cause.strerror.lower()
                    break
                cause = cause.__cause__ or cause.__context__
            parts = urlsplit(str(request.url))
            raise CatalogUnreachableError(
                f"the catalog at {parts.scheme}://{parts.netloc} does not answer"
                f" ({reason}): is it running, and is [catalog] uri right?",
                request=request,
            ) from error


class _Catalog(RenewingCatalog):
    """PyIceberg's own catalog with request timeouts, for which it has no property."""

    def _config_headers(self, session: requests.Session) -> None:
        # The one step before the session asks for its first token.
        super()._config_headers(session)
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Adapter(float(self.properties[_TIMEOUT])))


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


def run_page(uri: str, warehouse: str, period: str) -> str:
    """Return the URL of the catalog's page of what was loaded of a period.

    It is a page of falcon-catalog; other catalogs have none.
    """
    place = f"/ui/warehouses/{quote(warehouse, safe='')}/namespaces/weather/runs/"
    return f"{uri.rstrip('/')}{place}{quote(period, safe='')}"
