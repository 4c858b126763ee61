"""``make demo-s3``: the demo with its tables in an emulator of Amazon S3."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.stack.processes import free_address
from tests.demo.test_demo import PROOF, REPOSITORY, demo

pytestmark = pytest.mark.timeout(900)


def test_it_does_on_s3_what_the_demo_does_locally(tmp_path: Path) -> None:
    state = ("--s3", "--state", str(tmp_path))
    first = demo(*state)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "warning" not in first.stdout
    assert PROOF.search(first.stdout)
    assert len(re.findall(r"(?m)^K\w{3} +2013-07-1[6-9] ", first.stdout)) == 12
    assert re.search(r"(?m)^Store +[1-9]\d* objects of .* in s3://lake/warehouse$", first.stdout)
    access = r"(?m)^Access +3 tables' credentials tried on one another, each opens its own only$"
    assert re.search(access, first.stdout)
    assert not (tmp_path / "warehouse").exists()

    served = demo("serve", *state, "--listen", free_address())
    try:
        assert served.returncode == 0, served.stdout + served.stderr
        assert "everything is done already" in served.stdout
        assert PROOF.search(served.stdout)
        (url,) = re.findall(r"The catalog keeps running at (\S+); .* To stop it: ", served.stdout)
        query = ["SELECT count(*) AS n FROM lake.weather.observations", "--uri", url]
        extensions = tmp_path / "weather" / "duckdb-extensions"
        asked = demo_sql(*query, "--extensions", str(extensions))
        assert re.search(r"(?m)^ *[1-9]\d+$", asked)
    finally:
        stopped = demo("stop", *state)
    assert len(re.findall(r"(?m)^(?:catalog|s3) +stopped in", stopped.stdout)) == 2
    assert not list((tmp_path / "run").glob("*.json"))


def demo_sql(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "jobs.demo.sql", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
