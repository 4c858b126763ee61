"""Build the marts with dbt: ``luigi --module jobs DbtTransformations --hour 2013-07-02T14``."""

# Luigi says it is typed, but its methods are not.
# mypy: allow-untyped-calls

from pathlib import Path

import luigi

from jobs import config
from jobs.targets import read_json, write, write_json
from jobs.tasks.base import DayTask, HourTask, InRanges, WeatherTask, log
from jobs.tasks.ingestion import WeatherIngestion
from jobs.tasks.load import day_loads
from jobs.tasks.loading import Load, connect, holds
from jobs.transform.building import Build, build
from jobs.transform.running import alone, install_extensions, run


class DbtTask(WeatherTask):
    """A step that runs dbt: one at a time, over all workers of a scheduler and on this machine."""

    resources = {"dbt": 1}  # noqa: RUF012 - Luigi's own idiom

    @property
    def state(self) -> Path:
        """The folder of dbt's own files."""
        return Path(self.data_dir).resolve()


class _Build(DbtTask):
    """A build of the marts from what is loaded; its checkpoint says what it did."""

    def complete(self) -> bool:
        """Say whether the checkpoint is there and, if asked to verify, its tables too."""
        if not super().complete():
            return False
        tables = read_json(self.path())["tables"] if config.weather().verify else []
        return all(holds(connect(), table) for table in tables)

    def run(self) -> None:
        """Run ``dbt build`` and write down what it did.

        Raises:
            TransformError: a model or a test failed; it is in ``weather.pipeline_runs``, too.
        """
        wanted = Build(self.task_family, str(self.period), self.period.end, self.state)
        document = build(connect(), wanted, self.say)
        for source in document["freshness"]:
            if source["status"] != "pass":
                log.warning(
                    "%s is %s: its newest row is of %s",
                    source["source"],
                    source["status"],
                    source["newest"],
                )
        write_json(self.path(), document)
        models, passed = len(document["models"]), document["tests"]["pass"]
        self.say(f"{models} models, {passed} tests passed", 100)


class DbtTransformations(InRanges, _Build, HourTask):
    """Build and test the marts with dbt, once an hour is ingested."""

    def requires(self) -> WeatherIngestion:
        """Ask for the hour."""
        return self.step(WeatherIngestion)

    def output(self) -> luigi.LocalTarget:
        """Name the checkpoint."""
        return self.place("transform.json")


class Transform(_Build, DayTask):
    """Build and test the marts with dbt, once the day, or days, are loaded."""

    days = luigi.IntParameter(
        default=1, description="how many days, of which date is the last", positional=False
    )

    def requires(self) -> list[Load]:
        """Ask for the loads of every day."""
        return day_loads(self, self.date, self.days)

    def output(self) -> luigi.LocalTarget:
        """Name the checkpoint."""
        return self.place(
            "transform.json" if self.days == 1 else f"transform-{self.days}-days.json"
        )


class DbtDocs(DbtTask, DayTask):
    """Write the marts' documentation and lineage into one file that needs no network."""

    days = luigi.IntParameter(
        default=1, description="how many days, of which date is the last", positional=False
    )

    def requires(self) -> Transform:
        """Ask for the marts."""
        return self.step(Transform)

    def output(self) -> luigi.LocalTarget:
        """Name the file."""
        return self.place("dbt-docs.html" if self.days == 1 else f"dbt-docs-{self.days}-days.html")

    def run(self) -> None:
        """Run ``dbt docs generate --static``.

        Raises:
            TransformError: dbt could not.
        """
        install_extensions(self.state / "duckdb-extensions")
        with alone(self.state, self.say) as lock:
            run(self.state, lock, [["docs", "generate", "--static"]], self.say)
            page = (self.state / "dbt" / "target" / "static_index.html").read_bytes()
        write(self.path(), page)
        self.say(f"documentation in {self.path()}", 100)
