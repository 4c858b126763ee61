"""PyIceberg's catalog methods."""

import threading
from collections.abc import Callable

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    ForbiddenError,
    NamespaceAlreadyExistsError,
    NamespaceNotEmptyError,
    NoSuchNamespaceError,
    NoSuchTableError,
    RESTError,
    TableAlreadyExistsError,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType, TimestampType

from tests.clients.conftest import Connect, Lake

SCHEMA = Schema(
    NestedField(1, "i", LongType(), required=True),
    NestedField(2, "s", StringType(), doc="a text"),
    NestedField(3, "at", TimestampType()),
    identifier_field_ids=[1],
)
ARROW = pa.schema([("i", pa.int64()), ("s", pa.string())])


def test_namespaces_nest(iceberg: RestCatalog) -> None:
    for namespace in ("a", "a.b", "a.b.c", ("a", "d.e")):
        iceberg.create_namespace(namespace)

    assert iceberg.list_namespaces() == [("a",), ("ns",)]
    assert iceberg.list_namespaces("a") == [("a", "b"), ("a", "d.e")]
    assert iceberg.list_namespaces(("a", "b")) == [("a", "b", "c")]
    assert iceberg.list_namespaces(("a", "d.e")) == []
    with pytest.raises(NamespaceNotEmptyError, match=r"a\.b is not empty"):
        iceberg.drop_namespace("a.b")
    for namespace in ("a.b.c", "a.b", ("a", "d.e"), "a"):
        assert iceberg.namespace_exists(namespace)
        iceberg.drop_namespace(namespace)
        assert not iceberg.namespace_exists(namespace)


def test_namespaces_that_exist_or_not(iceberg: RestCatalog) -> None:
    with pytest.raises(NamespaceAlreadyExistsError, match="Namespace already exists: ns"):
        iceberg.create_namespace("ns")
    iceberg.create_namespace_if_not_exists("ns")
    refusals: list[Callable[[str], object]] = [
        iceberg.load_namespace_properties,
        iceberg.drop_namespace,
        iceberg.list_tables,
        iceberg.list_namespaces,
        lambda name: iceberg.update_namespace_properties(name, updates={"a": "b"}),
        lambda name: iceberg.create_table((name, "t"), ARROW),
        lambda name: iceberg.create_namespace((name, "child")),
    ]
    for refused in refusals:
        with pytest.raises(
            (NoSuchNamespaceError, RESTError), match="Namespace does not exist: nowhere"
        ):
            refused("nowhere")


def test_namespace_properties(iceberg: RestCatalog) -> None:
    iceberg.create_namespace("p", {"owner": "me", "tier": "gold"})
    summary = iceberg.update_namespace_properties(
        "p", removals={"tier", "no"}, updates={"owner": "you", "ünï": "☃"}
    )

    assert summary.removed == ["tier"]
    assert sorted(summary.updated) == ["owner", "ünï"]
    assert summary.missing == ["no"]
    assert iceberg.load_namespace_properties("p") == {"owner": "you", "ünï": "☃"}


@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_a_table_is_made_and_loaded(iceberg: RestCatalog, lake: Lake, version: str) -> None:
    made = iceberg.create_table(
        "ns.t",
        SCHEMA,
        partition_spec=PartitionSpec(
            PartitionField(3, 1000, DayTransform(), "day"),
            PartitionField(1, 1001, BucketTransform(4), "bucket"),
        ),
        sort_order=SortOrder(SortField(2, transform=IdentityTransform())),
        properties={"format-version": version, "owner": "me"},
    )
    loaded = iceberg.load_table("ns.t")

    assert loaded.metadata == made.metadata
    assert loaded.metadata_location == made.metadata_location
    assert loaded.name() == ("ns", "t")
    assert loaded.schema() == SCHEMA
    assert loaded.schema().identifier_field_ids == [1]
    assert loaded.format_version == int(version)
    assert [str(field.transform) for field in loaded.spec().fields] == ["day", "bucket[4]"]
    assert [field.source_id for field in loaded.sort_order().fields] == [2]
    assert loaded.properties["owner"] == "me"
    assert loaded.location().startswith(f"file://{lake.warehouse}/ns/t")
    assert loaded.metadata.current_snapshot_id is None


