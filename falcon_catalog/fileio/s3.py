"""Amazon S3 and what speaks its protocol: identity, stores of buckets, temporary credentials."""

import datetime as dt
import hashlib
import re
import threading
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import obstore.store
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, UnknownRegionError
from botocore.parsers import ResponseParserError

from falcon_catalog.errors import BadRequestError, ObjectStoreError
from falcon_catalog.fileio import sigv4
from falcon_catalog.fileio.delegation import Credential, Scope, common_prefix
from falcon_catalog.fileio.object_store import ObjectStoreFileIO, client_options, retry_config
from falcon_catalog.fileio.s3_identity import Identity
from falcon_catalog.fileio.s3_policy import session_policy
from falcon_catalog.fileio.s3_signing import S3Signer
from falcon_catalog.fileio.storage import Storage
from falcon_catalog.settings import SettingsError, StorageSettings

if TYPE_CHECKING:  # obstore's types do not exist at run time
    from obstore.store import S3Credential

_MAX_SESSION = 64  # characters of RoleSessionName
_AMAZON = re.compile(r"https?://([a-z0-9.-]+\.)?amazonaws\.com(\.cn)?(:443)?", re.IGNORECASE)
# The store asks for credentials before each request if they end within five minutes, and they may
# have changed: to find that out costs less than a hundredth of a request.
_ASK_AGAIN = dt.timedelta(minutes=1)
_TOO_LONG = {"PackedPolicyTooLarge", "MalformedPolicyDocument"}


class S3:
    """The object store of one warehouse. Safe to use from many threads."""

    def __init__(self, name: str, settings: StorageSettings) -> None:
        """Know where the store is. Nothing is asked of it yet.

        Raises:
            SettingsError: a credential or a file that the settings name is not there.
        """
        self.name = name
        self.settings = settings
        self.identity = Identity(name, settings.credential, settings.timeout)
        self._client_options = client_options(settings)
        self._sts_client: Any = None
        self._guard = threading.Lock()
        role = re.match(r"arn:(aws[a-z-]*):", settings.role_arn)
        self.is_amazon = not settings.endpoint or bool(_AMAZON.fullmatch(settings.endpoint))
        own = self._partition(settings.region) if self.is_amazon else "aws"
        self.partition = role[1] if role else own
        self.endpoint = settings.endpoint or self._amazon_endpoint(settings.region)
        """The store's URL as clients reach it."""

    def object_store(self, bucket: str) -> obstore.store.S3Store:
        """Return a store of a bucket, with a pool of connections of its own.

        It must be made in the process that uses it.
        """
        settings = self.settings
        endpoint = settings.server_endpoint or self.endpoint
        # A certificate for *.s3.REGION.amazonaws.com holds for one label only.
        in_path = settings.path_style or (self.is_amazon and "." in bucket)
        if not in_path:  # obstore wants the bucket in the URL
            scheme, _, host = endpoint.partition("://")
            endpoint = f"{scheme}://{bucket}.{host}"
        encryption: dict[str, Any] = {}
        if settings.kms_keys:
            encryption = {
                "server_side_encryption": "aws:kms",
                "sse_kms_key_id": settings.kms_keys[0],
            }
        return obstore.store.S3Store(
            bucket,
            endpoint=endpoint,
            region=settings.region,
            virtual_hosted_style_request=not in_path,
            # Not every store that speaks S3 has DeleteObjects without a checksum of its choice.
            disable_bulk_delete=not self.is_amazon,
            credential_provider=self._credential,
            client_options=self._client_options,
            retry_config=retry_config(settings),
            **encryption,
        )

    def client_config(self) -> dict[str, str]:
        """Return the properties that every client of the warehouse needs; no secret."""
        settings = self.settings
        # With its endpoint, a client cannot be sent elsewhere by a table's properties.
        config = {
            "client.region": settings.region,
            "s3.region": settings.region,
            "s3.endpoint": self.endpoint,
            "s3.path-style-access": "true" if settings.path_style else "false",
        }
        if not settings.path_style and not self.is_amazon:
            # PyIceberg and Go take a store with an endpoint for one in path style.
            config["s3.force-virtual-addressing"] = "true"
        if settings.kms_keys:
            config |= {"s3.sse.type": "kms", "s3.sse.key": settings.kms_keys[0]}
        return config

    @property
    def has_sts(self) -> bool:
        """Whether temporary credentials can be had.

        On AWS they need a role. Another store that only signs may have none: it must be said.
        """
        if self.settings.role_arn or self.settings.sts_endpoint:
            return True
        return self.settings.access == "vended" and not self.is_amazon

    def version(self) -> Hashable:
        """Return what changes when the server's own credentials are replaced."""
        return self.identity.version()

    def vend(self, scope: Scope, *, session: str) -> Credential:
        """Return new credentials of a session that opens a scope; see ``delegation.Vends``."""
        keys = self._assume_role(
            RoleSessionName=session_name(session),
            Policy=self._policy(scope),
            DurationSeconds=self.settings.vend_seconds,
        )
        try:
            expires_at = int(keys["Expiration"].timestamp() * 1000)
            given = {
                "s3.access-key-id": keys["AccessKeyId"],
                "s3.secret-access-key": keys["SecretAccessKey"],
                "s3.session-token": keys["SessionToken"],
                "s3.session-token-expires-at-ms": str(expires_at),
            }
        except (KeyError, AttributeError):
            raise self._refused("answered without keys, a session token and their end") from None
        return Credential(
            prefix=common_prefix(scope.locations),
            config={**self.client_config(), **given},
            expires_at=expires_at,
        )

    def check(self, scope: Scope) -> None:
        """Check that a session policy can open a scope; see ``delegation.Vends``."""
        self._policy(scope)

    def _policy(self, scope: Scope) -> str:
        return session_policy(scope, partition=self.partition, kms_keys=self.settings.kms_keys)

    def _assume_role(self, **request: object) -> Mapping[str, Any]:
        """Return the Credentials of AssumeRole's answer."""
        settings = self.settings
        if settings.role_arn:
            request["RoleArn"] = settings.role_arn
        if settings.external_id:
            request["ExternalId"] = settings.external_id
        self.identity.keys()  # says what is missing, which botocore does not
        try:
            answer = self._sts().assume_role(**request)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))[:60]
            if code in _TOO_LONG:
                raise BadRequestError(
                    f"Cannot issue credentials in warehouse {self.name}: the token service does"
                    f" not take the session policy ({code}). Use a shorter location, or fewer"
                    " folders in the table's properties"
                ) from None
            raise self._refused(f"refused AssumeRole with {code or 'an error'}") from None
        except BotoCoreError as error:
            name = type(error).__name__
            reason = "timeout" if "Timeout" in name else "unreachable"
            raise self._refused(f"did not answer ({name})", reason) from None
        except ResponseParserError:  # a web server, or a store without such a service
            raise self._refused("gave an answer that is none of a token service") from None
        credentials: Mapping[str, Any] = answer.get("Credentials", {})
        return credentials

    def _sts(self) -> Any:
        with self._guard:
            if self._sts_client is None:
                settings = self.settings
                endpoint = settings.sts_endpoint or None
                if endpoint is None and not self.is_amazon:
                    endpoint = settings.server_endpoint or settings.endpoint
                self._sts_client = self.identity.session.create_client(
                    "sts",
                    region_name=settings.region,
                    endpoint_url=endpoint,
                    verify=settings.ca_file or None,
                    # Stores other than AWS need no role, which botocore insists on.
                    config=Config(parameter_validation=False),
                )
            return self._sts_client

    def _refused(self, what: str, reason: str = "refused") -> ObjectStoreError:
        settings = self.settings
        host = settings.sts_endpoint or ("of AWS" if self.is_amazon else "of the store")
        role = f" for role {settings.role_arn}" if settings.role_arn else ""
        return ObjectStoreError(
            f"Cannot issue credentials in warehouse {self.name}: the token service {host}"
            f" {what}{role} (credential = {settings.credential!r})",
            reason=reason,
            may_be_done=False,
        )

    def _credential(self) -> "S3Credential":
        """Return the server's credentials as obstore wants them."""
        keys = self.identity.keys()
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            "expires_at": dt.datetime.now(dt.UTC) + _ASK_AGAIN,
        }

    def _partition(self, region: str) -> str:
        try:
            return str(self.identity.session.get_partition_for_region(region))
        except UnknownRegionError:
            return "aws"

    def _amazon_endpoint(self, region: str) -> str:
        suffix = ".cn" if self._partition(region) == "aws-cn" else ""
        return f"https://s3.{region}.amazonaws.com{suffix}"


