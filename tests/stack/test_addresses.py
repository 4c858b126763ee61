"""``--listen`` of every program of the pipeline: a wrong value is a line, and not a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from jobs.addresses import split_address

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = ("jobs.demo", "jobs.luigid", "jobs.nws_simulator", "jobs.s3_emulator")
WRONG = ("8181", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:\u00b2")


@pytest.mark.parametrize(
    ("program", "value"),
    [*((program, "8181") for program in PROGRAMS), ("jobs.nws_simulator", "nowhere.invalid:0")],
)
def test_a_wrong_address_is_one_line(program: str, value: str, tmp_path: Path) -> None:
    if program == "jobs.s3_emulator":
        pytest.importorskip("moto", reason="the extra emulators is not installed")
    done = subprocess.run(
        [sys.executable, "-m", program, "--listen", value],
        cwd=REPOSITORY,
        env={"PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    line = done.stderr.splitlines()[-1]
    assert value in line or "known" in line  # what libc says of a name
    assert "Traceback" not in done.stderr


def test_ports() -> None:
    assert split_address("127.0.0.1:8082") == ("127.0.0.1", 8082)
    assert split_address("[::1]:0", lowest=0) == ("::1", 0)
    with pytest.raises(ValueError, match="with a PORT from 1 to 65535"):
        split_address("127.0.0.1:0")


@pytest.mark.parametrize("value", WRONG)
def test_what_is_no_address(value: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        split_address(value, lowest=0)
