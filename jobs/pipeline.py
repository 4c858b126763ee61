"""The whole pipeline: ``luigi --module jobs WeatherPipeline --date 2013-07-02``."""

# Luigi says it is typed, but its methods are not.
# mypy: allow-untyped-calls

import datetime as dt
from typing import Any

import luigi
from tabulate import tabulate

from jobs import config
from jobs.load import LoadObservations
from jobs.observations import Observations
from jobs.targets import read_json, write, write_json
from jobs.tasks import WeatherTask, log
from jobs.transform import Transform


class WeatherPipeline(luigi.task.MixinNaiveBulkComplete, WeatherTask):
    """Fetch, load and transform a day of weather; the summary says what came of it.

    Stations -> Observations -> LoadStations, LoadObservations -> Transform -> summary.json.
    Every step is done once: run it again after any failure and it goes on where it stopped.
    """

    days = luigi.IntParameter(default=1, description="how many days, of which date is the last")

    def requires(self) -> Transform:
        """Ask for the marts."""
        return self.step(Transform)

    def output(self) -> luigi.LocalTarget:
        """Name the summary."""
        return self.place("summary.json" if self.days == 1 else f"summary-{self.days}-days.json")

    def complete(self) -> bool:
        """Say whether the summary is there and, if asked to verify, what it speaks of too."""
        if not super().complete():
            return False
        transform = self.requires()
        return not config.weather().verify or all(
            task.complete() for task in [transform, *transform.requires()]
        )

    def run(self) -> None:
        """Gather the checkpoints into a summary, for machines and for people."""
        summary = self._summary()
        text = describe(summary)
        write(self.path().with_suffix(".txt"), text.encode())
        write_json(self.path(), summary)
        for line in text.splitlines():
            log.info("%s", line)
        self.say(f"done; summary in {self.path()}", 100)

    def _summary(self) -> dict[str, Any]:
        transform = self.requires()
        return {
            "date": self.date.isoformat(),
            "days": self.days,
            "states": list(self.states),
            "stations": list(self.stations),
            "finished_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "fetched": {
                f"{task.date}": read_json(task.step(Observations).path())
                for task in transform.requires()
                if isinstance(task, LoadObservations)
            },
            "loads": [
                {"date": f"{task.date}", **read_json(task.path())} for task in transform.requires()
            ],
            "transform": read_json(transform.path()),
        }


def describe(summary: dict[str, Any]) -> str:
    """Write a summary for people."""
    fetched = summary["fetched"].values()
    loads = [
        [
            load["date"],
            load["table"],
            load["rows_in"],
            load["rows_new"],
            load["rows_changed"],
            load["rows_rejected"],
            load["snapshot_id"],
            load["seconds"],
        ]
        for load in summary["loads"]
    ]
    transform = summary["transform"]
    marts = [[mart["table"], mart["rows"], mart["snapshot_id"]] for mart in transform["tables"]]
    tests = ", ".join(f"{count} {status}" for status, count in transform["tests"].items() if count)
    stations = max(day["stations"] for day in fetched)
    headers = ["day", "table", "rows", "new", "changed", "rejected", "snapshot", "seconds"]
    return "\n".join(
        [
            f"{sum(day['observations'] for day in fetched)} observations of {stations} stations",
            tabulate(loads, headers, intfmt=""),
            f"dbt: {len(transform['models'])} models, tests {tests}, {transform['seconds']} s",
            tabulate(marts, ["mart", "rows", "snapshot"], intfmt=""),
            "",
        ]
    )
