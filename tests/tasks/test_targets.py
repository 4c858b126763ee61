"""Checkpoints are whole or not there."""

import subprocess
import sys
from pathlib import Path

import pytest

from jobs.targets import read_json, write, write_json


@pytest.mark.parametrize("name", ["value.json", "value.json.gz"])
def test_values_come_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a" / "b" / name
    write_json(path, {"station": "KJFK", "degrees": "°C", "values": [1, None]})
    assert read_json(path) == {"station": "KJFK", "degrees": "°C", "values": [1, None]}
    assert [entry.name for entry in path.parent.iterdir()] == [name]


def test_equal_values_make_equal_files(tmp_path: Path) -> None:
    for name in ("one.json.gz", "two.json.gz"):
        write_json(tmp_path / name, list(range(1000)))
    assert (tmp_path / "one.json.gz").read_bytes() == (tmp_path / "two.json.gz").read_bytes()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"
    write(path, b"old")
    program = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from jobs.targets import write\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    write(Path(sys.argv[1]), bytes(1 << 20))\n"
        "except OSError as error:\n"
        "    print(error.strerror)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "File too large\n"
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