def test_field_ids_are_numbered_afresh(iceberg: RestCatalog) -> None:
    schema = Schema(NestedField(30, "x", LongType()), NestedField(7, "y", LongType()))

    made = iceberg.create_table("ns.t", schema).schema()

    assert [field.field_id for field in made.fields] == [1, 2]


def test_tables_that_exist_or_not(iceberg: RestCatalog) -> None:
    made = iceberg.create_table("ns.t", ARROW)

    with pytest.raises(TableAlreadyExistsError, match=r"Table already exists: ns\.t"):
        iceberg.create_table("ns.t", ARROW)
    assert iceberg.create_table_if_not_exists("ns.t", ARROW).metadata == made.metadata
    assert iceberg.table_exists("ns.t")
    assert not iceberg.table_exists("ns.u")
    assert not iceberg.table_exists("nowhere.t")
    refusals: list[Callable[[str], object]] = [
        iceberg.load_table,
        iceberg.drop_table,
        lambda name: iceberg.rename_table(name, "ns.v"),
    ]
    for refused in refusals:
        with pytest.raises(NoSuchTableError, match=r"Table does not exist: ns\.u"):
            refused("ns.u")


def test_a_table_is_dropped_and_made_again(iceberg: RestCatalog) -> None:
    old = iceberg.create_table("ns.t", ARROW)
    old.append(pa.table({"i": [1], "s": ["a"]}))
    iceberg.drop_table("ns.t")
    assert iceberg.list_tables("ns") == []
    with pytest.raises(RESTError, match=r"Table does not exist: ns\.t"):
        old.append(pa.table({"i": [1], "s": ["a"]}))

    new = iceberg.create_table("ns.t", ARROW)

    assert new.location() != old.location()
    assert new.metadata.table_uuid != old.metadata.table_uuid
    assert new.scan().to_arrow().num_rows == 0


def test_a_purged_table_is_gone_at_once_and_its_name_free(iceberg: RestCatalog) -> None:
    iceberg.create_table("ns.t", ARROW)

    iceberg.purge_table("ns.t")

    assert not iceberg.table_exists("ns.t")
    iceberg.create_table("ns.t", ARROW)


def test_a_table_is_renamed_in_and_between_namespaces(iceberg: RestCatalog) -> None:
    iceberg.create_namespace("ns.inner")
    made = iceberg.create_table("ns.t", ARROW)
    made.append(pa.table({"i": [1], "s": ["a"]}))

    iceberg.rename_table("ns.t", "ns.u")
    renamed = iceberg.rename_table("ns.u", "ns.inner.v")

    assert renamed.location() == made.location()
    assert renamed.metadata_location == iceberg.load_table("ns.inner.v").metadata_location
    assert iceberg.list_tables("ns") == []
    assert iceberg.list_tables("ns.inner") == [("ns", "inner", "v")]
    renamed.append(pa.table({"i": [2], "s": ["b"]}))
    iceberg.create_table("ns.u", ARROW)
    with pytest.raises(TableAlreadyExistsError, match=r"Cannot rename ns\.inner\.v to ns\.u"):
        iceberg.rename_table("ns.inner.v", "ns.u")
    with pytest.raises(NoSuchNamespaceError, match="nowhere"):
        iceberg.rename_table("ns.u", "nowhere.u")


def test_a_dropped_table_is_registered_again(iceberg: RestCatalog) -> None:
    table = iceberg.create_table("ns.t", ARROW)
    table.append(pa.table({"i": [1], "s": ["a"]}))
    iceberg.drop_table("ns.t")

    again = iceberg.register_table("ns.again", table.metadata_location)

    assert again.metadata == table.metadata
    assert again.metadata_location == table.metadata_location
    again.append(pa.table({"i": [2], "s": ["b"]}))
    assert sorted(again.scan().to_arrow()["i"].to_pylist()) == [1, 2]


