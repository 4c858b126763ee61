"""Install the catalog as a service, bring an installation up to date, and remove it."""

import contextlib
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path

from falcon_catalog.installation import contents as parts
from falcon_catalog.installation import storage
from falcon_catalog.installation.contents import Contents, Wish
from falcon_catalog.installation.files import RECORD, Change, Tree
from falcon_catalog.installation.host import Host, HostError, Report, port_is_taken
from falcon_catalog.installation.program import Program, protected

_READY_SECONDS = 60.0
_POLL_SECONDS = 0.2
_UNIT_DEPTH = parts.UNITS.count("/") + 1


def problems(
    program: Program, tree: Tree, host: Host, wanted: Contents, wish: Wish
) -> Iterator[str]:
    """Yield why this cannot be installed, each with the remedy. Changes nothing."""
    yield from program.problems(pipeline=wanted.pipeline)
    record = tree.record()
    for name in ("catalog.service", "catalog.socket", "luigid.service"):
        path = tree.path(f"{parts.UNITS}/{name}")
        is_ours = f"{parts.UNITS}/{name}" in record or not path.exists()
        if not is_ours and not _mentions_us(path):
            yield f"{path} belongs to another program: rename that unit, and install again"
    for folder in storage.folders(wanted.settings, *parts.STATE):
        if why := protected(Path(folder)):
            yield f"{folder}, which the settings name, {why}: choose another folder"
    if wish.auth and not wanted.settings.auth.required:
        path = tree.path(parts.SETTINGS)
        yield f"{path} is never overwritten: set auth.required = true in it instead of --auth"
    for missing in wanted.missing_credentials:
        name = missing.rpartition("/")[2]
        yield f'the settings name "systemd:{name}": put that credential into {missing}, mode 0600'
    if host.root is None:
        yield from _taken_ports(host, wanted)


def install(
    tree: Tree, host: Host, changes: list[Change], wanted: Contents, report: Report
) -> None:
    """Write the files, then create users, enable and start or restart units, and add principals.

    Raises:
        HostError: systemd refuses something, or the service does not become ready.
        OSError: a file cannot be written.
    """
    for change in tree.apply(changes):
        if change.is_made:
            report(change.action, str(tree.path(change.file.path)))
    folder = tree.path(parts.CREDENTIALS)
    if not folder.is_dir():
        folder.mkdir(mode=0o700)
    made = {change.file.path for change in changes if change.is_made}
    if parts.SYSUSERS in made:
        host.make_users()
    for name in missing_folders(tree, wanted):
        tree.make_folder(name, parts.USER)
        report("create", f"{tree.path(name)}/ (of the user {parts.USER})")
    if any(path.startswith(parts.UNITS) for path in made):
        host.reload()
    instances = host.active("catalog@*.service")
    services = instances or ["catalog.service"]
    if any("catalog.socket" in path for path in made) and host.is_active("catalog.socket"):
        host.stop("catalog.socket", *services)  # a socket is not changed under a running service
        host.start("catalog.socket", *services)
    else:
        host.restart(
            *(each for each in services if _is_affected(each, made) and host.is_active(each))
        )
    host.enable("catalog.socket", *services)
    if host.root is None:
        url = host.address("catalog.socket") or wanted.url
        report("check", f"{url}/health/ready")
        _await_ready(url)
        _add_principals(tree, wanted, report)
    if wanted.pipeline:
        _start_pipeline(host, made, report)


def missing_folders(tree: Tree, wanted: Contents) -> list[str]:
    """Return the folders of the store and of warehouses that systemd does not create."""
    named = storage.folders(wanted.settings, *parts.STATE)
    return [each for each in named if not tree.path(each).exists()]


