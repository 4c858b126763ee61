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
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import click

from falcon_catalog.client_flags import identity, with_identity

# The newest pair that the tests run.
SPARK_PACKAGE = "org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0"
# Java's clients ask for access only if they are told to; the catalog grants what it can of this.
_DELEGATION = "header.X-Iceberg-Access-Delegation"
_ACCESS = "vended-credentials,remote-signing"
_TIMEOUT_SECONDS = 10
_TOKENS = "/v1/oauth/tokens"


class EngineError(click.ClickException):
    """The catalog does not answer, or does not know the warehouse."""


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a catalog, the name of a warehouse, and how a client identifies itself."""

    uri: str
    warehouse: str
    token: str | None = None
    credential: str | None = None
    """Name and secret, separated by a colon."""
    storage: Mapping[str, str] = field(default_factory=dict)
    """What the catalog tells clients of the object store that the warehouse is in, if it is."""

    @property
    def cloud(self) -> str:
        """``s3``, ``gcs`` or ``adls``; empty for local files."""
        found = {name.partition(".")[0] for name in self.storage}
        return next((cloud for cloud in ("s3", "gcs", "adls") if cloud in found), "")

    @property
    def tokens_uri(self) -> str:
        """The address at which a credential is exchanged for tokens."""
        return f"{self.uri}{_TOKENS}"


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine, and the template of its settings."""

    title: str
    form: str
    """The language or the file of the settings."""
    quote: Callable[[str], str]
    template: str
    """It has ``{access}``, ``{storage}``, ``{packages}``, and, quoted, ``{uri}``, ``{v1_uri}`` and
    ``{warehouse}``."""
    token: str
    """The ``{access}`` with a token; it has ``{token}`` and ``{bearer}``, the header, and what
    ``template`` has."""
    credential: str
    """With a credential; it has ``{credential}``, ``{name}``, ``{secret}`` and ``{tokens_uri}``."""
    anonymous: str = ""
    """With neither."""
    storage: Mapping[str, str] = field(default_factory=dict)
    """The ``{storage}`` by cloud, empty for local files; it has ``{endpoint}``, ``{region}`` and
    ``{path_style}``."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """The ``{packages}`` by cloud, empty for local files: what an engine needs installed."""

    def write(self, at: Address) -> str:
        """Return the settings for a catalog."""
        return self.template.format(
            access=self.access(at),
            storage=self.storage.get(at.cloud, "").format(**self._quoted(at)),
            packages=self.packages.get(at.cloud, ""),
            **self._quoted(at),
        )

    def access(self, at: Address) -> str:
        """Return the part of the settings that has the catalog and the identity."""
        access = self.token if at.token else self.credential if at.credential else self.anonymous
        return access.format(**self._quoted(at))

    def _quoted(self, at: Address) -> dict[str, str]:
        name, _, secret = (at.credential or "").partition(":")
        values = {
            "uri": at.uri,
            "v1_uri": f"{at.uri}/v1",
            "warehouse": at.warehouse,
            "token": at.token or "",
            "bearer": f"Authorization: Bearer {at.token}",
            "credential": at.credential or "",
            "name": name,
            "secret": secret,
            "tokens_uri": at.tokens_uri,
            "endpoint": at.storage.get("s3.endpoint", ""),
            "region": at.storage.get("s3.region", ""),
            "path_style": at.storage.get("s3.path-style-access", "false"),
        }
        return {key: self.quote(value) for key, value in values.items()}


def locate(
    uri: str, warehouse: str | None, *, token: str | None = None, credential: str | None = None
) -> Address:
    """Return the address of a running catalog and one of its warehouses.

    ``uri`` is the address that ``serve`` prints; without ``warehouse``, a name or location, the
    default one is used.

    Raises:
        EngineError: no catalog answers there, it rejects the token or credential, or the warehouse
            does not exist.
    """
    base = uri.rstrip("/")
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", base):
        raise EngineError(
            f"{uri!r} is not the address of a catalog: it must be like http://127.0.0.1:8181"
        )
    if _request(base, "/health/live").get("status") != "live":
        raise EngineError(f"{base} is not a falcon-catalog: /health/live does not report live")
    query = f"?{urllib.parse.urlencode({'warehouse': warehouse})}" if warehouse else ""
    bearer = token
    if credential is not None:
        identity, _, secret = credential.partition(":")
        form = {"grant_type": "client_credentials", "client_id": identity, "client_secret": secret}
        bearer = str(_request(base, _TOKENS, form=form).get("access_token"))
    config = _request(base, f"/v1/config{query}", token=bearer)
    overrides, defaults = config.get("overrides"), config.get("defaults")
    if not isinstance(overrides, dict) or not isinstance(overrides.get("prefix"), str):
        raise EngineError(f"{base} is not a falcon-catalog: /v1/config names no prefix")
    storage = defaults if isinstance(defaults, dict) else {}
    return Address(base, warehouse or overrides["prefix"], token, credential, storage)


def _request(
    base: str, path: str, *, token: str | None = None, form: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the JSON object of a response to GET, or to POST if there is a form."""
    body = urllib.parse.urlencode(form).encode() if form else None
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(base + path, body, headers)  # noqa: S310 - locate accepts only http and https
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
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
            document = json.load(error)
            message = str(document.get("error_description") or document["error"]["message"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            message = ""
    if message and path != "/health/live":
        if error.code == HTTPStatus.UNAUTHORIZED and path != _TOKENS:
            return f"{message.rstrip('.')}. Give --credential NAME:SECRET or --token"
        return message
    hint = ". Its address ends before /v1" if base.endswith("/v1") else ""
    return f"{base} is not a falcon-catalog: GET {path} answered {error.code}{hint}"


def _quote_python(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _quote_sql(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quote_clickhouse(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_PYICEBERG = """\
from pyiceberg.catalog import load_catalog

lake = load_catalog("lake", type="rest", uri={uri}, warehouse={warehouse}{access})
"""
_PYICEBERG_BEARER = ", token={token}"
_PYICEBERG_CREDENTIAL = """,
    credential={credential}, **{{"oauth2-server-uri": {tokens_uri}}}"""
_DUCKDB_ATTACH = """\
ATTACH {warehouse} AS lake
    (TYPE iceberg, ENDPOINT {uri}, SECRET lake);
"""
_CLOUDS = ("s3", "gcs", "adls")
_TRINO_VENDED = "iceberg.rest-catalog.vended-credentials-enabled=true\n"
# Polars' own reader takes no credentials from the table, and knows no tokens of Google's.
_POLARS_NATIVE = """\
loaded = lake.load_table(table)
    return pl.scan_iceberg(loaded, storage_options=loaded.io.properties)"""
_SPARK_PACKAGES = {
    "": f"""    .config("spark.jars.packages", "{SPARK_PACKAGE}")""",
    **{
        cloud: f"""\
    .config(
        "spark.jars.packages",
        "{SPARK_PACKAGE},"
        "org.apache.iceberg:iceberg-{bundle}-bundle:1.12.0",
    )"""
        for cloud, bundle in zip(_CLOUDS, ("aws", "gcp", "azure"), strict=True)
    },
}
_SPARK_DELEGATION = f"""
    .config(
        "spark.sql.catalog.lake.{_DELEGATION}",
        "{_ACCESS}",
    )"""
_SPARK_OPTION = '\n    .config("spark.sql.catalog.lake.'
ENGINES: Mapping[str, Engine] = {
    "pyiceberg": Engine(
        "PyIceberg",
        "Python",
        _quote_python,
        _PYICEBERG + "print(lake.list_namespaces())\n",
        _PYICEBERG_BEARER,
        _PYICEBERG_CREDENTIAL,
    ),
    "duckdb": Engine(
        "DuckDB",
        "SQL",
        _quote_sql,
        """\
INSTALL iceberg;
LOAD iceberg;
{storage}{access}SHOW ALL TABLES;
""",
        f"CREATE SECRET lake (TYPE iceberg, TOKEN {{token}});\n{_DUCKDB_ATTACH}",
        f"""\
CREATE SECRET lake
    (TYPE iceberg, CLIENT_ID {{name}}, CLIENT_SECRET {{secret}}, OAUTH2_SERVER_URI {{tokens_uri}});
{_DUCKDB_ATTACH}""",
        _DUCKDB_ATTACH.replace("SECRET lake", "AUTHORIZATION_TYPE 'none'"),
        storage={"adls": "INSTALL azure;\nLOAD azure;\n"},
    ),
    "spark": Engine(
        "Spark",
        "Python",
        _quote_python,
        """\
from pyspark.sql import SparkSession

spark = (
    SparkSession.builder.appName("lake")
{packages}
    .config(
        "spark.sql.extensions",
        "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    )
    .config("spark.sql.catalog.lake", "org.apache.iceberg.spark.SparkCatalog")
    .config("spark.sql.catalog.lake.type", "rest")
    .config("spark.sql.catalog.lake.uri", {uri})
    .config("spark.sql.catalog.lake.warehouse", {warehouse}){storage}{access}
    .getOrCreate()
)
spark.sql("SHOW NAMESPACES IN lake").show()
""",
        f'{_SPARK_OPTION}token", {{token}})',
        f'{_SPARK_OPTION}credential", {{credential}})'
        f'{_SPARK_OPTION}oauth2-server-uri", {{tokens_uri}})',
        storage=dict.fromkeys(_CLOUDS, _SPARK_DELEGATION),
        packages=_SPARK_PACKAGES,
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
{access}{storage}""",
        """\
iceberg.rest-catalog.security=OAUTH2
iceberg.rest-catalog.oauth2.token={token}
""",
        """\
iceberg.rest-catalog.security=OAUTH2
iceberg.rest-catalog.oauth2.credential={credential}
iceberg.rest-catalog.oauth2.server-uri={tokens_uri}
""",
        storage={
            "": "fs.native-local.enabled=true\nlocal.location=/\n",
            "s3": f"""\
{_TRINO_VENDED}fs.native-s3.enabled=true
s3.region={{region}}
s3.endpoint={{endpoint}}
s3.path-style-access={{path_style}}
""",
            "gcs": f"{_TRINO_VENDED}fs.native-gcs.enabled=true\n",
            "adls": f"{_TRINO_VENDED}fs.native-azure.enabled=true\n",
        },
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
    'warehouse' = {warehouse}{storage}{access}
);
USE CATALOG lake;
SHOW DATABASES;
""",
        ",\n    'token' = {token}",
        ",\n    'credential' = {credential},\n    'oauth2-server-uri' = {tokens_uri}",
        storage=dict.fromkeys(_CLOUDS, f",\n    '{_DELEGATION}' = '{_ACCESS}'"),
    ),
    "polars": Engine(
        "Polars",
        "Python",
        _quote_python,
        f"""\
import polars as pl
{_PYICEBERG}

def scan(table: str) -> pl.LazyFrame:
    {{storage}}
""",
        _PYICEBERG_BEARER,
        _PYICEBERG_CREDENTIAL,
        storage={
            "": "return pl.scan_iceberg(lake.load_table(table))",
            "s3": _POLARS_NATIVE,
            "adls": _POLARS_NATIVE,
            "gcs": 'return pl.scan_iceberg(lake.load_table(table), reader_override="pyiceberg")',
        },
    ),
    "clickhouse": Engine(
        "ClickHouse",
        "SQL, since 25.3",
        _quote_clickhouse,
        """\
SET allow_experimental_database_iceberg = 1;
CREATE DATABASE lake
    ENGINE = DataLakeCatalog({v1_uri})
    SETTINGS catalog_type = 'rest', warehouse = {warehouse}{storage}{access};
SHOW TABLES FROM lake;
""",
        ",\n        auth_header = {bearer}",
        ",\n        catalog_credential = {credential}, oauth_server_uri = {tokens_uri}",
        storage={"s3": ",\n        storage_endpoint = {endpoint}"},
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
@with_identity
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the settings by engine.")
def command(
    name: str | None,
    uri: str,
    warehouse: str | None,
    *,
    token: str | None,
    credential: str | None,
    as_json: bool,
) -> None:
    """Print settings to paste into an engine, or into each of them.

    \b
    Examples:
        falcon-catalog engines duckdb
        falcon-catalog engines --uri http://lake.example:8181
        falcon-catalog engines spark --warehouse default > lake.py
        falcon-catalog engines pyiceberg --credential etl:SECRET

    The catalog must be running and have the warehouse. With --token or --credential the settings
    contain it: keep them as safe as a password.
    """
    token, credential = identity(token, credential, uri)
    at = locate(uri, warehouse, token=token, credential=credential)
    chosen = {name: ENGINES[name]} if name is not None else ENGINES
    if as_json:
        click.echo(json.dumps({key: engine.write(at) for key, engine in chosen.items()}, indent=1))
    elif name is not None:
        click.echo(ENGINES[name].write(at), nl=False)
    else:
        for engine in ENGINES.values():
            click.echo(f"== {engine.title} ({engine.form}) ==\n\n{engine.write(at)}")
