"""Settings of one warehouse: where its files are, and how clients get to them.

``[warehouse]`` has those of the default warehouse, ``[warehouse.NAME]`` those of another one.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import MappingProxyType
from urllib.parse import urlsplit

from falcon_catalog import rules
from falcon_catalog.settings.describing import setting

S3, GS, ABFSS, FILE = "s3", "gs", "abfss", "file"
_CLOUDS = frozenset({S3, GS, ABFSS})

MEANT_FOR: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "access": _CLOUDS,
        "vend_seconds": _CLOUDS,
        "credential": _CLOUDS,
        "allow_aliases": frozenset({S3, ABFSS}),
        "endpoint": _CLOUDS,
        "server_endpoint": _CLOUDS,
        "ca_file": _CLOUDS,
        "timeout": _CLOUDS,
        "max_requests": _CLOUDS,
        "region": frozenset({S3}),
        "path_style": frozenset({S3}),
        "sts_endpoint": frozenset({S3, GS}),
        "role_arn": frozenset({S3}),
        "external_id": frozenset({S3}),
        "kms_keys": frozenset({S3}),
        "service_account": frozenset({GS}),
        "project": frozenset({GS}),
        "tenant_id": frozenset({ABFSS}),
        "hierarchical": frozenset({ABFSS}),
    }
)
"""The kinds of storage that a setting has a meaning for; one that is not here: for all."""


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Where the files of one warehouse are, and how clients get to them."""

    location: str = setting(
        None,
        "Root of the tables' files: a folder, file:///absolute/path, s3://bucket/prefix,"
        " gs://bucket/prefix or abfss://container@host/prefix.",
        rules.location,
        flag="--warehouse",
        derived="file://{state}/warehouse",
    )
    allowed_locations: tuple[str, ...] = setting(
        (), "More roots under which a client may place or register a table.", rules.locations
    )
    access: str = setting(
        "vended",
        "How clients get to files in an object store. vended: with temporary credentials for one"
        " table; signed: the server signs each of their requests; client: with their own"
        " credentials.",
        rules.one_of("vended", "signed", "client"),
    )
    vend_seconds: int = setting(
        3600,
        "Seconds for which credentials are valid that clients are given.",
        rules.whole(900, 43200),
    )
    credential: str = setting(
        "ambient",
        "Where the server's own credentials are: ambient (environment, instance or workload"
        " identity), env:PREFIX, file:/absolute/path or systemd:NAME (LoadCredential).",
        rules.credential_reference,
    )
    region: str = setting("", "Region of the bucket; required for s3://.", rules.word_or_empty)
    endpoint: str = setting(
        "",
        "URL of the object store as clients reach it; empty: the cloud's own.",
        rules.url_or_empty,
    )
    server_endpoint: str = setting(
        "",
        "URL of the object store as this server reaches it; empty: as clients do.",
        rules.url_or_empty,
    )
    sts_endpoint: str = setting(
        "",
        "URL of the service that issues temporary credentials; empty: the cloud's own, or that"
        " of a store with an endpoint of its own.",
        rules.url_or_empty,
    )
    path_style: bool = setting(
        False,
        "Whether the bucket is in the path of a URL and not in its host name.",
        rules.boolean,
    )
    role_arn: str = setting(
        "",
        "Role that is assumed for the credentials of clients; AWS needs one, MinIO none.",
        rules.word_or_empty,
    )
    external_id: str = setting(
        "", "External id that the role's trust policy asks for.", rules.word_or_empty
    )
    kms_keys: tuple[str, ...] = setting(
        (), "ARNs of the keys that encrypt objects; the first one encrypts new ones.", rules.words
    )
    service_account: str = setting(
        "",
        "Service account that is impersonated for the credentials of clients.",
        rules.word_or_empty,
    )
    project: str = setting(
        "", "Project of the bucket, as clients are given it.", rules.word_or_empty
    )
    tenant_id: str = setting("", "Entra tenant of the storage account.", rules.word_or_empty)
    hierarchical: bool = setting(
        True,
        "Whether the storage account has a hierarchical namespace; if not, credentials of clients"
        " open the whole container.",
        rules.boolean,
    )
    allow_aliases: bool = setting(
        False,
        "Whether a client may spell locations with s3a://, s3n://, abfs://, wasb:// or wasbs://.",
        rules.boolean,
    )
    ca_file: str = setting(
        "", "PEM file of a private authority that the store's certificate is from.", rules.path
    )
    timeout: int = setting(
        10, "Seconds that the object store has to answer one request.", rules.whole(1, 300)
    )
    # Half of the threads that server.threads has by default.
    max_requests: int = setting(
        4,
        "Requests that may use the object store at the same time; fewer than server.threads, so"
        " that one that does not answer leaves threads for other warehouses.",
        rules.whole(1, 256),
    )
    given: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Where each value that is no default comes from, by the name of its setting."""

    @property
    def kind(self) -> str:
        """``file``, ``s3``, ``gs`` or ``abfss``."""
        return kind_of(self.location)

    @property
    def puts_bucket_before_address(self) -> bool:
        """Whether the bucket would be put before an IP address, which is no host name."""
        if self.kind != S3 or self.path_style:
            return False
        host = urlsplit(self.server_endpoint or self.endpoint).hostname or ""
        with contextlib.suppress(ValueError):
            ip_address(host)
            return True
        return False


def kind_of(location: str) -> str:
    """Return the kind of storage that a setting's location is in, as ``StorageSettings.kind``."""
    return location.partition(":")[0]
