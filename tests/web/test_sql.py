"""SQL on pages: what a query returns, and what it cannot reach."""

import csv
import html
import re
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pyarrow as pa
import pytest
import requests

from falcon_catalog.query import sql
from falcon_catalog.query.server import QueryError, Server
from tests.processes import DEADLINE
from tests.web.conftest import WARM, Served
from tests.web.test_sessions import added, logged_in, run

SERIALIZED = "SELECT json_serialize_sql('SELECT 42')"


@pytest.fixture(scope="module")
def lake(serve: Callable[..., Served]) -> Served:
    catalog = serve(CATALOG_WEB_SQL="true")
    client = catalog.lake
    client.create_namespace("weather")
    client.create_namespace("a")
    client.create_namespace(("a", "b"))
    table = client.create_table("weather.observations", WARM.schema)
    table.append(WARM)
    table.append(WARM)
    client.create_table(("a", "b", "t"), WARM.schema).append(WARM)
    for name in ("lake", "main"):  # as DuckDB names a catalog and a schema
        client.create_namespace(name)
        client.create_table((name, "t"), WARM.schema).append(WARM)
    return catalog


def ask(catalog: Served, query: str, **more: str) -> requests.Response:
    parameters = {"q": query, **more}
    return requests.get(f"{catalog.url}/ui/sql", params=parameters, timeout=3 * DEADLINE)


def answer(catalog: Served, query: str) -> list[list[str]]:
    page = ask(catalog, query, format="csv")
    assert page.status_code == 200, page.text
    return list(csv.reader(page.text.splitlines()))[1:]


def problem(catalog: Served, query: str) -> str:
    page = ask(catalog, query)
    assert page.status_code in (400, 503), page.text
    found = re.search(r'class="problem"[^>]*>(.*?)</pre>', page.text, re.DOTALL)
    assert found is not None, page.text
    return html.unescape(found[1])


def test_a_query_over_tables_and_their_snapshots(lake: Served) -> None:
    first = lake.lake.load_table("weather.observations").history()[0].snapshot_id
    assert answer(lake, "SELECT count(*) FROM weather.observations") == [["4"]]
    assert answer(
        lake,
        "SELECT o.station, count(*) FROM weather.observations o"
        f' JOIN weather."observations@{first}" f USING (station)'
        ' JOIN "a.b".t USING (station) WHERE o.temperature > 20.7 GROUP BY ALL',
    ) == [["KLGA", "2"]]
    assert answer(
        lake,
        "SELECT lake.weather.observations.station, count(*) FROM lake.weather.observations"
        ' JOIN LAKE."a.b".t USING (station) JOIN weather.observations w USING (station)'
        " GROUP BY ALL ORDER BY 1",
    ) == [["KJFK", "4"], ["KLGA", "4"]]
    assert answer(lake, "FROM lake.lake.t") == [["KJFK", "20.5"], ["KLGA", "21.0"]]
    assert answer(lake, "FROM lake.t") == [["KJFK", "20.5"], ["KLGA", "21.0"]]
    assert answer(lake, "SELECT count(*) FROM main.t") == [["2"]]
    assert answer(lake, "DESCRIBE weather.observations")[0][:2] == ["station", "VARCHAR"]
    page = ask(lake, "SELECT station FROM weather.observations").text
    assert page.count("<td>KJFK</td>") == 2
    assert "/tables/observations" in page


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM read_blob('/proc/self/environ')", "disabled by configuration"),
        ("SELECT * FROM system.main.\"Query\"('SELECT 1')", "not allowed"),
        ("COPY (SELECT 1) TO '/tmp/x.csv'", "Only queries"),
        (
            "FROM weather.observation",
            "that you may read (did you mean observations?)",
        ),
        ("FROM lake.weather.nothing", "There is no table weather.nothing that you may read"),
        ("FROM main.statements", "Table statements does not exist."),
        ("FROM wether.t", "no namespace wether (did you mean weather?)"),
        ('FROM "a.c".t', "no namespace a.c"),
        ("SELECT * FROM x" + "y" * 30_000, "at most 20000"),
        ("SELECT repeat('x', 1000000) FROM range(100000)", "Memory"),
        ("SELECT list(a.range) FROM range(100000000) a, range(10) b", "Memory"),
    ],
)
def test_a_query_reaches_nothing_else(lake: Served, query: str, message: str) -> None:
    assert message.lower() in problem(lake, query).lower()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled by configuration"),
        ("SELECT * FROM '/etc/passwd'", "does not exist"),
        ("SELECT * FROM read_text('/etc/passwd')", "disabled by configuration"),
        ("SELECT * FROM glob('/etc/*')", "disabled by configuration"),
        ("SELECT * FROM sniff_csv('/etc/passwd')", "disabled by configuration"),
        ("SELECT * FROM read_parquet('https://example.com/x.parquet')", "Error"),
        ("SELECT * FROM iceberg_scan('/x')", "Error"),
        ("SELECT getenv('HOME')", "does not exist"),
        ("SELECT * FROM query('COPY (SELECT 1) TO ''/tmp/x''')", "not allowed"),
        ("SUMMARIZE FROM query('SELECT 1')", "not allowed"),
        (f"FROM json_execute_serialized_sql(({SERIALIZED}))", "not allowed"),
        (f"SELECT json_deserialize_sql(({SERIALIZED}))", "not allowed"),
        ("SELECT * FROM arrow_scan(1, 2, 3)", "not allowed"),
        ("FROM enable_profiling(save_location = '/tmp/x.txt')", "not allowed"),
        ("PIVOT weather.observations ON station USING sum(temperature)", "ON … IN (…)"),
        ("ATTACH '/tmp/x.db'", "Only queries"),
        ("INSTALL httpfs", "Only queries"),
        ("LOAD httpfs", "Only queries"),
        ("SET memory_limit = '100GB'", "Only queries"),
        ("PRAGMA memory_limit = '100GB'", "Only queries"),
        ("RESET lock_configuration", "Only queries"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/x'", "Only queries"),
        ("CREATE TABLE x AS SELECT 1", "Only queries"),
        ("SELECT 1; DROP TABLE x", "one statement"),
        ("SELECT * FROM server", "does not exist"),
        ("FROM statements", "Table statements does not exist. Name its namespace"),
        ("SHOW TABLES", "Your tables are listed beside the query"),
        ("SHOW ALL TABLES", "Your tables are listed beside the query"),
        ("SHOW TABLES FROM a", "Your tables are listed beside the query"),
        ("FROM a.b.t", 'There is no catalog a: a.b.t in a nested namespace is "a.b"."t"'),
    ],
)
def test_a_query_process_runs_nothing_else(query: str, message: str) -> None:
    """As the process runs it, without starting one for each."""
    here, there = socket.socketpair()
    with here, there, pytest.raises(QueryError, match=f"(?i){re.escape(message)}"):
        sql.run(Server(here), {"sql": query, "limit": 10, "memory": "256MB"})


