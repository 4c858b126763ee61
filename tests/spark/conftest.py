"""A running catalog and a Spark session on it, started from the settings that ``engines`` prints.

Maven fetches Iceberg's runtime for Spark into its own repository, where Spark finds it.
"""

import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from falcon_catalog.engines import SPARK_PACKAGE
from tests.spark.running import Lake, Rows, rows_of

REPOSITORY = Path(__file__).parents[2]
OLDEST_JAVA = 17
MAVEN_GET = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:get"
TIMEOUT = 240  # seconds that a download has
SPARK_DEFAULTS = {
    "spark.master": "local[2]",
    "spark.driver.memory": "1g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.jars.ivy": REPOSITORY / "var/ivy",
    "spark.log.level": "ERROR",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}

Sql = Callable[[str], Rows]


@pytest.fixture(scope="session")
def runtime() -> None:
    """Have Iceberg's runtime for Spark in Maven's repository, or skip and say what is missing."""
    pytest.importorskip("pyspark", reason="pyspark is not installed: tox -e spark installs it")
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        pytest.skip("there is no java, and Spark needs one")
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version[1]) < OLDEST_JAVA:
        pytest.skip(
            f"Spark needs Java {OLDEST_JAVA}, and java -version says {told.splitlines()[0]}"
        )
    maven = shutil.which("mvn")
    if maven is None:
        pytest.skip("there is no mvn, which fetches Iceberg's runtime for Spark")
    command = [maven, "--batch-mode", "--quiet", MAVEN_GET]
    command += [f"-Dartifact={SPARK_PACKAGE}", "-Dtransitive=false"]
    subprocess.run(command, check=True, timeout=TIMEOUT)


@pytest.fixture(scope="session")
def lake(runtime: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:  # noqa: ARG001
    """A running catalog."""
    folder = tmp_path_factory.mktemp("lake")
    program = [sys.executable, "-c", "from falcon_catalog.cli import main; main()"]
    flags = ["--store", f"sqlite:///{folder}/catalog.db", "--warehouse", f"file://{folder}/files"]
    with (
        (folder / "server.log").open("wb") as log,
        subprocess.Popen(
            [*program, "serve", "--listen", "127.0.0.1:0", *flags],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as server,
    ):
        line = server.stdout.readline().strip() if server.stdout else ""
        assert line.startswith("Listening on "), (folder / "server.log").read_text()
        yield Lake(line.removeprefix("Listening on "), folder)
        server.terminate()
        assert server.wait(60) == 0


@pytest.fixture(scope="session")
def spark(lake: Lake) -> Iterator[Any]:
    """A Spark session, made by what ``falcon-catalog engines spark`` prints."""
    lines = "".join(f"{key} {value}\n" for key, value in SPARK_DEFAULTS.items())
    (lake.folder / "spark-defaults.conf").write_text(
        f"{lines}spark.sql.warehouse.dir {lake.folder}/spark-warehouse\n"
    )
    program = [sys.executable, "-c", "from falcon_catalog.cli import main; main()"]
    command = [*program, "engines", "spark", "--uri", lake.url]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    scope: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_CONF_DIR", str(lake.folder))
        patch.delenv("SPARK_HOME", raising=False)  # of another Spark than the one under test
        patch.setenv("PYSPARK_PYTHON", sys.executable)  # of its executors
        exec(printed, scope)  # noqa: S102
    yield scope["spark"]
    scope["spark"].stop()


@pytest.fixture(scope="session")
def sql(spark: Any) -> Sql:
    """Return a function that runs a statement and gives its rows."""
    return lambda statement: rows_of(spark, statement)


numbers = itertools.count(1)


@pytest.fixture
def ns(sql: Sql) -> str:
    """A namespace of the test's own, as Spark names it."""
    name = f"lake.n{next(numbers)}"
    sql(f"CREATE NAMESPACE {name}")
    return name


@pytest.fixture
def t(ns: str, sql: Sql) -> str:
    """A table of two rows, ``(1, 'a')`` and ``(2, 'b')``."""
    sql(f"CREATE TABLE {ns}.t (id BIGINT, data STRING)")
    sql(f"INSERT INTO {ns}.t VALUES (1, 'a'), (2, 'b')")
    return f"{ns}.t"
