"""Base classes of the tasks: a period, a choice of stations, a folder, progress."""

import datetime as dt
import hashlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import luigi

from jobs import config
from jobs.config import DEGRADED, Day, Days, FromWeather, Hour, SettingError, weather
from jobs.parse.records import Reject, parse_station
from jobs.targets import Checkpoint, kept, read_json
from jobs.tasks import periods
from jobs.tasks.periods import Period, PeriodParameter

# A child of Luigi's own logger: its lines go wherever Luigi's go.
log = logging.getLogger("luigi-interface.weather")

# How the explanation of a failure begins that another try cannot mend.
PERMANENT = "permanent error, not tried again"

STATIONS_FILE = "stations.json.gz"
# How long after UTC's a local day may end.
WESTERNMOST = dt.timedelta(hours=12)

_FAR = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)

Step = TypeVar("Step", bound="WeatherTask")


class WeatherTask(luigi.Task):
    """A step for one period and one choice of stations, done when its file exists."""

    # Never positional: Range fills in a task's first positional parameter, which is the time.
    states = FromWeather(weather.states, positional=False)
    stations = FromWeather(weather.stations, positional=False)
    data_dir = FromWeather(weather.data_dir, positional=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.selection()  # now, while Luigi reads the command: later it would log a traceback

    # The name of the step's file.
    file: ClassVar[str]

    @property
    def period(self) -> Period:
        """The period that the step processes."""
        raise NotImplementedError

    @property
    def priority(self) -> int:  # type: ignore[override]  # Luigi reads it, nobody writes it
        """The priority: earlier periods first.

        Above 0, which is the rank that Luigi gives to a step it knows as a requirement only.
        """
        return round((_FAR - self.period.start) / dt.timedelta(hours=1))

    def output(self) -> luigi.LocalTarget:
        """Return the step's file."""
        return self.place(self.file)

    def complete(self) -> bool:
        """Return whether the file exists and is current.

        With ``[weather] verify`` what it describes must exist, too.
        """
        verify = config.settings().weather.verify
        return bool(super().complete()) and self.current() and (not verify or self.verified())

    def current(self) -> bool:
        """Return whether the requirements are complete, and older than this step's file."""
        mine = self.written()
        needed: list[WeatherTask] = luigi.task.flatten(self.requires())
        return all(task.complete() and task.written() <= mine for task in needed)

    def verified(self) -> bool:
        """Return whether what the file describes still exists."""
        return True

    def step(self, kind: type[Step], **changes: Any) -> Step:
        """Return another step of the same period and choice of stations, but for the changes."""
        return cast("Step", self.clone(kind, **changes))

    def place(self, name: str) -> luigi.LocalTarget:
        """Return a file of this period and choice of stations."""
        folder = Path(self.data_dir, str(self.period), self.selection())
        return Checkpoint(str(folder / name))

    def path(self) -> Path:
        """Return the path of this step's file."""
        return Path(self.output().path)

    def written(self) -> int:
        """Return when this step's file was written, in nanoseconds since 1970."""
        return kept(self.path()).stat().st_mtime_ns

    def closes(self) -> dt.datetime:
        """Return when the period is over for the last station, whose days are local ones.

        The stations are those of this period's file, or of the newest one with the same choice;
        while none is known, days end in UTC.
        """
        file = Path(self.place(STATIONS_FILE).path)
        if not file.exists():
            others = Path(self.data_dir).glob(f"*/{self.selection()}/{STATIONS_FILE}")
            file = max(others, key=lambda path: path.stat().st_mtime, default=file)
        features = read_json(file)["features"] if file.exists() else []
        rows = (row for row in map(parse_station, features) if not isinstance(row, Reject))
        zones = {row["time_zone"] for row in rows}
        return max((self.period.window(zone, 1)[1] for zone in zones), default=self.period.end)

    def selection(self) -> str:
        """Return the name of the folder for this choice of stations.

        Raises:
            SettingError: neither states nor stations are set.
        """
        if not self.states and not self.stations:
            raise SettingError(
                "no stations chosen: set [weather] stations (--weather-stations KJFK,KLGA) or"
                " [weather] states (--weather-states NY)"
            )
        name = "_".join([*(f"state-{state}" for state in self.states), *self.stations])
        if len(name) <= 60:  # noqa: PLR2004 - what still reads well in a listing
            return name
        return f"{name[:20]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"

    def on_failure(self, exception: BaseException) -> str:
        """Return what Luigi is told of a failure: a permanent one is not tried again."""
        text = str(super().on_failure(exception))
        return f"{PERMANENT}\n{text}" if config.is_permanent(exception) else text

    def link(self) -> str:
        """Return the URL that the visualiser shows beside the running step: its files."""
        return self.path().parent.resolve().as_uri()

    def degraded(self, failed: Mapping[str, str]) -> None:
        """Warn that a step is complete but for what the service failed for, with the errors."""
        if failed:
            names, error = ", ".join(failed), next(iter(failed.values()))
            self.warn(f"degraded, the service failed for {names}; first error: {error}")

    def warn(self, message: str) -> None:
        """Log a warning, send it to those who are notified, and end the run with its status."""
        log.warning("%s %s: %s", self.task_family, self.period, message)
        self.trigger_event(DEGRADED, self, message)

    def progress(self, message: str, percent: float | None = None) -> None:
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


class DaysTask(DayTask):
    """A step of one day, or of many days as one."""

    days = Days(default=1, description="how many days, of which date is the last", positional=False)

    def output(self) -> luigi.LocalTarget:
        """Return the step's file, with the number of days in its name if there are many."""
        stem, _, ending = self.file.rpartition(".")
        return self.place(self.file if self.days == 1 else f"{stem}-{self.days}-days.{ending}")


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
    """Lets RangeDaily and RangeHourly find what is missing, without a scheduler's round trips."""

    @classmethod
    def bulk_complete(cls, parameter_tuples: Iterable[Any]) -> list[Any]:
        """Return the days or hours that are complete, or not over: there is nothing to do yet.

        Days are over when they are for the last station.
        """
        now, found = periods.now(), []
        for moment in parameter_tuples:
            hourly = isinstance(moment, dt.datetime)
            period = Period.of_hour(moment) if hourly else Period.of_day(moment)
            make: Any = cls
            if period.end <= now:
                task = make(moment)
                recent = now < period.end + WESTERNMOST and isinstance(task, DaysTask)
                if not (recent and now < task.closes()) and not task.complete():
                    continue
            found.append(moment)
        return found


@WeatherTask.event_handler(luigi.Event.FAILURE)  # type: ignore[untyped-decorator]
def _log_failure(task: WeatherTask, error: BaseException) -> None:
    """Log a failure in one line; Luigi logs the traceback."""
    words = " ".join(str(error).split())
    log.error("%s %s failed: %s: %s", task.task_family, task.period, type(error).__name__, words)