def test_what_register_refuses(iceberg: RestCatalog, lake: Lake) -> None:
    table = iceberg.create_table("ns.t", ARROW)
    first = table.metadata_location
    table.append(pa.table({"i": [1], "s": ["a"]}))

    with pytest.raises(TableAlreadyExistsError, match=r"Table already exists: ns\.t"):
        iceberg.register_table("ns.t", first)
    with pytest.raises(ForbiddenError, match="overlaps"):
        iceberg.register_table("ns.second", first)
    with pytest.raises(RESTError, match=r"no\.metadata\.json"):
        iceberg.register_table("ns.none", f"file://{lake.warehouse}/no.metadata.json")
    assert iceberg.register_table("ns.t", first, overwrite=True).metadata_location == first
    assert iceberg.load_table("ns.t").scan().to_arrow().num_rows == 0


@pytest.mark.parametrize("location", ["/etc/t", "file:///etc/t", "s3://bucket/t", "t"])
def test_a_location_elsewhere_is_refused(iceberg: RestCatalog, location: str) -> None:
    with pytest.raises((ForbiddenError, RESTError), match=f"ocation '?{location}"):
        iceberg.create_table("ns.t", ARROW, location=location)
    assert iceberg.list_tables("ns") == []


def test_a_create_transaction_makes_table_rows_and_schema_at_once(iceberg: RestCatalog) -> None:
    with iceberg.create_table_transaction("ns.t", ARROW, properties={"owner": "me"}) as transaction:
        assert not iceberg.table_exists("ns.t")
        with transaction.update_schema() as update:
            update.add_column("extra", StringType())
        with transaction.update_spec() as update:
            update.add_identity("s")
        transaction.set_properties(tier="gold")
        transaction.append(pa.table({"i": [1], "s": ["a"]}))
        assert not iceberg.table_exists("ns.t")

    table = iceberg.load_table("ns.t")
    assert table.scan().to_arrow().to_pylist() == [{"i": 1, "s": "a", "extra": None}]
    assert table.properties["owner"] == "me"
    assert table.properties["tier"] == "gold"
    assert [field.name for field in table.spec().fields] == ["s"]


def test_a_create_transaction_that_fails_leaves_nothing(iceberg: RestCatalog) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        iceberg.create_table_transaction("ns.t", ARROW) as transaction,
    ):
        transaction.append(pa.table({"i": [1 // 0], "s": ["a"]}))

    assert iceberg.list_tables("ns") == []
    iceberg.create_table("ns.t", ARROW)


def test_the_second_of_two_creates_is_refused(iceberg: RestCatalog) -> None:
    transactions = [iceberg.create_table_transaction("ns.t", ARROW) for _ in range(2)]
    transactions[0].commit_transaction()

    with pytest.raises(Exception, match="Requirement failed: table already exists"):
        transactions[1].commit_transaction()


def test_creates_at_the_same_time_make_one_table(connect: Connect, iceberg: RestCatalog) -> None:
    catalogs = [connect() for _ in range(4)]
    gate = threading.Barrier(len(catalogs))
    outcomes: list[object] = []

    def create(catalog: RestCatalog) -> None:
        gate.wait()
        try:
            outcomes.append(catalog.create_table("ns.t", ARROW).metadata.table_uuid)
        except TableAlreadyExistsError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=create, args=(catalog,)) for catalog in catalogs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    made = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
    assert len(outcomes) == len(catalogs)
    assert made == [iceberg.load_table("ns.t").metadata.table_uuid]


def test_lists_are_whole_in_pages_and_without(
    iceberg: RestCatalog, connect: Connect, lake: Lake
) -> None:
    names = [*(f"t{number}" for number in range(7)), "ünï", "☃"]
    for name in names:
        iceberg.create_table(("ns", name), ARROW)
        iceberg.create_namespace(("ns", name))
    sized = connect(**{"rest-page-size": "2"})
    paged = connect(**{"rest-page-size": "2"})
    paged._session.params = {"pageToken": ""}  # the specification's way to ask for the first page
    expected = [("ns", name) for name in names]

    for catalog, pages in ((iceberg, 1), (sized, 1), (paged, 5)):
        lake.forget()
        assert catalog.list_tables("ns") == expected
        assert catalog.list_namespaces("ns") == expected
        assert len(lake.requests) == 2 * pages
