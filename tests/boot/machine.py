"""A machine that boots systemd as its first process: a container of systemd-nspawn.

Commands run inside with nsenter, so that no machine manager is needed. Its network is its own
loopback device alone.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.processes import DEADLINE, wait_for

_GROUP = f"falcon-catalog-boot-{os.getpid()}"
# Where no systemd runs the machine, nspawn finds no group of processes to put the container into:
# it gets one of the unified hierarchy, which is mounted for it alone.
_OWN_GROUP = f"""
set -e
umount --lazy /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /sys/fs/cgroup/{_GROUP}
echo $$ > /sys/fs/cgroup/{_GROUP}/cgroup.procs
exec "$@"
"""
_REBOOTED = 133  # of systemd-nspawn --keep-unit: whatever started it should do so again
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}


class BootError(Exception):
    """The machine does not boot."""


class Machine:
    """A system in a folder, booted or not."""

    def __init__(self, root: Path, log: Path) -> None:
        self.root = root
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Start the machine, and wait until systemd has started all units.

        Raises:
            BootError: it ends before; the message has what it printed.
        """
        command = ["systemd-nspawn", "--quiet", f"--directory={self.root}", "--register=no"]
        command += ["--private-network", "--console=pipe", "--boot"]
        if not Path("/run/systemd/system").is_dir():
            command.append("--keep-unit")
            command = ["unshare", "--mount", "sh", "-c", _OWN_GROUP, "sh", *command]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.wait_until_up()

    def wait_until_up(self) -> None:
        """Wait until systemd has started all units."""
        wait_for(lambda: self._leader() is not None or self._has_ended())
        if self._has_ended():
            raise BootError(self._log.read_text(errors="replace")[-2000:])
        wait_for(lambda: self.run("systemctl", "is-system-running", check=False) in _UP)

    def reboot(self) -> None:
        """Reboot the machine, and wait until it is up."""
        before = self._leader()
        self.run("systemctl", "reboot", "--no-block", check=False)
        wait_for(lambda: self._has_ended() or self._leader() not in (None, before))
        if self._process is not None and self._process.poll() == _REBOOTED:
            self.boot()
        else:
            self.wait_until_up()

    def stop(self) -> None:
        """End the machine at once: it is not used again."""
        if self._process is None:
            return
        for end, pid in ((os.kill, self._leader()), (os.killpg, self._process.pid)):
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    end(pid, signal.SIGKILL)
        self._process.wait()
        wait_for(_group_is_gone)

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command as root inside; return what it prints, with its errors."""
        result = self.result(*command)
        said = result.stdout + result.stderr
        assert result.returncode == 0 or not check, f"{command}: {result.returncode}\n{said}"
        return said.strip()

    def result(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as root inside, and return its result."""
        leader = self._leader()
        if leader is None:
            return subprocess.CompletedProcess(command, 1, "", "the machine is off")
        return subprocess.run(
            ["nsenter", f"--target={leader}", "--all", *command],
            env=_ENVIRONMENT,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def path(self, name: str) -> Path:
        """Return where a file of the machine is for this one."""
        return self.root / name.lstrip("/")

    def show(self, unit: str, value: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", f"--property={value}", "--value", unit)

    def wait_until(
        self, condition: Callable[[], bool], unit: str, seconds: float = DEADLINE
    ) -> None:
        """Wait for a condition; show a unit's journal if it does not come true."""
        try:
            wait_for(condition, unit, seconds)
        except BaseException:
            sys.stderr.write(self.run("journalctl", "--no-pager", f"--unit={unit}", check=False))
            raise

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _leader(self) -> int | None:
        """Return the process that is the machine's first, seen from outside."""
        if self._process is None:
            return None
        pid = self._process.pid
        with contextlib.suppress(OSError):
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return int(child)
        return None


_UP = {"running", "degraded"}


def _group_is_gone() -> bool:
    """Remove the group of processes that was made for the machine; return whether it is gone."""
    groups = list(Path("/sys/fs/cgroup").glob(f"**/{_GROUP}"))
    for group in groups:
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):  # its last processes are still ending
                Path(folder).rmdir()
    return not any(group.exists() for group in groups)
