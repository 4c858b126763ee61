"""An hour's ingestion: trailing re-reads, broken batches, hours that are gone, ranges of hours."""

import datetime as dt
import json
import os
import re
import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import luigi
import pyarrow as pa
import pytest
from luigi.tools.range import RangeDaily, RangeHourly

from jobs import config
from jobs.nws_simulator import __main__ as simulator
from jobs.nws_simulator import airports, make_app, network, running
from jobs.registered import (
    DbtTransformations,
    LoadDays,
    Maintenance,
    Report,
    Stations,
    Transform,
    WeatherIngestion,
    WeatherPipeline,
)
from jobs.targets import write, write_json
from jobs.tasks import load, periods
from jobs.tasks.health import IN_A_ROW
from jobs.tasks.periods import Period
from jobs.tasks.stations import client
from jobs.tasks.transform import mark_days
from tests.notify.receiving import webhook
from tests.tasks.ingesting import HOUR, STATIONS, Once, Service, Settings, ingest, summary

WINDOW = (dt.datetime(2013, 7, 2, 9, tzinfo=dt.UTC), dt.datetime(2013, 7, 2, 15, tzinfo=dt.UTC))


def keys(settings: Any) -> list[tuple[str, dt.datetime]]:
    found = [(row["station_id"], row["observed_at"]) for row in settings.rows(OBSERVATIONS)]
    assert len(set(found)) == len(found), "rows are doubled"
    return sorted(found)


OBSERVATIONS = "weather.observations"


def within(records: list[dict[str, Any]], start: dt.datetime, end: dt.datetime) -> list[Any]:
    return sorted(
        (record["station_id"], record["observed_at"])
        for record in records
        if start <= record["observed_at"] < end
    )


def test_an_hour_brings_its_trailing_window_in_one_commit_a_table(
    settings: Any, records: list[dict[str, Any]]
) -> None:
    assert ingest()
    assert keys(settings) == within(records, *WINDOW)
    for table in (OBSERVATIONS, "weather.stations"):
        assert len(settings.catalog.load_table(table).snapshots()) == 1
    told = summary()
    assert told["hour"] == "2013-07-02T14"
    count = len(within(records, *WINDOW))
    assert (told["observations"], told["stations"], told["unavailable"]) == (count, 3, [])
    assert told["rows_per_second"] > 0
    (one,) = [one for one in told["loads"] if one["table"] == OBSERVATIONS]
    assert (one["rows_in"], one["rows_new"], one["rows_changed"]) == (count, count, 0)
    assert (one["rows_rejected"], one["duplicates"], one["batches"]) == (0, 0, 1)
    assert (
        f"{count} observations of 3 stations"
        in WeatherIngestion(hour=HOUR).path().with_suffix(".txt").read_text()
    )


def test_the_next_hour_reads_again_and_adds_its_own(
    settings: Any, records: list[dict[str, Any]]
) -> None:
    assert ingest()
    assert ingest(HOUR + dt.timedelta(hours=1))
    assert keys(settings) == within(records, WINDOW[0], WINDOW[1] + dt.timedelta(hours=1))
    (told,) = [
        one
        for one in summary(HOUR + dt.timedelta(hours=1))["loads"]
        if one["table"] == OBSERVATIONS
    ]
    assert (told["rows_in"], told["rows_new"], told["rows_changed"]) == (16, 3, 0)


def test_late_and_corrected_reports_come_with_the_hours_after(
    settings: Any, records: list[dict[str, Any]]
) -> None:
    clock = [dt.datetime(2013, 7, 2, 10, 5, tzinfo=dt.UTC)]
    source = airports()
    changed = 0
    with running(make_app(source, now=lambda: clock[0], late=0.4)) as url:
        settings(weather_base_url=url)
        for hour in range(9, 21):
            clock[0] = dt.datetime(2013, 7, 2, hour + 1, 5, tzinfo=dt.UTC)
            at = dt.datetime(2013, 7, 2, hour)  # noqa: DTZ001
            assert ingest(at)
            changed += sum(one["rows_changed"] for one in summary(at)["loads"])
    assert changed > 0, "no report was corrected: the test shows nothing"
    final = within(records, dt.datetime(2013, 7, 2, 4, tzinfo=dt.UTC), WINDOW[1])
    truth = {(r["station_id"], r["observed_at"]): r["temperature_c"] for r in records}
    found = {
        (row["station_id"], row["observed_at"]): row["temperature_c"]
        for row in settings.rows(OBSERVATIONS)
        if row["observed_at"] < WINDOW[1]
    }
    assert sorted(found) == final
    for key, temperature in found.items():
        assert temperature == pytest.approx(truth[key], rel=1e-3), key


