"""Settings: read once from a file, the environment and flags, then frozen.

Each setting is described once, beside its field: the help text, the rule it obeys and its
flag. ``--help``, ``config show`` and the documentation's test all read that description.
Flags win over the environment, which wins over the file, which wins over the defaults.
"""

import difflib
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from falcon_catalog import rules
from falcon_catalog.folders import Folders

MEBIBYTE = 1024 * 1024


class SettingsError(Exception):
    """A setting that cannot be used; the message is one line, fit for a terminal."""


def _about(
    text: str, rule: Callable[[object], Any], *, flag: str = "", derived: str = ""
) -> dict[str, Any]:
    """Describe a setting; ``derived`` is a default with ``{state}`` for the state directory."""
    return {"help": text, "rule": rule, "flag": flag, "derived": derived}


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How requests are served, and for how long they wait at the end."""

    listen: str = field(
        default="127.0.0.1:8181",
        metadata=_about(
            "Where to listen: HOST:PORT, [IPV6]:PORT or unix:/PATH; port 0 picks a free one."
            " Sockets handed over by systemd come before it.",
            rules.listen,
            flag="--listen",
        ),
    )
    processes: int = field(
        default=1,
        metadata=_about(
            "Processes that serve requests, kept alive by one more if there are several; with as"
            " many as processors, each has one. The other settings here are of each process.",
            rules.whole(1, 64),
            flag="--processes",
        ),
    )
    worker_timeout: int = field(
        default=30,
        metadata=_about(
            "Seconds without a sign of life after which one of several processes is killed and"
            " replaced.",
            rules.whole(1, 3600),
        ),
    )
    threads: int = field(
        default=4,
        metadata=_about(
            "Requests worked on at the same time.", rules.whole(1, 256), flag="--threads"
        ),
    )
    shutdown_timeout: int = field(
        default=30,
        metadata=_about(
            "Seconds that requests in flight have to finish once the server is told to stop.",
            rules.whole(0, 3600),
        ),
    )
    max_body_bytes: int = field(
        default=64 * MEBIBYTE,
        metadata=_about("Largest request body, in bytes.", rules.whole(1024, 1024 * MEBIBYTE)),
    )
    max_header_bytes: int = field(
        default=64 * 1024,
        metadata=_about(
            "Largest head of a request, its line and headers, in bytes.",
            rules.whole(1024, 16 * MEBIBYTE),
        ),
    )
    max_connections: int = field(
        default=1000,
        metadata=_about(
            "Connections open at the same time; beyond them the idlest makes room.",
            rules.whole(1, 100_000),
        ),
    )
    max_queue: int = field(
        default=256,
        metadata=_about(
            "Requests that wait for a thread; beyond them a client is told to come again.",
            rules.whole(1, 100_000),
        ),
    )
    max_wait: int = field(
        default=30,
        metadata=_about(
            "Seconds that a request waits for a thread; when its turn comes later, its client is"
            " told to come again.",
            rules.whole(1, 86400),
        ),
    )
    receive_timeout: int = field(
        default=60,
        metadata=_about(
            "Seconds that a request has to arrive in full, from its first byte.",
            rules.whole(1, 86400),
        ),
    )
    channel_timeout: int = field(
        default=120,
        metadata=_about(
            "Seconds after which a connection that neither sends nor receives is closed.",
            rules.whole(1, 86400),
        ),
    )


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What one request may ask for."""

    json_depth: int = field(
        default=1024,  # filters of scans are deep: a chain of n terms has n levels
        metadata=_about(
            "Levels of arrays and objects inside each other in a request's JSON.",
            rules.whole(16, 1024),  # more the JSON library does not read
        ),
    )
    json_values: int = field(
        default=2_000_000,
        metadata=_about("Values in a request's JSON.", rules.whole(1000, 1_000_000_000)),
    )
    table_changes: int = field(
        default=1000,
        metadata=_about("Tables changed in one transaction.", rules.whole(1, 100_000)),
    )
    updates: int = field(
        default=10_000,
        metadata=_about("Updates in a commit to one table or view.", rules.whole(1, 1_000_000)),
    )
    requirements: int = field(
        default=10_000,
        metadata=_about("Requirements of a commit to one table.", rules.whole(1, 1_000_000)),
    )
    properties: int = field(
        default=10_000,
        metadata=_about("Properties set or removed at once.", rules.whole(1, 1_000_000)),
    )
    property_characters: int = field(
        default=4 * MEBIBYTE,
        metadata=_about(
            "Characters of the names and values of properties set at once.",
            rules.whole(1, 1024 * MEBIBYTE),
        ),
    )
    columns: int = field(
        default=10_000,
        metadata=_about(
            "Columns of a schema that is added, nested ones included.", rules.whole(1, 1_000_000)
        ),
    )
    schema_depth: int = field(
        default=64,
        metadata=_about(
            "Structs, lists and maps inside each other in a schema that is added.",
            rules.whole(1, 70),  # three levels of JSON each
        ),
    )
    page_size: int = field(
        default=1000,
        metadata=_about("Entries in one page of a list.", rules.whole(1, 1_000_000)),
    )


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the catalog's rows are."""

    url: str = field(
        metadata=_about(
            "The catalog's database: sqlite:///relative.db or sqlite:////absolute.db.",
            rules.store_url,
            flag="--store",
            derived="sqlite:///{state}/catalog.db",
        ),
    )
    durability: str = field(
        default="full",
        metadata=_about(
            "full: what was acknowledged survives a power cut; relaxed: a power cut may take the"
            " last seconds' commits, and leave tables whose newest metadata is gone.",
            rules.one_of("full", "relaxed"),
        ),
    )


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """What is kept in memory."""

    documents_bytes: int = field(
        default=128 * MEBIBYTE,
        metadata=_about(
            "Memory for the metadata of tables and views that were used last, in bytes, for each"
            " process.",
            rules.whole(0, 64 * 1024 * MEBIBYTE),
        ),
    )
    manifests_bytes: int = field(
        default=64 * MEBIBYTE,
        metadata=_about(
            "Memory for the manifests that scans were planned over last, in bytes, for each"
            " process.",
            rules.whole(0, 64 * 1024 * MEBIBYTE),
        ),
    )