def uninstall(tree: Tree, host: Host, report: Report, *, purge: bool) -> None:
    """Stop and remove the services; with ``purge`` also their data, settings and credentials.

    Raises:
        HostError: systemd refuses something.
        OSError: a file cannot be removed.
    """
    units = [path.rpartition("/")[2] for path in installed(tree) if path.count("/") == _UNIT_DEPTH]
    enabled = [unit for unit in units if unit in {"luigid.service", *parts.TIMERS}]
    instances = host.active("catalog@*.service")
    running = [
        *enabled,
        *(unit for unit in units if unit.startswith("weather-") and "@" not in unit),
    ]
    host.stop(*dict.fromkeys(running), "catalog.socket", "catalog.service", *instances)
    host.disable(*enabled, "catalog.socket", "catalog.service", *instances)
    for path in (*installed(tree), RECORD):
        with contextlib.suppress(FileNotFoundError):
            tree.path(path).unlink()
            report("remove", str(tree.path(path)))
        with contextlib.suppress(OSError):  # a folder of drop-ins that holds others
            if path.startswith(parts.UNITS) and path.count("/") > _UNIT_DEPTH:
                tree.path(path).parent.rmdir()
    for timer in parts.TIMERS:  # when it elapsed last, as systemd remembers it
        tree.path(f"/var/lib/systemd/timers/stamp-{timer}").unlink(missing_ok=True)
    if purge:
        for folder in data(tree):
            if folder.is_symlink():
                folder.unlink()
            else:
                shutil.rmtree(folder)
            report("delete", str(folder))
    host.reload()
    host.forget_failures()


def installed(tree: Tree) -> list[str]:
    """Return the files of the installation, without settings; empty if there is none."""
    return list(tree.record())


def data(tree: Tree) -> list[Path]:
    """Return the folders of data, settings and credentials, and changes to units, as far as there.

    A store or warehouse elsewhere is not among them.
    """
    names = ["/etc/falcon-catalog"]
    for name in (*parts.STATE, *parts.PIPELINE_STATE):
        # What a service with DynamicUser= writes is behind a link.
        names += [name, name.replace("/var/lib/", "/var/lib/private/")]
    paths = (tree.path(name) for name in (*names, *parts.DROP_INS))
    return [path for path in paths if path.exists() or path.is_symlink()]


def _taken_ports(host: Host, wanted: Contents) -> Iterator[str]:
    if port_is_taken(wanted.port) and not host.is_active("catalog.socket"):
        yield (
            f"another program listens on 127.0.0.1:{wanted.port} (ss --listening --tcp --processes"
            " shows which): stop it, or install with another --port"
        )
    is_ours = host.is_active("luigid.service")
    if wanted.pipeline and port_is_taken(parts.SCHEDULER_PORT) and not is_ours:
        yield (
            f"another program listens on 127.0.0.1:{parts.SCHEDULER_PORT}, luigid's port: stop it"
        )


def _mentions_us(path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    return "falcon-catalog" in text or "Iceberg REST catalog" in text


def _is_affected(unit: str, made: Iterable[str]) -> bool:
    """Return whether a running unit has another file, or a drop-in, than it was started with."""
    template = unit.partition("@")[0] + "@.service" if "@" in unit else unit
    names = (f"{parts.UNITS}/{template}", f"{parts.UNITS}/{template}.d/")
    return any(path == names[0] or path.startswith(names[1]) for path in made)


def _await_ready(url: str) -> None:
    deadline, said = time.monotonic() + _READY_SECONDS, ""
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=10):  # noqa: S310 - http:
                return
        except urllib.error.HTTPError as error:
            said = f"{error.code} {error.read(2000).decode(errors='replace')}"
        except OSError as error:
            said = str(error)
        time.sleep(_POLL_SECONDS)
    raise HostError(f"the service is not ready: {said}; see journalctl --unit catalog")


def _start_pipeline(host: Host, made: set[str], report: Report) -> None:
    if _is_affected("luigid.service", made) and host.is_active("luigid.service"):
        host.restart("luigid.service")
    host.enable("luigid.service", *parts.TIMERS)
    if host.root is None:
        report("check", f"http://127.0.0.1:{parts.SCHEDULER_PORT}")
        deadline = time.monotonic() + _READY_SECONDS
        while not port_is_taken(parts.SCHEDULER_PORT):
            if time.monotonic() > deadline:
                raise HostError("luigid does not listen; see journalctl --unit luigid")
            time.sleep(_POLL_SECONDS)


def _add_principals(tree: Tree, wanted: Contents, report: Report) -> None:
    """Add each principal whose credential is not there yet, and store it, readable by root only."""
    for name in wanted.principals:
        path = f"{parts.CREDENTIALS}/{name}"
        if tree.path(path).exists():
            continue
        command = [parts.COMMAND, "principals", "add", name, "--json"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if result.returncode != 0:
            raise HostError(
                f"{' '.join(command)}: {result.stderr.strip()}. If the principal is there, get it"
                f" another secret: falcon-catalog principals rotate {name}, and write the"
                f" credential into {path}, mode 0600"
            )
        tree.write(path, json.loads(result.stdout)["credential"] + "\n", 0o600)
        report("create", f"{tree.path(path)} (credential of the principal {name})")
