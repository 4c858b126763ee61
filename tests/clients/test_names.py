"""Names that need care in a URL, from both clients."""

import pyarrow as pa
import pytest
import requests
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import NoSuchNamespaceError

from tests.clients.conftest import Duck, Lake

# DuckDB takes a dot in a schema's name for the border between two levels.
DOTTED = ["a.b", "a..b"]
NAMES = [
    "a/b",
    "/",
    "a b",
    " a ",
    "a%b",
    "a%2Fb",
    "%1F",
    "a+b",
    "a?b=c&d",
    "a#b",
    "it's",
    "a\\b",
    "ünï ☃ 雪 🌨",
    "e\u0301",  # e and an accent: another name than é
    "UPPER",
    "namespaces",
]


@pytest.mark.parametrize("name", [*NAMES, *DOTTED])
def test_a_table_of_any_name_from_duckdb(duck: Duck, iceberg: RestCatalog, name: str) -> None:
    duck(f'CREATE TABLE "{name}" AS SELECT 1 AS i', f'INSERT INTO "{name}" VALUES (2)')
    duck(f'ALTER TABLE "{name}" ADD COLUMN k INTEGER')

    assert duck(f'SELECT i FROM "{name}" ORDER BY i') == [(1,), (2,)]
    assert iceberg.list_tables("ns") == [("ns", name)]
    duck(f'ALTER TABLE "{name}" RENAME TO "{name}{name}"')
    assert duck(f'SELECT count(*) FROM "{name}{name}"') == [(2,)]
    duck(f'DROP TABLE "{name}{name}"')
    assert iceberg.list_tables("ns") == []


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_of_any_name_from_duckdb(duck: Duck, iceberg: RestCatalog, name: str) -> None:
    duck(f'CREATE SCHEMA lake."{name}"', f'CREATE SCHEMA lake."{name}.{name}"')
    duck(f'CREATE TABLE lake."{name}.{name}".t AS SELECT 1 AS i')

    assert (name,) in iceberg.list_namespaces()
    assert iceberg.list_namespaces((name,)) == [(name, name)]
    assert duck(f'FROM lake."{name}.{name}".t') == [(1,)]
    duck(f'DROP TABLE lake."{name}.{name}".t')
    duck(f'DROP SCHEMA lake."{name}.{name}"', f'DROP SCHEMA lake."{name}"')
    assert iceberg.list_namespaces() == [("ns",)]


@pytest.mark.parametrize("name", [*NAMES, *DOTTED])
def test_namespace_and_table_of_any_name_from_pyiceberg(
    iceberg: RestCatalog, lake: Lake, name: str
) -> None:
    inner = (name, name)
    for namespace in ((name,), inner):
        iceberg.create_namespace(namespace, {"name": name})
        assert iceberg.namespace_exists(namespace)
        assert iceberg.load_namespace_properties(namespace) == {"name": name}
    table = iceberg.create_table((*inner, name), pa.schema([("i", pa.int64())]))
    table.append(pa.table({"i": [1]}))

    assert table.location().startswith(f"file://{lake.warehouse}/")
    assert iceberg.table_exists((*inner, name))
    assert iceberg.list_tables(inner) == [(*inner, name)]
    assert iceberg.list_namespaces((name,)) == [inner]
    renamed = iceberg.rename_table((*inner, name), (name, f"{name}{name}"))
    renamed.append(pa.table({"i": [2]}))
    assert sorted(renamed.scan().to_arrow()["i"].to_pylist()) == [1, 2]
    iceberg.drop_table((name, f"{name}{name}"))
    iceberg.drop_namespace(inner)
    iceberg.drop_namespace((name,))
    assert iceberg.list_namespaces() == [("ns",)]


@pytest.mark.parametrize("name", [*NAMES, *DOTTED])
def test_a_table_of_pyiceberg_is_found_by_duckdb(
    duck: Duck, iceberg: RestCatalog, name: str
) -> None:
    made = iceberg.create_table(("ns", name), pa.schema([("a column", pa.int64())]))
    made.append(pa.table({"a column": [1]}))

    assert duck(f'SELECT "a column" FROM lake.ns."{name}"') == [(1,)]
    assert duck("SHOW TABLES") == [(name,)]


def test_a_parent_encoded_twice_is_understood_unless_it_exists_as_it_is(
    iceberg: RestCatalog, lake: Lake
) -> None:
    def children() -> list[list[str]]:
        answer = requests.get(f"{lake.url}/v1/namespaces?parent=a%2520b", timeout=30)
        return answer.json()["namespaces"]

    for namespace in (("a b",), ("a b", "of the space")):
        iceberg.create_namespace(namespace)
    assert children() == [["a b", "of the space"]]

    for namespace in (("a%20b",), ("a%20b", "of the percent")):
        iceberg.create_namespace(namespace)
    assert children() == [["a%20b", "of the percent"]]
    with pytest.raises(NoSuchNamespaceError, match="Namespace does not exist: no where"):
        iceberg.list_namespaces(("no where",))


def test_names_that_differ_in_case_are_different(duck: Duck, iceberg: RestCatalog) -> None:
    names = ["name", "Name", "NAME"]
    for name in names:
        duck(f"CREATE TABLE \"{name}\" AS SELECT '{name}' AS s")
        iceberg.create_namespace(name)

    assert [duck(f'FROM "{name}"') for name in names] == [[(name,)] for name in names]
    assert {table[-1] for table in iceberg.list_tables("ns")} == set(names)
    duck('DROP TABLE "Name"')
    iceberg.drop_namespace("Name")
    assert {table[-1] for table in iceberg.list_tables("ns")} == {"name", "NAME"}
    assert iceberg.list_namespaces() == [("NAME",), ("name",), ("ns",)]