def test_a_service_that_is_down_fails_the_hour_and_what_came_is_loaded(
    settings: Any, service: Service, records: list[dict[str, Any]]
) -> None:
    settings(weather_batch_size=1, weather_fetchers=1)
    service.down_after = 1
    assert not ingest()
    every = within(records, *WINDOW)
    assert keys(settings) == [key for key in every if key[0] == "KEWR"]
    assert not WeatherIngestion(hour=HOUR).complete()
    note = WeatherIngestion(hour=HOUR).path().with_name("load-observations.incomplete.json")
    told = json.loads(note.read_text())
    assert (told["status"], list(told["failed"])) == ("incomplete", ["KJFK", "KLGA"])
    assert "HTTP 500" in told["failed"]["KJFK"]
    service.down_after, before = None, service.observed()
    assert ingest()
    assert keys(settings) == every
    assert service.observed() - before == Counter({"KJFK": 1, "KLGA": 1})
    told = summary()
    assert (told["stations_with_observations"], told["failed"]) == (3, {})
    assert list(told["failed_before"]) == ["KJFK", "KLGA"]
    assert not note.exists()


def test_two_dead_stations_starve_nobody_and_the_hour_completes_as_degraded(
    settings: Any, service: Service, records: list[dict[str, Any]]
) -> None:
    service.broken = {"KEWR", "KJFK"}
    assert ingest()
    every = within(records, *WINDOW)
    assert keys(settings) == [key for key in every if key[0] == "KLGA"]
    told = summary()
    assert list(told["failed"]) == ["KEWR", "KJFK"]
    assert "HTTP 500" in told["failed"]["KEWR"]
    (load_,) = [one for one in told["loads"] if one["table"] == OBSERVATIONS]
    assert (load_["status"], load_["stations"]) == ("degraded", 3)
    text = WeatherIngestion(hour=HOUR).path().with_suffix(".txt").read_text()
    assert "degraded: the service failed, and is requested again later: KEWR; KJFK" in text
    assert DbtTransformations(hour=HOUR).requires().complete(), "the marts would wait"


def test_a_station_that_was_dead_is_requested_again_by_later_hours(
    settings: Any, service: Service, records: list[dict[str, Any]]
) -> None:
    service.broken = {"KJFK"}
    later = [HOUR + dt.timedelta(hours=hours) for hours in (0, 1, 20, 21)]
    for hour in later[:2]:
        assert ingest(hour)
    service.broken, before = set(), len(service.asked)
    assert ingest(later[2])
    spans = [
        (query["start"][0], query["end"][0])
        for path, query in service.asked[before:]
        if "/KJFK/" in path and "cursor" not in query
    ]
    assert spans == [
        ("2013-07-03T05:00:00Z", "2013-07-03T11:00:00Z"),
        ("2013-07-02T09:00:00Z", "2013-07-02T16:00:00Z"),
    ]
    start = dt.datetime(2013, 7, 2, 9, tzinfo=dt.UTC)
    assert [key for key in keys(settings) if key[0] == "KJFK"] == [
        key
        for key in within(records, start, dt.datetime(2013, 7, 3, 11, tzinfo=dt.UTC))
        if key[0] == "KJFK"
        and not (dt.timedelta(hours=7) <= key[1] - start < dt.timedelta(hours=20))
    ]
    # It came, so it is not requested once more.
    before = service.observed()
    assert ingest(later[3])
    assert service.observed() - before == Counter(STATIONS)


