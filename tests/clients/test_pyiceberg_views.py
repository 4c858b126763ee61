"""PyIceberg's view methods against the catalog on a real socket."""

import pytest
import requests
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

from tests.clients.conftest import Lake

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "data", StringType()),
)


def query(sql: str, dialect: str = "spark") -> ViewVersion:
    written = SQLViewRepresentation(type="sql", sql=sql, dialect=dialect)
    return ViewVersion(
        schema_id=0,
        representations=[ViewRepresentation(root=written)],
        default_namespace=("ns",),
    )


def test_a_view_is_made_and_read_back(iceberg: RestCatalog) -> None:
    sent = query("select * from ns.t")
    made = iceberg.create_view(("ns", "v"), SCHEMA, sent, properties={"k": "v"})
    assert made.name() == ("ns", "v")
    loaded = iceberg.load_view(("ns", "v"))
    assert loaded == made
    assert loaded.metadata.properties == {"k": "v"}
    assert loaded.metadata.schemas == [SCHEMA]
    assert loaded.metadata.current_version_id == 1
    assert loaded.metadata.versions == [sent]
    assert loaded.metadata.version_log[0].timestamp_ms == sent.timestamp_ms


def test_a_location_is_kept(iceberg: RestCatalog, lake: Lake) -> None:
    location = f"file://{lake.warehouse}/mine"
    made = iceberg.create_view(("ns", "v"), SCHEMA, query("select 1"), location=location)
    assert made.metadata.location == location


def test_views_are_listed_found_and_dropped(iceberg: RestCatalog) -> None:
    assert iceberg.list_views("ns") == []
    assert not iceberg.view_exists(("ns", "a"))
    for name in "ab":
        iceberg.create_view(("ns", name), SCHEMA, query("select 1"))
    iceberg.create_table(("ns", "t"), SCHEMA)
    assert iceberg.list_views("ns") == [("ns", "a"), ("ns", "b")]
    assert iceberg.list_tables("ns") == [("ns", "t")]
    assert iceberg.view_exists(("ns", "a"))
    assert not iceberg.table_exists(("ns", "a"))
    iceberg.drop_view(("ns", "a"))
    assert iceberg.list_views("ns") == [("ns", "b")]


def test_a_view_is_registered_again(iceberg: RestCatalog, lake: Lake) -> None:
    made = iceberg.create_view(("ns", "v"), SCHEMA, query("select 1"))
    answer = requests.get(f"{lake.url}/v1/namespaces/ns/views/v", timeout=30)
    location = answer.json()["metadata-location"]
    iceberg.drop_view(("ns", "v"))
    registered = iceberg.register_view(("ns", "w"), location)
    assert registered.name() == ("ns", "w")
    assert registered.metadata == made.metadata
    assert iceberg.load_view(("ns", "w")).metadata == made.metadata


def test_what_is_wrong_comes_as_pyiceberg_s_own_errors(iceberg: RestCatalog) -> None:
    iceberg.create_view(("ns", "v"), SCHEMA, query("select 1"))
    iceberg.create_table(("ns", "t"), SCHEMA)
    for taken in ("v", "t"):
        with pytest.raises(ViewAlreadyExistsError, match="already exists"):
            iceberg.create_view(("ns", taken), SCHEMA, query("select 1"))
    with pytest.raises(TableAlreadyExistsError, match=r"View with same name already exists: ns\.v"):
        iceberg.create_table(("ns", "v"), SCHEMA)
    with pytest.raises(NoSuchViewError, match=r"View does not exist: ns\.no"):
        iceberg.load_view(("ns", "no"))
    with pytest.raises(NoSuchViewError, match=r"View does not exist: ns\.no"):
        iceberg.drop_view(("ns", "no"))
    with pytest.raises(NoSuchTableError, match=r"Table does not exist: ns\.v"):
        iceberg.load_table(("ns", "v"))
    with pytest.raises(NoSuchNamespaceError):
        iceberg.list_views("no")
