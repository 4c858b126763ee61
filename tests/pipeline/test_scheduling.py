"""What a failing, an empty, a parallel and a centrally scheduled run end with."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

REPOSITORY = Path(__file__).parents[2]


def test_a_failure_has_a_status_and_a_line_and_the_next_run_goes_on(
    make_pipeline: Callable[..., Any], calm_weather: str, tmp_path: Path
) -> None:
    pipeline = make_pipeline(calm_weather, tmp_path)
    pipeline.catalog.stop()
    arguments = ["WeatherPipeline", "--date", "2013-07-02", "--scheduler-retry-count", "1"]
    status, output = pipeline.run(*arguments)
    assert status == 30
    lines = [line for line in output.splitlines() if "LoadObservations 2013-07-02 failed" in line]
    assert len(lines) == 1
    assert f"the catalog at {pipeline.catalog.uri} does not answer" in lines[0]
    fetched = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json*")}
    assert fetched
    pipeline.catalog.start()
    output = pipeline.ok(*arguments)
    assert "1 of 1 batches, " not in output
    assert fetched.items() <= {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.json*")}.items()


def test_a_day_without_observations_is_told_and_no_failure(
    make_pipeline: Callable[..., Any], calm_weather: str, tmp_path: Path
) -> None:
    pipeline = make_pipeline(calm_weather, tmp_path)
    output = pipeline.ok("WeatherPipeline", "--date", "2012-12-31")
    assert "no observations of 2012-12-31" in output
    catalog = pipeline.catalog.connect()
    assert catalog.load_table("marts.dim_stations").scan().count() == 3
    assert catalog.load_table("marts.fct_daily_station_weather").scan().count() == 0


def test_batches_are_fetched_beside_each_other(
    make_pipeline: Callable[..., Any], calm_weather: str, tmp_path: Path
) -> None:
    pipeline = make_pipeline(calm_weather, tmp_path, WEATHER_BATCH_SIZE="1")
    pipeline.ok("LoadObservations", "--period", "2013-07-02")
    assert len(list(tmp_path.rglob("observations-*.json.gz"))) == 3
    assert pipeline.catalog.connect().load_table("weather.observations").scan().count() == 82


def test_other_stations_of_the_same_day_join_those_there_are(
    make_pipeline: Callable[..., Any], calm_weather: str, tmp_path: Path
) -> None:
    pipeline = make_pipeline(calm_weather, tmp_path)
    pipeline.ok("LoadObservations", "--period", "2013-07-02", "--stations", "KEWR")
    pipeline.ok("LoadObservations", "--period", "2013-07-02", "--stations", "KJFK,KLGA")
    pipeline.ok("LoadStations", "--period", "2013-07-02", "--stations", "KJFK")
    pipeline.ok("LoadStations", "--period", "2013-07-02", "--stations", "KEWR")
    catalog = pipeline.catalog.connect()
    assert catalog.load_table("weather.observations").scan().count() == 82
    assert catalog.load_table("weather.stations").scan().count() == 2


@dataclass
class Luigid:
    """``python -m jobs.luigid`` on a port and in a folder of its own."""

    port: int
    folder: Path
    wait: Callable[..., Any]
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "jobs.luigid", "--listen", f"127.0.0.1:{self.port}"]
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LUIGI", "STATE_"))
        }
        environment["LUIGI_CONFIG_PATH"] = str(REPOSITORY / "conf" / "luigi.cfg")
        environment["STATE_DIRECTORY"] = str(self.folder / "state")
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "luigid.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log
            )
        self.wait(self.up, f"start of luigid (see {self.folder}/luigid.log)")

    def up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "luigid.log").read_text()
        try:
            return requests.head(self.url, timeout=5).status_code == 204
        except requests.ConnectionError:
            return False

    def get(self, path: str, **query: Any) -> requests.Response:
        data = {"data": json.dumps(query)} if query else None
        return requests.get(self.url + path, params=data, timeout=30)

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(60) == 0


@pytest.fixture
def luigid(port: int, tmp_path: Path, wait: Callable[..., Any]) -> Iterator[Luigid]:
    server = Luigid(port, tmp_path / "luigid", wait)
    server.start()
    yield server
    if server.process is not None and server.process.poll() is None:
        server.process.kill()
        server.process.wait()


def test_luigid_schedules_it_and_learns_no_secret(
    make_pipeline: Callable[..., Any], calm_weather: str, tmp_path: Path, luigid: Luigid
) -> None:
    pipeline = make_pipeline(calm_weather, tmp_path / "data", CATALOG_TOKEN="s3cret")  # noqa: S106
    status, output = pipeline.run(
        "WeatherPipeline", "--date", "2013-07-02", "--scheduler-port", str(luigid.port), local=False
    )
    assert status == 0, output
    answer = luigid.get("/api/task_list", status="DONE")
    tasks = {task["name"]: task for task in answer.json()["response"].values()}
    assert {"Stations", "LoadObservations", "Transform", "WeatherPipeline"} <= tasks.keys()
    _assert_shown(tasks, luigid, tmp_path / "data")
    _assert_counted_and_kept(luigid)
    luigid.stop()
    luigid.start()
    again = luigid.get("/api/task_list", status="DONE").json()["response"]
    assert {task["name"] for task in again.values()} == tasks.keys()
    _assert_counted_and_kept(luigid, restarted=True)
    kept = b"".join(path.read_bytes() for path in luigid.folder.rglob("*") if path.is_file())
    assert b"WeatherPipeline" in kept
    assert b"s3cret" not in kept + answer.content + output.encode()


def _assert_shown(tasks: dict[str, Any], luigid: Luigid, data: Path) -> None:
    """Check what the visualiser reads: message, progress and link of each step."""
    by_id = luigid.get("/api/task_list", status="DONE").json()["response"]
    messages = {
        name: luigid.get("/api/get_task_status_message", task_id=key).json()["response"]
        for key, name in ((key, task["name"]) for key, task in by_id.items())
    }
    assert "82 new" in messages["LoadObservations"]["statusMessage"]
    progress = luigid.get(
        "/api/get_task_progress_percentage",
        task_id=next(key for key, task in by_id.items() if task["name"] == "LoadObservations"),
    )
    assert progress.json()["response"]["progressPercentage"] == 100
    # Luigi forgets the link of a step that is named again, done, as another's requirement.
    linked = tasks["Transform"]["tracking_url"]
    assert linked.startswith("file://")
    assert Path(linked.removeprefix("file://")).is_relative_to(data)
    assert tasks["LoadObservations"]["tracking_url"].startswith("http://127.0.0.1:")


def _assert_counted_and_kept(luigid: Luigid, *, restarted: bool = False) -> None:
    """Check the history's pages, and the counters, which begin anew."""
    for page in ("/history", "/tasklist", "/tasklist/Transform", "/history/by_name/Transform"):
        answer = luigid.get(page)
        assert answer.status_code == 200, page
        assert "Transform" in answer.text, page
    assert luigid.get("/history/by_id/1").status_code == 200
    assert luigid.get("/static/visualiser/index.html").status_code == 200
    counted = re.findall(
        r'luigi_task_done_total\{family="Transform"\} (\S+)', luigid.get("/metrics").text
    )
    assert counted == ([] if restarted else ["1.0"])