def test_alerts_that_the_service_fails_for_degrade_the_hour_and_come_later(
    settings: Any, service: Service
) -> None:
    settings(weather_alert_states="NY,NJ", weather_trailing_hours=48)
    hour = dt.datetime(2013, 7, 19, 18)  # noqa: DTZ001
    service.broken_alerts = True
    assert ingest(hour)
    assert list(summary(hour)["failed"]) == ["alerts"]
    assert settings.rows("weather.alerts") == []
    service.broken_alerts = False
    settings(weather_trailing_hours=1)
    assert ingest(hour + dt.timedelta(hours=30))
    sent = [row["sent"] for row in settings.rows("weather.alerts")]
    assert sent
    assert min(sent) < dt.datetime(2013, 7, 19, 18, tzinfo=dt.UTC)


def test_pages_before_one_that_fails_are_loaded_and_the_rest_comes_later(
    settings: Any, service: Service, records: list[dict[str, Any]]
) -> None:
    service.page_size, service.broken_later_pages = 3, {"KJFK"}
    assert ingest()
    every = within(records, *WINDOW)
    found = keys(settings)
    assert [key for key in found if key[0] != "KJFK"] == [key for key in every if key[0] != "KJFK"]
    assert len([key for key in found if key[0] == "KJFK"]) == 2
    assert list(summary()["failed"]) == ["KJFK"]
    service.broken_later_pages = set()
    after = dt.timedelta(hours=1)
    assert ingest(HOUR + after)
    assert keys(settings) == within(records, WINDOW[0], WINDOW[1] + after)


@pytest.mark.parametrize("answering", [0, 1])
def test_a_service_that_is_down_is_not_asked_for_every_station(
    settings: Any, service: Service, answering: int
) -> None:
    service.app = make_app(network())
    settings(weather_fetchers=1, weather_stations="", weather_states="NY")
    service.down_after = answering
    assert not ingest()
    # Those in a row, and the one that answered once more.
    assert sum(service.observed().values()) == answering + IN_A_ROW + answering


def test_many_dead_stations_in_a_row_are_no_service_that_is_down(
    settings: Any, service: Service
) -> None:
    service.app = make_app(network())
    settings(weather_fetchers=1, weather_stations="", weather_states="NY")
    names = sorted(
        feature["properties"]["stationIdentifier"] for feature in client().stations(states=["NY"])
    )
    service.broken = set(names[5:40])
    assert ingest()
    told = summary()
    assert list(told["failed"]) == names[5:40]
    assert told["stations_with_observations"] == len(names) - 35
    # Where none answers before them, the next try asks them last.
    service.broken = set(names[:40])
    assert not ingest(HOUR + dt.timedelta(hours=1))
    assert ingest(HOUR + dt.timedelta(hours=1))


