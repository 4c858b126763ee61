"""The pipeline's systemd units, judged by systemd itself."""

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from jobs import registered
from jobs.nws_simulator import airports, make_app, running

UNITS = Path(__file__).parents[2] / "systemd"
INSTALLED = "/opt/falcon-catalog/venv/bin/python"
KINDS = ["dbt", "ingestion", "maintenance", "pipeline"]

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not installed (Debian package systemd)",
)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Copy the units; the one thing this machine lacks is the installed program."""
    shutil.copytree(UNITS, tmp_path / "units")
    for unit in (tmp_path / "units").glob("*.service"):
        text = unit.read_text(encoding="utf-8")
        unit.write_text(text.replace(INSTALLED, sys.executable), encoding="utf-8")
    return tmp_path / "units"


def analyze(*arguments: str, cwd: Path = UNITS) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["systemd-analyze", *arguments],
        cwd=cwd,
        env={**os.environ, "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def read(name: str) -> configparser.RawConfigParser:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment] # systemd's keys have capitals
    unit.read(UNITS / name, encoding="utf-8")
    return unit


def test_there_is_a_pair_for_each_schedule() -> None:
    names = sorted(path.name for path in UNITS.glob("weather-*.service") if path.is_file())
    assert names == sorted(["weather-failure@.service", *(f"weather-{k}.service" for k in KINDS)])
    assert sorted(path.stem for path in UNITS.glob("*.timer")) == [f"weather-{k}" for k in KINDS]


@needs_systemd
def test_verify_finds_nothing_to_say(units: Path) -> None:
    pairs = [f"./weather-{kind}.{what}" for kind in KINDS for what in ("service", "timer")]
    result = analyze(
        "verify",
        *pairs,
        "./luigid.service",
        "./weather-failure@weather-dbt.service.service",
        cwd=units,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@needs_systemd
@pytest.mark.parametrize(
    "name", ["weather-.service.d/common.conf", "weather-dbt.service", "weather-dbt.timer"]
)
def test_verify_would_say_something(units: Path, name: str) -> None:
    (units / name).write_text((units / name).read_text() + "\n[Service]\nNonsense=yes\n")
    result = analyze("verify", "./weather-dbt.service", "./weather-dbt.timer", cwd=units)
    assert "Nonsense" in result.stderr or "Unknown section" in result.stderr


@needs_systemd
@pytest.mark.parametrize("name", ["luigid", "weather-failure@", *(f"weather-{k}" for k in KINDS)])
def test_the_services_are_hardened(units: Path, name: str) -> None:
    # 12 means an exposure of 1.2 of 10; the pipeline's is the network, which it is for.
    command = ["security", "--offline=true", "--threshold=12"]
    result = analyze(*command, f"./{name}.service", cwd=units)
    assert result.returncode == 0, result.stdout


@needs_systemd
@pytest.mark.parametrize(
    ("kind", "elapses"),
    [
        ("ingestion", ["23 00:20:00", "23 01:20:00", "23 02:20:00", "23 03:20:00"]),
        ("dbt", ["23 00:40:00", "23 06:40:00", "23 12:40:00", "23 18:40:00"]),
        ("pipeline", ["23 06:00:00", "23 12:00:00", "24 06:00:00", "24 12:00:00"]),
        ("maintenance", ["23 03:30:00", "24 03:30:00", "25 03:30:00", "26 03:30:00"]),
    ],
)
def test_the_timers_elapse_when_they_say(kind: str, elapses: list[str]) -> None:
    timer = read(f"weather-{kind}.timer")["Timer"]
    arguments = ["--iterations=4", "--base-time=2026-11-22 23:59:00 UTC", timer["OnCalendar"]]
    result = analyze("calendar", *arguments)
    assert result.returncode == 0, result.stderr
    assert re.findall(r": \w{3} 2026-11-(\d\d \S+) UTC", result.stdout) == elapses
    assert timer["Persistent"] == "true"


def command(kind: str) -> list[str]:
    return shlex.split(read(f"weather-{kind}.service")["Service"]["ExecStart"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_service_runs_a_task_of_the_pipeline_once_and_tells_of_failure(kind: str) -> None:
    unit = read(f"weather-{kind}.service")
    assert unit["Service"]["Type"] == "oneshot"
    assert unit["Service"]["SuccessExitStatus"] == "5 10"
    assert unit["Service"]["TimeoutStartSec"]
    assert unit["Unit"]["OnFailure"] == "weather-failure@%n.service"
    program, *words = command(kind)
    assert [program, *words[:3]] == [INSTALLED, "-m", "jobs.stack", "run"]
    task = words[words.index("--of") + 1] if "--of" in words else words[3]
    assert task in registered.__all__
    if "--param-name" in words:
        known = dict(getattr(registered, task).get_params())
        assert words[words.index("--param-name") + 1] in known
        assert callable(getattr(registered, task).bulk_complete)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "shorter", "runs"),
    [
        ("ingestion", ("--task-limit 24", "--task-limit 2"), 2),
        ("pipeline", ("--days-back 6", "--days-back 3"), 2),
    ],
)
def test_what_was_missed_is_caught_up(
    stack: Any, kind: str, shorter: tuple[str, str], runs: int
) -> None:
    stack.do("start")
    words = command(kind)[4:]
    line = shlex.join(words).replace(*shorter)
    line = line.replace("/var/lib/falcon-weather", str(stack.state))
    with running(make_app(airports(shift_to_now=True))) as weather:
        settings = {"CATALOG_URI": stack.catalog, "WEATHER_BASE_URL": weather}
        stack.do("run", *shlex.split(line), **settings)
    query = {"data": json.dumps({"status": "DONE"})}
    answer = requests.get(f"{stack.luigid}/api/task_list", params=query, timeout=30)
    done = [task["name"] for task in answer.json()["response"].values()]
    assert done.count(words[words.index("--of") + 1]) == runs


def test_the_units_run_what_is_installed() -> None:
    places = {
        found
        for path in UNITS.rglob("*")
        if path.is_file()
        for found in re.findall(r"(?m)^ExecStart=(\S+)", path.read_text(encoding="utf-8"))
    }
    assert places == {INSTALLED, "/opt/falcon-catalog/venv/bin/falcon-catalog"}
