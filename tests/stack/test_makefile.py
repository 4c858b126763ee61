"""The names that people type: all there, explained, and doing what they say."""

import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from jobs import registered
from jobs.lake import rest

REPOSITORY = Path(__file__).parents[2]
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
NAMES = [
    "setup",
    "start",
    "stop",
    "status",
    "demo",
    "demo-crash",
    "demo-s3",
    "demo-serve",
    "demo-stop",
    "run-weather",
    "run-dbt",
    "run-pipeline",
    "fetch-stations",
    "fetch-observations",
    "load-data",
    "fetch-all",
    "dbt-run",
    "dbt-test",
    "dbt-docs",
    "dbt-parse",
    "dbt-compile",
    "dist",
    "images",
    "dbt-all",
    "lint",
    "format",
    "test",
    "test-all",
    "bench",
    "clean",
    "clean-data",
    "help",
    "constraints",
]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

Make = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def make(stack: Any, tmp_path: Path) -> Make:
    """Run targets with what is installed here; the state is the test's own."""
    venv = tmp_path / "venv"
    venv.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (venv / name).symlink_to(Path(sys.prefix) / name)
    for stamp in (".made", ".has-demo", ".has-demo-s3", ".has-tox", ".has-uv"):
        (venv / stamp).touch()

    def run(*arguments: str, status: int = 0, **more: Any) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            ["make", f"VENV={venv}", *arguments],
            cwd=REPOSITORY,
            env=stack.environment(CATALOG_URI=stack.catalog),
            check=False,
            timeout=240,
            **{"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, **more},
        )
        assert done.returncode == status, (done.stdout, done.stderr)
        return done

    return run


def test_every_name_is_there_with_a_line_of_help() -> None:
    told = dict(re.findall(r"(?m)^([a-z0-9-]+):.*?## (.+)$", MAKEFILE))
    assert sorted(told) == sorted(NAMES)
    (phony,) = re.findall(r"(?m)^\.PHONY: (.*)$", MAKEFILE.replace("\\\n", " "))
    assert sorted(phony.split()) == sorted(NAMES)


def test_make_alone_prints_them_all(make: Make) -> None:
    shown = make().stdout
    assert shown == make("help").stdout
    for name in NAMES:
        assert re.search(rf"(?m)^  {name} +\S.*$", shown), name
    for variable in ("DATE", "HOUR", "DAYS", "STATIONS", "STATES", "YES"):
        assert f"{variable}=" in shown
    assert max(len(line) for line in shown.splitlines()) <= 100


def test_the_tasks_it_runs_exist_and_take_the_flags() -> None:
    ran = re.findall(r"\$\(STACK\) run (\w+) \$\(call with,([A-Z ]+)\)", MAKEFILE)
    assert len(ran) == 3
    for task, flags in ran:
        assert task in registered.__all__
        known = {name for name, _ in getattr(registered, task).get_params()}
        assert {flag.lower() for flag in flags.split()} <= known
    steps = re.findall(r"\$\(STACK\) run (\w+) \$\(step\)", MAKEFILE)
    assert len(steps) == 4
    for task in steps:
        known = {name for name, _ in getattr(registered, task).get_params()}
        assert {"period", "stations", "states"} <= known


def test_a_variable_that_a_target_has_no_use_for_is_an_error(make: Make) -> None:
    done = make("run-weather", "DATE=2013-07-02", status=2)
    assert "`make run-weather` knows no DATE=; it takes HOUR STATIONS STATES." in done.stderr
    done = make("fetch-stations", "DAYS=2", status=2)
    assert (
        "`make fetch-stations` knows no DAYS=; it takes DATE HOUR STATIONS STATES." in done.stderr
    )


@pytest.mark.slow
def test_a_day_goes_through_the_targets(make: Make, stack: Any) -> None:
    assert stack.catalog in make("start").stdout
    assert "running" in make("status").stdout
    make("fetch-all", "DATE=2013-07-02", "STATIONS=KJFK")
    assert "weather" not in requests.get(f"{stack.catalog}/v1/namespaces", timeout=30).text
    make("load-data", "DATE=2013-07-02", "STATIONS=KJFK")
    catalog = rest.connect(stack.catalog, "default")
    assert catalog.load_table("weather.observations").scan().count() > 20
    done = make("run-pipeline", "DATE=2013-07-02", "DAYS=1", "STATIONS=KJFK")
    assert f"Watch it at {stack.luigid}" in done.stderr
    assert catalog.load_table("marts.fct_daily_station_weather").scan().count() > 0
    assert "ERROR=0" in make("dbt-test").stdout
    (page,) = re.findall(r"Open file://(\S+)", make("dbt-docs").stdout)
    assert "fct_daily_station_weather" in Path(page).read_text(encoding="utf-8")
    assert "make stop first" in make("clean-data", "YES=1", status=2).stderr
    assert "make stop first" in make("clean", status=2).stderr
    assert make("stop").stdout.count("stopped in") == 2
    assert "no answer" in make("status", status=2).stdout


@pytest.fixture
def data(stack: Any) -> Path:
    """Give a state with data, and something else beside it."""
    for name in ("catalog/catalog.db", "weather/2013-07-02/stations.json.gz", "other/mine"):
        (stack.state / name).parent.mkdir(parents=True)
        (stack.state / name).write_text(name)
    return stack.state


def test_clean_data_deletes_nothing_without_somebody_to_ask(make: Make, data: Path) -> None:
    done = make("clean-data", status=2)
    assert "Nobody to ask: make clean-data YES=1 deletes it." in done.stderr
    assert (data / "catalog" / "catalog.db").exists()


def test_clean_data_deletes_what_is_ours_when_told_so(make: Make, data: Path) -> None:
    assert make("clean-data", "YES=1").stdout.endswith("Deleted.\n")
    assert sorted(path.name for path in data.iterdir()) == ["other"]
    assert "Nothing to delete" in make("clean-data").stdout


@pytest.mark.parametrize(
    ("answer", "left"), [("n", 3), ("", 3), ("y", 1), ("Yes", 1)], ids=["n", "enter", "y", "Yes"]
)
def test_clean_data_asks_at_a_terminal(make: Make, data: Path, answer: str, left: int) -> None:
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        done = make("clean-data", stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert "catalog" in done.stdout
    assert len(list(data.iterdir())) == left
    assert done.stdout.endswith("Deleted.\n" if left == 1 else "Nothing was deleted.\n")
