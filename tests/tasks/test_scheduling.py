"""What a failing, an empty, a parallel and a centrally scheduled run end with."""

import contextlib
import datetime as dt
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

import luigi.configuration
import luigi.db_task_history
import luigi.scheduler
import pytest
import requests
from click.testing import CliRunner
from sqlalchemy import text

from jobs.luigid.server import main as luigid_command
from jobs.luigid.server import upgrade_history
from jobs.luigid.task_history import forget

pytestmark = pytest.mark.slow

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
    status, output = pipeline.run("WeatherPipeline", "--date", "2012-12-31")
    assert status == 5, output
    assert "LoadObservations 2012-12-31: 0 observations, fewer than 1" in output
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
    page = requests.get(tasks["LoadObservations"]["tracking_url"], timeout=60)
    assert page.status_code == 200
    assert "/tables/observations" in page.text


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


def recorded(luigid: Luigid) -> dict[str, int]:
    """Return how many rows each table of the history has."""
    with contextlib.closing(sqlite3.connect(luigid.folder / "state" / "history.db")) as history:
        return {
            table: history.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("tasks", "task_parameters", "task_events")
        }


def write_down(luigid: Luigid, days: dict[str, tuple[float, ...]]) -> None:
    """Put runs into the history, with what was heard of them so many days ago."""
    now = dt.datetime.now()  # noqa: DTZ005 - as Luigi does
    with contextlib.closing(sqlite3.connect(luigid.folder / "state" / "history.db")) as history:
        for name, ages in days.items():
            record = history.execute(
                "INSERT INTO tasks (task_id, name, host) VALUES (?, ?, 'here')", (name, name)
            ).lastrowid
            history.execute("INSERT INTO task_parameters VALUES (?, 'date', 'd')", (record,))
            for age in ages:
                history.execute(
                    "INSERT INTO task_events (task_id, event_name, ts) VALUES (?, 'DONE', ?)",
                    (record, str(now - dt.timedelta(days=age))),
                )
        history.commit()


def test_luigid_lets_go_of_old_runs(luigid: Luigid, wait: Callable[..., Any]) -> None:
    luigid.stop()
    write_down(luigid, {"Old": (100, 91), "Revived": (100, 89), "Fresh": (1,)})
    write_down(luigid, {f"Older{n}": (200,) for n in range(1100)})  # more than go at once
    luigid.start()
    left = {"tasks": 2, "task_parameters": 2, "task_events": 3}
    wait(lambda: recorded(luigid) == left, "removal of old runs")
    listed = luigid.get("/tasklist").text
    assert "Revived" in listed
    assert "Fresh" in listed
    assert "Old" not in listed
    said = (luigid.folder / "luigid.log").read_text()
    assert said.count("task history: removed 500 runs older than 90 days") == 2


def test_luigid_keeps_runs_for_ever_if_told_so(
    luigid: Luigid, monkeypatch: pytest.MonkeyPatch, wait: Callable[..., Any]
) -> None:
    luigid.stop()
    write_down(luigid, {"Old": (5000,), "Newer": (3,)})
    monkeypatch.setenv("TASK_HISTORY_KEEP_DAYS", "0")
    luigid.start()
    assert luigid.get("/history/by_name/Old").status_code == 200
    luigid.stop()
    assert recorded(luigid)["tasks"] == 2
    monkeypatch.setenv("TASK_HISTORY_KEEP_DAYS", "2.5")
    luigid.start()
    wait(lambda: recorded(luigid)["tasks"] == 0, "removal of old runs")


def test_luigid_says_that_runs_cannot_be_kept_for_less_than_a_day(luigid: Luigid) -> None:
    luigid.stop()
    for days, why in (("0.5", "must be 1 to 36525 days"), ("-1", "must be"), ("nan", "must be")):
        done = subprocess.run(
            [sys.executable, "-m", "jobs.luigid", "--listen", f"127.0.0.1:{luigid.port}"],
            capture_output=True,
            text=True,
            check=False,
            cwd=luigid.folder,
            env={**os.environ, "TASK_HISTORY_KEEP_DAYS": days},
        )
        assert done.returncode == 1
        assert f"[task_history] keep_days = {days}: it " in done.stderr.splitlines()[-1]
        assert why in done.stderr


def test_a_run_that_was_let_go_of_is_written_down_anew(tmp_path: Path) -> None:
    """Luigi's own history refuses a task whose record is gone, which it remembers."""
    settings = luigi.configuration.LuigiConfigParser()
    settings.set("task_history", "db_connection", f"sqlite:///{tmp_path}/history.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(luigi.configuration.LuigiConfigParser, "_instance", settings)
        patch.setattr(luigi.db_task_history, "_upgrade_schema", upgrade_history)
        history = luigi.db_task_history.DbTaskHistory()
    tasks = [
        luigi.scheduler.Task(name, "PENDING", [], family=name, params={"date": "d"})
        for name in ("Daily", "Hourly")
    ]
    for task in tasks:
        history.task_scheduled(task)
    assert forget(history, older_than=dt.timedelta(days=1)) == 0
    with history.engine.begin() as connection:
        connection.execute(text("UPDATE task_events SET ts = '2013-07-02 00:00:00.000000'"))
    history.task_started(tasks[1], "here")
    assert forget(history, older_than=dt.timedelta(days=1), at_most=1) == 1
    assert forget(history, older_than=dt.timedelta(days=1), at_most=1) == 0
    assert list(history.tasks) == ["Hourly"]
    for task in tasks:
        history.task_finished(task, successful=True)
    events = {run.name: [event.event_name for event in run.events] for run in runs_of(history)}
    assert events == {"Daily": ["DONE"], "Hourly": ["DONE", "RUNNING", "PENDING"]}
    history.engine.dispose()


def runs_of(history: Any) -> list[Any]:
    with history._session() as session:
        runs = history.find_all_runs(session)
        for run in runs:
            assert run.events
        return runs


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


def test_luigid_refuses_what_web_pages_of_others_send(luigid: Luigid) -> None:
    """Its API executes GET requests, without a password."""
    pause, evil = {"data": "{}"}, "http://evil.example"
    for headers in (
        {"Origin": evil},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": f"evil.example:{luigid.port}", "Origin": f"http://evil.example:{luigid.port}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # another server on this machine
    ):
        for verb in ("GET", "POST"):
            answer = requests.request(
                verb, f"{luigid.url}/api/pause", params=pause, headers=headers, timeout=30
            )
            assert answer.status_code == 403, (verb, headers)
    assert requests.get(luigid.url, headers={"Host": "evil.example"}, timeout=30).status_code == 403
    assert luigid.get("/api/is_paused").json()["response"]["paused"] is False
    own = {"Origin": luigid.url, "Sec-Fetch-Site": "same-origin"}
    answer = requests.post(f"{luigid.url}/api/pause", params=pause, headers=own, timeout=30)
    assert answer.status_code == 200
    assert luigid.get("/api/is_paused").json()["response"]["paused"] is True
    # A link on a page elsewhere, such as a mail's, may lead to the list of tasks.
    mail = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert requests.get(f"{luigid.url}/tasklist", headers=mail, timeout=30).status_code == 200


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]"])  # noqa: S104 - it is refused
def test_luigid_is_not_opened_to_other_machines_by_accident(address: str) -> None:
    result = CliRunner().invoke(luigid_command, ["--listen", f"{address}:1"])
    assert result.exit_code == 1
    assert "other machines would reach it" in result.output
    assert "--insecure" in result.output
