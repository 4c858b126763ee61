"""DuckDB's schemas are the catalog's namespaces."""

import duckdb
import pytest
from pyiceberg.catalog.rest import RestCatalog

from tests.clients.conftest import Attach, Duck, Lake


def test_a_schema_is_made_once_and_dropped(duck: Duck, lake: Lake, iceberg: RestCatalog) -> None:
    duck("CREATE SCHEMA lake.s")
    assert ("s",) in iceberg.list_namespaces()

    with pytest.raises(duckdb.CatalogException, match="already exists"):
        duck("CREATE SCHEMA lake.s")
    posts = lake.sent("POST")
    duck("CREATE SCHEMA IF NOT EXISTS lake.s")
    assert lake.sent("POST") == posts

    duck("DROP SCHEMA lake.s")
    assert ("s",) not in iceberg.list_namespaces()
    duck("DROP SCHEMA IF EXISTS lake.s")


def test_a_dotted_schema_is_a_nested_namespace(duck: Duck, iceberg: RestCatalog) -> None:
    duck("CREATE SCHEMA lake.a", 'CREATE SCHEMA lake."a.b"', 'CREATE SCHEMA lake."a.b.c"')
    duck('CREATE SCHEMA IF NOT EXISTS lake."a.b"', 'CREATE TABLE lake."a.b".t AS SELECT 1 AS i')

    assert iceberg.list_namespaces("a") == [("a", "b")]
    assert iceberg.list_namespaces("a.b") == [("a", "b", "c")]
    assert iceberg.list_tables("a.b") == [("a", "b", "t")]
    assert duck('FROM lake."a.b".t') == [(1,)]

    duck('DROP TABLE lake."a.b".t', 'DROP SCHEMA lake."a.b.c"', 'DROP SCHEMA lake."a.b"')
    assert iceberg.list_namespaces("a") == []


@pytest.mark.parametrize(
    ("options", "schemas"),
    [
        ("", ["a", "ns"]),
        ("SUPPORT_NESTED_NAMESPACES true", ["a", "a.b", "a.b.c", "ns"]),
    ],
)
def test_nested_schemas_are_listed_where_asked_for(
    iceberg: RestCatalog, attach: Attach, options: str, schemas: list[str]
) -> None:
    for namespace in ("a", "a.b", "a.b.c"):
        iceberg.create_namespace(namespace)
    fresh = attach(options)

    listed = fresh(
        "SELECT schema_name FROM information_schema.schemata"
        " WHERE catalog_name = 'lake' ORDER BY ALL"
    )

    assert [name for (name,) in listed] == schemas


def test_all_tables_are_listed_with_their_schemas(duck: Duck, attach: Attach) -> None:
    duck("CREATE SCHEMA lake.a", 'CREATE SCHEMA lake."a.b"')
    duck("CREATE TABLE t (i INTEGER)", 'CREATE TABLE lake."a.b".u (i INTEGER)')

    fresh = attach("SUPPORT_NESTED_NAMESPACES true")

    assert {row[1:3] for row in fresh("SHOW ALL TABLES")} == {("ns", "t"), ("a.b", "u")}
    assert fresh("FROM lake.ns.t") == fresh('FROM lake."a.b".u') == []


def test_schema_properties_are_set_shown_and_removed(duck: Duck, iceberg: RestCatalog) -> None:
    duck("CALL set_iceberg_schema_properties(lake.ns, {'owner': 'me', 'tier': 'gold'})")
    assert iceberg.load_namespace_properties("ns") == {"owner": "me", "tier": "gold"}

    duck("CALL remove_iceberg_schema_properties(lake.ns, ['tier'])")
    assert iceberg.load_namespace_properties("ns") == {"owner": "me"}
    assert duck("FROM iceberg_schema_properties(lake.ns)") == [("owner", "me")]


def test_a_schema_that_holds_tables_stays(duck: Duck, iceberg: RestCatalog) -> None:
    duck("CREATE TABLE t (i INTEGER)")

    with pytest.raises(duckdb.TransactionException, match=r"ns is not empty\. It holds 1 table"):
        duck("DROP SCHEMA lake.ns")

    assert iceberg.list_tables("ns") == [("ns", "t")]


def test_a_schema_whose_parent_is_missing_is_refused(duck: Duck, iceberg: RestCatalog) -> None:
    with pytest.raises(duckdb.TransactionException, match="Namespace does not exist: nowhere"):
        duck('CREATE SCHEMA lake."nowhere.b"')

    assert iceberg.list_namespaces() == [("ns",)]
