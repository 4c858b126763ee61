"""Programs that Go builds once, into var/programs."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

BUILDING = 3600  # seconds that a test may take which builds helm first, on a slow machine
_PROGRAMS = Path(__file__).parents[2] / "var/programs"


def built(package: str) -> str:
    """Return the program of a Go package such as ``example.org/cmd/tool@v1.0.0``.

    Tests that call it have the deadline BUILDING. The test is skipped where neither the program
    nor Go is there.
    """
    path, _, version = package.partition("@")
    folder = _PROGRAMS / f"{path.rpartition('/')[2]}-{version}"
    program = folder / path.rpartition("/")[2]
    if not program.exists():
        if shutil.which("go") is None:
            pytest.skip(f"Go is not installed, which builds {package}")
        folder.mkdir(parents=True, exist_ok=True)
        environ = {**os.environ, "GOBIN": str(folder), "GOFLAGS": "-mod=mod -buildvcs=false"}
        done = subprocess.run(
            ["go", "install", package],
            env=environ,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return str(program)


def module_folder(module: str) -> Path:
    """Return the folder of a Go module's source, downloaded if it is not there; else skip."""
    if shutil.which("go") is None:
        pytest.skip(f"Go is not installed, which downloads {module}")
    environ = {**os.environ, "GOFLAGS": "-mod=mod"}
    done = subprocess.run(
        ["go", "mod", "download", "-json", module],
        env=environ,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(json.loads(done.stdout)["Dir"])
