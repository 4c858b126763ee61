"""Which files the catalog and the pipeline consist of, for the settings that are there."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from falcon_catalog.installation import storage
from falcon_catalog.installation.files import File, Tree
from falcon_catalog.installation.program import Program
from falcon_catalog.settings import Settings, load

UNITS = "/etc/systemd/system"
SYSUSERS = "/etc/sysusers.d/falcon-catalog.conf"
SETTINGS = "/etc/falcon-catalog/catalog.toml"
PIPELINE_SETTINGS = "/etc/falcon-catalog/luigi.cfg"
CREDENTIALS = "/etc/falcon-catalog/credentials"
COMMAND = "/usr/local/sbin/falcon-catalog"
USER = "iceberg"
PORT = 8181
SCHEDULER_PORT = 8082
STATE = ("/var/lib/falcon-catalog",)
PIPELINE_STATE = ("/var/lib/falcon-weather", "/var/lib/falcon-luigid")

SERVICES = ("catalog.service", "catalog@.service")
_CATALOG = (*SERVICES, "catalog.socket")
KINDS = ("dbt", "ingestion", "maintenance", "pipeline")
TIMERS = tuple(f"weather-{kind}.timer" for kind in KINDS)
_PIPELINE = (
    "luigid.service",
    "weather-.service.d/common.conf",
    "weather-failure@.service",
    *(f"weather-{kind}.service" for kind in KINDS),
    *TIMERS,
)
DROP_INS = tuple(f"{UNITS}/{unit}.d" for unit in (*_CATALOG, *_PIPELINE) if "/" not in unit)
"""Folders of changes to units, as ``systemctl edit`` makes them."""
_PORT_FILE = f"{UNITS}/catalog.socket.d/port.conf"
_ENVIRONMENT = """\
# Secrets of the weather pipeline, readable by root only: NAME=value, one on each line, such as
# NOTIFY_SLACK_WEBHOOK=https://hooks.slack.com/…
"""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to install."""

    pipeline: bool = False
    auth: bool = False
    """Whether new settings require tokens."""
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """The files to install, and what they amount to."""

    files: tuple[File, ...]
    settings: Settings
    port: int
    pipeline: bool
    missing_credentials: tuple[str, ...] = field(default=())
    """Files that the settings name with ``systemd:NAME`` and that are not there."""

    @property
    def url(self) -> str:
        """The address of the catalog."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def principals(self) -> tuple[str, ...]:
        """The principals that the installation adds."""
        if not self.settings.auth.required:
            return ()
        return ("admin", "weather") if self.pipeline else ("admin",)


def contents(program: Program, tree: Tree, wish: Wish) -> Contents:
    """Return what to install.

    An installation that has the pipeline, or a port of its own, keeps it.

    Raises:
        SettingsError: the settings that are there are invalid.
        OSError: a shipped file cannot be read.
    """
    pipeline = wish.pipeline or tree.path(f"{UNITS}/luigid.service").exists()
    port = wish.port or _port(tree)
    files = [
        File(SYSUSERS, program.read("systemd/sysusers.d/falcon-catalog.conf")),
        File(SETTINGS, _settings_text(program, wish), is_settings=True),
        *_units(program, _CATALOG),
        File(COMMAND, program.read("systemd/falcon-catalog"), 0o755),
    ]
    there = tree.path(SETTINGS)
    file = there if there.exists() else program.shared / "systemd/catalog.toml"
    environment = {"STATE_DIRECTORY": STATE[0]}
    settings = load(file, environment, {})
    is_required = settings.auth.required or (wish.auth and not there.exists())
    if is_required and not settings.auth.required:
        settings = load(file, {**environment, "CATALOG_AUTH_REQUIRED": "true"}, {})
    if port != PORT:
        files.append(File(_PORT_FILE, f"[Socket]\nListenStream=\nListenStream=127.0.0.1:{port}\n"))
    files += _drop_ins("storage.conf", storage.of_catalog(settings, *STATE), *SERVICES)
    names = sorted(set(_credential_names(settings)))
    if names:
        lines = "".join(f"LoadCredential={name}:{CREDENTIALS}/{name}\n" for name in names)
        files += _drop_ins("credentials.conf", f"[Service]\n{lines}", *SERVICES)
    if pipeline:
        luigi = program.read("conf/luigi.cfg").replace(f"127.0.0.1:{PORT}", f"127.0.0.1:{port}")
        files += (
            File(PIPELINE_SETTINGS, luigi, is_settings=True),
            File("/etc/falcon-catalog/weather.env", _ENVIRONMENT, 0o600, is_settings=True),
            *_units(program, _PIPELINE),
        )
        files += _drop_ins(
            "storage.conf", storage.of_pipeline(settings, *STATE), "weather-.service"
        )
        if is_required:
            line = f"LoadCredential=catalog:{CREDENTIALS}/weather"
            files.append(
                File(f"{UNITS}/weather-.service.d/credential.conf", f"[Service]\n{line}\n")
            )
    absent = tuple(
        path for name in names if not tree.path(path := f"{CREDENTIALS}/{name}").exists()
    )
    return Contents(tuple(files), settings, port, pipeline, absent)


def _units(program: Program, names: tuple[str, ...]) -> Iterator[File]:
    return (File(f"{UNITS}/{name}", program.read(f"systemd/{name}")) for name in names)


def _drop_ins(name: str, text: str, *units: str) -> Iterator[File]:
    """Yield a drop-in for each unit; none if it would be empty."""
    return (File(f"{UNITS}/{unit}.d/{name}", text) for unit in units if text)


def _settings_text(program: Program, wish: Wish) -> str:
    text = program.read("systemd/catalog.toml")
    return f"{text}\n[auth]\nrequired = true\n" if wish.auth else text


def _port(tree: Tree) -> int:
    """Return the port of an installation's socket, or the default one."""
    try:
        text = tree.path(_PORT_FILE).read_text(encoding="utf-8")
        return int(text.rpartition(":")[2])
    except (FileNotFoundError, ValueError):
        return PORT


def _credential_names(settings: Settings) -> Iterator[str]:
    """Yield the names in ``credential = "systemd:NAME"`` of all warehouses."""
    for each in settings.warehouse.storages.values():
        kind, _, name = each.credential.partition(":")
        if kind == "systemd":
            yield name
