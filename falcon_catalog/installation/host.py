"""systemd, as the installation uses it: on this machine, or in an image that is not running."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from falcon_catalog.installation.contents import SYSUSERS

Report = Callable[[str, str], object]
"""Takes what was done (``run``, ``create`` …) and to what."""
_JOURNAL_LINES = 10


class HostError(Exception):
    """systemd refused something; the message has its reason."""


class Host:
    """The machine, or an image in a folder, whose units are enabled but not started."""

    def __init__(self, root: Path | None, report: Report) -> None:
        self.root = root
        self._report = report

    def problems(self) -> Iterator[str]:
        """Yield why nothing can be installed here, each with the remedy."""
        if os.geteuid() != 0:
            yield "only root can install services: run it with sudo"
        missing = [each for each in ("systemctl", "systemd-sysusers") if not shutil.which(each)]
        if missing:
            yield (
                f"{' and '.join(missing)} not found: systemd is not installed. Without it, run"
                " falcon-catalog serve under your own service manager"
            )
        elif self.root is None and not Path("/run/systemd/system").is_dir():
            yield (
                f"systemd does not run this machine (process 1 is {_init()}). To install into an"
                " image, whose units start when it boots, use --root /"
            )

    def make_users(self) -> None:
        """Create the users that the sysusers file names, unless they exist."""
        folder = [] if self.root is None else [f"--root={self.root}"]
        self._run("systemd-sysusers", *folder, Path(SYSUSERS).name)

    def reload(self) -> None:
        """Make systemd read the units again."""
        if self.root is None:
            self._run("systemctl", "daemon-reload")

    def is_active(self, unit: str) -> bool:
        """Return whether a unit runs, listens or waits."""
        return self.root is None and _succeeds("systemctl", "--quiet", "is-active", unit)

    def active(self, pattern: str) -> list[str]:
        """Return the running units whose names match a pattern."""
        if self.root is not None:
            return []
        command = ["systemctl", "list-units", "--state=active", "--output=json", pattern]
        found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        with contextlib.suppress(ValueError):
            return sorted(each["unit"] for each in json.loads(found.stdout or "[]"))
        return []

    def address(self, socket_unit: str) -> str | None:
        """Return the URL at which this machine reaches a socket; None if it does not listen.

        ``systemctl edit`` may have given it another address than the installed one.
        """
        if not self.is_active(socket_unit):
            return None
        command = ["systemctl", "show", "--property=Listen", "--value", socket_unit]
        found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        # Such as: 127.0.0.1:8181 (Stream)
        place = re.match(r"(\S*):(\d+) \(Stream\)", found.stdout)
        if place is None:
            return None
        host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(place[1], place[1])  # noqa: S104
        return f"http://{host}:{place[2]}"

    def enable(self, *units: str) -> None:
        """Enable and start units that are not enabled or not running yet; in an image only enable.

        Raises:
            HostError: one does not start.
        """
        folder = [] if self.root is None else [f"--root={self.root}"]
        wanted = [
            unit
            for unit in units
            if not _succeeds("systemctl", *folder, "--quiet", "is-enabled", unit)
            or (self.root is None and not self.is_active(unit))
        ]
        if wanted:
            now = ["--now"] if self.root is None else []
            self._run("systemctl", *folder, "--quiet", "enable", *now, *wanted, journal=wanted)

    def restart(self, *units: str) -> None:
        """Restart units, one after the other, each when the one before is ready."""
        for unit in units:
            self._run("systemctl", "restart", unit, journal=[unit])

    def stop(self, *units: str) -> None:
        """Stop units together."""
        if units and self.root is None:
            self._run("systemctl", "stop", *units)

    def start(self, *units: str) -> None:
        """Start units."""
        if units and self.root is None:
            self._run("systemctl", "start", *units, journal=list(units))

    def disable(self, *units: str) -> None:
        """Disable units, so that they do not start at boot; those that run are not stopped."""
        folder = [] if self.root is None else [f"--root={self.root}"]
        self._run("systemctl", *folder, "--quiet", "disable", *units)

    def forget_failures(self) -> None:
        """Remove failed units that are no longer there from systemd's list."""
        if self.root is None:
            for pattern in ("catalog*", "luigid*", "weather-*"):
                _succeeds("systemctl", "reset-failed", pattern)

    def _run(self, *command: str, journal: list[str] | None = None) -> None:
        self._report("run", " ".join(command))
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if result.returncode != 0:
            said = (result.stderr or result.stdout).strip()
            raise HostError(f"{' '.join(command)}: {said}{_last_lines(journal or [])}")


def port_is_taken(port: int) -> bool:
    """Return whether a program listens on a port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _last_lines(units: list[str]) -> str:
    if not units:
        return ""
    named = [part for unit in units for part in ("--unit", unit)]
    command = ["journalctl", "--no-pager", "--output=cat", f"--lines={_JOURNAL_LINES}", *named]
    with contextlib.suppress(OSError):
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if result.stdout.strip():
            return "\n" + result.stdout.rstrip()
    return ""


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603


def _init() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/1/comm").read_text(encoding="utf-8").strip()
    return "unknown"
