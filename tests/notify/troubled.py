"""Tasks that fail in every way there is; `luigi --module tests.notify.troubled` finds them."""

import os
import signal
import time
from pathlib import Path

import luigi

import jobs  # noqa: F401 - it tells of failures
from jobs.nws.errors import Unavailable


class _Task(luigi.Task):
    folder = luigi.Parameter(significant=False)
    date = luigi.DateParameter()
    token = luigi.Parameter("s3cret", visibility=luigi.parameter.ParameterVisibility.PRIVATE)

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(str(Path(self.folder, self.task_id)))


class Fails(_Task):
    number = luigi.IntParameter(default=0)

    def run(self) -> None:
        text = f"number {self.number} <broke> & fell"
        raise Unavailable(text, url="http://there", status=500, correlation_id="abc-123")


class FailsOnce(_Task):
    def run(self) -> None:
        mark = Path(self.folder, "tried")
        if not mark.exists():
            mark.touch()
            raise ValueError("not yet")
        with self.output().open("w"):
            pass


class Dies(_Task):
    def run(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Hangs(_Task):
    worker_timeout = 1

    def run(self) -> None:
        time.sleep(600)


class IsMissing(_Task, luigi.ExternalTask):
    pass


class Needs(_Task):
    def requires(self) -> IsMissing:
        return IsMissing(folder=self.folder, date=self.date)

    def run(self) -> None:
        with self.output().open("w"):
            pass


class IsBroken(_Task):
    def requires(self) -> None:
        raise ValueError("nobody knows what it needs")


class ManyFail(_Task, luigi.WrapperTask):
    def requires(self) -> list[Fails]:
        return [Fails(folder=self.folder, date=self.date, number=n) for n in range(1, 9)]


class AsksTooMuch(_Task):
    resources = {"dbt": 2}  # noqa: RUF012 - Luigi's own idiom

    def run(self) -> None:
        raise AssertionError("nobody may run this")


class Sleeps(_Task):
    """Waits until its folder has a file named "wake"."""

    def run(self) -> None:
        Path(self.folder, "asleep").touch()
        while not Path(self.folder, "wake").exists():
            time.sleep(0.02)
        with self.output().open("w"):
            pass
