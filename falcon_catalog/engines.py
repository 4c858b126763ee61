"""The ``engines`` command: settings to paste into an engine, for a catalog that is running.

Nothing is printed before the catalog has answered, so an address or a warehouse that is wrong
is told here and not by an engine's stack trace. Each template says no more than a fresh
installation of its engine needs; ``docs/engines.md`` says the rest.
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
    """The catalog cannot be asked, or does not know what it was asked."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a catalog answers, and under which name it knows the warehouse."""

    uri: str
    warehouse: str


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine's name, what its settings are, and how to write them."""

    title: str
    form: str
    write: Callable[[Address], str]


def locate(uri: str, warehouse: str | None) -> Address:
    """Ask a running catalog whether it lives and knows the warehouse.

    Args:
        uri: the address that ``serve`` prints.
        warehouse: its name or location; None asks for the default one's name.

    Raises:
        EngineError: nothing answers, something else does, or the warehouse does not exist.
    """
    base = uri.rstrip("/")
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", base):
        raise EngineError(
            f"{uri!r} is not the address of a catalog: it must be like http://127.0.0.1:8181"
        )
    if _get(base, "/health/live").get("status") != "live":
        raise EngineError(f"{base} is not a falcon-catalog: /health/live does not say it lives")
    query = f"?{urllib.parse.urlencode({'warehouse': warehouse})}" if warehouse else ""
    overrides = _get(base, f"/v1/config{query}").get("overrides")
    if not isinstance(overrides, dict) or not isinstance(overrides.get("prefix"), str):
        raise EngineError(f"{base} is not a falcon-catalog: /v1/config names no prefix")
    return Address(base, warehouse or overrides["prefix"])


def _get(base: str, path: str) -> dict[str, Any]:
    """Return the JSON object that a catalog answers."""
    try:
        with urllib.request.urlopen(base + path, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - locate lets http through, and nothing else
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
    """Say in the catalog's words why it refused; without such words it is no catalog."""
    with error:
        try:
            message = str(json.load(error)["error"]["message"])
        except (OSError, ValueError, KeyError, TypeError):
            message = ""
    if message and path != "/health/live":
        return message
    hint = ". Its address ends before /v1" if base.endswith("/v1") else ""
    return f"{base} is not a falcon-catalog: GET {path} answered {error.code}{hint}"


def _pyiceberg(at: Address) -> str:
    return f"""\
from pyiceberg.catalog import load_catalog

lake = load_catalog("lake", type="rest", uri={_quoted(at.uri)}, warehouse={_quoted(at.warehouse)})
print(lake.list_namespaces())
"""


def _duckdb(at: Address) -> str:
    return f"""\
INSTALL iceberg;
LOAD iceberg;
ATTACH {_sql(at.warehouse)} AS lake
    (TYPE iceberg, ENDPOINT {_sql(at.uri)}, AUTHORIZATION_TYPE 'none');
SHOW ALL TABLES;
"""


def _spark(at: Address) -> str:
    return f"""\
from pyspark.sql import SparkSession

spark = (
    SparkSession.builder.appName("lake")
    .config("spark.jars.packages", "{SPARK_PACKAGE}")
    .config(
        "spark.sql.extensions",
        "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    )
    .config("spark.sql.catalog.lake", "org.apache.iceberg.spark.SparkCatalog")
    .config("spark.sql.catalog.lake.type", "rest")
    .config("spark.sql.catalog.lake.uri", {_quoted(at.uri)})
    .config("spark.sql.catalog.lake.warehouse", {_quoted(at.warehouse)})
    .getOrCreate()
)
spark.sql("SHOW NAMESPACES IN lake").show()
"""


def _trino(at: Address) -> str:
    return f"""\
connector.name=iceberg
iceberg.catalog.type=rest
iceberg.rest-catalog.uri={_property(at.uri)}
iceberg.rest-catalog.warehouse={_property(at.warehouse)}
iceberg.rest-catalog.nested-namespace-enabled=true
fs.native-local.enabled=true
local.location=/
"""


def _flink(at: Address) -> str:
    return f"""\
CREATE CATALOG lake WITH (
    'type' = 'iceberg',
    'catalog-type' = 'rest',
    'uri' = {_sql(at.uri)},
    'warehouse' = {_sql(at.warehouse)}
);
USE CATALOG lake;
SHOW DATABASES;
"""


def _polars(at: Address) -> str:
    return f"""\
import polars as pl
from pyiceberg.catalog import load_catalog

lake = load_catalog("lake", type="rest", uri={_quoted(at.uri)}, warehouse={_quoted(at.warehouse)})


def scan(table: str) -> pl.LazyFrame:
    return pl.scan_iceberg(lake.load_table(table))
"""


def _quoted(text: str) -> str:
    """Write a text as Python does."""
    return json.dumps(text, ensure_ascii=False)


def _sql(text: str) -> str:
    """Write a text as SQL does."""
    return "'" + text.replace("'", "''") + "'"


def _property(text: str) -> str:
    """Write a text as the value of a Java property."""
    return text.replace("\\", "\\\\")


ENGINES: Mapping[str, Engine] = {
    "pyiceberg": Engine("PyIceberg", "Python", _pyiceberg),
    "duckdb": Engine("DuckDB", "SQL", _duckdb),
    "spark": Engine("Spark", "Python", _spark),
    "trino": Engine("Trino", "etc/catalog/lake.properties", _trino),
    "flink": Engine("Flink", "SQL", _flink),
    "polars": Engine("Polars", "Python", _polars),
}


@click.command("engines")
@click.argument("name", required=False, type=click.Choice(list(ENGINES), case_sensitive=False))
@click.option(
    "--uri",
    default="http://127.0.0.1:8181",
    show_default=True,
    help="The running catalog's address, as serve prints it.",
)
@click.option("--warehouse", help="The warehouse's name. [default: the catalog's first]")
def command(name: str | None, uri: str, warehouse: str | None) -> None:
    """Print settings to paste into an engine, or into each of them.

    \b
    Examples:
        falcon-catalog engines duckdb
        falcon-catalog engines --uri http://lake.example:8181
        falcon-catalog engines spark --warehouse default > lake.py

    Asks the catalog first: it must be running, and know the warehouse.
    """
    at = locate(uri, warehouse)
    if name is not None:
        click.echo(ENGINES[name].write(at), nl=False)
        return
    for engine in ENGINES.values():
        click.echo(f"== {engine.title} ({engine.form}) ==\n\n{engine.write(at)}")