def test_an_hour_that_is_gone_is_not_asked_for_and_no_failure(
    settings: Any, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    settings(weather_history_hours=144)
    assert ingest()
    assert service.asked == []
    told = summary()
    assert told["unavailable"] == ["2013-07-02T14"]
    assert {one["status"] for one in told["loads"]} == {"unavailable"}
    (line,) = [r.getMessage() for r in caplog.records if "stays unavailable" in r.getMessage()]
    assert "2013-07-02T14: 0 observations, fewer than 1" in line
    assert "it is older than the 144 hours that the service keeps" in line
    # The marts find their tables all the same.
    assert settings.rows(OBSERVATIONS) == settings.rows("weather.alerts") == []


def test_an_unavailable_hour_is_requested_when_history_hours_changes(
    settings: Any, records: list[dict[str, Any]]
) -> None:
    settings(weather_history_hours=144)
    assert ingest()
    hour = WeatherIngestion(hour=HOUR)
    assert hour.complete()
    settings(weather_history_hours=0)
    assert not hour.complete()
    assert ingest()
    assert keys(settings) == within(records, *WINDOW)
    assert (summary()["unavailable"], hour.complete()) == ([], True)


def test_a_step_is_done_again_when_what_it_builds_on_is_newer(settings: Any) -> None:
    assert ingest()
    hour = WeatherIngestion(hour=HOUR)
    checkpoint = hour.requires()[1].path()
    later = hour.path().stat().st_mtime_ns + 1
    os.utime(checkpoint, ns=(later, later))
    assert not hour.complete()
    settings(weather_states="")  # the same again
    assert ingest()
    assert hour.complete()


@pytest.mark.parametrize(("least", "expected"), [("1", 5), ("17", 5), ("0", 0)])
def test_fewer_observations_than_expected_are_a_warning_with_a_status(
    make_pipeline: Callable[..., Any], calm_weather: str, tmp_path: Path, least: str, expected: int
) -> None:
    hour = "2013-07-02T14" if least == "17" else "2023-07-02T14"
    pipeline = make_pipeline(calm_weather, tmp_path, WEATHER_MIN_OBSERVATIONS=least)
    status, output = pipeline.run("WeatherIngestion", "--hour", hour)
    assert status == expected, output
    found = 16 if least == "17" else 0
    warning = f"{hour}: {found} observations, fewer than {least} ([weather] min_observations): rec"
    assert (warning in output) == (expected == 5)


def test_the_example_of_the_simulators_help_loads_a_day(
    make_pipeline: Callable[..., Any],
    calm_weather: str,
    tmp_path: Path,
    records: list[dict[str, Any]],
) -> None:
    (example,) = re.findall(r"luigi (--module jobs [^#]+)", simulator.EPILOG)
    words = shlex.split(example.replace("\\\n", " "))
    words[words.index("http://127.0.0.1:8182")] = calm_weather
    # Without the marts, which take a minute.
    words[words.index("WeatherPipeline")] = "LoadDays"
    pipeline = make_pipeline("http://127.0.0.1:1", tmp_path, WEATHER_HISTORY_HOURS="144")
    pipeline.ok(*words[2:-1], "0")
    window = (dt.datetime(2013, 7, 2, tzinfo=dt.UTC), dt.datetime(2013, 7, 3, 4, tzinfo=dt.UTC))
    count = pipeline.catalog.connect().load_table(OBSERVATIONS).scan().count()
    assert count == len(within(records, *window)) > 0


def test_a_window_that_is_partly_gone_is_clipped(settings: Any, service: Service) -> None:
    settings(weather_history_hours=2.5)
    now = dt.datetime.now(dt.UTC)
    hour = now.replace(minute=0, second=0, microsecond=0, tzinfo=None) - dt.timedelta(hours=1)
    assert ingest(hour)
    (start, *_) = [query["start"][0] for path, query in service.asked if "observations" in path]
    gap = dt.datetime.fromisoformat(start) - (now - dt.timedelta(hours=2.5))
    assert dt.timedelta(seconds=-1) <= gap < dt.timedelta(minutes=1)


@pytest.mark.usefixtures("settings")
def test_ranges_find_what_is_missing_and_skip_what_is_not_over() -> None:
    assert ingest()
    hours = RangeHourly(
        of=WeatherIngestion,
        start=HOUR - dt.timedelta(hours=1),
        stop=HOUR + dt.timedelta(hours=2),
        hours_back=10**6,
    )
    assert [task.hour.hour for task in hours.requires()] == [13, 15]
    # 2013 is beyond the hours that a range looks back on by itself.
    assert RangeHourly(of=WeatherIngestion, start=HOUR, stop=HOUR, hours_back=1).requires() == []
    days = RangeDaily(
        of=WeatherPipeline,
        start=dt.date(2013, 7, 1),
        stop=dt.date(2013, 7, 3),
        days_back=10**4,
        of_params={"stations": ("KJFK",)},
    )
    assert [f"{task.date} {task.stations}" for task in days.requires()] == [
        "2013-07-01 ('KJFK',)",
        "2013-07-02 ('KJFK',)",
    ]
    # Neither the running hour nor today is wanted, though the range's end is open.
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    tasks = RangeHourly(of=WeatherIngestion, start=now - dt.timedelta(hours=4)).requires()
    assert 2 <= len(tasks) <= 4
    days = RangeDaily(of=WeatherPipeline, start=now.date() - dt.timedelta(days=2))
    assert 1 <= len(days.requires()) <= 2


def test_a_range_of_hours_runs_from_the_command_line(
    make_pipeline: Callable[..., Any],
    calm_weather: str,
    tmp_path: Path,
    records: list[dict[str, Any]],
) -> None:
    pipeline = make_pipeline(calm_weather, tmp_path)
    pipeline.ok(
        "RangeHourly",
        "--of",
        "WeatherIngestion",
        "--start",
        "2013-07-02T12",
        "--stop",
        "2013-07-02T15",
        "--hours-back",
        "1000000",
    )
    table = pipeline.catalog.connect().load_table(OBSERVATIONS)
    start = dt.datetime(2013, 7, 2, 7, tzinfo=dt.UTC)
    assert table.scan().count() == len(within(records, start, WINDOW[1]))
    assert sorted(path.parts[-3] for path in tmp_path.rglob("ingestion.json")) == [
        "2013-07-02T12",
        "2013-07-02T13",
        "2013-07-02T14",
    ]


def test_a_service_that_is_down_ends_with_a_status_and_one_line(
    make_pipeline: Callable[..., Any], service: Service, tmp_path: Path
) -> None:
    service.broken = set(STATIONS)
    pipeline = make_pipeline(service.url, tmp_path, WEATHER_MAX_ATTEMPTS="1")
    arguments = ["WeatherIngestion", "--hour", "2013-07-02T14"]
    status, output = pipeline.run(*arguments, "--scheduler-retry-count", "2")
    assert status == 30
    lines = [
        line for line in output.splitlines() if "LoadObservations 2013-07-02T14 failed" in line
    ]
    assert len(lines) == 2
    assert "the weather service is down: 3 stations failed or were not requested" in lines[0]
    service.broken = set()
    pipeline.ok(*arguments)
    assert pipeline.catalog.connect().load_table(OBSERVATIONS).scan().count() == 16


def test_a_degraded_hour_is_reported_once_by_status_and_notification(
    make_pipeline: Callable[..., Any], service: Service, tmp_path: Path
) -> None:
    service.broken = {"KJFK"}
    bodies: list[Any] = []
    arguments = ["WeatherIngestion", "--hour", "2013-07-02T14", "--workers", "2"]
    with webhook(bodies) as url:
        pipeline = make_pipeline(
            service.url, tmp_path, WEATHER_MAX_ATTEMPTS="1", NOTIFY_SLACK_WEBHOOK=url
        )
        status, output = pipeline.run(*arguments)
        assert status == 5, output
        assert output.count("LoadObservations 2013-07-02T14: degraded") == 1
        (body,) = bodies
        assert "LoadObservations 2013-07-02T14 is degraded on " in body["text"]
        assert "the service failed for KJFK; first error: " in body["text"]
        assert service.observed() == Counter(STATIONS)
        pipeline.ok(*arguments)
        assert len(bodies) == 1
    assert pipeline.catalog.connect().load_table(OBSERVATIONS).scan().count() == 10


def test_an_ingestion_is_recorded_with_its_rows_bytes_requests_and_seconds(
    settings: Any, service: Service, records: list[dict[str, Any]]
) -> None:
    settings(weather_fetchers=1)
    service.down_after = 1
    assert not ingest()
    (failed,) = settings.rows("weather.pipeline_runs")
    assert (failed["task"], failed["period"]) == ("LoadObservations", "2013-07-02T14")
    assert (failed["status"], failed["requests"]) == ("failed", 5)  # and the probe
    assert "the weather service is down" in failed["message"]
    service.down_after, before = None, len(service.asked)
    assert ingest()
    told = {row["task"]: row for row in settings.rows("weather.pipeline_runs")}
    assert told.keys() == {"LoadObservations", "WeatherIngestion"}
    row = told["WeatherIngestion"]
    assert (row["period"], row["status"]) == ("2013-07-02T14", "success")
    assert row["rows_read"] == len(within(records, *WINDOW)) + len(STATIONS)
    assert row["rows_changed"] == row["rows_read"] - failed["rows_changed"]
    # The stations came in the first attempt, in two requests.
    assert row["requests"] == len(service.asked) - before + 2
    assert row["bytes_read"] > 10_000
    assert row["seconds"] > 0
    assert row["message"].startswith("16 observations of 3 stations")
    # The same again is not another ingestion.
    WeatherIngestion(hour=HOUR).path().unlink()
    assert ingest()
    assert len(settings.rows("weather.pipeline_runs")) == 2


def test_days_are_recorded_as_one_ingestion(settings: Any) -> None:
    assert luigi.build(
        [LoadDays(date=dt.date(2013, 7, 2), days=2)],
        worker_scheduler_factory=Once(),
        local_scheduler=True,
    )
    (row,) = settings.rows("weather.pipeline_runs")
    assert (row["task"], row["period"]) == ("LoadDays", "2013-07-01_2013-07-02")
    assert row["rows_read"] == settings.catalog.load_table(OBSERVATIONS).scan().count() + 3


def test_a_day_closes_when_the_last_stations_local_day_has_ended(
    settings: Any, monkeypatch: pytest.MonkeyPatch, records: list[dict[str, Any]]
) -> None:
    clock = [dt.datetime(2013, 7, 3, 2, tzinfo=dt.UTC)]
    monkeypatch.setattr(periods, "now", lambda: clock[0])
    day = dt.date(2013, 7, 2)
    start, end = (dt.datetime(2013, 7, *at, tzinfo=dt.UTC) for at in ((2,), (3, 4)))

    def run() -> bool:
        tasks = [LoadDays(date=day)]
        return luigi.build(tasks, worker_scheduler_factory=Once(), local_scheduler=True)

    def waits() -> bool:
        return LoadDays.bulk_complete([day]) == [day]

    assert not waits(), "no station is known yet"
    assert run()
    assert keys(settings) == within(records, start, clock[0])
    # The files are of the time that the clock shows.
    for path in LoadDays(date=day).path().parent.iterdir():
        os.utime(path, (clock[0].timestamp(),) * 2)
    assert LoadDays(date=day).complete()
    assert waits()
    clock[0] = end - dt.timedelta(seconds=1)
    assert (LoadDays(date=day).complete(), waits()) == (True, True)
    clock[0] = end
    assert (LoadDays(date=day).complete(), waits()) == (False, False)
    assert run()
    assert keys(settings) == within(records, start, end)
    assert (LoadDays(date=day).complete(), waits()) == (True, True)


@pytest.mark.usefixtures("settings")
def test_a_range_waits_for_the_last_station(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [dt.datetime(2013, 7, 3, 9, 59, tzinfo=dt.UTC)]
    monkeypatch.setattr(periods, "now", lambda: clock[0])
    day = dt.date(2013, 7, 2)
    # The stations are known from another period with the same choice.
    path = Stations(period=Period.of_hour(HOUR)).path()
    zones = ("America/New_York", "Pacific/Honolulu", "Pacific/Guam")
    features = [
        {"properties": {"stationIdentifier": f"K{number}", "timeZone": zone}}
        for number, zone in enumerate(zones)
    ]
    write_json(path, {"features": features})
    assert WeatherPipeline.bulk_complete([day]) == [day]
    assert Maintenance.bulk_complete([day]) == [], "maintenance is about no station"
    clock[0] += dt.timedelta(minutes=1)
    assert WeatherPipeline.bulk_complete([day]) == []


def test_a_report_is_built_again_when_a_later_build_changes_its_day(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = dt.date(2013, 7, 2)
    report = Report(date=day)
    monkeypatch.setattr(Report, "requires", lambda _: [])
    settings.catalog.create_namespace("marts")
    schema = pa.schema(
        [
            ("local_date", pa.date32()),
            ("station_id", pa.string()),
            ("reports_fingerprint", pa.string()),
        ]
    )
    table = settings.catalog.create_table("marts.fct_daily_station_weather", schema)

    def build(changed: dt.date, fingerprint: str) -> None:
        days = [day, day + dt.timedelta(days=1)]
        rows = [
            (date, station, fingerprint if (date, station) == (changed, "KJFK") else "same")
            for date in days
            for station in STATIONS
        ]
        columns = [pa.array(column) for column in zip(*rows, strict=True)]
        table.overwrite(pa.table(columns, schema=schema))
        mark_days(settings.catalog, tmp_path, days[-1])

    build(day, "first")
    write(report.path(), b"a page")
    assert report.complete()
    build(day, "first")
    assert report.complete(), "nothing changed"
    build(day, "late")
    assert not report.complete()
    write(report.path(), b"a page")
    mark_days(settings.catalog, tmp_path, dt.date(2013, 8, 2))
    assert report.complete()


def test_permanent_errors_are_tried_once_and_told_in_one_line(
    make_pipeline: Callable[..., Any], service: Service, tmp_path: Path
) -> None:
    pipeline = make_pipeline(service.url, tmp_path)
    arguments = ["Stations", "--period", "2013-07-02", "--stations", "KNOPE", "--workers"]
    for workers in ("1", "2"):
        status, output = pipeline.run(*arguments, workers)
        assert status == 30
        (line,) = [line for line in output.splitlines() if "ERROR" in line]
        assert "Stations 2013-07-02 failed: UnknownStationsError: the weather service kn" in line
        assert "stations=KNOPE" in line
        assert "Traceback" not in output
    service.refusing = True
    status, output = pipeline.run(*arguments[:-2], "KJFK")
    assert status == 30
    (line,) = [line for line in output.splitlines() if "ERROR" in line]
    assert "HTTP 401" in line


def test_a_catalog_that_refuses_is_asked_once(
    make_pipeline: Callable[..., Any], calm_weather: str, tmp_path: Path
) -> None:
    pipeline = make_pipeline(calm_weather, tmp_path, CATALOG_CREDENTIAL="me:wrong")
    status, output = pipeline.run("LoadStations", "--period", "2013-07-02")
    assert status == 30
    (line,) = [line for line in output.splitlines() if "ERROR" in line]
    assert "LoadStations 2013-07-02 failed: OAuthError: " in line
    assert "Traceback" not in output


def test_without_a_network_one_line_says_so_at_once(
    make_pipeline: Callable[..., Any], tmp_path: Path, port: int
) -> None:
    pipeline = make_pipeline(f"http://127.0.0.1:{port}", tmp_path)
    status, output = pipeline.run("WeatherIngestion", "--hour", "2013-07-02T14")
    assert status == 30
    (line,) = [line for line in output.splitlines() if "ERROR" in line]
    assert "127.0.0.1 cannot be reached (Connection refused): is there a network" in line
    assert "`make demo` needs no network" in line
    assert "Traceback" not in output
    # REACH_SECONDS and no more: no request is tried, and no step twice.
    assert output.count("failed    Stations") + output.count("next in") == 0


def test_days_are_loaded_in_chunks(settings: Any) -> None:
    settings(weather_chunk_days=2)
    periods = [str(one.period) for one in Transform(date=dt.date(2013, 7, 5), days=5).requires()]
    assert sorted(set(periods)) == [
        "2013-07-01_2013-07-02",
        "2013-07-03_2013-07-04",
        "2013-07-05",
    ]


def test_more_rows_than_fit_in_memory_are_several_commits(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, records: list[dict[str, Any]]
) -> None:
    settings(weather_batch_size=1)
    monkeypatch.setattr(load, "MAX_ROWS", 6)
    assert ingest()
    assert keys(settings) == within(records, *WINDOW)
    assert len(settings.catalog.load_table(OBSERVATIONS).snapshots()) == 2
    (told,) = [one for one in summary()["loads"] if one["table"] == OBSERVATIONS]
    assert (told["commits"], told["rows_new"]) == (2, 16)
    # Without the checkpoints and the ids of the loads nothing is written twice either.
    for path in WeatherIngestion(hour=HOUR).path().parent.glob("*.json"):
        path.unlink()
    assert ingest()
    assert len(settings.catalog.load_table(OBSERVATIONS).snapshots()) == 2


def test_an_hour_reads_its_settings_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: Counter[tuple[str, str]] = Counter()
    read = config.FromEnvironment._get_value_from_config

    def counted(self: Any, section: str, name: str) -> Any:
        reads[section, name] += 1
        return read(self, section, name)

    monkeypatch.setattr(config.FromEnvironment, "_get_value_from_config", counted)
    settings(weather_verify="true")
    assert config.settings().weather.verify
    # Luigi looks a parameter up more than once to make one object of it.
    once = dict(reads)
    assert once
    assert ingest()
    assert reads == once
