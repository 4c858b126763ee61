"""An upgrade from the previous version, and the way back, on a machine that systemd boots.

The previous version is the newest release tag, or the commit before the newest schema change. It is
installed as its documentation said: by hand.
"""

import io
import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.boot import image
from tests.boot.client import get, make_table, post
from tests.boot.image import PREFIX, REPOSITORY
from tests.boot.machine import Machine

UNITS = "/etc/systemd/system"
_BY_HAND = {
    "catalog.toml": "/etc/falcon-catalog/catalog.toml",
    "falcon-catalog": "/usr/local/sbin/falcon-catalog",
    "sysusers.d/falcon-catalog.conf": "/etc/sysusers.d/falcon-catalog.conf",
    **{
        name: f"{UNITS}/{name}"
        for name in ("catalog.service", "catalog@.service", "catalog.socket")
    },
}


def git(*command: str) -> str:
    result = subprocess.run(["git", *command], cwd=REPOSITORY, capture_output=True, check=False)
    if result.returncode != 0:
        pytest.skip(f"no previous version: git {command[0]}: {result.stderr.decode().strip()}")
    return result.stdout.decode().strip()


def previous_version() -> str:
    """Return the commit of the previous version."""
    if tags := git("tag", "--list", "v*", "--sort=-version:refname", "--merged").splitlines():
        return tags[0]
    folder = REPOSITORY / "falcon_catalog/store/migrations"
    newest = max(each.name for each in folder.glob("*.sql"))
    added = git("log", "--diff-filter=A", "--format=%H", "--", f"*{newest}").splitlines()
    if not added:
        pytest.skip(f"no previous version: the history here does not have the commit of {newest}")
    return git("rev-parse", "--verify", f"{added[-1]}^")


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the previous version's tree, and its wheel."""
    folder = tmp_path_factory.mktemp("previous")
    command = ["git", "archive", previous_version()]
    archive = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder / "tree", filter="data")
    return folder / "tree", image.wheel(folder / "tree", folder)


def tables(machine: Machine) -> list[str]:
    found = json.loads(get(machine, "/v1/namespaces/notes/tables"))["identifiers"]
    for each in found:
        get(machine, f"/v1/namespaces/notes/tables/{each['name']}")
    return [each["name"] for each in found]


def pip_install(machine: Machine, wheel: Path) -> None:
    """Install a wheel instead of the installed one, which has the same number between releases."""
    machine.path(f"/opt/{wheel.name}").write_bytes(wheel.read_bytes())
    pip = (f"{PREFIX}/bin/pip", "install", "--quiet", "--no-index", "--no-deps", "--upgrade")
    machine.run(*pip, "--force-reinstall", f"/opt/{wheel.name}")


def test_the_previous_version_is_installed_by_hand(
    machine: Machine, previous: tuple[Path, Path]
) -> None:
    tree, wheel = previous
    pip_install(machine, wheel)
    for name, place in _BY_HAND.items():
        target = machine.path(place)
        target.parent.mkdir(parents=True, exist_ok=True)
        source = tree / "systemd" / name
        if not source.exists():  # of a version whose settings were written by hand, too
            source = REPOSITORY / "systemd" / name
        target.write_bytes(source.read_bytes())
    machine.path("/usr/local/sbin/falcon-catalog").chmod(0o755)
    machine.run("systemd-sysusers")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", "catalog.socket", "catalog.service")
    post(machine, "/v1/namespaces", '{"namespace":["notes"]}')
    make_table(machine, "first")


def test_migrate_backs_up_and_the_old_server_works_on(machine: Machine, wheel: Path) -> None:
    pip_install(machine, wheel)
    said = machine.run("falcon-catalog", "migrate")
    assert re.search(r"Backup: /var/lib/falcon-catalog/backups/before-\S+ \(the newest 3", said)
    assert "Migrated: " in said
    assert tables(machine) == ["first"]
    make_table(machine, "second")


def test_a_restart_serves_the_new_version(machine: Machine) -> None:
    machine.run("systemctl", "restart", "catalog")
    assert tables(machine) == ["first", "second"]
    make_table(machine, "third")


def test_install_takes_over_what_was_installed_by_hand(machine: Machine) -> None:
    machine.run(f"{PREFIX}/bin/falcon-catalog", "install", "--replace")
    again = machine.run("falcon-catalog", "install")
    assert "Nothing to change for falcon-catalog" in again
    assert "edited" not in again
    assert tables(machine) == ["first", "second", "third"]
    assert "0 errors" in machine.run("falcon-catalog", "doctor")


def test_the_previous_version_refuses_the_store_and_restores_the_backup(
    machine: Machine, previous: tuple[Path, Path]
) -> None:
    machine.run("systemctl", "stop", "catalog.socket", "catalog.service")
    pip_install(machine, previous[1])
    refused = machine.result("falcon-catalog", "dropped")
    assert refused.returncode != 0
    assert "does not know" in refused.stderr or "of a newer version" in refused.stderr
    (backup,) = machine.path("/var/lib/falcon-catalog/backups").iterdir()
    machine.run(
        *("falcon-catalog", "restore", "--replace"),
        f"/var/lib/falcon-catalog/backups/{backup.name}",
        check=False,  # 1: the doctor names the commits since
    )
    machine.run("systemctl", "start", "catalog.socket", "catalog.service")
    assert tables(machine) == ["first"]
