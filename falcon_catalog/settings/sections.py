"""All settings by section, as descriptions and as the values in force."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from falcon_catalog import rules
from falcon_catalog.settings.describing import MEBIBYTE, Setting, describe, setting
from falcon_catalog.settings.issuers import IssuerSettings
from falcon_catalog.settings.storage import StorageSettings, kind_of


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How requests are served."""

    listen: str = setting(
        "127.0.0.1:8181",
        "Where to listen: HOST:PORT, :PORT (on 127.0.0.1), [IPV6]:PORT or unix:/PATH; port 0 picks"
        " a free one. Sockets passed by systemd take precedence.",
        rules.listen,
        flag="--listen",
    )
    reuse_port: bool = setting(
        False,
        "Share the address with other servers that also set this; each new connection goes to"
        " one of them. No effect on sockets passed by systemd.",
        rules.boolean,
        flag="--reuse-port",
    )
    allowed_hosts: tuple[str, ...] = setting(
        (),
        "Names, without a port, under which clients call the server, besides localhost, its IP"
        " addresses and the host of server.listen; requests under any other name are rejected.",
        rules.host_names,
    )
    insecure: bool = setting(
        False,
        "Whether to listen beyond the local machine although auth.required is not set.",
        rules.boolean,
        flag="--insecure",
    )
    threads: int = setting(
        8, "Requests processed at the same time.", rules.whole(1, 256), flag="--threads"
    )
    shutdown_timeout: int = setting(
        30,
        "Seconds that requests in flight have to finish when the server stops.",
        rules.whole(0, 3600),
    )
    max_body_bytes: int = setting(
        64 * MEBIBYTE, "Largest request body, in bytes.", rules.whole(1024, 1024 * MEBIBYTE)
    )
    max_header_bytes: int = setting(
        64 * 1024,
        "Largest head of a request, its line and headers, in bytes.",
        rules.whole(1024, 16 * MEBIBYTE),
    )
    max_connections: int = setting(
        1000,
        "Connections open at the same time; beyond them the idlest is closed, then the oldest"
        " incomplete request. Fewer if the limit on file descriptors is lower.",
        rules.whole(1, 100_000),
    )
    max_connections_per_address: int = setting(
        500,
        "Connections of one client address at the same time; beyond them its idlest is closed,"
        " then its oldest incomplete request. A proxy is one address.",
        rules.whole(1, 100_000),
    )
    max_queue: int = setting(
        256,
        "Requests that wait for a thread; further ones get a 503 with Retry-After.",
        rules.whole(1, 100_000),
    )
    max_wait: int = setting(
        30,
        "Seconds that a request waits for a thread before it gets a 503 with Retry-After.",
        rules.whole(1, 86400),
    )
    stall_timeout: int = setting(
        120,
        "Seconds after which threads that are all busy with the same requests count as stalled:"
        " the server is not ready, and the watchdog is not notified.",
        rules.whole(1, 86400),
    )
    header_timeout: int = setting(
        10,
        "Seconds that the head of a request has to arrive, from its first byte.",
        rules.whole(1, 86400),
    )
    receive_timeout: int = setting(
        60,
        "Seconds that a request has to arrive in full, from its first byte.",
        rules.whole(1, 86400),
    )
    channel_timeout: int = setting(
        120,
        "Seconds after which a connection that neither sends nor receives is closed.",
        rules.whole(1, 86400),
    )


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Limits of one request."""

    # Filters of scans are deep: a chain of n terms has n levels. The JSON library reads 1024.
    json_depth: int = setting(
        1024, "Nesting depth of arrays and objects in a request's JSON.", rules.whole(16, 1024)
    )
    json_values: int = setting(
        2_000_000, "Values in a request's JSON.", rules.whole(1000, 1_000_000_000)
    )
    table_changes: int = setting(
        1000, "Tables changed in one transaction.", rules.whole(1, 100_000)
    )
    updates: int = setting(
        10_000, "Updates in a commit to one table or view.", rules.whole(1, 1_000_000)
    )
    requirements: int = setting(
        10_000, "Requirements of a commit to one table.", rules.whole(1, 1_000_000)
    )
    properties: int = setting(
        10_000, "Properties set or removed at once.", rules.whole(1, 1_000_000)
    )
    property_characters: int = setting(
        4 * MEBIBYTE,
        "Characters of the names and values of properties set at once.",
        rules.whole(1, 1024 * MEBIBYTE),
    )
    properties_bytes: int = setting(
        16 * MEBIBYTE,
        "Bytes of JSON of all properties of a table, a view or a namespace.",
        rules.whole(1024, 1024 * MEBIBYTE),
    )
    namespace_properties: int = setting(
        0, "Properties of a namespace; 0: any number.", rules.whole(0, 1_000_000)
    )
    namespace_tables: int = setting(
        0, "Tables and views in one namespace; 0: any number.", rules.whole(0, 1_000_000_000)
    )
    columns: int = setting(
        10_000,
        "Columns of a schema that is added, nested ones included.",
        rules.whole(1, 1_000_000),
    )
    # A nested type has three levels of JSON.
    schema_depth: int = setting(
        64,
        "Nesting depth of structs, lists and maps in a schema that is added.",
        rules.whole(1, 70),
    )
    page_size: int = setting(1000, "Entries in one page of a list.", rules.whole(1, 1_000_000))


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """The catalog's database."""

    url: str = setting(
        None,
        "The catalog's database: a file, sqlite:///relative.db or sqlite:////absolute.db, or"
        " postgresql://user@host/database, with other parameters of libpq after a question mark"
        " but without a password.",
        rules.store_url,
        flag="--store",
        derived="sqlite:///{state}/catalog.db",
    )
    durability: str = setting(
        "full",
        "full: acknowledged commits survive a power failure; relaxed: a power failure may lose"
        " the commits of the last seconds, and leave tables whose newest metadata is missing.",
        rules.one_of("full", "relaxed"),
    )
    password: str = setting(
        "ambient",
        "PostgreSQL: where the password is: ambient (PGPASSFILE, PGPASSWORD or none),"
        " env:VARIABLE, file:/absolute/path or systemd:NAME (LoadCredential).",
        rules.credential_reference,
    )
    # One for each thread that server.threads has by default, the workers, and single statements
    # inside a transaction.
    pool_size: int = setting(
        12,
        "PostgreSQL: connections of one process; more than server.threads.",
        rules.whole(2, 1000),
    )
    connect_timeout: int = setting(
        5,
        "PostgreSQL: seconds to wait for a connection.",
        rules.whole(2, 300),
    )
    statement_timeout: int = setting(
        30, "PostgreSQL: seconds that one statement may take.", rules.whole(1, 3600)
    )
    lock_timeout: int = setting(
        10,
        "PostgreSQL: seconds to wait for another change of the same table or namespace.",
        rules.whole(1, 3600),
    )
    transaction_idle_timeout: int = setting(
        60,
        "PostgreSQL: seconds after which it ends a session that does nothing inside a transaction,"
        " as that of a process that was stopped, whose locks others wait for.",
        rules.whole(1, 3600),
    )
    sslmode: str = setting(
        "",
        "PostgreSQL: disable, allow, prefer, require, verify-ca or verify-full; empty: as in the"
        " URL, or libpq's default, prefer.",
        rules.optional(
            rules.one_of("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
        ),
    )
    sslrootcert: str = setting(
        "",
        "PostgreSQL: PEM file of the authorities that the server's certificate may be from.",
        rules.path,
    )
    search_path: str = setting(
        "",
        "PostgreSQL: schemas to look for the catalog's tables in; the first one that exists gets"
        " them. Empty: as the database says, usually public.",
        rules.optional(rules.search_path),
    )

    @property
    def is_file(self) -> bool:
        """Whether it is a SQLite file."""
        return self.url.startswith("sqlite:")

    @property
    def path(self) -> Path:
        """The SQLite file; raises ValueError if there is none."""
        return rules.store_path(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarehouseSettings(StorageSettings):
    """The warehouses that hold the tables' files: the default one, and what holds for all."""

    name: str = setting(
        "default",
        "Name by which clients can request the warehouse.",
        rules.warehouse_name,
        flag="--warehouse-name",
    )
    more: tuple[str, ...] = setting(
        (),
        "More warehouses, with their own namespaces and tables: NAME=file:///absolute/path. One"
        " with settings of its own has a section [warehouse.NAME].",
        rules.named_locations,
    )
    allow_overlap: bool = setting(
        False,
        "Whether a client may place a table at, around or inside another one's location.",
        rules.boolean,
    )
    drop_retention: int = setting(
        7 * 86400,
        "Seconds in which a dropped table or view can be undropped; the files of a purged table"
        " are deleted only after that.",
        rules.whole(0, 10 * 366 * 86400),
    )
    sections: Mapping[str, StorageSettings] = field(default_factory=dict)
    """The warehouses with a section of their own, by name."""

    @property
    def storages(self) -> dict[str, StorageSettings]:
        """The settings of each warehouse by its name, the default one first."""
        more = {
            name: StorageSettings(
                location=root,
                allowed_locations=tuple(
                    each for each in self.allowed_locations if kind_of(each) == kind_of(root)
                ),
            )
            for name, root in map(rules.named_location, self.more)
        }
        return {self.name: self, **more, **self.sections}

    @property
    def roots(self) -> dict[str, str]:
        """The location of each warehouse by its name, the default one first."""
        return {name: storage.location for name, storage in self.storages.items()}

    @property
    def locations(self) -> tuple[str, ...]:
        """The locations and allowed locations of all warehouses, each once."""
        storages = self.storages.values()
        allowed = (each for storage in storages for each in storage.allowed_locations)
        return tuple(dict.fromkeys((*self.roots.values(), *allowed)))


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """Sizes of the caches."""

    documents_bytes: int = setting(
        128 * MEBIBYTE,
        "Memory for recently used metadata of tables and views, in bytes, for each process.",
        rules.whole(0, 64 * 1024 * MEBIBYTE),
    )
    manifests_bytes: int = setting(
        64 * MEBIBYTE,
        "Memory for recently used manifests of planned scans, in bytes, for each process.",
        rules.whole(0, 64 * 1024 * MEBIBYTE),
    )


@dataclass(frozen=True, slots=True)
class PlanningSettings:
    """Server-side scan planning."""

    sync_manifests: int = setting(
        64,
        "Scans over more manifests than this are planned in the background; clients"
        " must then poll for the result: Java does, PyIceberg 0.12 cannot.",
        rules.whole(0, 1_000_000),
    )
    page_files: int = setting(1000, "Data files in one answer to a scan.", rules.whole(1, 100_000))
    keep_seconds: int = setting(
        3600, "Seconds for which a planned scan can be fetched.", rules.whole(1, 7 * 86400)
    )


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Authentication."""

    required: bool = setting(
        False,
        "Whether every request needs a token; if not, the Authorization header is ignored.",
        rules.boolean,
    )
    token_lifetime: int = setting(
        3600, "Seconds for which a token is valid.", rules.whole(1, 30 * 86400)
    )
    session_lifetime: int = setting(
        86400,
        "Seconds after which a token cannot be renewed without the client's credentials; no token"
        " is valid for longer.",
        rules.whole(1, 366 * 86400),
    )
    secrets: bool = setting(
        True,
        "Whether principals can log in with a secret of this catalog; if not, only with an identity"
        " provider, [auth.issuer.NAME].",
        rules.boolean,
    )
    admins: tuple[str, ...] = setting(
        (),
        "Principals that get the privilege admin on the server when it starts: names, or"
        " ISSUER~SUBJECT.",
        rules.principals,
    )
    unix_users: tuple[str, ...] = setting(
        (),
        "Principals of the clients of a Unix socket that present no token: UID=PRINCIPAL. The"
        " server's own user and root may do everything.",
        rules.unix_users,
    )
    trusted_engines: tuple[str, ...] = setting(
        (),
        "Principals that may create and change views which run as the user that their property"
        " trino.run-as-owner names: query engines that authenticate their users.",
        rules.principals,
    )
    issuers: Mapping[str, IssuerSettings] = field(default_factory=dict)
    """The identity providers, by the names of their sections."""

    @property
    def users(self) -> dict[int, str]:
        """The principals of ``unix_users``, by the ids of the users."""
        return {int(uid): name for uid, name in map(rules.pair, self.unix_users)}


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """The record of changes, refused requests, and access to files."""

    keep_days: int = setting(
        90,
        "Days for which changes of namespaces, tables, views and functions are kept, and access to"
        " files that clients were given.",
        rules.whole(1, 36_600),
    )
    keep_rows: int = setting(
        10_000_000,
        "Rows that are kept of them at most; about 500 bytes each.",
        rules.whole(1000, 1_000_000_000),
    )
    keep_access_days: int = setting(
        1100,
        "Days for which changes of principals, roles, grants and keys are kept.",
        rules.whole(1, 36_600),
    )
    keep_refusals: int = setting(
        100_000, "Refused requests to keep, the newest ones.", rules.whole(0, 10_000_000)
    )
    vending: bool = setting(
        True,
        "Whether credentials and signatures that clients get for files are recorded.",
        rules.boolean,
    )
    log: bool = setting(
        False,
        "Whether each row is also logged, by the logger falcon_catalog.audit.",
        rules.boolean,
    )


@dataclass(frozen=True, slots=True)
class CorsSettings:
    """Access for web pages."""

    origins: tuple[str, ...] = setting(
        (),
        "Origins whose web pages may call the server: https://app.example.com; with"
        " auth.required, * means any.",
        rules.origins,
    )


@dataclass(frozen=True, slots=True)
class WebSettings:
    """The catalog's own web pages."""

    enabled: bool = setting(
        True, "Whether the catalog has web pages, at / and below /ui/.", rules.boolean
    )
    session_idle: int = setting(
        8 * 3600,
        "Seconds without a request after which a login to the pages ends.",
        rules.whole(60, 30 * 86400),
    )
    session_lifetime: int = setting(
        86400,
        "Seconds after which a login to the pages ends in any case.",
        rules.whole(60, 30 * 86400),
    )
    sql: bool = setting(
        False,
        "Whether there is a page for SQL queries, which DuckDB runs on this machine over the tables"
        " that a visitor may read; it needs the extra query. docs/security.md has the risks.",
        rules.boolean,
    )


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Clients' metrics reports, and access to the server's own metrics."""

    keep_reports: int = setting(
        10_000, "Metrics reports to keep, the newest of all tables.", rules.whole(0, 10_000_000)
    )
    public: bool = setting(
        False,
        "Whether /metrics is public even if every other request needs a token.",
        rules.boolean,
    )


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """Traces of requests."""

    endpoint: str = setting(
        "",
        "URL of the collector that gets traces of requests, over OTLP/HTTP, such as"
        " http://127.0.0.1:4318; empty: no traces. Needs the extra otel.",
        rules.url_or_empty,
    )
    percent: int = setting(
        100,
        "Percent of the requests that are traced, of those whose client does not decide it.",
        rules.whole(1, 100),
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Logging on stderr."""

    level: str = setting(
        "INFO",
        f"Least severe message to log: {', '.join(rules.LOG_LEVELS)}.",
        rules.one_of(*rules.LOG_LEVELS),
        flag="--log-level",
    )
    format: str = setting(
        "text", "Format of a line: text (key=value pairs) or json.", rules.one_of("text", "json")
    )
    access: bool = setting(True, "Whether each request is logged.", rules.boolean)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings in force."""

    server: ServerSettings = field(default_factory=ServerSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    store: StoreSettings
    warehouse: WarehouseSettings
    cache: CacheSettings = field(default_factory=CacheSettings)
    planning: PlanningSettings = field(default_factory=PlanningSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    cors: CorsSettings = field(default_factory=CorsSettings)
    web: WebSettings = field(default_factory=WebSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    tracing: TracingSettings = field(default_factory=TracingSettings)
    log: LogSettings = field(default_factory=LogSettings)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Where the value of each key comes from: ``default``, ``flag --listen``, a file …"""

    @property
    def section_keys(self) -> list[str]:
        """The keys that named sections have, such as ``warehouse.NAME.location``."""
        warehouses, issuers = self.warehouse.sections.items(), self.auth.issuers.items()
        return [
            *(f"warehouse.{name}.{key}" for name, section in warehouses for key in section.given),
            *(f"auth.issuer.{name}.{key}" for name, section in issuers for key in section.given),
        ]

    def value(self, key: str) -> Any:
        """Return the value of a setting, such as ``server.listen`` or ``warehouse.NAME.region``."""
        section, _, name = key.partition(".")
        warehouse, _, own = name.rpartition(".")
        if section == "auth" and warehouse:
            return getattr(self.auth.issuers[warehouse.removeprefix("issuer.")], own)
        if warehouse:
            return getattr(self.warehouse.sections[warehouse], own)
        return getattr(getattr(self, section), name)


SECTIONS: dict[str, type[Any]] = {
    name: kind for name, kind in get_type_hints(Settings).items() if name != "origins"
}
SETTINGS: tuple[Setting, ...] = tuple(
    describe(section, described)
    for section, kind in SECTIONS.items()
    for described in fields(kind)
    if described.metadata
)
STORAGE_SETTINGS: tuple[Setting, ...] = tuple(
    describe("warehouse", described) for described in fields(StorageSettings) if described.metadata
)
"""Those that a section [warehouse.NAME] may have."""
ISSUER_SETTINGS: tuple[Setting, ...] = tuple(
    describe("auth.issuer.NAME", described)
    for described in fields(IssuerSettings)
    if described.metadata
)
"""Those that a section [auth.issuer.NAME] may have."""
