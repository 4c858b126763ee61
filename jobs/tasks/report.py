"""The report as a step of the pipeline: ``luigi --module jobs Report --date 2013-07-02``."""

# Luigi says it is typed, but its methods are not.
# mypy: allow-untyped-calls

from pathlib import Path

import luigi

from jobs import config
from jobs.targets import write
from jobs.tasks.base import DayTask, InRanges
from jobs.tasks.transform import Transform


class Report(InRanges, DayTask):
    """Write a day's weather into ``report.html``, once its marts are built."""

    days = luigi.IntParameter(
        default=1, description="how many days, of which date is the last", positional=False
    )

    def requires(self) -> Transform:
        """Ask for the marts."""
        return self.step(Transform)

    def output(self) -> luigi.LocalTarget:
        """Name the page."""
        return self.place("report.html")

    def run(self) -> None:
        """Build the page."""
        # The charts' libraries take a second to load: only who draws waits for them.
        from jobs.report.blocks import Day  # noqa: PLC0415
        from jobs.report.build import build  # noqa: PLC0415
        from jobs.report.lake import open_lake  # noqa: PLC0415

        catalog, weather = config.catalog(), config.weather()
        extensions = Path(self.data_dir).resolve() / "duckdb-extensions"
        self.say("asking the lake")
        with open_lake(
            catalog.uri,
            catalog.warehouse,
            extensions,
            token=catalog.token,
            credential=catalog.credential,
        ) as lake:
            page = build(lake, Day(self.date, weather.report_stations)).encode()
        write(self.path(), page)
        self.say(f"{len(page) / 1e6:.2f} MB -> {self.path()}", 100)
