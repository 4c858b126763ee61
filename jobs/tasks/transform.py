"""Build the marts with dbt: ``luigi --module jobs DbtTransformations --hour 2013-07-02T14``."""

import datetime as dt
from pathlib import Path

from pyiceberg.catalog import Catalog

from jobs.targets import read_json, write, write_json
from jobs.tasks.base import DaysTask, HourTask, InRanges, WeatherTask, log
from jobs.tasks.ingestion import WeatherIngestion
from jobs.tasks.load import Load, connect, day_loads, holds
from jobs.transform import marts
from jobs.transform.building import Build, build
from jobs.transform.running import alone, install_extensions, run

# Days up to a build's own whose changes are noticed, more than any range of the timers goes back.
_NOTICED = dt.timedelta(days=14)


def day_file(data_dir: Path, date: dt.date) -> Path:
    """Return the file that is written when a day of the daily mart has changed."""
    return data_dir / "days" / f"{date}.json"


def mark_days(catalog: Catalog, data_dir: Path, last: dt.date) -> None:
    """Write the files of the days of the daily mart that are other than at the last build."""
    for day, fingerprint in marts.day_fingerprints(catalog, last - _NOTICED, last).items():
        file, content = day_file(data_dir, day), {"fingerprint": fingerprint}
        if not file.exists() or read_json(file) != content:
            write_json(file, content)


class DbtTask(WeatherTask):
    """A step that runs dbt: one at a time, over all workers of a scheduler and on this machine."""

    resources = {"dbt": 1}  # noqa: RUF012 - Luigi's own idiom

    @property
    def state(self) -> Path:
        """The folder of dbt's own files."""
        return Path(self.data_dir).resolve()


class _Build(DbtTask):
    """A build of the marts from what is loaded; its checkpoint records the result."""

    file = "transform.json"

    def verified(self) -> bool:
        """Return whether the catalog still has the tables of the checkpoint."""
        return all(holds(connect(), table) for table in read_json(self.path())["tables"])

    def run(self) -> None:
        """Run ``dbt build`` and write the checkpoint.

        Raises:
            TransformError: a model or a test failed; it is in ``weather.pipeline_runs``, too.
        """
        wanted = Build(self.task_family, str(self.period), self.period.end, self.state)
        document = build(connect(), wanted, self.progress)
        for source in document["freshness"]:
            if source["status"] != "pass":
                log.warning(
                    "source freshness: %s is %s (newest row %s)",
                    source["source"],
                    source["status"],
                    source["newest"],
                )
        mark_days(connect(), self.state, self.period.end.date())
        write_json(self.path(), document)
        models, passed = len(document["models"]), document["tests"]["pass"]
        self.progress(f"{models} models, {passed} tests passed", 100)


class DbtTransformations(InRanges, _Build, HourTask):
    """Build and test the marts with dbt, once an hour is ingested."""

    def requires(self) -> WeatherIngestion:
        """Return the hour's ingestion."""
        return self.step(WeatherIngestion)


class Transform(_Build, DaysTask):
    """Build and test the marts with dbt, once the day, or days, are loaded."""

    def requires(self) -> list[Load]:
        """Return the loads of every day."""
        return day_loads(self, self.date, self.days)


class DbtDocs(DbtTask, DaysTask):
    """Write the marts' documentation and lineage into one file that needs no network."""

    file = "dbt-docs.html"

    def requires(self) -> Transform:
        """Return the build of the marts."""
        return self.step(Transform)

    def run(self) -> None:
        """Run ``dbt docs generate --static``.

        Raises:
            TransformError: dbt could not.
        """
        install_extensions(self.state / "duckdb-extensions")
        with alone(self.state, self.progress) as lock:
            run(self.state, lock, [["docs", "generate", "--static"]], self.progress)
            page = (self.state / "dbt" / "target" / "static_index.html").read_bytes()
        write(self.path(), page)
        self.progress(f"documentation in {self.path()}", 100)
