"""Start a Spark session on an Iceberg REST catalog."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

CATALOG = "lake"
"""The catalog's name in the session."""

_ICEBERG = "1.12.0"
RUNTIME = f"org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:{_ICEBERG}"
"""Iceberg's runtime for the version of pyspark that the extra ``spark`` installs."""

# What the runtime needs to read and write in an object store.
_BUNDLES = {"s3": "aws", "s3a": "aws", "s3n": "aws", "gs": "gcp", "abfs": "azure", "abfss": "azure"}
_OLDEST_JAVA = 17
_SECRETS = "(?i)secret|password|token|credential|access[.]?key"

# Properties that PyIceberg alone understands, or that would hide a part of a table's history.
_PYICEBERG_ONLY = {"type", "py-io-impl", "snapshot-loading-mode", "weather.request-timeout"}
# Java's clients get storage access only if they ask for it.
_ACCESS = {"header.X-Iceberg-Access-Delegation": "vended-credentials,remote-signing"}


class SparkUnavailableError(RuntimeError):
    """pyspark or Java is missing; the message says what to install."""

    transient = False


def require() -> None:
    """Raise SparkUnavailableError if pyspark or a Java that it needs is missing."""
    if importlib.util.find_spec("pyspark") is None:
        raise SparkUnavailableError(
            "pyspark is not installed: pip install '.[spark]' in a clone of the repository"
        )
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    install = f"Spark needs Java {_OLDEST_JAVA} or newer: install one, such as Debian's"
    install += " openjdk-17-jre-headless, or set JAVA_HOME"
    if java is None:
        raise SparkUnavailableError(f"no java in {f'{home}/bin' if home else 'PATH'}. {install}")
    command = [java, "-version"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version[1]) < _OLDEST_JAVA:
        first = (said.splitlines() or ["nothing"])[0]
        raise SparkUnavailableError(f"{java} -version says {first}. {install}")


def packages(locations: Iterable[str]) -> str:
    """Return the Maven packages for tables at these locations, as ``spark.jars.packages``."""
    schemes = {location.partition(":")[0].lower() for location in locations}
    clouds = sorted({_BUNDLES[scheme] for scheme in schemes & _BUNDLES.keys()})
    bundles = [f"org.apache.iceberg:iceberg-{cloud}-bundle:{_ICEBERG}" for cloud in clouds]
    return ",".join([RUNTIME, *bundles])


def static_settings(conf: Mapping[str, str], locations: Iterable[str]) -> dict[str, str]:
    """Return the settings that a session is started with; ``conf`` takes precedence.

    Iceberg's packages are fetched unless ``conf`` names packages or jars.
    """
    settings = {
        "spark.sql.extensions": (
            "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"
        ),
        "spark.redaction.regex": _SECRETS,
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
    }
    if not {"spark.jars", "spark.jars.packages"} & conf.keys():
        settings["spark.jars.packages"] = packages(locations)
    return {**settings, **conf}


def catalog_settings(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the catalog ``lake``, from the properties of PyIceberg's client.

    They contain its secrets: set them on a session, never in a command.
    """
    prefix = f"spark.sql.catalog.{CATALOG}"
    own = {name: str(value) for name, value in properties.items() if name not in _PYICEBERG_ONLY}
    return {
        "spark.sql.session.timeZone": "UTC",
        prefix: "org.apache.iceberg.spark.SparkCatalog",
        f"{prefix}.type": "rest",
        # A table is loaded anew by each statement: others commit to it meanwhile.
        f"{prefix}.cache-enabled": "false",
        **{f"{prefix}.{name}": value for name, value in {**_ACCESS, **own}.items()},
    }


def connect(session: Any, properties: Mapping[str, str]) -> Any:
    """Attach the catalog ``lake`` to a session; return the session."""
    for name, value in catalog_settings(properties).items():
        session.conf.set(name, value)
    return session


def start(
    name: str, conf: Mapping[str, str], properties: Mapping[str, str], locations: Iterable[str]
) -> Any:
    """Start a session on a catalog in this process.

    Settings of ``spark-defaults.conf`` in SPARK_CONF_DIR apply as well.

    Args:
        name: of the application.
        conf: Spark's settings, such as ``spark.master``.
        properties: of PyIceberg's client of the catalog.
        locations: of the tables, which decide on the packages for object stores.

    Raises:
        SparkUnavailableError: pyspark or Java is missing, or Spark does not start.
    """
    require()
    from pyspark.errors import PySparkException, PySparkRuntimeError  # noqa: PLC0415 - an extra
    from pyspark.sql import SparkSession  # noqa: PLC0415

    builder = SparkSession.builder.appName(name)
    for key, value in static_settings(conf, locations).items():
        builder = builder.config(key, value)
    try:
        return connect(builder.getOrCreate(), properties)
    except (PySparkException, PySparkRuntimeError) as error:
        raise SparkUnavailableError(f"Spark does not start: {error}") from error