def session_name(wanted: str) -> str:
    """Return a name as AWS takes it: 2 to 64 of some characters. A long one ends in its hash."""
    name = re.sub(r"[^A-Za-z0-9_+=,.@-]", "-", wanted)
    if len(name) > _MAX_SESSION:
        end = hashlib.blake2b(wanted.encode(errors="replace"), digest_size=8).hexdigest()
        name = f"{name[: _MAX_SESSION - len(end) - 1]}-{end}"
    return name.ljust(2, "-")


def open_storage(name: str, settings: StorageSettings) -> Storage:
    """Return the storage of a warehouse; see ``opening.open_storage``."""
    s3 = S3(name, settings)
    if settings.access == "vended" and not s3.has_sts:
        raise SettingsError(
            f"warehouse {name}: access = 'vended' needs role_arn on AWS: the role that is assumed"
            " for the credentials of clients. Without one, access must be signed or client"
        )
    return Storage(
        files=ObjectStoreFileIO(name, settings, s3.object_store),
        vends=s3 if s3.has_sts and settings.access != "client" else None,
        signs=_signer(s3) if settings.access == "signed" else None,
        client_config=s3.client_config(),
    )


def _signer(s3: S3) -> S3Signer:
    def keys() -> sigv4.Keys:
        own = s3.identity.keys()
        return sigv4.Keys(own.access_key, own.secret_key, own.token)

    return S3Signer(s3.settings, s3.endpoint, is_amazon=s3.is_amazon, keys=keys)
