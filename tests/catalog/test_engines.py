"""The settings that ``falcon-catalog engines`` prints, pasted into the engines themselves."""

import ast
import configparser
import http.server
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import duckdb_extensions
import polars as pl
import pyarrow as pa
import pytest
import requests
from click.testing import CliRunner
from pyiceberg.catalog import load_catalog

from falcon_catalog.catalog import accounts
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.privileges import OWN
from falcon_catalog.cli import main
from falcon_catalog.engines import ENGINES, SPARK_PACKAGE, Address
from tests.catalog.serving import Server

ROWS = pa.table({"id": [1, 2, 3], "name": ["a", None, "c"]})


@dataclass
class Said:
    """What a command did: its status, and the text of both streams."""

    status: int
    text: str
    errors: str


def engines(*arguments: str) -> Said:
    result = CliRunner().invoke(main, ["engines", *arguments])
    return Said(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def address(server: Server) -> str:
    """A running catalog whose one table has three rows."""
    lake = load_catalog("lake", type="rest", uri=server.url)
    lake.create_namespace("ns")
    lake.create_table("ns.t", ROWS.schema).append(ROWS)
    return server.url


@pytest.fixture
def printed(address: str) -> Callable[[str], str]:
    """Return a function that gives the settings of an engine."""

    def of(name: str) -> str:
        said = engines(name, "--uri", address)
        assert (said.status, said.errors) == (0, "")
        return said.text

    return of


def test_pyiceberg(printed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {}
    exec(printed("pyiceberg"), scope)  # noqa: S102
    assert capsys.readouterr().out == "[('ns',)]\n"
    assert scope["lake"].load_table("ns.t").scan().to_arrow().to_pylist() == ROWS.to_pylist()


def test_polars(printed: Any) -> None:
    scope: dict[str, Any] = {}
    exec(printed("polars"), scope)  # noqa: S102
    scanned = scope["scan"]("ns.t")
    assert isinstance(scanned, pl.LazyFrame)
    assert scanned.collect().rows() == [(1, "a"), (2, None), (3, "c")]
    assert scanned.filter(pl.col("id") > 2).collect().rows() == [(3, "c")]


def test_duckdb(printed: Any, tmp_path: Path) -> None:
    with duckdb.connect(config={"extension_directory": str(tmp_path)}) as connection:
        # The extensions' wheels stand in for DuckDB's download of them, INSTALL finds them there.
        for extension in ("avro", "httpfs", "iceberg"):
            duckdb_extensions.import_extension(extension, con=connection)
        shown = connection.execute(printed("duckdb")).fetchall()
        assert [row[:3] for row in shown] == [("lake", "ns", "t")]
        rows = connection.execute("FROM lake.ns.t ORDER BY id").fetchall()
        assert rows == [(1, "a"), (2, None), (3, "c")]


def test_flink(printed: Any, address: str) -> None:
    text = printed("flink")
    assert text.startswith("CREATE CATALOG lake WITH (")
    assert f"'uri' = '{address}',\n    'warehouse' = 'default'\n);" in text


def test_trino(printed: Any, address: str) -> None:
    # tests/engines runs it, where there is a Trino.
    parser = configparser.ConfigParser(delimiters="=", interpolation=None)
    parser.read_string("[catalog]\n" + printed("trino"))
    catalog = parser["catalog"]
    assert catalog["connector.name"] == "iceberg"
    assert catalog["iceberg.rest-catalog.uri"] == address
    assert catalog["iceberg.rest-catalog.warehouse"] == "default"


def test_spark(printed: Any, address: str) -> None:
    # tests/spark runs it, where there is a Spark.
    text = printed("spark")
    compile(text, "spark", "exec")
    assert f'"spark.sql.catalog.lake.uri", "{address}"' in text
    assert f'"{SPARK_PACKAGE}"' in text


@pytest.fixture
def locked(start: Any) -> tuple[str, dict[str, str]]:
    """A catalog that requires tokens, and the flags that a client may give."""
    server = start(auth__required=True)
    secret = accounts.add(StoreCall(server.catalog.store), "etl", privileges=OWN)
    form = {"grant_type": "client_credentials", "client_id": "etl", "client_secret": secret}
    answer = requests.post(f"{server.url}/v1/oauth/tokens", form, timeout=60)
    return server.url, {"--credential": f"etl:{secret}", "--token": answer.json()["access_token"]}


@pytest.mark.parametrize("flag", ["--credential", "--token"])
def test_engines_with_a_credential_or_a_token_connect(
    locked: tuple[str, dict[str, str]],
    flag: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url, given = locked
    said = engines("--uri", url, "--json", flag, given[flag])
    assert (said.status, said.errors) == (0, "")
    printed = json.loads(said.text)
    scope: dict[str, Any] = {}
    exec(printed["pyiceberg"], scope)  # noqa: S102
    assert capsys.readouterr().out == "[]\n"
    scope["lake"].create_namespace("ns")
    scope["lake"].create_table("ns.t", ROWS.schema).append(ROWS)
    exec(printed["polars"], scope)  # noqa: S102
    assert len(scope["scan"]("ns.t").collect()) == 3
    with duckdb.connect(config={"extension_directory": str(tmp_path)}) as connection:
        for extension in ("avro", "httpfs", "iceberg"):
            duckdb_extensions.import_extension(extension, con=connection)
        shown = connection.execute(printed["duckdb"]).fetchall()
        assert [row[:3] for row in shown] == [("lake", "ns", "t")]
    name = flag.removeprefix("--")
    assert f'.config("spark.sql.catalog.lake.{name}", "{given[flag]}")' in printed["spark"]
    compile(printed["spark"], "spark", "exec")
    assert f"iceberg.rest-catalog.oauth2.{name}={given[flag]}\n" in printed["trino"]
    assert f"'{name}' = '{given[flag]}'" in printed["flink"]


def test_engines_without_a_credential_say_what_is_missing(
    locked: tuple[str, dict[str, str]],
) -> None:
    said = engines("--uri", locked[0])
    assert said.status == 1
    assert said.errors.endswith(". Give --credential NAME:SECRET or --token\n")
    said = engines("--uri", locked[0], "--credential", "etl:wrong")
    assert said.status == 1
    assert said.errors.startswith("Error: ")
    assert said.errors.count("\n") == 1
    assert engines("--credential", "etl").status == 2
    assert engines("--credential", "a:b", "--token", "t").status == 2


def test_without_a_name_it_prints_all(printed: Any, address: str) -> None:
    said = engines("--uri", f"{address}/", "--warehouse", "default")
    assert (said.status, said.errors) == (0, "")
    titles = re.findall(r"(?m)^== (\w+) ", said.text)
    assert titles == [engine.title for engine in ENGINES.values()]
    for name in ENGINES:
        assert printed(name).strip() in said.text


def test_names_are_quoted_as_each_language_does() -> None:
    at = Address("http://lake", 'it\'s "a" \\ lake')
    written = {name: engine.write(at) for name, engine in ENGINES.items()}
    for name in ("duckdb", "flink"):
        assert "'it''s \"a\" \\ lake'" in written[name]
    assert "warehouse = 'it\\'s \"a\" \\\\ lake'" in written["clickhouse"]
    assert 'warehouse=it\'s "a" \\\\ lake\n' in written["trino"]
    for name in ("pyiceberg", "polars", "spark"):
        nodes = ast.walk(ast.parse(written[name]))
        assert at.warehouse in [node.value for node in nodes if isinstance(node, ast.Constant)]


S3 = {
    "s3.endpoint": "http://127.0.0.1:9000",
    "s3.region": "eu-north-1",
    "client.region": "eu-north-1",
    "s3.path-style-access": "true",
}


@pytest.mark.parametrize(
    ("storage", "bundle", "trino"),
    [
        (
            S3,
            "aws",
            {
                "fs.native-s3.enabled": "true",
                "s3.region": "eu-north-1",
                "s3.endpoint": "http://127.0.0.1:9000",
                "s3.path-style-access": "true",
            },
        ),
        ({"gcs.project-id": "lake"}, "gcp", {"fs.native-gcs.enabled": "true"}),
        ({"adls.account-name": "lake"}, "azure", {"fs.native-azure.enabled": "true"}),
    ],
)
def test_for_an_object_store_engines_ask_for_credentials(
    storage: dict[str, str], bundle: str, trino: dict[str, str]
) -> None:
    local, at = (
        Address("http://lake", "default"),
        Address("http://lake", "default", storage=storage),
    )
    written = {name: engine.write(at) for name, engine in ENGINES.items()}
    before = {name: engine.write(local) for name, engine in ENGINES.items()}
    assert written["pyiceberg"] == before["pyiceberg"]  # it asks for them without being told
    own_reader = "reader_override" if bundle == "gcp" else "storage_options=loaded.io.properties"
    assert own_reader in written["polars"]
    compile(written["polars"], "polars", "exec")
    assert written["duckdb"] == before["duckdb"].replace(
        "LOAD iceberg;\n", "LOAD iceberg;\n" + "INSTALL azure;\nLOAD azure;\n" * (bundle == "azure")
    )
    strings = [
        node.value
        for node in ast.walk(ast.parse(written["spark"]))
        if isinstance(node, ast.Constant)
    ]
    assert f"{SPARK_PACKAGE},org.apache.iceberg:iceberg-{bundle}-bundle:1.12.0" in strings
    asking = "header.X-Iceberg-Access-Delegation"
    assert strings.index(f"spark.sql.catalog.lake.{asking}") >= 0
    assert "vended-credentials,remote-signing" in strings
    assert f"'{asking}' = 'vended-credentials,remote-signing'\n);" in written["flink"]
    endpoint = f"storage_endpoint = '{storage['s3.endpoint']}'" if bundle == "aws" else "'rest'"
    assert endpoint in written["clickhouse"]
    parser = configparser.ConfigParser(delimiters="=", interpolation=None)
    parser.read_string("[catalog]\n" + written["trino"])
    vended = {"iceberg.rest-catalog.vended-credentials-enabled": "true", **trino}
    assert vended.items() <= dict(parser["catalog"]).items()
    assert "fs.native-local.enabled" not in parser["catalog"]


def test_the_warehouse_may_be_given_by_its_location(address: str, server: Server) -> None:
    said = engines("pyiceberg", "--uri", address, "--warehouse", f"file://{server.warehouse}")
    scope: dict[str, Any] = {}
    exec(said.text, scope)  # noqa: S102
    assert scope["lake"].table_exists("ns.t")


def test_a_warehouse_that_is_not_there(server: Server) -> None:
    said = engines("spark", "--uri", server.url, "--warehouse", "sea")
    assert said == Said(1, "", "Error: Warehouse does not exist: sea (there is: default)\n")


class Other(http.server.BaseHTTPRequestHandler):
    """A server that is no catalog: its paths begin with what it answers."""

    answers: ClassVar = {
        "page": (200, "<html>hello</html>"),
        "list": (200, "[]"),
        "dead": (200, '{"status": "stopping"}'),
        "bare": (200, '{"status": "live"}'),
        "gone": (404, "nothing here"),
        "error": (503, json.dumps({"error": {"message": "come back", "code": 503}})),
    }

    def do_GET(self) -> None:
        status, body = self.answers[self.path.split("/")[1]]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other() -> Iterator[str]:
    """The address of a server that is no catalog."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("page", "is not a falcon-catalog: GET /health/live: Expecting value"),
        ("list", "is not a falcon-catalog: GET /health/live answers no JSON object"),
        ("dead", "is not a falcon-catalog: /health/live does not report live"),
        ("bare", "is not a falcon-catalog: /v1/config names no prefix"),
        ("gone", "is not a falcon-catalog: GET /health/live answered 404"),
        ("error", "is not a falcon-catalog: GET /health/live answered 503"),
    ],
)
def test_another_server_gets_one_line(other: str, path: str, line: str) -> None:
    said = engines("--uri", f"{other}/{path}")
    assert (said.status, said.text, said.errors.count("\n")) == (1, "", 1)
    assert said.errors.startswith(f"Error: {other}/{path} {line}")


def test_an_address_with_v1_is_told_what_to_leave_out(server: Server) -> None:
    said = engines("--uri", f"{server.url}/v1")
    wrong = f"{server.url}/v1 is not a falcon-catalog: GET /health/live answered 404"
    assert said == Said(1, "", f"Error: {wrong}. Its address ends before /v1\n")


@pytest.mark.parametrize("uri", ["", "127.0.0.1:8181", "file:///etc", "http://a b", "http://h?x=1"])
def test_what_is_no_address_gets_one_line(uri: str) -> None:
    wrong = f"{uri!r} is not the address of a catalog: it must be like http://127.0.0.1:8181"
    assert engines("--uri", uri) == Said(1, "", f"Error: {wrong}\n")


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        uri = f"http://127.0.0.1:{bound.getsockname()[1]}"
    wrong = f"No catalog answers at {uri}: [Errno 111] Connection refused"
    assert engines("--uri", uri) == Said(1, "", f"Error: {wrong}\n")
