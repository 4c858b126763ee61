"""What every task of the pipeline has: a period, a choice of stations, a folder, a voice."""

# Luigi says it is typed, but its methods are not.
# mypy: allow-untyped-calls

import datetime as dt
import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

import luigi

from jobs.config import Day, FromWeather, Hour, weather
from jobs.tasks.periods import Period, PeriodParameter

# A child of Luigi's own logger: its lines go wherever Luigi's go.
log = logging.getLogger("luigi-interface.weather")

_FAR = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)

Step = TypeVar("Step", bound="WeatherTask")


class WeatherTask(luigi.Task):
    """A step for one period and one choice of stations, done when its file exists."""

    # Never positional: Range fills in a task's first positional parameter, which is the time.
    states = FromWeather(weather.states, positional=False)
    stations = FromWeather(weather.stations, positional=False)
    data_dir = FromWeather(weather.data_dir, positional=False)

    @property
    def period(self) -> Period:
        """What the step is about."""
        raise NotImplementedError

    @property
    def priority(self) -> int:  # type: ignore[override]  # Luigi reads it, nobody writes it
        """Put earlier periods first.

        Above 0, because that is what Luigi ranks a step by that it heard of as a requirement.
        """
        return round((_FAR - self.period.start) / dt.timedelta(hours=1))

    def step(self, kind: type[Step], **changes: Any) -> Step:
        """Give another step of the same period and choice of stations, but for the changes."""
        return cast("Step", self.clone(kind, **changes))

    def place(self, name: str) -> luigi.LocalTarget:
        """Name a file of this period and choice of stations."""
        folder = Path(self.data_dir, str(self.period), self.selection())
        return luigi.LocalTarget(str(folder / name))

    def path(self) -> Path:
        """Give the path of this step's file."""
        return Path(self.output().path)

    def selection(self) -> str:
        """Name the choice of stations as a folder: other stations are another piece of work.

        Raises:
            ValueError: neither states nor stations are set.
        """
        if not self.states and not self.stations:
            raise ValueError(
                "no stations chosen: set [weather] stations (--weather-stations KJFK,KLGA) or"
                " [weather] states (--weather-states NY)"
            )
        name = "_".join([*(f"state-{state}" for state in self.states), *self.stations])
        if len(name) <= 60:  # noqa: PLR2004 - what still reads well in a listing
            return name
        return f"{name[:20]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"

    def link(self) -> str:
        """Give the URL that the visualiser shows beside the running step: its files."""
        return self.path().parent.resolve().as_uri()

    def say(self, message: str, percent: float | None = None) -> None:
        """Log a line of progress and show it in the visualiser."""
        log.info("%s %s: %s", self.task_family, self.period, message)
        if self.set_tracking_url is not None:
            self.set_tracking_url(self.link())
        if self.set_status_message is not None:
            self.set_status_message(message)
        if percent is not None and self.set_progress_percentage is not None:
            self.set_progress_percentage(round(percent))


class PeriodTask(WeatherTask):
    """A step of an hour, a day or a run of days alike."""

    period = PeriodParameter(
        description="an hour (2013-07-02T14), a day (2013-07-02) or days (2013-06-03_2013-07-02)"
    )


class DayTask(WeatherTask):
    """A step of one day."""

    date = Day(
        description="the day, YYYY-MM-DD; yesterday in UTC if not given."
        " Many days, each by itself: RangeDaily --of TASK --start 2026-11-20 --days-back 6"
    )

    @property
    def period(self) -> Period:
        """The day."""
        return Period.of_day(self.date)


class HourTask(WeatherTask):
    """A step of one hour."""

    hour = Hour(
        description="the UTC hour, YYYY-MM-DDTHH; the last one that is over if not given."
        " Many hours: RangeHourly --of TASK --start 2026-11-20T00 --hours-back 144"
    )

    @property
    def period(self) -> Period:
        """The hour."""
        return Period.of_hour(self.hour)


class InRanges:
    """Let RangeDaily and RangeHourly find what is missing, without a scheduler's round trips.

    A day or hour that is not over counts as complete: there is nothing to do about it yet.
    """

    @classmethod
    def bulk_complete(cls, parameter_tuples: Iterable[Any]) -> list[Any]:
        """Give those of the days or hours that are complete."""
        return [moment for moment in parameter_tuples if not _over(moment) or _done(cls, moment)]


def _over(moment: dt.date) -> bool:
    period = Period.of_hour(moment) if isinstance(moment, dt.datetime) else Period.of_day(moment)
    return period.end <= dt.datetime.now(dt.UTC)


def _done(kind: Any, moment: dt.date) -> bool:
    return bool(kind(moment).complete())


@WeatherTask.event_handler(luigi.Event.FAILURE)  # type: ignore[untyped-decorator]
def _say_why(task: WeatherTask, error: BaseException) -> None:
    """Log a failure in one line; Luigi logs the traceback."""
    words = " ".join(str(error).split())
    log.error("%s %s failed: %s: %s", task.task_family, task.period, type(error).__name__, words)
