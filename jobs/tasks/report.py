"""The report as a step of the pipeline: ``luigi --module jobs Report --date 2013-07-02``."""

from pathlib import Path

import luigi

from jobs import config
from jobs.targets import write
from jobs.tasks.base import DaysTask, InRanges
from jobs.tasks.transform import Transform, day_file


class Report(InRanges, DaysTask):
    """Write a day's weather into ``report.html``, once its marts are built."""

    file = "report.html"

    def requires(self) -> Transform:
        """Return the build of the marts."""
        return self.step(Transform)

    def output(self) -> luigi.LocalTarget:
        """Return the page, which is about the last day, however many days are built."""
        return self.place(self.file)

    def current(self) -> bool:
        """Return whether the marts' day is still the one that the report shows."""
        changed = day_file(Path(self.data_dir), self.date)
        late = changed.exists() and changed.stat().st_mtime_ns > self.written()
        return super().current() and not late

    def run(self) -> None:
        """Build the page."""
        # The charts' libraries take a second to load: only this step needs them.
        from jobs.report.blocks import Day  # noqa: PLC0415
        from jobs.report.build import build  # noqa: PLC0415
        from jobs.report.lake import open_lake  # noqa: PLC0415

        catalog = config.settings().catalog
        extensions = Path(self.data_dir).resolve() / "duckdb-extensions"
        access = {"token": catalog.token, "credential": catalog.credential}
        self.progress("querying the lake")
        with open_lake(catalog.uri, catalog.warehouse, extensions, **access) as lake:
            stations = config.settings().weather.report_stations
            page = build(lake, Day(self.date, stations), catalog.pages_url()).encode()
        write(self.path(), page)
        self.progress(f"{len(page) / 1e6:.2f} MB -> {self.path()}", 100)
