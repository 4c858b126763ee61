"""Settings: flags over environment over file over defaults; days and choices that make sense."""

import datetime as dt
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path

import luigi.configuration
import pytest
from luigi.cmdline_parser import CmdlineParser
from luigi.parameter import ParameterException

from jobs import config
from jobs.pipeline import WeatherPipeline
from jobs.tasks.ingestion import WeatherIngestion
from jobs.tasks.periods import Period
from jobs.tasks.stations import Stations

REPOSITORY = Path(__file__).parents[2]
YESTERDAY = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch) -> Iterator[luigi.configuration.LuigiConfigParser]:
    """Give an empty configuration file in place of the one in use."""
    empty = luigi.configuration.LuigiConfigParser()
    monkeypatch.setattr(luigi.configuration.LuigiConfigParser, "_instance", empty)
    for name in ("WEATHER_BASE_URL", "WEATHER_STATIONS", "WEATHER_STATES", "CATALOG_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return empty


def base_url(*flags: str) -> str:
    with CmdlineParser.global_instance(["Stations", *flags]):
        return config.weather().base_url


def test_flags_win_over_environment_over_file_over_default(
    file: luigi.configuration.LuigiConfigParser, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert base_url() == "https://api.weather.gov"
    file.set("weather", "base_url", "http://file")
    assert base_url() == "http://file"
    monkeypatch.setenv("WEATHER_BASE_URL", "http://environment")
    assert base_url() == "http://environment"
    assert base_url("--weather-base-url", "http://flag") == "http://flag"


@pytest.mark.usefixtures("file")
def test_types_of_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEATHER_BATCH_SIZE", "7")
    monkeypatch.setenv("WEATHER_REQUESTS_PER_SECOND", "0.5")
    monkeypatch.setenv("WEATHER_VERIFY", "true")
    monkeypatch.setenv("WEATHER_STATIONS", "klga, KJFK,,KJFK")
    settings = config.weather()
    assert (settings.batch_size, settings.requests_per_second, settings.verify) == (7, 0.5, True)
    assert settings.stations == ("KJFK", "KLGA")


@pytest.mark.usefixtures("file")
def test_a_process_reads_its_settings_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEATHER_BATCH_SIZE", "7")
    first = config.settings()
    monkeypatch.setenv("WEATHER_BATCH_SIZE", "8")
    assert config.settings() is first
    assert first.weather.batch_size == 7
    with pytest.raises(FrozenInstanceError):
        first.weather = config.weather()


@pytest.mark.usefixtures("file")
def test_an_empty_variable_empties_a_list_only(
    file: luigi.configuration.LuigiConfigParser, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.set("weather", "states", "NY")
    monkeypatch.setenv("WEATHER_STATES", "")
    monkeypatch.setenv("WEATHER_BASE_URL", "")
    assert config.weather().states == ()
    assert config.weather().base_url == "https://api.weather.gov"


@pytest.mark.usefixtures("file")
def test_a_name_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ParameterException, match=r"'K JFK'.*stations.*such as NY or KJFK"):
        Stations(period=Period.of_day(YESTERDAY), stations=("K JFK",))


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize("flag", ["--stations", "--weather-stations"])
def test_an_empty_flag_clears_a_list(
    file: luigi.configuration.LuigiConfigParser, flag: str
) -> None:
    file.set("weather", "stations", "KJFK,KLGA")
    with CmdlineParser.global_instance(["WeatherPipeline", flag, "", "--states", "NY"]) as parser:
        config.settings.cache_clear()
        task = parser.get_task_obj()
        assert (task.stations, task.states) == ((), ("NY",))
        assert task.requires()[0].stations == ()
    config.settings.cache_clear()
    with CmdlineParser.global_instance(["WeatherPipeline"]) as parser:
        assert parser.get_task_obj().stations == ("KJFK", "KLGA")


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize("setting", ["states", "alert_states"])
def test_an_unknown_state_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv(f"WEATHER_{setting.upper()}", "NY,ny,ZZ,XQ")
    with pytest.raises(ParameterException, match=rf"^'XQ', 'ZZ' in {setting}: no state .* AK AL"):
        config.weather()
    monkeypatch.setenv(f"WEATHER_{setting.upper()}", "GU,PR,dc")
    assert getattr(config.weather(), setting) == ("DC", "GU", "PR")


@pytest.mark.usefixtures("file")
def test_a_unit_of_partitions_that_is_none_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert config.weather().partition_by == "month"
    monkeypatch.setenv("WEATHER_PARTITION_BY", "day")
    assert config.weather().partition_by == "day"
    monkeypatch.setenv("WEATHER_PARTITION_BY", "hour")
    with pytest.raises(ValueError, match="'hour' in partition_by: partitions are by month or day"):
        config.weather()


@pytest.mark.usefixtures("file")
def test_marine_areas_have_alerts_and_no_stations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEATHER_ALERT_STATES", "AN,NY")
    assert config.weather().alert_states == ("AN", "NY")
    monkeypatch.setenv("WEATHER_STATES", "AN")
    with pytest.raises(ParameterException, match="'AN' in states"):
        config.weather()


@pytest.mark.usefixtures("file")
def test_no_choice_of_stations_is_told_with_the_setting() -> None:
    with pytest.raises(ValueError, match=r"\[weather\] stations .*--weather-stations"):
        Stations(period=Period.of_day(YESTERDAY)).output()


@pytest.mark.usefixtures("file")
def test_date_is_yesterday_when_the_task_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    assert WeatherPipeline(stations=("KJFK",)).date == YESTERDAY

    class Later(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
            return dt.datetime(2040, 3, 1, 0, 30, tzinfo=dt.UTC).astimezone(tz)

    monkeypatch.setattr(config.dt, "datetime", Later)
    assert WeatherPipeline(stations=("KJFK",)).date == dt.date(2040, 2, 29)


@pytest.mark.usefixtures("file")
def test_a_day_that_is_not_over_is_refused() -> None:
    today = YESTERDAY + dt.timedelta(days=1)
    with pytest.raises(ParameterException, match=f"date {today} is not over.*{YESTERDAY}"):
        WeatherPipeline(date=today)


@pytest.mark.usefixtures("file")
def test_hour_is_the_last_one_that_is_over() -> None:
    now = dt.datetime.now(dt.UTC)
    hour = WeatherIngestion(stations=("KJFK",)).hour.replace(tzinfo=dt.UTC)
    # The clock may have struck in between.
    assert dt.timedelta(hours=1) <= dt.datetime.now(dt.UTC) - hour <= dt.timedelta(hours=2)
    running = now.replace(minute=0, second=0, microsecond=0, tzinfo=None) + dt.timedelta(hours=1)
    with pytest.raises(ParameterException, match=f"hour {running:%Y-%m-%dT%H} is not over"):
        WeatherIngestion(hour=running)


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize("day_or_hour", ["2999-01-01", "2999-01-01T00", "2013-07-01_2999-01-01"])
def test_a_period_that_is_not_over_is_refused(day_or_hour: str) -> None:
    with pytest.raises(ParameterException, match=f"period {day_or_hour} is not over"):
        Stations(period=Period.parse(day_or_hour))


@pytest.mark.usefixtures("file")
def test_other_stations_are_other_work(tmp_path: Path) -> None:
    def path(**choice: tuple[str, ...]) -> str:
        return (
            Stations(period=Period.of_day(YESTERDAY), data_dir=str(tmp_path), **choice)
            .output()
            .path
        )

    paths = {
        path(stations=("KJFK",)),
        path(stations=("KJFK", "KLGA")),
        path(states=("NY",)),
        path(states=("NY",), stations=("KJFK",)),
        path(stations=tuple(f"K{number:04}" for number in range(200))),
        path(stations=tuple(f"K{number:04}" for number in range(201))),
    }
    assert len(paths) == 6
    assert max(len(Path(name).parent.name) for name in paths) <= 60


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize("name", ["token", "credential"])
def test_secrets_are_no_ones_business(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"CATALOG_{name.upper()}", "me:s3cret")
    settings = config.catalog()
    assert getattr(settings, name) == "me:s3cret"
    assert "s3cret" not in repr(settings)
    assert name not in settings.to_str_params(only_public=True)


@pytest.mark.usefixtures("file")
def test_dbt_project_is_found_or_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert config.dbt_dir() == REPOSITORY / "dbt"
    monkeypatch.setenv("WEATHER_DBT_DIR", str(tmp_path))
    config.settings.cache_clear()
    with pytest.raises(FileNotFoundError, match=r"set \[weather\] dbt_dir"):
        config.dbt_dir()


def luigi_in(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "luigi", "--module", "jobs", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_file_is_found_in_the_repository_and_the_help_describes_the_task() -> None:
    done = luigi_in(REPOSITORY, "WeatherPipeline", "--help")
    assert done.returncode == 0
    assert "--weather-data-dir" in done.stdout
    assert "yesterday in UTC" in done.stdout
    assert done.stderr == ""


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize(
    ("task", "flag", "value", "reason"),
    [
        ("WeatherPipeline", "--date", "2013-13-45", "'2013-13-45' is no day: give YYYY-MM-DD"),
        ("WeatherPipeline", "--date", "yesterday", "'yesterday' is no day: give YYYY-MM-DD"),
        ("WeatherPipeline", "--date", "2999-01-01", "date 2999-01-01 is not over in UTC"),
        ("WeatherPipeline", "--date", "0001-01-01", "the first year to load is 1900"),
        ("WeatherPipeline", "--days", "0", "0 days: give a number from 1 to 36525"),
        ("WeatherPipeline", "--days", "x", "'x' days: give a number from 1 to 36525"),
        ("WeatherPipeline", "--days", "999999999", "999999999 days: give a number from 1"),
        ("WeatherIngestion", "--hour", "2013-07-02T25", "'2013-07-02T25' is no hour: give YYYY"),
        ("Stations", "--period", "2013-02-30", "'2013-02-30': day is out of range for month"),
        ("Stations", "--period", "9999-12-31", "period 9999-12-31 is not over"),
        ("Stations", "--states", "ZZ", "'ZZ' in states: no state or territory"),
    ],
)
def test_an_invalid_value_is_refused(task: str, flag: str, value: str, reason: str) -> None:
    arguments = [task, flag, value, "--stations", "KJFK"]
    with (
        CmdlineParser.global_instance(arguments) as parser,
        pytest.raises((ParameterException, ValueError), match=re.escape(reason)),
    ):
        parser.get_task_obj()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("Stations --period 2013-02-30", "'2013-02-30': day is out of range for month"),
        ("RangeDaily --of WeatherPipeline --start 2013-99-99", "'2013-99-99' does not match"),
    ],
)
def test_an_invalid_value_ends_with_one_line(arguments: str, reason: str) -> None:
    done = luigi_in(REPOSITORY, *arguments.split(), "--local-scheduler")
    assert done.returncode == 40
    (line,) = [line for line in done.stderr.splitlines() if "ERROR" in line]
    assert reason in line
    assert "Traceback" not in done.stderr


def test_a_wrong_date_ends_with_a_status_and_the_reason(tmp_path: Path) -> None:
    done = luigi_in(REPOSITORY, "WeatherPipeline", "--date", "2999-01-01", "--local-scheduler")
    assert done.returncode == 40
    assert "date 2999-01-01 is not over in UTC" in done.stderr
    # Without the file nothing says which stations, nor which status.
    done = luigi_in(tmp_path, "WeatherPipeline", "--date", "2013-07-02", "--local-scheduler")
    assert "no stations chosen: set [weather] stations" in done.stderr
