"""The systemd units, judged by systemd itself."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from falcon_catalog.settings import ServerSettings

UNITS = Path(__file__).parents[2] / "systemd"
INSTALLED = "/opt/falcon-catalog/venv/bin/falcon-catalog"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not installed (Debian package systemd)",
)


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Copy the units; the one thing this machine lacks is the installed program."""
    program = tmp_path / "falcon-catalog"
    program.write_text(f"#!{sys.executable}\n", encoding="utf-8")
    program.chmod(0o755)
    for unit in UNITS.glob("catalog*"):
        text = unit.read_text(encoding="utf-8")
        (tmp_path / unit.name).write_text(text.replace(INSTALLED, str(program)), encoding="utf-8")
    return tmp_path


def seconds(span: str) -> int:
    return int(span.removesuffix("s"))


@needs_systemd
def test_verify_finds_nothing_to_say(units: Path) -> None:
    names = ["./catalog.service", "./catalog@1.service", "./catalog.socket"]
    (units / "catalog@1.service").symlink_to("catalog@.service")
    result = run("systemd-analyze", "verify", *names, cwd=units)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_an_instance_differs_in_its_socket_alone() -> None:
    service = (UNITS / "catalog.service").read_text(encoding="utf-8")
    instance = (UNITS / "catalog@.service").read_text(encoding="utf-8")
    section = "[Service]\n"
    assert instance.partition(section)[2] == service.partition(section)[2].replace(
        "Type=notify\n", "Type=notify\nSockets=catalog.socket\n"
    )


@needs_systemd
def test_verify_would_say_something(units: Path) -> None:
    service = units / "catalog.service"
    text = service.read_text(encoding="utf-8")
    service.write_text(text.replace("WatchdogSec=", "WatchdogSecs="), encoding="utf-8")
    result = run("systemd-analyze", "verify", "./catalog.service", cwd=units)
    assert "WatchdogSecs" in result.stderr


@needs_systemd
def test_the_service_is_hardened(units: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=12"]
    result = run(*command, "./catalog.service", cwd=units)  # 12 means an exposure of 1.2 of 10
    assert result.returncode == 0, result.stdout


@pytest.mark.skipif(
    shutil.which("systemd-sysusers") is None,
    reason="systemd-sysusers is not installed (Debian package systemd)",
)
def test_the_user_is_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    line = UNITS / "sysusers.d" / "falcon-catalog.conf"
    result = run("systemd-sysusers", f"--root={tmp_path}", str(line), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "\niceberg:" in "\n" + (tmp_path / "etc/passwd").read_text(encoding="utf-8")


def test_the_service_waits_longer_than_the_server(units: Path) -> None:
    service = configparser.RawConfigParser(strict=False)
    service.optionxform = str  # type: ignore[assignment] # systemd's keys have capitals
    service.read(units / "catalog.service", encoding="utf-8")
    assert seconds(service["Service"]["TimeoutStopSec"]) > ServerSettings().shutdown_timeout


def test_socket_and_settings_name_the_same_address(units: Path) -> None:
    text = (units / "catalog.socket").read_text(encoding="utf-8")
    assert f"\nListenStream={ServerSettings().listen}\n" in text
