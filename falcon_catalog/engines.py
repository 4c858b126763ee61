"""The ``engines`` command: prints settings of engines for a running catalog.

The catalog is queried first, so that a wrong address or warehouse is reported here instead of by an
engine's stack trace. Each template contains only what a fresh installation of its engine needs;
``docs/engines.md`` has the details.
"""

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

# The newest pair that the tests run.
SPARK_PACKAGE = "org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0"
_TIMEOUT_SECONDS = 10


class EngineError(click.ClickException):
    """The catalog does not answer, or does not know the warehouse."""


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a catalog, and the name of a warehouse."""

    uri: str
    warehouse: str


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine, and the template of its settings."""

    title: str
    form: str
    """The language or the file of the settings."""
    quote: Callable[[str], str]
    template: str
    """It has ``{uri}`` and ``{warehouse}``, which are quoted."""

    def write(self, at: Address) -> str:
        """Return the settings for a catalog."""
        return self.template.format(uri=self.quote(at.uri), warehouse=self.quote(at.warehouse))


def locate(uri: str, warehouse: str | None) -> Address:
    """Return the address of a running catalog and one of its warehouses.

    ``uri`` is the address that ``serve`` prints; without ``warehouse``, a name or location, the
    default one is used.

    Raises:
        EngineError: no catalog answers there, or the warehouse does not exist.
    """
    base = uri.rstrip("/")
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", base):
        raise EngineError(
            f"{uri!r} is not the address of a catalog: it must be like http://127.0.0.1:8181"
        )
    if _get(base, "/health/live").get("status") != "live":
        raise EngineError(f"{base} is not a falcon-catalog: /health/live does not report live")
    query = f"?{urllib.parse.urlencode({'warehouse': warehouse})}" if warehouse else ""
    overrides = _get(base, f"/v1/config{query}").get("overrides")
    if not isinstance(overrides, dict) or not isinstance(overrides.get("prefix"), str):
        raise EngineError(f"{base} is not a falcon-catalog: /v1/config names no prefix")
    return Address(base, warehouse or overrides["prefix"])


def _get(base: str, path: str) -> dict[str, Any]:
    """Return the JSON object of a response."""
    try:
        with urllib.request.urlopen(base + path, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - locate accepts only http and https
            document = json.load(answer)
    except urllib.error.HTTPError as error:
        raise EngineError(_refusal(base, path, error)) from None
    except urllib.error.URLError as error:
        raise EngineError(f"No catalog answers at {base}: {error.reason}") from None
    except (OSError, ValueError) as error:
        raise EngineError(f"{base} is not a falcon-catalog: GET {path}: {error}") from None
    if not isinstance(document, dict):
        raise EngineError(f"{base} is not a falcon-catalog: GET {path} answers no JSON object")
    return document


def _refusal(base: str, path: str, error: urllib.error.HTTPError) -> str:
    """Return the catalog's own message; without one, that this is not a catalog."""
    with error:
        try:
            message = str(json.load(error)["error"]["message"])
        except (OSError, ValueError, KeyError, TypeError):
            message = ""
    if message and path != "/health/live":
        return message
    hint = ". Its address ends before /v1" if base.endswith("/v1") else ""
    return f"{base} is not a falcon-catalog: GET {path} answered {error.code}{hint}"


def _quote_python(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _quote_sql(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_PYICEBERG = """\
from pyiceberg.catalog import load_catalog

lake = load_catalog("lake", type="rest", uri={uri}, warehouse={warehouse})
"""
ENGINES: Mapping[str, Engine] = {
    "pyiceberg": Engine(
        "PyIceberg", "Python", _quote_python, _PYICEBERG + "print(lake.list_namespaces())\n"
    ),
    "duckdb": Engine(
        "DuckDB",
        "SQL",
        _quote_sql,
        """\
INSTALL iceberg;
LOAD iceberg;
ATTACH {warehouse} AS lake
    (TYPE iceberg, ENDPOINT {uri}, AUTHORIZATION_TYPE 'none');
SHOW ALL TABLES;
""",
    ),
    "spark": Engine(
        "Spark",
        "Python",
        _quote_python,
        """\
from pyspark.sql import SparkSession

spark = (
    SparkSession.builder.appName("lake")
    .config("spark.jars.packages", "SPARK_PACKAGE")
    .config(
        "spark.sql.extensions",
        "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    )
    .config("spark.sql.catalog.lake", "org.apache.iceberg.spark.SparkCatalog")
    .config("spark.sql.catalog.lake.type", "rest")
    .config("spark.sql.catalog.lake.uri", {uri})
    .config("spark.sql.catalog.lake.warehouse", {warehouse})
    .getOrCreate()
)
spark.sql("SHOW NAMESPACES IN lake").show()
""".replace("SPARK_PACKAGE", SPARK_PACKAGE),
    ),
    "trino": Engine(
        "Trino",
        "etc/catalog/lake.properties",
        lambda text: text.replace("\\", "\\\\"),  # the value of a Java property
        """\
connector.name=iceberg
iceberg.catalog.type=rest
iceberg.rest-catalog.uri={uri}
iceberg.rest-catalog.warehouse={warehouse}
iceberg.rest-catalog.nested-namespace-enabled=true
fs.native-local.enabled=true
local.location=/
""",
    ),
    "flink": Engine(
        "Flink",
        "SQL",
        _quote_sql,
        """\
CREATE CATALOG lake WITH (
    'type' = 'iceberg',
    'catalog-type' = 'rest',
    'uri' = {uri},
    'warehouse' = {warehouse}
);
USE CATALOG lake;
SHOW DATABASES;
""",
    ),
    "polars": Engine(
        "Polars",
        "Python",
        _quote_python,
        f"""\
import polars as pl
{_PYICEBERG}

def scan(table: str) -> pl.LazyFrame:
    return pl.scan_iceberg(lake.load_table(table))
""",
    ),
}


@click.command("engines")
@click.argument("name", required=False, type=click.Choice(list(ENGINES), case_sensitive=False))
@click.option(
    "--uri",
    default="http://127.0.0.1:8181",
    show_default=True,
    help="The address of the running catalog, as serve prints it.",
)
@click.option("--warehouse", help="The warehouse's name. [default: the catalog's first]")
def command(name: str | None, uri: str, warehouse: str | None) -> None:
    """Print settings to paste into an engine, or into each of them.

    \b
    Examples:
        falcon-catalog engines duckdb
        falcon-catalog engines --uri http://lake.example:8181
        falcon-catalog engines spark --warehouse default > lake.py

    The catalog must be running and have the warehouse.
    """
    at = locate(uri, warehouse)
    if name is not None:
        click.echo(ENGINES[name].write(at), nl=False)
        return
    for engine in ENGINES.values():
        click.echo(f"== {engine.title} ({engine.form}) ==\n\n{engine.write(at)}")
