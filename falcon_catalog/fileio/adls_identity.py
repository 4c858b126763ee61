"""The server's own identity in Azure: tokens of Entra, or the key of a storage account.

A credential is a JSON object with ``client_id`` and ``client_secret`` of an app registration, with
``client_id`` and ``federated_token_file``, or with ``account_key``. ``tenant_id`` may stand there
or in the settings; ``authority_host`` names another login service than that of the public cloud.
Ambient is what Azure's library finds by itself: the environment, workload identity, a managed
identity or the Azure CLI.
"""

import contextlib
import datetime as dt
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, HttpResponseError
from azure.identity import (
    ClientSecretCredential,
    CredentialUnavailableError,
    DefaultAzureCredential,
    WorkloadIdentityCredential,
)

from falcon_catalog.errors import ServiceUnavailableError
from falcon_catalog.fileio.credential_file import CredentialFile
from falcon_catalog.fileio.single_fetch import SingleFetch
from falcon_catalog.settings import SettingsError, StorageSettings

_SCOPE = "https://storage.azure.com/.default"
_CONNECT_SECONDS = 2
_ENTRA_CODE = re.compile(r"\bAADSTS\d{1,9}\b")
_TEXT_KEYS = frozenset(
    {
        "account_key",
        "authority_host",
        "client_id",
        "client_secret",
        "federated_token_file",
        "tenant_id",
    }
)


@dataclass(frozen=True, slots=True)
class _Made:
    """What a version of the credential was made into."""

    version: Hashable
    credential: Any


class Identity:
    """The identity of one warehouse. Safe to use from many threads.

    It is a credential as Azure's libraries want one (``get_token``).
    """

    def __init__(self, warehouse: str, settings: StorageSettings) -> None:
        """Find the credential that the settings name; an ambient one is looked for when needed.

        Raises:
            SettingsError: it is not there, or is none.
        """
        self._warehouse = warehouse
        self._settings = settings
        self._file = CredentialFile(warehouse, settings.credential)
        self._fetch = SingleFetch()
        self._made: _Made | None = None
        values = self._file.read()[1]
        if settings.credential != "ambient":
            try:
                _check(values, settings)
            except ValueError as error:
                raise SettingsError(
                    f"warehouse {warehouse}: credential = {settings.credential!r}: {error}"
                ) from None
        self.has_account_key = "account_key" in values

    def version(self) -> Hashable:
        """Return what changes when the credential's file does."""
        return self._file.version()

    def account_key(self) -> str:
        """Return the key of the storage account.

        Raises:
            ServiceUnavailableError: there is none any more.
        """
        key = self._file.read()[1].get("account_key")
        if not isinstance(key, str):
            raise self.failure("has lost its account_key", "it is not in the file any more")
        return key

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        """Return a token for the storage service.

        Raises:
            ServiceUnavailableError: there is none.
        """
        with self._fetch.turn(), self.failures("got no token from Entra"):
            version, values = self._file.read()
            if self._made is None or self._made.version != version:
                self._made = _Made(version, self._load(values))
            tenant = self._settings.tenant_id
            more = {"tenant_id": tenant} if tenant and not values else {}
            token: AccessToken = self._made.credential.get_token(*(scopes or (_SCOPE,)), **more)
            return token

    def client_options(self) -> dict[str, Any]:
        """Return how Azure's libraries send requests: bounded in time, and not again."""
        return {
            "connection_timeout": min(_CONNECT_SECONDS, self._settings.timeout),
            "read_timeout": self._settings.timeout,
            "retry_total": 0,
        }

    def _load(self, values: Mapping[str, Any]) -> Any:
        options = self.client_options()
        tenant = self._settings.tenant_id
        if not values:
            return DefaultAzureCredential(
                additionally_allowed_tenants=[tenant] if tenant else [],
                exclude_developer_cli_credential=True,
                exclude_powershell_credential=True,
                exclude_shared_token_cache_credential=True,
                exclude_visual_studio_code_credential=True,
                process_timeout=self._settings.timeout,
                **options,
            )
        _check(values, self._settings)
        if host := values.get("authority_host"):
            # Azure's library would ask the public cloud whether it knows the host.
            options |= {"authority": host, "disable_instance_discovery": True}
            if self._settings.ca_file:
                options["connection_verify"] = self._settings.ca_file
        tenant = values.get("tenant_id") or tenant
        if "client_secret" in values:
            secret = values["client_secret"]
            return ClientSecretCredential(tenant, values["client_id"], secret, **options)
        return WorkloadIdentityCredential(
            tenant_id=tenant,
            client_id=values["client_id"],
            token_file_path=values["federated_token_file"],
            **options,
        )

    @contextlib.contextmanager
    def failures(self, what: str) -> Iterator[None]:
        """Raise errors of Azure's libraries as one that shows no token, URL or answer."""
        try:
            yield
        except (AzureError, OSError, ValueError, TypeError) as error:
            raise self.failure(what, _reason(error)) from None

    def failure(self, what: str, reason: str) -> ServiceUnavailableError:
        """Return the error for something that could not be had."""
        return ServiceUnavailableError(
            f"The server {what} for warehouse {self._warehouse} (credential ="
            f" {self._settings.credential!r}): {reason}"
        )


def expiry(token: AccessToken) -> dt.datetime:
    """Return when a token ends."""
    return dt.datetime.fromtimestamp(token.expires_on, dt.UTC)


def _check(values: Mapping[str, Any], settings: StorageSettings) -> None:
    """Raise ValueError if a JSON object is no credential; its values are not shown."""
    for name in _TEXT_KEYS & set(values):
        if not isinstance(values[name], str) or not values[name]:
            raise ValueError(f"its {name} is no text")
    ways = [
        each for each in ("account_key", "client_secret", "federated_token_file") if each in values
    ]
    if len(ways) != 1:
        raise ValueError(
            "it has none, or more than one, of account_key, client_secret and federated_token_file"
        )
    if ways == ["account_key"]:
        return
    if "client_id" not in values:
        raise ValueError("it has no client_id")
    if not values.get("tenant_id") and not settings.tenant_id:
        raise ValueError("it has no tenant_id, and neither have the settings")


def _reason(error: Exception) -> str:
    """Return why, in words that are known to be no secret."""
    if found := _ENTRA_CODE.search(str(error)):
        return found[0]
    if isinstance(error, CredentialUnavailableError):
        return "there are no credentials that Azure's library can use"
    if isinstance(error, HttpResponseError):
        code = re.sub(r"[^A-Za-z0-9]", "", str(getattr(error, "error_code", None) or ""))[:60]
        status = str(error.status_code or "")
        return f"{code} {status}".strip() or "it is refused"
    if isinstance(error, AzureError):
        return "no answer"
    return type(error).__name__
