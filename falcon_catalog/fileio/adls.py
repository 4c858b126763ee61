"""Azure Data Lake Storage Gen2: stores of containers, and shared access signatures for one table.

A signature (SAS) is made here, with a user delegation key, which the storage account issues to the
server's identity. It opens one directory of an account with a hierarchical namespace; of another
one, all of a container. Emulators have no identities: there it is signed with the account's key,
as for any credential that is an account key, and ends only with that key or by itself.
"""

import datetime as dt
import logging
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import obstore.store
from obstore.exceptions import BaseError

from falcon_catalog.errors import BadRequestError, ServiceUnavailableError
from falcon_catalog.fileio.adls_identity import Identity, expiry
from falcon_catalog.fileio.delegation import Credential, Permission, Scope, common_prefix
from falcon_catalog.fileio.object_store import ObjectStoreFileIO, client_options, retry_config
from falcon_catalog.fileio.single_fetch import SingleFetch
from falcon_catalog.fileio.storage import Storage
from falcon_catalog.locations import ALIASES, Location, parse
from falcon_catalog.settings import SettingsError, StorageSettings

if TYPE_CHECKING:  # obstore's types do not exist at run time
    from obstore.store import AzureConfig, AzureCredential

_log = logging.getLogger(__name__)
_PUBLIC = "core.windows.net"
_SCHEMES = frozenset({"abfss"} | {each for each, kind in ALIASES.items() if kind == "abfss"})
_PERMISSIONS: dict[Permission, str] = {"read": "rl", "write": "rawdl"}
"""Read and list; append, write and delete. In the order that the service wants."""
_EARLY = dt.timedelta(seconds=60)  # a client's clock, or Azure's, may be behind
# A key may live for a week; but when an administrator revokes the account's keys, what is signed
# with the one that is held here is refused until it is replaced.
_KEY_USE = dt.timedelta(hours=1)
_CLOCKS = dt.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Account:
    """A storage account, and a container of it."""

    container: str
    name: str
    suffix: str
    """``core.windows.net`` in the public cloud."""

    @classmethod
    def of(cls, authority: str) -> "Account":
        """Return the account of ``container@account.dfs.suffix``."""
        container, _, host = authority.partition("@")
        name, _, rest = host.partition(".")
        return cls(container, name, rest.partition(".")[2])

    @property
    def host(self) -> str:
        """The host by which clients find their credential."""
        return f"{self.name}.dfs.{self.suffix}"

    @property
    def blob_host(self) -> str:
        """The host of the same account's blob service."""
        return f"{self.name}.blob.{self.suffix}"


@dataclass(frozen=True, slots=True)
class _Key:
    """A user delegation key."""

    value: Any = field(repr=False)
    version: Hashable
    """Of the credential that it was issued to."""
    use_until: dt.datetime


