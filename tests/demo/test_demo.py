"""The demo, twice, and the ways it shows to look at its data."""

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.stack.processes import Server

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]


def demo(*arguments: str, cwd: Path = REPOSITORY) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "jobs.demo", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "state"


@pytest.fixture(scope="module")
def shown(state: Path) -> str:
    done = demo("--state", str(state))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def test_hours_days_and_maintenance_are_run_and_shown(shown: str) -> None:
    # How many rows are new in which hour depends on when the catalog was killed.
    new = re.findall(r"^2013-07-19T\d\d +weather\.observations +18 +(\d+) +0$", shown, re.MULTILINE)
    assert sum(map(int, new)) == 18 + 5 * 3
    assert len(new) == 6
    assert len(re.findall(r"^K\w{3} +2013-07-1[6-9] ", shown, re.MULTILINE)) == 12
    day = r"^KEWR +2013-07-19 +24 +27\.8 +32\.8 +37\.8 +0\.0 +42\.8 "
    assert re.search(day, shown, re.MULTILINE)
    assert re.search(r"^marts\.fct_daily_station_weather +\d+ .* append +15 ", shown, re.MULTILINE)
    assert re.search(r"^Transform +2013-07-19 +success ", shown, re.MULTILINE)
    assert re.search(r"^Maintenance +2013-07-19 +success ", shown, re.MULTILINE)
    assert "weather.observations/2013-07-19T23/" in shown


def test_the_pipeline_recovers_from_faults(shown: str) -> None:
    assert "Kill -9 of the catalog" in shown
    (faults,) = re.findall(
        r"^Recovered +from (\d+) injected API failures and one kill -9 of the catalog$",
        shown,
        re.MULTILINE,
    )
    assert int(faults) > 0


def test_the_report_is_a_page_of_the_day(shown: str) -> None:
    (path,) = re.findall(r"^  (\S+report\.html)$", shown, re.MULTILINE)
    page = Path(path).read_text()
    assert "2013-07-19" in page or "19 July 2013" in page
    assert "Heat" in page


def test_a_second_run_finds_everything_done(shown: str, state: Path) -> None:
    done = demo("--state", str(state))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything is done already" in done.stdout
    tables = shown.index("The daily mart"), shown.index("Next steps.")
    assert shown[slice(*tables)] in done.stdout


def test_the_ways_to_look_work_after_it_has_stopped(shown: str, tmp_path: Path, port: int) -> None:
    ways = shown[shown.index("Next steps.") :].replace("8181", str(port))
    (start,) = re.findall(r"^(\S*falcon-catalog serve .*\\\n.*)$", ways, re.MULTILINE)
    scripts = re.findall(r"^(\S*python - <<'END'\n.*?^END)$", ways, re.MULTILINE | re.DOTALL)
    assert len(scripts) == 2
    command = ["bash", "-c", f"exec {start}"]
    with Server("catalog", command, tmp_path / "catalog.log", folder=REPOSITORY):
        duckdb, pyiceberg = (
            subprocess.run(
                ["bash", "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
            ).stdout
            for script in scripts
        )
    assert "2013-07-19" in duckdb
    assert "37.8" in duckdb
    assert "air temperature, degrees Celsius" in pyiceberg
    assert "temperature_qc" in pyiceberg


def test_a_wiped_catalog_is_filled_again(shown: str, state: Path) -> None:
    for path in state.glob("catalog.db*"):
        path.unlink()
    # A new store beside a warehouse that holds tables is refused: they would be forgotten.
    done = demo("--state", str(state))
    assert done.returncode != 0
    assert "--adopt-warehouse" in done.stdout + done.stderr
    shutil.rmtree(state / "warehouse")
    done = demo("--state", str(state))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything is done already" not in done.stdout
    # Nothing is fetched again.
    assert "ObservationBatch" not in done.stdout
    mart = shown.index("The daily mart"), shown.index("The snapshots")
    assert shown[slice(*mart)] in done.stdout


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = demo("--state", str(tmp_path), "--listen", address)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: the demo stopped: the catalog did not start: ")
    assert address in line


def test_a_place_that_cannot_be_written_is_one_clear_line() -> None:
    done = demo("--state", "/proc/demo")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: the demo stopped: ")
    assert "/proc/demo" in line
