"""What ``make start``, ``make stop`` and ``make status`` do, on real processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from jobs.stack import processes

pytestmark = pytest.mark.slow


def test_it_starts_once_answers_and_stops(stack: Any) -> None:
    started = stack.do("start").stdout
    assert f"{stack.catalog}   started" in started
    assert f"{stack.luigid}   started" in started
    assert requests.get(f"{stack.catalog}/v1/config", timeout=30).ok
    assert requests.get(f"{stack.luigid}/history", timeout=30).ok
    pids = stack.pids()
    assert pids.keys() == {"catalog", "luigid"}
    again = stack.do("start").stdout
    assert again.count("runs already") == 2
    assert stack.pids() == pids
    stopped = stack.do("stop").stdout.splitlines()
    assert [line.split()[:2] for line in stopped] == [["luigid", "stopped"], ["catalog", "stopped"]]
    assert "stopped" in stack.do("status", status=3).stdout
    assert stack.do("stop").stdout.count("did not run") == 2
    assert not [pid for pid in pids.values() if Path(f"/proc/{pid}/environ").exists()]


def test_it_keeps_everything_in_one_folder(stack: Any) -> None:
    stack.do("start")
    stack.do("run", "LoadStations", "--period", "2013-07-02")
    stack.do("stop")
    found = {path.relative_to(stack.state).as_posix() for path in stack.state.rglob("*")}
    assert {"catalog/catalog.db", "luigi/history.db", "luigi/state.pickle"} <= found
    assert {"run/catalog.log", "run/luigid.log"} <= found
    assert "run/catalog.json" not in found
    assert any(name.startswith("catalog/warehouse/weather/") for name in found)


def test_a_run_uses_luigid_where_it_answers_and_does_without_elsewhere(stack: Any) -> None:
    done = stack.do("run", "Stations", "--period", "2013-07-02")
    assert "running without it" in done.stderr
    stack.do("start")
    done = stack.do("run", "LoadStations", "--period", "2013-07-02")
    assert f"Watch it at {stack.luigid}" in done.stderr
    assert requests.get(f"{stack.catalog}/v1/namespaces/weather/tables/stations", timeout=30).ok
    assert "LoadStations" in requests.get(f"{stack.luigid}/history", timeout=30).text


def test_what_was_killed_is_started_again(stack: Any, wait: Callable[..., Any]) -> None:
    stack.do("start")
    before = stack.pids()
    os.kill(before["catalog"], signal.SIGKILL)
    wait(lambda: "no answer" in stack.do("status", status=3).stdout, "the catalog's end")
    assert "runs already" in stack.do("start").stdout
    after = stack.pids()
    assert after["luigid"] == before["luigid"]
    assert after["catalog"] != before["catalog"]


@pytest.fixture
def stranger(stack: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Run another program on the catalog's port."""
    command = [
        sys.executable,
        "-u",
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        f"{stack.catalog_port}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def test_a_port_in_use_is_one_line_and_its_owner_is_left_alone(
    stack: Any, stranger: "subprocess.Popen[bytes]"
) -> None:
    done = stack.do("start", status=1)
    (line,) = done.stderr.splitlines()
    assert (
        f"catalog cannot listen on 127.0.0.1:{stack.catalog_port}: Address already in use" in line
    )
    assert "CATALOG_SERVER_LISTEN=" in line
    assert "elsewhere" in stack.do("status", status=3).stdout
    assert "was not started from here" in stack.do("stop").stdout
    assert stranger.poll() is None


def test_a_number_given_to_another_program_gets_no_signal(
    stack: Any, stranger: "subprocess.Popen[bytes]"
) -> None:
    remembered = processes.Running(stranger.pid, 1, processes._boot(), 0.0)
    file = stack.state / "run" / "catalog.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(vars(remembered)))
    assert "catalog  did not run" in stack.do("stop").stdout
    assert stranger.poll() is None
    assert not file.exists()
    assert processes.stop(remembered, 1)
    assert stranger.poll() is None


@pytest.mark.parametrize("text", ["", "12", "{", '{"pid": 1}', "[]"])
def test_a_damaged_pid_file_is_nothing_running(tmp_path: Path, text: str) -> None:
    (tmp_path / "catalog.json").write_text(text)
    assert processes.find(tmp_path / "catalog.json") is None


def test_a_program_that_ends_as_it_starts_says_why(stack: Any) -> None:
    database = stack.state / "catalog" / "catalog.db"
    database.parent.mkdir(parents=True)
    database.write_text("this is no database, but long enough to be read as one " * 20)
    done = stack.do("start", status=1)
    (line,) = done.stderr.splitlines()
    assert "catalog ended as it started" in line
    assert "not a database" in line


def test_a_setting_that_cannot_be_used_is_one_line(stack: Any) -> None:
    done = stack.do("start", status=1, CATALOG_SERVER_LISTEN="nowhere")
    assert "nowhere" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    done = stack.do("start", status=1, LUIGID_LISTEN="8082")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: luigid cannot be reached: '8082' is not HOST:PORT")
    stack.do("start", status=1, CATALOG_SERVER_LISTEN="127.0.0.1:0")


def test_what_does_not_end_is_told_and_not_killed(tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", deaf], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"deaf\n"
        running = processes.Running(process.pid, processes._ticks(process.pid), "", 0.0)
        assert not processes.stop(running, 0.1)
        assert process.poll() is None
        process.kill()
        assert processes.stop(running, 60)
    assert processes.find(tmp_path / "nothing") is None
