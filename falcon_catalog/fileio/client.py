"""An object store as a client reaches it: with a vended credential, and with nothing else.

The storage check proves with it what a credential opens. A field that is missing is an error: the
libraries would look for a credential of the machine instead, and prove something else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request

from falcon_catalog.fileio.http import open_url
from falcon_catalog.locations import OBJECT_STORES, parse
from falcon_catalog.settings import StorageSettings

_EXPIRY = {
    "s3": "s3.session-token-expires-at-ms",
    "gs": "gcs.oauth2.token-expires-at",
    "abfss": "adls.sas-token-expires-at-ms.{host}",
}
_SECRETS = {
    "s3": ("s3.access-key-id", "s3.secret-access-key", "s3.session-token"),
    "gs": ("gcs.oauth2.token",),
    "abfss": ("adls.sas-token.{host}",),
}


class MissingFieldError(Exception):
    """A vended credential lacks a field; the message names it."""


@dataclass(frozen=True, slots=True)
class ClientStore:
    """The bucket or container of a location, opened with a vended credential."""

    store: Any = field(repr=False)
    expires_at: int
    """Milliseconds since 1970-01-01 UTC."""
    sas_url: str = field(default="", repr=False)
    """Of an Azure container, with its token, for deletes: obstore sends them as one batch, which
    a token for a folder does not open."""
    settings: StorageSettings | None = None

    def read(self, key: str) -> bytes:
        """Return an object's content."""
        import obstore  # noqa: PLC0415 - an extra

        return bytes(obstore.get(self.store, key).bytes())

    def write(self, key: str, content: bytes) -> None:
        """Create or replace an object."""
        import obstore  # noqa: PLC0415

        obstore.put(self.store, key, content, use_multipart=False)

    def names(self, folder: str) -> list[str]:
        """Return the keys directly in a folder; "" is the root of the bucket."""
        import obstore  # noqa: PLC0415

        found = obstore.list_with_delimiter(self.store, folder or None)
        return [each["path"] for each in found["objects"]]

    def delete(self, key: str) -> None:
        """Delete an object."""
        import obstore  # noqa: PLC0415

        if not self.sas_url:
            obstore.delete(self.store, key)
            return
        url, _, token = self.sas_url.partition("?")
        request = Request(f"{url}/{quote(key)}?{token}", method="DELETE")  # noqa: S310 - an endpoint of the settings
        request.add_header("x-ms-version", "2021-12-02")
        try:
            open_url(request, self.settings).close()
        except HTTPError as error:
            raise PermissionError(f"status code: {error.code}") from None


def open_client_store(
    location: str, config: Mapping[str, str], settings: StorageSettings
) -> ClientStore:
    """Return the store of a location, opened with the properties of a vended credential.

    Where ``settings`` has a ``server_endpoint``, it is used: this runs beside the server.

    Raises:
        MissingFieldError: the credential is not complete.
    """
    from obstore.store import AzureStore, GCSStore, S3Store  # noqa: PLC0415 - an extra

    from falcon_catalog.fileio.object_store import client_options, retry_config  # noqa: PLC0415

    place = parse(location, OBJECT_STORES)
    container, _, host = place.authority.rpartition("@")
    needed = [name.format(host=host) for name in (*_SECRETS[place.scheme], _EXPIRY[place.scheme])]
    for name in needed:
        if not config.get(name):
            raise MissingFieldError(f"the credential has no {name}")
    *secrets, written = (config[name] for name in needed)
    if not written.isdecimal():
        raise MissingFieldError(f"{needed[-1]} is not a number of milliseconds")
    expires = int(written)
    at = datetime.fromtimestamp(expires / 1000, UTC)
    options: dict[str, Any] = {
        "client_options": client_options(settings),
        "retry_config": retry_config(settings),
    }
    if place.scheme == "gs":
        given: Any = {"token": secrets[0], "expires_at": at}
        url = settings.server_endpoint or settings.endpoint
        more: Any = {"base_url": url} if url else {}
        store: Any = GCSStore(
            place.authority,
            skip_signature=False,
            credential_provider=lambda: given,
            **more,
            **options,
        )
        return ClientStore(store, expires)
    if place.scheme == "abfss":
        account, _, suffix = host.partition(".dfs.")
        url = settings.server_endpoint or settings.endpoint or f"https://{account}.blob.{suffix}"
        sas: Any = {"sas_token": secrets[0].lstrip("?"), "expires_at": at}
        store = AzureStore(
            container,
            account_name=account,
            endpoint=url,
            # What is not said here would be read from the environment.
            skip_signature=False,
            use_emulator=False,
            use_fabric_endpoint=False,
            credential_provider=lambda: sas,
            **options,
        )
        return ClientStore(store, expires, f"{url}/{container}?{sas['sas_token']}", settings)
    keys: Any = {
        "access_key_id": secrets[0],
        "secret_access_key": secrets[1],
        "token": secrets[2],
        "expires_at": at,
    }
    region = config.get("s3.region") or config.get("client.region") or settings.region
    store = S3Store(
        place.authority,
        region=region,
        endpoint=bucket_url(place.authority, settings, config.get("s3.endpoint", "")),
        virtual_hosted_style_request=not settings.path_style,
        disable_bulk_delete=True,
        skip_signature=False,
        credential_provider=lambda: keys,
        **options,
    )
    return ClientStore(store, expires)


def bucket_url(bucket: str, settings: StorageSettings, endpoint: str = "") -> str:
    """Return the URL of the S3 service, with the bucket in its host unless in path style."""
    own = settings.server_endpoint or endpoint or settings.endpoint
    url = own or f"https://s3.{settings.region}.{amazon_suffix(settings.region)}"
    # A certificate for *.s3.REGION.amazonaws.com holds for one label only.
    if settings.path_style or ("." in bucket and ".amazonaws.com" in url):
        return url
    parts = urlsplit(url)
    return f"{parts.scheme}://{bucket}.{parts.netloc}"


def amazon_suffix(region: str) -> str:
    """Return the domain of AWS for a region."""
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
