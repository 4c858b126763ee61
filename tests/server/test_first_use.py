"""The command line at first use: what serve says on a terminal, -h, flags and JSON."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from falcon_catalog.cli import main
from falcon_catalog.settings import SETTINGS
from tests.docs.test_docs import COMMANDS
from tests.processes import DEADLINE
from tests.server.conftest import CLI
from tests.server.test_cli import said

FLAGS = {setting.flag for setting in SETTINGS if setting.flag}
STORE = {"--store"}
WAREHOUSES = {"--store", "--warehouse", "--warehouse-name"}
TAKEN = {
    "audit": STORE | {"--warehouse"},  # the name of one, as for check
    "access managed": {"--store", "--warehouse"},
    "access protect": {"--store", "--warehouse"},
    "access show": {"--store", "--warehouse"},
    "access unprotect": {"--store", "--warehouse"},
    "grant": {"--store", "--warehouse"},
    "revoke": {"--store", "--warehouse"},
    "why": {"--store", "--warehouse"},
    "access read-only": STORE,
    "roles add": STORE,
    "roles create": STORE,
    "roles delete": STORE,
    "roles groups": STORE,
    "roles list": STORE,
    "roles map": STORE,
    "roles remove": STORE,
    "roles rename": STORE,
    "roles unmap": STORE,
    "principals add-user": STORE,
    "principals disable": STORE,
    "principals enable": STORE,
    "backup": WAREHOUSES,
    "check": {"--warehouse"},  # the name of one, as for engines
    "config show": FLAGS,
    "doctor": WAREHOUSES,
    "dropped": {"--store", "--warehouse-name"},
    "engines": {"--warehouse"},
    "install": set(),
    "login": STORE,  # for --link
    "logout": set(),
    "diff": {"--warehouse"},
    "sql": {"--warehouse"},
    "files": {"--warehouse"},
    "log": {"--warehouse"},
    "sample": {"--warehouse"},
    "branch": {"--warehouse"},
    "compact": {"--warehouse"},
    "drop": {"--warehouse"},
    "expire": {"--warehouse"},
    "properties": {"--warehouse"},
    "rename": {"--warehouse"},
    "rollback": {"--warehouse"},
    "tag": {"--warehouse"},
    "ls": {"--warehouse"},  # the name of one, as for engines
    "maintain": WAREHOUSES,
    "migrate": WAREHOUSES,
    "principals add": STORE,
    "principals list": STORE,
    "principals remove": STORE,
    "principals revoke": STORE,
    "principals revoke-token": STORE,
    "principals rotate": STORE,
    "principals rotate-key": STORE,
    "relocate": WAREHOUSES,
    "restore": WAREHOUSES,
    "serve": FLAGS,
    "show": {"--warehouse"},
    "storage check": WAREHOUSES,
    "store copy": set(),
    "undrop": WAREHOUSES,
    "uninstall": set(),
    "whoami": set(),
}


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def shown(process: "subprocess.Popen[bytes]", terminal: int, end: str) -> str:
    """Return what a process writes to a terminal until ``end``."""
    text = ""
    while end not in text:
        assert process.poll() is None, text
        text += os.read(terminal, 4096).decode().replace("\r\n", "\n")
    return text


@pytest.mark.parametrize("required", [False, True])
def test_serve_on_a_terminal_says_where_how_and_stop(tmp_path: Path, required: bool) -> None:
    terminal, inner = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if name[:8] != "CATALOG_"}
    process = subprocess.Popen(
        [*CLI, "serve", "--listen=:0", "--store=x.db", "--warehouse=some/folder"],
        stdout=inner,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
        env={**environ, "CATALOG_AUTH_REQUIRED": str(required)},
    )
    try:
        os.close(inner)
        text = shown(process, terminal, "Ctrl-C")
        url = text.splitlines()[0].removeprefix("Listening on ")
        assert url.startswith("http://127.0.0.1:")
        assert f"  Store      {tmp_path}/x.db\n" in text
        assert f"  Warehouse  file://{tmp_path}/some/folder (default)\n" in text
        assert f"  Connect    falcon-catalog engines --uri {url}" in text
        assert ("--credential NAME:SECRET" in text) is required
        opened = f"{url}/ui/login?code=" if required else f"{url}/\n"
        assert f"  Open       {opened}" in text
        assert f"  Tokens     {'required' if required else 'not required'}" in text
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def test_serve_elsewhere_prints_one_line(cli: Any) -> None:
    server = cli("serve", "--listen=:0")
    assert server.url().startswith("http://127.0.0.1:")
    server.signal()
    assert said(server) == (0, [])


@pytest.mark.parametrize("name", [name for name, _ in COMMANDS])
def test_h_is_help(name: str) -> None:
    words = name.split()[1:]
    done = run(*words, "-h")
    assert done.exit_code == 0
    assert done.output == run(*words, "--help").output
    assert done.output.startswith("Usage: ")


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_a_command_takes_only_the_flags_that_concern_it(name: str, command: click.Command) -> None:
    flags = {flag for parameter in command.params for flag in parameter.opts}
    assert flags & FLAGS == TAKEN[name.removeprefix("falcon-catalog ")]


def test_every_command_that_prints_data_prints_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in [name for name in os.environ if name.startswith("CATALOG_")]:
        monkeypatch.delenv(variable)

    def printed(*words: str) -> Any:
        done = run(*words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    store = f"sqlite:///{tmp_path}/var/catalog/catalog.db"
    assert printed("migrate") == {"store": store, "created": True, "backup": None, "migrated": []}
    assert printed("dropped") == []
    assert printed("maintain") == []
    assert printed("doctor")["clean"] is True
    credential = printed("principals", "add", "etl")["credential"]
    assert credential.startswith("etl:")
    rotated = printed("principals", "rotate", "etl", "--overlap", "5")
    assert (rotated["name"], rotated["overlap-seconds"]) == ("etl", 5)
    assert rotated["credential"] != credential
    assert printed("principals", "rotate-key", "--overlap", "7") == {"overlap-seconds": 7}
    (principal,) = printed("principals", "list")
    assert principal["name"] == "etl"
    assert printed("config", "show")["log.level"] == {"value": "INFO", "origin": "default"}
    backup = printed("backup", "copy")
    assert (backup["destination"], backup["unreadable"]) == ("copy", [])
    restored = printed("restore", "copy", "--replace")
    assert restored["moment-ms"] == backup["moment-ms"]
    assert restored["doctor"]["clean"] is True
    done = run("relocate", f"{tmp_path}/here", f"{tmp_path}/there", "--dry-run", "--json")
    assert json.loads(done.stdout)["relocated"] == []
    assert "no table is in" in done.stderr


@pytest.mark.parametrize("name", ["engines", "check"])
def test_a_flag_takes_precedence_over_the_variable_of_the_other_one(name: str) -> None:
    """``CATALOG_TOKEN`` made ``--credential`` a usage error."""
    uri = ["http://127.0.0.1:1"] if name == "check" else ["--uri", "http://127.0.0.1:1"]
    runner, environ = CliRunner(), {"CATALOG_TOKEN": "t", "CATALOG_CREDENTIAL": None}

    def said_of(*flags: str) -> str:
        return runner.invoke(main, [name, *uri, *flags], env=environ).output

    assert "exclude each other" not in said_of("--credential", "etl:secret")
    assert "exclude each other" in said_of("--credential", "etl:secret", "--token", "t")
    assert "must be NAME:SECRET" in said_of("--credential", "etl")


PROGRAMS = ("demo", "demo.sql", "luigid", "maintenance", "notify", "nws_simulator", "report")


@pytest.mark.parametrize("name", [*PROGRAMS, "stack", "transform"])
def test_h_is_help_of_the_pipeline_s_programs_too(name: str) -> None:
    command = [sys.executable, "-m", f"jobs.{name}", "-h"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: python -m jobs.{name}")
    assert re.search(r"^ +-h, --help ", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completion_that_is_documented(shell: str) -> None:
    done = CliRunner().invoke(
        main,
        prog_name="falcon-catalog",
        env={"_FALCON_CATALOG_COMPLETE": f"{shell}_source"},
        standalone_mode=False,
    )
    assert "_FALCON_CATALOG_COMPLETE" in done.output
