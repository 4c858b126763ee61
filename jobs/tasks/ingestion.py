"""An hour's ingestion: ``luigi --module jobs WeatherIngestion --hour 2013-07-02T14``."""

# Luigi says it is typed, but its methods are not.
# mypy: allow-untyped-calls

from collections import Counter
from collections.abc import Iterable
from typing import Any

import luigi
from tabulate import tabulate

from jobs import config
from jobs.targets import read_json, write, write_json
from jobs.tasks.base import DayTask, HourTask, InRanges, WeatherTask
from jobs.tasks.load import day_loads, loads
from jobs.tasks.loading import Load


class WeatherIngestion(InRanges, HourTask):
    """Fetch an hour of weather and load it: stations, observations, alerts.

    The hours before it (``[weather] trailing_hours``) are read again, so that late and corrected
    reports are met, and hours that came in part are completed. Back-fill:

        luigi --module jobs RangeHourly --of WeatherIngestion --start 2026-11-20T00 --hours-back 144
    """

    def requires(self) -> list[Load]:
        """Ask for the loads."""
        return loads(self, self.period)

    def output(self) -> luigi.LocalTarget:
        """Name the summary."""
        return self.place("ingestion.json")

    def complete(self) -> bool:
        """Say whether the summary is there and, if asked to verify, the tables too."""
        if not super().complete():
            return False
        return not config.weather().verify or all(load.complete() for load in self.requires())

    def run(self) -> None:
        """Gather the checkpoints into a summary, for machines and for people."""
        done = checkpoints(self.requires())
        summary = {"hour": str(self.period), "loads": done, **totals(done)}
        text = describe_loads(summary)
        write(self.path().with_suffix(".txt"), text.encode())
        write_json(self.path(), summary)
        headline = text.partition("\n")[0]
        self.say(f"{headline}; summary in {self.path().with_suffix('.txt')}", 100)


class LoadDays(InRanges, DayTask, luigi.WrapperTask):
    """Fetch and load days, and build no marts: back-fill first, transform once."""

    days = luigi.IntParameter(
        default=1, description="how many days, of which date is the last", positional=False
    )

    def requires(self) -> list[Load]:
        """Ask for the loads, ``[weather] chunk_days`` in each."""
        return day_loads(self, self.date, self.days)


def checkpoints(tasks: Iterable[WeatherTask]) -> list[dict[str, Any]]:
    """Read what loads say they did."""
    return [{"period": str(task.period), **read_json(task.path())} for task in tasks]


def totals(loads: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum up loads: what came of which stations, what was put aside and why, how fast."""
    observed = [load for load in loads if "observations" in load]
    reasons: Counter[str] = Counter()
    for load in loads:
        reasons.update(load["reasons"])
    rows, seconds = (sum(load[name] for load in loads) for name in ("rows_in", "seconds"))
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
        "unavailable": sorted(
            {load["period"] for load in loads if load["status"] == "unavailable"}
        ),
        "rows_per_second": round(rows / seconds) if seconds else None,
    }


def describe_loads(summary: dict[str, Any]) -> str:
    """Write loads and their totals for people."""
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
    lines = [
        head,
        tabulate(rows, headers, intfmt=""),
    ]
    if summary["rows_per_second"]:
        lines.append(f"{summary['rows_per_second']} rows a second")
    if summary["failed_before"]:
        lines.append(f"failed at first, and came later: {_list(sorted(summary['failed_before']))}")
    if summary["unavailable"]:
        lines.append(f"unavailable, older than the service keeps: {_list(summary['unavailable'])}")
    if summary["quarantined"]:
        lines.append(f"quarantined: {_list(f'{n} {r}' for r, n in summary['quarantined'].items())}")
    if summary["drift"]:
        new = (f"{one['kind']} {one['path']} ({one['detail']})" for one in summary["drift"])
        lines.append(f"new in the service's answers: {_list(new)}")
    return "\n".join([*lines, ""])


def _list(items: Iterable[str]) -> str:
    return "; ".join(items)
