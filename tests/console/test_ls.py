"""``falcon-catalog ls``."""

import pytest
from pyiceberg.catalog.rest import RestCatalog

from tests.catalog.serving import Server
from tests.console.conftest import SCHEMA, Console

VIEW = {
    "name": "warm",
    "schema": SCHEMA.model_dump(mode="json", by_alias=True),
    "view-version": {
        "version-id": 1,
        "timestamp-ms": 1,
        "schema-id": 0,
        "summary": {},
        "representations": [{"type": "sql", "sql": "SELECT 1\n  AS one", "dialect": "duckdb"}],
        "default-namespace": ["weather"],
    },
    "properties": {},
}


@pytest.mark.usefixtures("observations")
def test_namespaces_tables_and_views(
    console: Console, server: Server, catalog: RestCatalog
) -> None:
    catalog.create_namespace(("weather", "raw"))
    catalog.create_table(("weather", "raw", "a.b"), SCHEMA)
    server.ok("POST", "/v1/namespaces/weather/views", VIEW)
    assert console.ok("ls", "--quiet") == "weather\n"
    assert console.ok("ls", "weather").splitlines() == [
        "name                  kind",
        "weather.raw           namespace",
        "weather.observations  table",
        "weather.warm          view",
    ]
    assert console.ok("ls", "-rq").splitlines() == [
        "weather",
        "weather.raw",
        'weather.raw."a.b"',
        "weather.observations",
        "weather.warm",
    ]
    assert console.ok("ls", 'weather.raw."a.b"', "-q") == 'weather.raw."a.b"\n'
    *_, table, view = console.json("ls", "weather", "-l")
    assert table == {
        "name": "weather.observations",
        "parts": ["weather", "observations"],
        "kind": "table",
        "format-version": 2,
        "updated": table["updated"],
        "rows": 42,
        "size": table["size"],
        "files": 2,
        "delete-files": 0,
    }
    assert table["updated"].endswith("Z")
    assert table["size"] > 0
    assert view["format-version"] == 1


def test_every_page_is_read(console: Console, server: Server, catalog: RestCatalog) -> None:
    catalog.create_namespace("many")
    for number in range(5):
        catalog.create_table(f"many.t{number}", SCHEMA)
    environ = {
        "PYICEBERG_CATALOG__PAGED__URI": server.url,
        "PYICEBERG_CATALOG__PAGED__REST_PAGE_SIZE": "2",
    }
    done = console.run("ls", "many", "-q", "--catalog", "paged", env=environ)
    assert done.stdout.splitlines() == [f"many.t{number}" for number in range(5)]


@pytest.mark.usefixtures("observations")
def test_a_name_that_does_not_exist_suggests_close_ones(console: Console) -> None:
    status, line = console.fails("ls", "weathr")
    assert (status, line) == (
        4,
        "Error: There is no table, view or namespace weathr (did you mean weather?)",
    )
    status, line = console.fails("show", "weather.Observation")
    assert status == 4
    assert line.endswith(" weather.Observation (did you mean weather.observations?)")
    for name in ("WEATHER.observations", "weathr.observatons"):
        line = console.fails("show", name)[1]
        assert line.endswith(f" {name} (did you mean weather.observations?)")
    assert "(did you mean weather?)" in console.fails("show", "weathr.none")[1]
    # The namespace alone makes no name close.
    assert console.fails("show", "weather.citis")[1].endswith(" weather.citis")


@pytest.mark.parametrize("words", [("ls", "a@main"), ("ls", "a..b"), ("ls", "--json=x")])
def test_wrong_usage_has_status_2(console: Console, words: tuple[str, ...]) -> None:
    assert console.fails(*words)[0] == 2


def test_names_cannot_command_the_terminal(console: Console, server: Server) -> None:
    server.ok("POST", "/v1/namespaces", {"namespace": ["red\u202e"]})
    assert console.ok("ls", "-q") == "red\\u202e\n"
    assert "\u202e" not in console.ok("ls")
    assert console.json("ls")[0]["name"] == "red\u202e"
