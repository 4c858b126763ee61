"""An hour's ingestion: trailing re-reads, broken batches, hours that are gone, ranges of hours."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from luigi.tools.range import RangeDaily, RangeHourly

from jobs import Transform, WeatherIngestion, WeatherPipeline, config
from jobs.nws_simulator import airports, make_app, running
from jobs.tasks import load
from tests.tasks.ingesting import HOUR, STATIONS, Service, Settings, ingest, summary

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


def test_what_a_failing_service_gave_is_loaded_and_the_rest_is_asked_for_again(
    settings: Any, service: Service, records: list[dict[str, Any]]
) -> None:
    settings(weather_batch_size=1)
    service.broken = {"KJFK"}
    assert not ingest()
    every = within(records, *WINDOW)
    assert keys(settings) == [key for key in every if key[0] != "KJFK"]
    assert not WeatherIngestion(hour=HOUR).complete()
    note = WeatherIngestion(hour=HOUR).path().with_name("load-observations.incomplete.json")
    told = json.loads(note.read_text())
    assert (told["status"], told["failed_batches"], told["rows_new"]) == ("incomplete", [2], 10)
    assert "HTTP 500" in told["failed"]["KJFK"]
    service.broken, before = set(), service.observed()
    assert ingest()
    assert keys(settings) == every
    assert service.observed() - before == Counter({"KJFK": 1})
    told = summary()
    assert told["stations_with_observations"] == 3
    assert list(told["failed_before"]) == ["KJFK"]
    assert not note.exists()


def test_a_broken_station_does_not_take_its_batch_with_it(
    settings: Any, service: Service, records: list[dict[str, Any]]
) -> None:
    service.broken = {"KEWR"}
    assert not ingest()
    every = within(records, *WINDOW)
    assert keys(settings) == [key for key in every if key[0] != "KEWR"]
    service.broken, before = set(), service.observed()
    assert ingest()
    assert keys(settings) == every
    assert service.observed() - before == Counter({"KEWR": 1})


def test_pages_before_one_that_fails_are_loaded_and_the_rest_comes_later(
    settings: Any, service: Service, records: list[dict[str, Any]]
) -> None:
    service.page_size, service.broken_later_pages = 2, True
    assert not ingest()
    every = within(records, *WINDOW)
    found = keys(settings)
    assert Counter(station for station, _ in found) == dict.fromkeys(STATIONS, 2)
    assert set(found) < set(every)
    service.broken_later_pages = False
    assert ingest()
    assert keys(settings) == every


def test_a_partial_hour_is_completed_by_the_next_ones(
    settings: Any, service: Service, records: list[dict[str, Any]]
) -> None:
    service.broken = {"KLGA"}
    assert not ingest()
    service.broken = set()
    assert ingest(HOUR + dt.timedelta(hours=1))
    after = dt.timedelta(hours=1)
    expected = within(records, WINDOW[0], WINDOW[1] + after)
    first = WINDOW[0] + after
    assert keys(settings) == [key for key in expected if key[0] != "KLGA" or key[1] >= first]


def test_a_service_that_is_down_is_not_asked_for_every_station(
    settings: Any, service: Service
) -> None:
    settings(weather_batch_size=1, weather_fetchers=1, weather_states="NY,NJ")
    service.broken = set(STATIONS)
    assert not ingest()
    assert sum(service.observed().values()) == 3


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
    assert "2013-07-02T14 is older than the 144 hours that the service keeps" in line
    # The marts find their tables all the same.
    assert settings.rows(OBSERVATIONS) == settings.rows("weather.alerts") == []


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


def test_an_incomplete_hour_ends_with_a_status_and_one_line(
    make_pipeline: Callable[..., Any], service: Service, tmp_path: Path
) -> None:
    service.broken = {"KJFK"}
    pipeline = make_pipeline(service.url, tmp_path, WEATHER_MAX_ATTEMPTS="1")
    arguments = ["WeatherIngestion", "--hour", "2013-07-02T14"]
    status, output = pipeline.run(*arguments, "--scheduler-retry-count", "2")
    assert status == 30
    lines = [
        line for line in output.splitlines() if "LoadObservations 2013-07-02T14 failed" in line
    ]
    assert len(lines) == 2
    assert "1 of 1 batches are incomplete: 1 stations failed, first KJFK" in lines[0]
    assert service.observed() == Counter({"KEWR": 1, "KJFK": 2, "KLGA": 1})
    assert pipeline.catalog.connect().load_table(OBSERVATIONS).scan().count() == 10
    service.broken = set()
    pipeline.ok(*arguments)
    assert pipeline.catalog.connect().load_table(OBSERVATIONS).scan().count() == 16


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
