"""falcon-catalog install --root, into an image that is booted afterwards."""

import subprocess
from pathlib import Path

from tests.boot.client import get
from tests.boot.image import PREFIX
from tests.boot.machine import Machine

UNITS = "/etc/systemd/system"


def inside(system: Machine, *command: str) -> str:
    """Run a command in the image as a build of it does: without a running systemd."""
    result = subprocess.run(
        ["chroot", str(system.root), *command], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_an_image_is_installed_to_without_a_running_systemd(system: Machine, wheel: Path) -> None:
    system.path(f"/opt/{wheel.name}").write_bytes(wheel.read_bytes())
    pip = (f"{PREFIX}/bin/pip", "install", "--quiet", "--no-index", "--no-deps")
    inside(system, *pip, f"/opt/{wheel.name}")
    said = inside(system, f"{PREFIX}/bin/falcon-catalog", "install", "--root", "/")
    assert "Installed into /; the services start when it boots." in said
    assert "check" not in said
    wants = system.path(f"{UNITS}/multi-user.target.wants/catalog.service")
    assert wants.is_symlink()
    again = inside(system, f"{PREFIX}/bin/falcon-catalog", "install", "--root", "/")
    assert "run " not in again


def test_it_serves_from_the_first_boot_on(machine: Machine) -> None:
    assert get(machine, "/health/ready")
    assert machine.show("catalog.service", "User") == "iceberg"
    said = machine.run("falcon-catalog", "install")
    assert "Nothing to change for falcon-catalog" in said


def test_an_address_of_the_administrator_s_is_checked_instead(machine: Machine) -> None:
    folder = machine.path(f"{UNITS}/catalog.socket.d")
    folder.mkdir()
    listens = "[Socket]\nListenStream=\nListenStream=127.0.0.1:8300\n"
    (folder / "override.conf").write_text(listens, encoding="utf-8")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "stop", "catalog.socket", "catalog.service")
    machine.run("systemctl", "start", "catalog.socket")
    said = machine.run("falcon-catalog", "install")
    assert "check    http://127.0.0.1:8300/health/ready" in said
    assert "http://127.0.0.1:8300 is served." in said


def test_uninstall_removes_it_from_the_image(machine: Machine) -> None:
    machine.run(f"{PREFIX}/bin/falcon-catalog", "uninstall", "--yes")
    assert not machine.path(f"{UNITS}/catalog.service").exists()
    assert not machine.path(f"{UNITS}/multi-user.target.wants/catalog.service").is_symlink()