def test_the_process_has_nothing_of_the_servers_environment(lake: Served) -> None:
    shown = answer(lake, "SELECT name, value FROM duckdb_settings()")
    text = str(shown)
    assert str(Path.home()) not in text or Path.home() == Path("/")
    assert str(lake.folder) not in text
    assert ["enable_external_access", "false"] in shown
    assert ["lock_configuration", "true"] in shown


def test_at_most_a_thousand_rows_are_shown(lake: Served) -> None:
    page = ask(lake, "SELECT range FROM range(5000)").text
    assert page.count('<td class="num">') == 1000
    assert "there are more" in page


def test_a_result_that_is_too_large_is_cut(lake: Served) -> None:
    columns = ", ".join(f"repeat('x', 20000) AS c{n}" for n in range(4))
    page = ask(lake, f"SELECT {columns} FROM range(1000)")
    assert page.status_code == 200
    assert "there are more" in page.text
    assert len(page.content) < 5_000_000


def test_a_pivot_of_given_values(lake: Served) -> None:
    query = "PIVOT weather.observations ON station IN ('KJFK') USING count(*) GROUP BY temperature"
    assert sorted(answer(lake, query)) == [["20.5", "2"], ["21.0", "0"]]


def test_values_of_every_kind(lake: Served) -> None:
    found = answer(
        lake,
        "SELECT NULL, true, 1.50::DECIMAL(9,2), DATE '2026-11-30', [1, NULL], {'a': 'ü'},"
        " '\\xFF'::BLOB, '<b>', TIMESTAMPTZ '2026-11-30 01:02:03+00'",
    )
    assert found[0][:8] == [
        "",
        "true",
        "1.50",
        "2026-11-30",
        "[1, null]",
        '{"a": "ü"}',
        "ff",
        "<b>",
    ]
    assert found[0][8].startswith("2026-11-30T01:02:03")


def test_a_table_with_types_that_arrow_has(lake: Served) -> None:
    rows = pa.table({"n": [1, 2, None], "tags": [["a"], [], None], "at": [None, None, None]})
    schema = pa.schema([("n", pa.int32()), ("tags", pa.list_(pa.string())), ("at", pa.date32())])
    table = lake.lake.create_table("weather.typed", schema)
    table.append(rows.cast(schema))
    assert answer(lake, "SELECT n, tags FROM weather.typed WHERE n = 1") == [["1", '["a"]']]


def test_a_query_reads_only_what_its_visitor_may_select(serve: Callable[..., Served]) -> None:
    catalog = serve(CATALOG_AUTH_REQUIRED="true", CATALOG_WEB_SQL="true")
    owner = catalog.lake_of(added(catalog, "owner", "--owner"))
    owner.create_namespace("weather")
    for name in ("readable", "described", "hidden"):
        owner.create_table(f"weather.{name}", WARM.schema).append(WARM)
    ann, stranger = (logged_in(catalog, added(catalog, name)) for name in ("ann", "stranger"))
    for privilege, table in (("select", "readable"), ("describe", "described")):
        run(catalog, "grant", f"list,{privilege}", "on", "table", f"weather.{table}", "to", "ann")
    page = ann.open("/ui/sql?format=csv&q=SELECT+station+FROM+weather.readable")
    assert page.text.splitlines() == ["station", "KJFK", "KLGA"]
    messages = {}
    for name in ("described", "hidden", "missing"):
        for query in (
            f"SELECT * FROM weather.{name}",
            f'WITH x AS (SELECT * FROM weather."{name}@main") SELECT count(*) FROM x',
        ):
            page = ann.open(f"/ui/sql?{urlencode({'q': query})}")
            assert page.status_code == 400, page.text
            for secret in ("KJFK", "20.5", "temperature", ".parquet", "/tables/hidden"):
                assert secret not in page.text, secret
            messages[name] = re.findall(r'class="problem"[^>]*>(.*?)</', page.text, re.DOTALL)[0]
    assert "needs select on table weather.described" in messages["described"]
    assert messages["hidden"].replace("hidden", "missing") == messages["missing"]
    assert stranger.open("/ui/sql?q=SELECT+1").status_code == 404
    assert "weather" not in stranger.page.text
