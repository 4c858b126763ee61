"""The whole pipeline: ``luigi --module jobs WeatherPipeline --date 2013-07-02``."""

import datetime as dt
from typing import Any

from tabulate import tabulate

from jobs.targets import read_json, write, write_json
from jobs.tasks import periods
from jobs.tasks.base import DaysTask, InRanges, WeatherTask, log
from jobs.tasks.ingestion import checkpoints, describe_loads, record, totals
from jobs.tasks.load import Load, day_loads
from jobs.tasks.report import Report
from jobs.tasks.transform import DbtDocs, Transform


class WeatherPipeline(InRanges, DaysTask):
    """Fetch, load, transform and report a day of weather; the summary says what came of it.

    Stations, Alerts -> LoadStations, LoadObservations, LoadAlerts -> Transform -> Report, DbtDocs.
    Every step is done once: run it again after any failure and it goes on where it stopped. Many
    days (--days 365) are fetched and loaded ``[weather] chunk_days`` at a time. Day by day:

        luigi --module jobs RangeDaily --of WeatherPipeline --start 2026-11-18 --days-back 6
    """

    file = "summary.json"

    def requires(self) -> list[WeatherTask]:
        """Return the marts, the report and the documentation."""
        return [self.step(Transform), self.step(Report), self.step(DbtDocs)]

    def verified(self) -> bool:
        """Return whether the catalog still has the tables of the build and of the loads."""
        return all(task.complete() for task in [self.step(Transform), *self.loads()])

    def loads(self) -> list[Load]:
        """Return the loads that the marts are made from."""
        return day_loads(self, self.date, self.days)

    def run(self) -> None:
        """Write the summary of all checkpoints, as JSON and as text."""
        done = checkpoints(self.loads())
        closes = self.closes()
        summary = {
            "closes_at": closes.isoformat(),
            "closed": closes <= periods.now(),
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
        record(self, summary)
        text = describe(summary)
        write(self.path().with_suffix(".txt"), text.encode())
        write_json(self.path(), summary)
        for line in text.splitlines():
            log.info("%s", line)
        self.progress(f"done; summary in {self.path()}", 100)


def describe(summary: dict[str, Any]) -> str:
    """Return a summary for people."""
    transform = summary["transform"]
    marts = [[mart["table"], mart["rows"], mart["snapshot_id"]] for mart in transform["tables"]]
    tests = ", ".join(f"{count} {status}" for status, count in transform["tests"].items() if count)
    note = f"provisional: the day is over for the last station at {summary['closes_at']}"
    return "\n".join(
        [
            *([] if summary["closed"] else [note]),
            describe_loads(summary).rstrip(),
            f"dbt: {len(transform['models'])} models, tests {tests}, {transform['seconds']} s",
            tabulate(marts, ["mart", "rows", "snapshot"], intfmt=""),
            f"report: {summary['report']}",
            f"dbt docs: {summary['dbt_docs']}",
            "",
        ]
    )