@dataclass(frozen=True, slots=True)
class WarehouseSettings:
    """Where the tables' files are."""

    location: str = field(
        metadata=_about(
            "Root of the tables' files: file:///absolute/path.",
            rules.location,
            flag="--warehouse",
            derived="file://{state}/warehouse",
        ),
    )
    name: str = field(
        default="default",
        metadata=_about(
            "Name by which clients may ask for the warehouse.",
            rules.warehouse_name,
            flag="--warehouse-name",
        ),
    )
    more: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "More warehouses, with namespaces and tables of their own: NAME=file:///absolute/path.",
            rules.named_locations,
        ),
    )
    allowed_locations: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "More roots under which a client may place or register a table.", rules.locations
        ),
    )
    allow_overlap: bool = field(
        default=False,
        metadata=_about(
            "Whether a client may place a table at, around or inside another one's location.",
            rules.boolean,
        ),
    )
    drop_retention: int = field(
        default=7 * 86400,
        metadata=_about(
            "Seconds in which a dropped table or view can be undropped; only after them are the"
            " files of a purged table deleted.",
            rules.whole(0, 10 * 366 * 86400),
        ),
    )


@dataclass(frozen=True, slots=True)
class PlanningSettings:
    """How scans are planned for clients."""

    sync_manifests: int = field(
        default=64,
        metadata=_about(
            "Scans over more manifests than this are planned in the background, for which"
            " clients must ask again: Java does, PyIceberg 0.12 cannot.",
            rules.whole(0, 1_000_000),
        ),
    )
    page_files: int = field(
        default=1000,
        metadata=_about("Data files in one answer to a scan.", rules.whole(1, 100_000)),
    )
    keep_seconds: int = field(
        default=3600,
        metadata=_about(
            "Seconds that a planned scan can be fetched for.", rules.whole(1, 7 * 86400)
        ),
    )


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Who may call."""

    required: bool = field(
        default=False,
        metadata=_about(
            "Whether every request needs a token; without, the Authorization header is ignored.",
            rules.boolean,
        ),
    )
    token_lifetime: int = field(
        default=3600,
        metadata=_about("Seconds that a token can be used for.", rules.whole(1, 30 * 86400)),
    )


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """What clients report of their scans and commits, and who may read the server's own."""

    keep_reports: int = field(
        default=10_000,
        metadata=_about(
            "Reports of scans and commits to keep, the newest of all tables.",
            rules.whole(0, 10_000_000),
        ),
    )
    public: bool = field(
        default=False,
        metadata=_about(
            "Whether /metrics is told to anybody, also where every other request needs a token.",
            rules.boolean,
        ),
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What the process tells on stderr."""

    level: str = field(
        default="INFO",
        metadata=_about(
            f"Least severe message to log: {', '.join(rules.LOG_LEVELS)}.",
            rules.level,
            flag="--log-level",
        ),
    )
    format: str = field(
        default="text",
        metadata=_about(
            "How a line is written: text (key=value pairs) or json.", rules.one_of("text", "json")
        ),
    )
    access: bool = field(
        default=True,
        metadata=_about("Whether each request is a line in the log.", rules.boolean),
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the catalog was told, and by whom (``origins``: key to place)."""

    store: StoreSettings
    warehouse: WarehouseSettings
    server: ServerSettings = field(default_factory=ServerSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    planning: PlanningSettings = field(default_factory=PlanningSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    log: LogSettings = field(default_factory=LogSettings)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def value(self, key: str) -> Any:
        """Return the value of the setting ``key``, for example ``server.listen``."""
        section, _, name = key.partition(".")
        return getattr(getattr(self, section), name)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting's description."""

    key: str  # server.listen
    variable: str  # CATALOG_SERVER_LISTEN
    flag: str  # --listen, or empty
    default: str  # as documented; {state} stands for the state directory
    help: str
    rule: Callable[[object], Any]


_SECTIONS = {
    "server": ServerSettings,
    "limits": LimitSettings,
    "store": StoreSettings,
    "warehouse": WarehouseSettings,
    "cache": CacheSettings,
    "planning": PlanningSettings,
    "auth": AuthSettings,
    "metrics": MetricsSettings,
    "log": LogSettings,
}


def _describe(section: str, described: Field[Any]) -> Setting:
    about = described.metadata
    default = described.default
    return Setting(
        key=f"{section}.{described.name}",
        variable=f"CATALOG_{section}_{described.name}".upper(),
        flag=about["flag"],
        default=about["derived"] or _written(default),
        help=about["help"],
        rule=about["rule"],
    )


def _written(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return "" if default == () else str(default)


SETTINGS: tuple[Setting, ...] = tuple(
    _describe(section, described)
    for section, kind in _SECTIONS.items()
    for described in fields(kind)
)


def load(config: Path | None, environ: Mapping[str, str], flags: Mapping[str, object]) -> Settings:
    """Return the settings in force.

    Args:
        config: a TOML file, or None for no file.
        environ: the environment, ``os.environ`` as a rule.
        flags: value by key (``server.listen``); None counts as not given.

    Raises:
        SettingsError: a setting is unknown or wrong; one line names it, where it stands,
            its value and the rule it breaks.
    """
    state = _state_directory(environ)
    told: list[tuple[Setting, object, str]] = [
        *((s, s.default.format(state=state), "default") for s in SETTINGS),
        *(_from_file(config) if config else ()),
        *_from_environment(environ),
        *_from_flags(flags),
    ]
    sections: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    origins: dict[str, str] = {}
    for setting, raw, origin in told:
        section, _, name = setting.key.partition(".")
        try:
            sections[section][name] = setting.rule(raw)
        except ValueError as error:
            raise SettingsError(f"{origin}: {setting.key} = {raw!r}: it {error}") from None
        origins[setting.key] = origin
    built = {section: kind(**sections[section]) for section, kind in _SECTIONS.items()}
    return Settings(**built, origins=origins)


def prepare(settings: Settings) -> None:
    """Make the directories of the store and the warehouses, and see that they can be written.

    Raises:
        SettingsError: one cannot be made or written.
    """
    folders = Folders()
    roots = [root for _, root in map(rules.named_location, settings.warehouse.more)]
    directories = [
        ("store.url", rules.store_path(settings.store.url).parent),
        ("warehouse.location", rules.location_path(settings.warehouse.location)),
        *(("warehouse.more", rules.location_path(root)) for root in roots),
    ]
    for key, directory in directories:
        try:
            folders.make(str(directory.absolute()))
            with tempfile.TemporaryFile(dir=directory):
                pass
        except OSError as error:
            origin, value = settings.origins.get(key, "settings"), settings.value(key)
            reason = f"{directory} cannot be written: {error.strerror or error}"
            raise SettingsError(f"{origin}: {key} = {value!r}: {reason}") from None


def _state_directory(environ: Mapping[str, str]) -> Path:
    # systemd's STATE_DIRECTORY may hold several, separated by colons: ours is the first.
    told = environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(told or "var/catalog").absolute()


def _from_file(config: Path) -> Iterator[tuple[Setting, object, str]]:
    try:
        content = tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{config}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # neither UTF-8 nor TOML
        raise SettingsError(f"{config}: is not TOML: {error}") from None
    for section, values in content.items():
        if section not in _SECTIONS:
            raise SettingsError(
                f"{config}: unknown section [{section}], expected one of {', '.join(_SECTIONS)}"
            )
        if not isinstance(values, dict):
            raise SettingsError(f"{config}: {section} = {values!r}: it must be a [{section}] table")
        for name, value in values.items():
            yield _known(f"{section}.{name}", str(config)), value, str(config)


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[Setting, object, str]]:
    by_variable = {setting.variable: setting for setting in SETTINGS}
    ours = tuple(f"CATALOG_{section.upper()}_" for section in _SECTIONS)
    for variable, value in environ.items():
        if variable in by_variable:
            yield by_variable[variable], value, f"environment {variable}"
        elif variable.startswith(ours):
            raise SettingsError(
                f"environment {variable}: no such setting{_nearest(variable, by_variable)}"
            )


def _from_flags(flags: Mapping[str, object]) -> Iterator[tuple[Setting, object, str]]:
    for key, value in flags.items():
        if value is not None:
            setting = _known(key, "flag")
            yield setting, value, f"flag {setting.flag or key}"


def _known(key: str, origin: str) -> Setting:
    by_key = {setting.key: setting for setting in SETTINGS}
    if key not in by_key:
        raise SettingsError(f"{origin}: {key}: no such setting{_nearest(key, by_key)}")
    return by_key[key]


def _nearest(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {close[0]}?" if close else f", expected one of {', '.join(known)}"
