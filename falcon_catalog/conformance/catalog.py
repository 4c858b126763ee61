"""The catalog under check, called by the operation ids of the specification."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from falcon_catalog.conformance.answers import (
    JSON,
    AbsentError,
    Answer,
    FailureError,
    WrongCatalogError,
)
from falcon_catalog.conformance.http import HTTP
from falcon_catalog.conformance.operations import ASSUMED, BY_ID

UNIT_SEPARATOR = "%1F"


class Catalog:
    """A catalog and its configuration."""

    def __init__(
        self,
        http: HTTP,
        config: JSON,
        *,
        warehouse: str | None = None,
        credential: tuple[str, str] | None = None,
    ) -> None:
        self.config = config
        self.warehouse = warehouse
        self.credential = credential
        properties = _strings(config.get("defaults")) | _strings(config.get("overrides"))
        self._prefix = properties.get("prefix", "").strip("/")
        self._separator = properties.get("namespace-separator", UNIT_SEPARATOR)
        # Like clients, follow a uri in the configuration.
        self._http = HTTP(properties["uri"], http.token) if "uri" in properties else http
        endpoints = config.get("endpoints")
        advertised = set(endpoints) if isinstance(endpoints, list) and endpoints else set(ASSUMED)
        advertised.add(BY_ID["getConfig"].endpoint)
        if credential is not None:
            advertised.add(BY_ID["getToken"].endpoint)
        self._offered = advertised

    @property
    def has_token(self) -> bool:
        """Whether requests carry a token."""
        return self._http.token is not None

    def offers(self, operation: str) -> bool:
        """Return whether the catalog advertises an operation, or clients assume it."""
        return BY_ID[operation].endpoint in self._offered

    def require(self, *operations: str) -> None:
        """Raise AbsentError unless these operations are advertised."""
        for operation in operations:
            if not self.offers(operation):
                raise AbsentError(f"{operation} is not advertised")

    def call(
        self,
        operation: str,
        body: Any = None,
        *,
        namespace: tuple[str, ...] = (),
        separator: str | None = None,
        query: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **names: str,
    ) -> Answer:
        """Send one operation's request.

        Args:
            operation: the operation's id in the specification.
            body: JSON, or bytes to send as they are.
            namespace: levels for ``{namespace}``.
            separator: between the levels; by default the one that the catalog advertises.
            query: parameters.
            form: fields of a form, instead of a body.
            headers: additional headers.
            names: for ``{table}``, ``{view}``, ``{function}`` and, as ``plan_id``, ``{plan-id}``.

        Raises:
            AbsentError: the operation is not advertised.
            FailureError: the catalog does not answer.
        """
        self.require(operation)
        route = BY_ID[operation]
        levels = (separator or self._separator).join(quote(level, safe="") for level in namespace)
        path = self._resolve(route.path).replace("{namespace}", levels)
        for name, value in names.items():
            path = path.replace("{" + name.replace("_", "-") + "}", quote(value, safe=""))
        return self._http.send(route.verb, path, query=query, body=body, form=form, headers=headers)

    def send(self, verb: str, path: str, body: Any = None) -> Answer:
        """Send a request that is not an operation; ``{prefix}`` in the path is resolved."""
        return self._http.send(verb, self._resolve(path), body=body)

    def _resolve(self, path: str) -> str:
        return path.replace("/{prefix}", f"/{quote(self._prefix)}" if self._prefix else "")


def connect(
    uri: str,
    *,
    warehouse: str | None = None,
    token: str | None = None,
    credential: tuple[str, str] | None = None,
) -> Catalog:
    """Read the configuration of the catalog at ``uri``, which may end in a slash or /v1.

    Raises:
        WrongCatalogError: there is no Iceberg REST catalog, or it refuses the credential.
    """
    http = HTTP(uri.rstrip("/").removesuffix("/v1"), token)
    query = {"warehouse": warehouse} if warehouse is not None else {}
    try:
        if credential is not None:
            http.token = fetch_token(http, credential).object()["access_token"]
        answer = http.send("GET", "/v1/config", query=query)
        config = answer.object()
    except (FailureError, AbsentError, KeyError) as error:
        raise WrongCatalogError(f"{uri}: no Iceberg REST catalog answers: {error}") from error
    if not config.keys() & {"defaults", "overrides"}:
        raise WrongCatalogError(f"{uri}: no Iceberg REST catalog: {answer.request} has no defaults")
    return Catalog(http, config, warehouse=warehouse, credential=credential)


def fetch_token(http: HTTP, credential: tuple[str, str]) -> Answer:
    """Request a token with an id and a secret, as clients do."""
    return http.send("POST", "/v1/oauth/tokens", form=token_form(credential))


def token_form(credential: tuple[str, str]) -> dict[str, str]:
    """Return the form of a token request."""
    identity, secret = credential
    return {
        "grant_type": "client_credentials",
        "client_id": identity,
        "client_secret": secret,
        "scope": "catalog",
    }


def _strings(value: Any) -> dict[str, str]:
    items = value.items() if isinstance(value, dict) else ()
    return {key: text for key, text in items if isinstance(text, str)}
