"""Google Cloud Storage: stores of buckets, and tokens for one table.

A store whose URL begins with ``http://`` is an emulator: with ``credential = "ambient"`` nothing of
the server's identity is sent to it, and it issues no tokens.
"""

import datetime as dt
import logging
from collections.abc import Hashable
from typing import TYPE_CHECKING

import obstore.store
from obstore.exceptions import BaseError

from falcon_catalog.errors import ServiceUnavailableError
from falcon_catalog.fileio.delegation import Credential, Scope, common_prefix
from falcon_catalog.fileio.gcs_boundary import access_boundary
from falcon_catalog.fileio.gcs_identity import Identity
from falcon_catalog.fileio.object_store import ObjectStoreFileIO, client_options, retry_config
from falcon_catalog.fileio.storage import Storage
from falcon_catalog.settings import StorageSettings

if TYPE_CHECKING:  # obstore's types do not exist at run time
    from obstore.store import GCSConfig, GCSCredential

_GOOGLE = "https://storage.googleapis.com"
_TOKEN_SECONDS = 3600  # for which Google's own tokens are valid
_log = logging.getLogger(__name__)
_NO_TOKEN = "none"  # noqa: S105 - what an emulator is sent, as obstore writes nothing without one


class GCS:
    """The object store of one warehouse. Safe to use from many threads."""

    def __init__(self, name: str, settings: StorageSettings) -> None:
        """Know where the store is. Nothing is asked of it yet.

        Raises:
            SettingsError: a credential or a file that the settings name is not there.
        """
        self._name = name
        self.settings = settings
        self.endpoint = settings.endpoint or _GOOGLE
        """The store's URL as clients reach it."""
        self._server_endpoint = settings.server_endpoint or self.endpoint
        is_emulator = self._server_endpoint.startswith("http://")
        is_anonymous = is_emulator and settings.credential == "ambient"
        self.identity = None if is_anonymous else Identity(name, settings)
        self._client_options = client_options(settings)

    def object_store(self, bucket: str) -> obstore.store.GCSStore:
        """Return a store of a bucket, with a pool of connections of its own.

        It must be made in the process that uses it.
        """
        # What is not said here would be read from the environment.
        config: GCSConfig = {"base_url": self._server_endpoint, "skip_signature": False}
        try:
            return obstore.store.GCSStore(
                bucket,
                config=config,
                client_options=self._client_options,
                retry_config=retry_config(self.settings),
                credential_provider=self._credential,
            )
        except BaseError:  # not chained: its text may have what it has read
            raise ServiceUnavailableError(
                f"The object store of warehouse {self._name} cannot be reached: obstore does not"
                " understand a variable of the environment. Unset GOOGLE_SERVICE_ACCOUNT and the"
                " like; the setting credential says what is used"
            ) from None

    def client_config(self) -> dict[str, str]:
        """Return the properties that every client of the warehouse needs; no secret."""
        # With its endpoint, a client cannot be sent elsewhere by a table's properties.
        config = {"gcs.service.host": self.endpoint}
        if self.settings.project:
            config["gcs.project-id"] = self.settings.project
        if self.identity is None:
            config["gcs.no-auth"] = "true"
        return config

    def version(self) -> Hashable:
        """Return what changes when the server's own credentials are replaced."""
        return None if self.identity is None else self.identity.version()

    def vend(self, scope: Scope, *, session: str) -> Credential:  # noqa: ARG002 - Google's tokens have no name
        """Return a new token that opens a scope; see ``delegation.Vends``.

        It ends with the token that it is made from: one of ``service_account``, which is new and
        valid for ``vend_seconds``, or else one of the server itself, whose life Google decides.
        """
        if self.identity is None:
            raise ServiceUnavailableError(f"The emulator of warehouse {self._name} has no tokens")
        boundary = access_boundary(scope)
        seconds = self.settings.vend_seconds
        if self.settings.service_account:
            source = self.identity.impersonated(self.settings.service_account, seconds)
        else:
            half = dt.timedelta(seconds=min(seconds, _TOKEN_SECONDS) / 2)
            source = self.identity.token(half)
        token = self.identity.downscoped(source, boundary)
        expires_at = int(token.expires_at.timestamp() * 1000)
        given = {"gcs.oauth2.token": token.text, "gcs.oauth2.token-expires-at": str(expires_at)}
        return Credential(
            prefix=common_prefix(scope.locations),
            config={**self.client_config(), **given},
            expires_at=expires_at,
        )

    def check(self, scope: Scope) -> None:
        """Check that an access boundary can open a scope; see ``delegation.Vends``."""
        access_boundary(scope)

    def _credential(self) -> "GCSCredential":
        """Return the server's token as obstore wants it."""
        if self.identity is None:
            return {"token": _NO_TOKEN, "expires_at": None}
        try:
            token = self.identity.token()
        except ServiceUnavailableError as error:
            _log.error("%s", error.message)
            raise
        return {"token": token.text, "expires_at": token.expires_at}


def open_storage(name: str, settings: StorageSettings) -> Storage:
    """Return the storage of a warehouse; see ``opening.open_storage``."""
    gcs = GCS(name, settings)
    can_vend = settings.access == "vended" and gcs.identity is not None
    return Storage(
        files=ObjectStoreFileIO(name, settings, gcs.object_store),
        vends=gcs if can_vend else None,
        client_config=gcs.client_config(),
    )
