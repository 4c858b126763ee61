"""An hour's ingestion: ``luigi --module jobs WeatherIngestion --hour 2013-07-02T14``."""

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tabulate import tabulate

from jobs.lake import runs
from jobs.targets import read_json, write, write_json
from jobs.tasks.base import DaysTask, HourTask, InRanges, WeatherTask
from jobs.tasks.load import Load, connect, day_loads, loads
from jobs.tasks.periods import Period


class WeatherIngestion(InRanges, HourTask):
    """Fetch an hour of weather and load it: stations, observations, alerts.

    The hours before it (``[weather] trailing_hours``) are read again, so that late and corrected
    reports are met, and hours that came in part are completed. Back-fill:

        luigi --module jobs RangeHourly --of WeatherIngestion --start 2026-11-20T00 --hours-back 144
    """

    file = "ingestion.json"

    def requires(self) -> list[Load]:
        """Return the loads."""
        return loads(self, self.period)

    def verified(self) -> bool:
        """Return whether the tables are those that the loads filled."""
        return all(load.complete() for load in self.requires())

    def run(self) -> None:
        """Write the summary of the checkpoints, as JSON and as text."""
        done = checkpoints(self.requires())
        summary = {"hour": str(self.period), "loads": done, **totals(done)}
        record(self, summary)
        text, file = describe_loads(summary), self.path().with_suffix(".txt")
        write(file, text.encode())
        write_json(self.path(), summary)
        headline = text.partition("\n")[0]
        self.progress(f"{headline}; summary in {file}", 100)


class LoadDays(InRanges, DaysTask):
    """Fetch and load days, and build no marts: back-fill first, transform once."""

    file = "loads.json"

    def requires(self) -> list[Load]:
        """Return the loads, ``[weather] chunk_days`` in each."""
        return day_loads(self, self.date, self.days)

    def run(self) -> None:
        """Write the summary of the checkpoints."""
        done = checkpoints(self.requires())
        summary = {"loads": done, **totals(done)}
        record(self, summary)
        write_json(self.path(), summary)


def record(task: WeatherTask, summary: dict[str, Any]) -> None:
    """Write the row of an ingestion into ``weather.pipeline_runs``, once for the same input."""
    loads, now = summary["loads"], dt.datetime.now(dt.UTC)
    inputs = " ".join(sorted(load["load_id"] for load in loads))
    digest = hashlib.sha256(f"{task.selection()} {inputs}".encode()).hexdigest()
    period = task.period
    if isinstance(task, DaysTask):
        period = Period(task.date - dt.timedelta(days=task.days - 1), task.date)
    runs.record(
        connect(),
        run_id=f"{task.task_family}/{period}/{digest}",
        task=task.task_family,
        period=str(period),
        status="success",
        # The work, of steps that may have waited for one another or for the service.
        started_at=now - dt.timedelta(seconds=summary["seconds"]),
        finished_at=now,
        message=describe_loads(summary).partition("\n")[0],
        details={name: summary[name] for name in ("failed", "unavailable", "quarantined")},
        rows_read=sum(load["rows_in"] for load in loads),
        rows_changed=sum(load["rows_new"] + load["rows_changed"] for load in loads),
        requests=summary["requests"],
        bytes_read=summary["bytes"],
    )


def checkpoints(tasks: Iterable[WeatherTask]) -> list[dict[str, Any]]:
    """Return the checkpoints of loads."""
    return [{"period": str(task.period), **read_json(task.path())} for task in tasks]


def totals(loads: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the sum of loads: observations, stations, rejects with their reasons, speed."""
    observed = [load for load in loads if "observations" in load]
    reasons: Counter[str] = Counter()
    for load in loads:
        reasons.update(load["reasons"])
    rows, seconds = (sum(load[name] for load in loads) for name in ("rows_in", "seconds"))
    costs = [cost for load in loads if (cost := load.get("cost"))]
    drift = {tuple(sorted(new.items())): new for load in loads for new in load["drift"]}
    return {
        "observations": sum(load["observations"] for load in observed),
        "stations": max((load["stations"] for load in observed), default=0),
        "stations_with_observations": max(
            (load["stations_with_observations"] for load in observed), default=0
        ),
        "alerts": sum(load["rows_in"] for load in loads if load["table"] == "weather.alerts"),
        "duplicates": sum(load["duplicates"] for load in loads),
        "quarantined": dict(reasons.most_common()),
        "drift": list(drift.values()),
        "failed_before": {
            station: error
            for load in loads
            for station, error in load.get("failed_before", {}).items()
        },
        "failed": {name: error for load in loads for name, error in load.get("failed", {}).items()},
        "unavailable": sorted(
            {load["period"] for load in loads if load["status"] == "unavailable"}
        ),
        "requests": sum(round(cost["requests"]) for cost in costs),
        "bytes": sum(round(cost["bytes"]) for cost in costs),
        "seconds": round(seconds + sum(cost["seconds"] for cost in costs), 3),
        "rows_per_second": round(rows / seconds) if seconds else None,
    }


def describe_loads(summary: dict[str, Any]) -> str:
    """Return a table of loads and their totals, for people."""
    names = ("period", "table", "rows_in", "rows_new", "rows_changed", "rows_rejected")
    rows = [
        [load[name] for name in (*names, "snapshot_id", "seconds")] for load in summary["loads"]
    ]
    headers = ["period", "table", "rows", "new", "changed", "rejected", "snapshot", "seconds"]
    silent = summary["stations"] - summary["stations_with_observations"]
    head = (
        f"{summary['observations']} observations of {summary['stations']} stations"
        f" ({silent} without any), {summary['alerts']} alerts, {summary['duplicates']} doubles"
    )
    lines = [head, tabulate(rows, headers, intfmt="")]
    if summary["rows_per_second"]:
        lines.append(f"{summary['rows_per_second']} rows a second")
    drift = (f"{one['kind']} {one['path']} ({one['detail']})" for one in summary["drift"])
    for title, items in (
        ("failed at first, and came later", sorted(summary["failed_before"])),
        ("degraded: the service failed, and is requested again later", sorted(summary["failed"])),
        ("unavailable, older than the service keeps", summary["unavailable"]),
        ("quarantined", [f"{count} {why}" for why, count in summary["quarantined"].items()]),
        ("new in the service's answers", list(drift)),
    ):
        if items:
            lines.append(f"{title}: {'; '.join(items)}")
    return "\n".join([*lines, ""])
