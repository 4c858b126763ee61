"""Commands without a store where the settings say: an error, and nothing created."""

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from falcon_catalog.cli import main
from falcon_catalog.settings import load
from tests.docs.test_docs import COMMANDS
from tests.server.test_adopting import Place, place  # noqa: F401 - a fixture
from tests.server.test_cli import said
from tests.server.test_units import INSTALLED, UNITS, run

ARGUMENTS = {
    "access managed": ["on", "namespace", "ns"],
    "access protect": ["table", "ns.t"],
    "access read-only": ["on", "server"],
    "access unprotect": ["table", "ns.t"],
    "grant": ["select", "on", "server", "to", "ann"],
    "revoke": ["select", "on", "server", "from", "ann"],
    "roles add": ["team", "ann"],
    "roles create": ["team"],
    "roles delete": ["team"],
    "roles map": ["corp", "group", "team"],
    "roles remove": ["team", "ann"],
    "roles rename": ["team", "crew"],
    "roles unmap": ["corp", "group", "team"],
    "why": ["ann", "select", "server"],
    "principals add-user": ["corp", "00u1"],
    "principals disable": ["etl"],
    "principals enable": ["etl"],
    "backup": ["copy"],
    "principals add": ["etl"],
    "principals remove": ["etl"],
    "principals revoke": ["etl"],
    "principals rotate": ["etl"],
    "relocate": ["file:///old", "file:///new"],
    "undrop": ["7"],
}
NEED_NO_STORE = {
    *("check", "config show", "engines", "install", "login", "logout", "migrate", "restore"),
    *("serve", "store copy", "uninstall", "whoami"),
    *("ls", "show", "log", "files", "sample", "diff", "sql"),  # clients
    *("branch", "compact", "drop", "expire", "properties", "rename", "rollback", "tag"),
}
NAMES = [name.removeprefix("falcon-catalog ") for name, _ in COMMANDS]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NEED_NO_STORE])
@pytest.mark.parametrize("flags", [[], ["--store=sqlite:///other/catalog.db"]])
def test_a_command_in_the_wrong_folder_creates_nothing(
    name: str, flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, [*name.split(), *ARGUMENTS.get(name, []), *flags])
    assert done.exit_code in {1, 2}
    assert list(tmp_path.iterdir()) == []
    (line,) = done.output.splitlines()
    store, origin = ("other", "flag --store") if flags else ("var/catalog", "default")
    url = f"sqlite:///{tmp_path}/{store}/catalog.db"
    assert line.startswith(f"Error: there is no store at {url} (store.url, from {origin})")


@pytest.mark.parametrize("command", [["maintain"], ["undrop", "7"]])
def test_a_command_never_moves_a_warehouse(place: Place, command: list[str]) -> None:  # noqa: F811
    place.fill()
    elsewhere = place.folder / "elsewhere"
    flags = [f"--store=sqlite:///{place.store}", f"--warehouse=file://{elsewhere}"]
    process = place.cli(*command, *flags)
    assert said(process) == (1, [])
    assert f"is at {place.warehouse}/ in the store" in process.errors[-1]
    assert not elsewhere.exists()
    process = place.cli(*command, *place.flags, "--warehouse-name=other")
    assert said(process) == (1, [])
    assert "has no warehouse other, but default" in process.errors[-1]
    assert place.cli("maintain", *place.flags).status() == 0


def test_the_installed_settings_name_the_service_s_store() -> None:
    service = load(None, {"STATE_DIRECTORY": "/var/lib/falcon-catalog"}, {})
    assert load(UNITS / "catalog.toml", {}, {}) == service


def test_the_installed_command_reads_the_service_s_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "falcon-catalog"
    installed = (UNITS / "falcon-catalog").read_text(encoding="utf-8")
    assert stat.S_IMODE((UNITS / "falcon-catalog").stat().st_mode) & 0o111
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "$CATALOG_CONFIG" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    script.write_text(installed.replace(INSTALLED, str(program)), encoding="utf-8")
    monkeypatch.delenv("CATALOG_CONFIG", raising=False)
    done = run("sh", str(script), "principals", "add", "a b", cwd=tmp_path)
    assert done.stdout == "/etc/falcon-catalog/catalog.toml principals add a b\n"
