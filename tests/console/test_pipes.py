"""Commands whose reader leaves first, as ``head`` does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.console.conftest import Console

CLI = [sys.executable, "-c", "from falcon_catalog.cli import main; main()"]
TABLE = "weather.observations"
READER_LEFT = 141


def unread(*words: str) -> tuple[int, str]:
    """Run a command whose stdout nobody reads; return status and stderr."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*CLI, *words], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.usefixtures("observations")
@pytest.mark.parametrize(
    "words",
    [
        ("ls", "-r", "-l"),
        pytest.param(("ls", "-q"), marks=pytest.mark.slow),
        pytest.param(("log", TABLE, "--json"), marks=pytest.mark.slow),
        pytest.param(("sample", TABLE, "-q"), marks=pytest.mark.slow),
        ("sql", "FROM range(200000)"),
        pytest.param(("sql", "FROM range(200000)", "--format", "csv"), marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_a_client(words: tuple[str, ...], console: Console) -> None:
    assert unread(*words, "--uri", console.url) == (READER_LEFT, "")


@pytest.mark.parametrize(
    "words", [("--help",), ("ls", "--help"), ("config", "show"), ("audit",)], ids=" ".join
)
def test_a_command_without_a_server(words: tuple[str, ...], console: Console) -> None:
    if words == ("audit",):
        console.run("migrate")
    assert unread(*words) == (READER_LEFT, "")


def test_a_file_that_is_full_is_an_error(tmp_path: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [*CLI, "config", "show"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=tmp_path,
        )
    assert done.returncode not in {0, READER_LEFT}
    assert "No space left on device" in done.stderr
