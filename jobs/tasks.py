"""What every task of the pipeline has: a day, a choice of stations, a folder, a voice."""

# Luigi says it is typed, but its methods are not.
# mypy: allow-untyped-calls

import hashlib
import logging
from pathlib import Path
from typing import Any, TypeVar, cast

import luigi

from jobs.config import Day, FromWeather, weather

# A child of Luigi's own logger: its lines go wherever Luigi's go.
log = logging.getLogger("luigi-interface.weather")

Step = TypeVar("Step", bound="WeatherTask")


class WeatherTask(luigi.Task):
    """A step for one day and one choice of stations, done when its file exists."""

    date = Day(description="the day, YYYY-MM-DD; yesterday in UTC if not given")
    states = FromWeather(weather.states)
    stations = FromWeather(weather.stations)
    data_dir = FromWeather(weather.data_dir)

    @property
    def priority(self) -> int:  # type: ignore[override]  # Luigi reads it, nobody writes it
        """Put earlier days first."""
        return -self.date.toordinal()

    def step(self, kind: type[Step], **changes: Any) -> Step:
        """Give another step of the same day and choice of stations, but for the changes."""
        return cast("Step", self.clone(kind, **changes))

    def place(self, name: str) -> luigi.LocalTarget:
        """Name a file of this day and choice of stations."""
        folder = Path(self.data_dir, f"{self.date:%Y-%m-%d}", self.selection())
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
        log.info("%s %s: %s", self.task_family, self.date, message)
        if self.set_tracking_url is not None:
            self.set_tracking_url(self.link())
        if self.set_status_message is not None:
            self.set_status_message(message)
        if percent is not None and self.set_progress_percentage is not None:
            self.set_progress_percentage(round(percent))


@WeatherTask.event_handler(luigi.Event.FAILURE)  # type: ignore[untyped-decorator]
def _say_why(task: WeatherTask, error: BaseException) -> None:
    """Log a failure in one line; Luigi logs the traceback."""
    words = " ".join(str(error).split())
    log.error("%s %s failed: %s: %s", task.task_family, task.date, type(error).__name__, words)
