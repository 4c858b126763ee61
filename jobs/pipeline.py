"""The whole pipeline: ``luigi --module jobs WeatherPipeline --date 2013-07-02``."""

# Luigi says it is typed, but its methods are not.
# mypy: allow-untyped-calls

import datetime as dt
from typing import Any

import luigi
from tabulate import tabulate

from jobs import config
from jobs.targets import read_json, write, write_json
from jobs.tasks.base import DayTask, InRanges, WeatherTask, log
from jobs.tasks.ingestion import checkpoints, describe_loads, totals
from jobs.tasks.load import day_loads
from jobs.tasks.loading import Load
from jobs.tasks.report import Report
from jobs.tasks.transform import DbtDocs, Transform


class WeatherPipeline(InRanges, DayTask):
    """Fetch, load, transform and report a day of weather; the summary says what came of it.

    Stations, Alerts -> LoadStations, LoadObservations, LoadAlerts -> Transform -> Report, DbtDocs.
    Every step is done once: run it again after any failure and it goes on where it stopped. Many
    days (--days 365) are fetched and loaded ``[weather] chunk_days`` at a time. Day by day:

        luigi --module jobs RangeDaily --of WeatherPipeline --start 2026-11-18 --days-back 6
    """

    days = luigi.IntParameter(
        default=1, description="how many days, of which date is the last", positional=False
    )

    def requires(self) -> list[WeatherTask]:
        """Ask for the marts, and for what people look at."""
        return [self.step(Transform), self.step(Report), self.step(DbtDocs)]

    def output(self) -> luigi.LocalTarget:
        """Name the summary."""
        return self.place("summary.json" if self.days == 1 else f"summary-{self.days}-days.json")

    def complete(self) -> bool:
        """Say whether the summary is there and, if asked to verify, what it speaks of too."""
        if not super().complete():
            return False
        return not config.weather().verify or all(
            task.complete() for task in [self.step(Transform), *self.loads()]
        )

    def loads(self) -> list[Load]:
        """Give the loads that the marts are made from."""
        return day_loads(self, self.date, self.days)

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
        done = checkpoints(self.loads())
        return {
            "date": self.date.isoformat(),
            "days": self.days,
            "states": list(self.states),
            "stations_chosen": list(self.stations),
            "finished_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "loads": done,
            **totals(done),
            "transform": read_json(self.step(Transform).path()),
            "report": str(self.step(Report).path()),
            "dbt_docs": str(self.step(DbtDocs).path()),
        }


def describe(summary: dict[str, Any]) -> str:
    """Write a summary for people."""
    transform = summary["transform"]
    marts = [[mart["table"], mart["rows"], mart["snapshot_id"]] for mart in transform["tables"]]
    tests = ", ".join(f"{count} {status}" for status, count in transform["tests"].items() if count)
    return "\n".join(
        [
            describe_loads(summary).rstrip(),
            f"dbt: {len(transform['models'])} models, tests {tests}, {transform['seconds']} s",
            tabulate(marts, ["mart", "rows", "snapshot"], intfmt=""),
            f"report: {summary['report']}",
            f"dbt docs: {summary['dbt_docs']}",
            "",
        ]
    )