def test_luigid_goes_on_with_the_history_of_an_older_luigi(luigid: Luigid) -> None:
    luigid.stop()
    with sqlite3.connect(luigid.folder / "state" / "history.db") as history:
        history.execute("DROP INDEX ix_tasks_task_id")
        history.execute("ALTER TABLE tasks DROP COLUMN task_id")
        history.execute("INSERT INTO tasks (id, name, host) VALUES (1, 'Older', 'there')")
    history.close()
    luigid.start()
    assert "Older" in luigid.get("/tasklist").text
    assert "adding tasks.task_id" in (luigid.folder / "luigid.log").read_text()
    assert luigid.get("/history/by_id/1").status_code == 200


@pytest.mark.parametrize(
    ("listen", "said"),
    [("8082", "'8082' is not HOST:PORT"), ("127.0.0.1:{port}", "Address already in use")],
    ids=["no host", "in use"],
)
def test_luigid_says_in_a_line_why_it_cannot_serve(
    luigid: Luigid, tmp_path: Path, listen: str, said: str
) -> None:
    command = [sys.executable, "-m", "jobs.luigid", "--state", str(tmp_path)]
    command += ["--listen", listen.format(port=luigid.port)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_without_luigid_a_run_ends_and_says_so(
    make_pipeline: Callable[..., Any], calm_weather: str, tmp_path: Path, port: int
) -> None:
    pipeline = make_pipeline(calm_weather, tmp_path)
    arguments = ["Stations", "--period", "2013-07-02", "--scheduler-port", str(port)]
    settings = tmp_path / "impatient.cfg"
    settings.write_text(
        (REPOSITORY / "conf" / "luigi.cfg")
        .read_text()
        .replace("rpc_retry_wait = 5", "rpc_retry_wait = 0")
    )
    pipeline.settings["LUIGI_CONFIG_PATH"] = str(settings)
    status, output = pipeline.run(*arguments, local=False)
    assert status == 40
    assert f"6 attempts) when connecting to remote scheduler 'http://127.0.0.1:{port}'" in output
