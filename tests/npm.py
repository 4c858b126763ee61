"""Programs and libraries from npm, installed into var the first time."""

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

VAR = Path(__file__).parents[1] / "var"
TIMEOUT = 600  # seconds, in which npm fetches a package


def install(package: str, version: str) -> Path:
    """Return the folder with ``node_modules`` that has a package, or skip and say why."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip(f"there is no npm, which installs {package}")
    folder = VAR / f"{package}-{version}"
    VAR.mkdir(exist_ok=True)
    with (VAR / f"{package}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not (folder / "node_modules").is_dir():
            half = folder.with_name(f"{folder.name}.half")
            command = [npm, "install", "--no-audit", "--no-fund", f"--prefix={half}"]
            subprocess.run([*command, f"{package}@{version}"], check=True, timeout=TIMEOUT)
            half.rename(folder)
    return folder