class ADLS:
    """The object store of one warehouse. Safe to use from many threads."""

    def __init__(self, name: str, settings: StorageSettings) -> None:
        """Know where the store is. Nothing is asked of it yet.

        Raises:
            SettingsError: a credential or a file that the settings name is not there, or does not
                suit the other settings.
        """
        self._name = name
        self.settings = settings
        self.account = Account.of(parse(settings.location, _SCHEMES).authority)
        self.identity = Identity(name, settings)
        self._client_options = client_options(settings)
        self._fetch = SingleFetch()
        self._keys: dict[str, _Key] = {}
        if not self.identity.has_account_key and self._endpoint(self.account).startswith("http:"):
            raise SettingsError(
                f"warehouse {name}: {self._endpoint(self.account)} is no https:// URL, and tokens"
                " of Entra are sent over nothing else; an emulator needs a credential with"
                " account_key"
            )
        for location in settings.allowed_locations:
            other = Account.of(parse(location, _SCHEMES).authority)
            if other.host != self.account.host and self.identity.has_account_key:
                raise SettingsError(
                    f"warehouse {name}: the account_key of {self.account.name} does not open"
                    f" {location}, which is in another storage account"
                )

    def _endpoint(self, account: Account) -> str:
        """Return the URL of an account's blob service as this server reaches it."""
        own = self.settings.server_endpoint or self.settings.endpoint
        if own and account.host == self.account.host:
            return own
        return f"https://{account.blob_host}"

    def object_store(self, authority: str) -> obstore.store.AzureStore:
        """Return a store of a container, with a pool of connections of its own.

        It must be made in the process that uses it.
        """
        account = Account.of(authority)
        # What is not said here would be read from the environment.
        config: AzureConfig = {
            "account_name": account.name,
            "endpoint": self._endpoint(account),
            "skip_signature": False,
            "use_emulator": False,
            "use_fabric_endpoint": False,
        }
        try:
            return obstore.store.AzureStore(
                account.container,
                config=config,
                client_options=self._client_options,
                retry_config=retry_config(self.settings),
                credential_provider=self._credential,
            )
        except BaseError:  # not chained: its text may have what it has read
            raise ServiceUnavailableError(
                f"The object store of warehouse {self._name} cannot be reached: obstore does not"
                " understand a variable of the environment that begins with AZURE_"
            ) from None

    def client_config(self) -> dict[str, str]:
        """Return the properties that every client of the warehouse needs; no secret."""
        config = {"adls.account-name": self.account.name}
        if self.settings.endpoint:
            # Of a service of its own: Java takes the URL, pyarrow its parts.
            url = urlsplit(self.settings.endpoint)
            config[f"adls.connection-string.{self.account.host}"] = self.settings.endpoint
            for service in ("blob", "dfs"):
                config[f"adls.{service}-storage-authority"] = url.netloc
                config[f"adls.{service}-storage-scheme"] = url.scheme
        elif self.account.suffix != _PUBLIC:
            config["adls.account-host"] = self.account.blob_host
            for service in ("blob", "dfs"):
                config[f"adls.{service}-storage-authority"] = f".{service}.{self.account.suffix}"
        return config

    def version(self) -> Hashable:
        """Return what changes when the server's own credentials are replaced."""
        return self.identity.version()

    def vend(self, scope: Scope, *, session: str) -> Credential:  # noqa: ARG002 - a SAS has no name
        """Return a new signature that opens a scope; see ``delegation.Vends``."""
        place = self._place(scope)
        account = Account.of(place.authority)
        now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        end = now + dt.timedelta(seconds=self.settings.vend_seconds)
        token = self._sign(account, place, _PERMISSIONS[scope.permission], now - _EARLY, end)
        expires_at = int(end.timestamp() * 1000)
        config = {**self.client_config(), "adls.account-name": account.name}
        # Clients look it up by the host as locations have it, by the account's name, or by nothing.
        for host in {account.host, *(_host(location) for location in scope.locations)}:
            config[f"adls.sas-token.{host}"] = token
            config[f"adls.sas-token-expires-at-ms.{host}"] = str(expires_at)
        config[f"adls.sas-token.{account.name}"] = config["adls.sas-token"] = token
        if self.settings.endpoint and account.host == self.account.host:
            # The only way to send PyIceberg's adlfs elsewhere.
            config["adls.connection-string"] = (
                f"BlobEndpoint={self.settings.endpoint};SharedAccessSignature={token}"
            )
        return Credential(common_prefix(scope.locations), config, expires_at)

    def check(self, scope: Scope) -> None:
        """Check that a signature can open a scope; see ``delegation.Vends``."""
        self._place(scope)

    def _place(self, scope: Scope) -> Location:
        """Return the directory that a signature is for: the one that holds all of a scope."""
        places = [parse(location, _SCHEMES) for location in scope.locations]
        outer = min(places, key=lambda place: len(place.path))
        if len({place.authority for place in places}) > 1:
            raise BadRequestError(
                f"Credentials cannot be issued for {', '.join(scope.locations)}: a signature opens"
                " one container, and these are several"
            )
        if not self.settings.hierarchical:
            return outer
        if not all(place.inside(outer) for place in places):
            raise BadRequestError(
                f"Credentials cannot be issued for {', '.join(scope.locations)}: a signature opens"
                " one directory, and none of these holds the others"
            )
        if not outer.path:
            raise BadRequestError(
                f"Credentials cannot be issued for {scope.locations[0]}: they would open all of the"
                " container"
            )
        return outer

    def _sign(
        self,
        account: Account,
        place: Location,
        permission: str,
        start: dt.datetime,
        end: dt.datetime,
    ) -> str:
        # It takes more than a second to load, and is needed only where signatures are made.
        from azure.storage.filedatalake import (  # noqa: PLC0415
            generate_directory_sas,
            generate_file_system_sas,
        )

        if self.identity.has_account_key:
            key = self.identity.account_key()
        else:
            key = self._delegation_key(account)
        options: dict[str, Any] = {"permission": permission, "start": start, "expiry": end}
        if not self._endpoint(account).startswith("http:"):
            options["protocol"] = "https"
        with self.identity.failures("cannot sign with its key"):
            if self.settings.hierarchical:
                return generate_directory_sas(
                    account.name, account.container, place.path, key, **options
                )
            return generate_file_system_sas(account.name, account.container, key, **options)

    def _delegation_key(self, account: Account) -> Any:
        """Return a key that the account has issued, an hour ago at most."""
        from azure.storage.blob import BlobServiceClient  # noqa: PLC0415

        with self._fetch.turn():
            now, version = dt.datetime.now(dt.UTC), self.identity.version()
            key = self._keys.get(account.host)
            if key is None or key.version != version or key.use_until <= now:
                end = now + _KEY_USE + dt.timedelta(seconds=self.settings.vend_seconds) + _CLOCKS
                options = self.identity.client_options()
                if self.settings.ca_file:
                    options["connection_verify"] = self.settings.ca_file
                url = self._endpoint(account)
                with (
                    self.identity.failures(f"got no user delegation key from {account.blob_host}"),
                    BlobServiceClient(url, credential=self.identity, **options) as client,
                ):
                    value = client.get_user_delegation_key(now - _CLOCKS, end)
                key = self._keys[account.host] = _Key(value, version, now + _KEY_USE)
            return key.value

    def _credential(self) -> "AzureCredential":
        """Return the server's key or token as obstore wants it."""
        try:
            if self.identity.has_account_key:
                soon = dt.datetime.now(dt.UTC) + _KEY_USE
                return {"access_key": self.identity.account_key(), "expires_at": soon}
            token = self.identity.get_token()
        except ServiceUnavailableError as error:
            _log.error("%s", error.message)
            raise
        return {"token": token.token, "expires_at": expiry(token)}


def _host(location: str) -> str:
    """Return the host of a location as it is written."""
    return urlsplit(location).netloc.rpartition("@")[2]


def open_storage(name: str, settings: StorageSettings) -> Storage:
    """Return the storage of a warehouse; see ``opening.open_storage``."""
    for library in ("azure", "msal"):
        # Each request would be a line of the log.
        logging.getLogger(library).setLevel(logging.WARNING)
    adls = ADLS(name, settings)
    return Storage(
        files=ObjectStoreFileIO(name, settings, adls.object_store),
        vends=adls if settings.access == "vended" else None,
        client_config=adls.client_config(),
    )
