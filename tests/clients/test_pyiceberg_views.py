"""PyIceberg's view methods against the catalog on a real socket."""

import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    NoSuchNamespaceError,
    NoSuchTableError,
    NoSuchViewError,
    TableAlreadyExistsError,
    ViewAlreadyExistsError,
)
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, StringType
from pyiceberg.view.metadata import SQLViewRepresentation, ViewRepresentation, ViewVersion

from tests.catalog.conftest import ns, server  # noqa: F401 - fixtures
from tests.catalog.serving import Server

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "data", StringType()),
)


@pytest.fixture
def catalog(ns: Server) -> RestCatalog:  # noqa: F811
    """A PyIceberg catalog with one namespace, ``ns``."""
    catalog = load_catalog("catalog", type="rest", uri=ns.url)
    assert isinstance(catalog, RestCatalog)
    return catalog


def query(sql: str, dialect: str = "spark") -> ViewVersion:
    written = SQLViewRepresentation(type="sql", sql=sql, dialect=dialect)
    return ViewVersion(
        schema_id=0,
        representations=[ViewRepresentation(root=written)],
        default_namespace=("ns",),
    )


def test_a_view_is_made_and_read_back(catalog: RestCatalog) -> None:
    sent = query("select * from ns.t")
    made = catalog.create_view(("ns", "v"), SCHEMA, sent, properties={"k": "v"})
    assert made.name() == ("ns", "v")
    loaded = catalog.load_view(("ns", "v"))
    assert loaded == made
    assert loaded.metadata.properties == {"k": "v"}
    assert loaded.metadata.schemas == [SCHEMA]
    assert loaded.metadata.current_version_id == 1
    assert loaded.metadata.versions == [sent]
    assert loaded.metadata.version_log[0].timestamp_ms == sent.timestamp_ms


def test_a_location_is_kept(catalog: RestCatalog, ns: Server) -> None:  # noqa: F811
    location = f"file://{ns.warehouse}/mine"
    made = catalog.create_view(("ns", "v"), SCHEMA, query("select 1"), location=location)
    assert made.metadata.location == location


def test_views_are_listed_found_and_dropped(catalog: RestCatalog) -> None:
    assert catalog.list_views("ns") == []
    assert not catalog.view_exists(("ns", "a"))
    for name in "ab":
        catalog.create_view(("ns", name), SCHEMA, query("select 1"))
    catalog.create_table(("ns", "t"), SCHEMA)
    assert catalog.list_views("ns") == [("ns", "a"), ("ns", "b")]
    assert catalog.list_tables("ns") == [("ns", "t")]
    assert catalog.view_exists(("ns", "a"))
    assert not catalog.table_exists(("ns", "a"))
    catalog.drop_view(("ns", "a"))
    assert catalog.list_views("ns") == [("ns", "b")]


def test_a_view_is_registered_again(catalog: RestCatalog, ns: Server) -> None:  # noqa: F811
    made = catalog.create_view(("ns", "v"), SCHEMA, query("select 1"))
    location = ns.ok("GET", "/v1/namespaces/ns/views/v")["metadata-location"]
    catalog.drop_view(("ns", "v"))
    registered = catalog.register_view(("ns", "w"), location)
    assert registered.name() == ("ns", "w")
    assert registered.metadata == made.metadata
    assert catalog.load_view(("ns", "w")).metadata == made.metadata


def test_what_is_wrong_comes_as_pyiceberg_s_own_errors(catalog: RestCatalog) -> None:
    catalog.create_view(("ns", "v"), SCHEMA, query("select 1"))
    catalog.create_table(("ns", "t"), SCHEMA)
    for taken in ("v", "t"):
        with pytest.raises(ViewAlreadyExistsError, match="already exists"):
            catalog.create_view(("ns", taken), SCHEMA, query("select 1"))
    with pytest.raises(TableAlreadyExistsError, match=r"View with same name already exists: ns\.v"):
        catalog.create_table(("ns", "v"), SCHEMA)
    with pytest.raises(NoSuchViewError, match=r"View does not exist: ns\.no"):
        catalog.load_view(("ns", "no"))
    with pytest.raises(NoSuchViewError, match=r"View does not exist: ns\.no"):
        catalog.drop_view(("ns", "no"))
    with pytest.raises(NoSuchTableError, match=r"Table does not exist: ns\.v"):
        catalog.load_table(("ns", "v"))
    with pytest.raises(NoSuchNamespaceError):
        catalog.list_views("no")
