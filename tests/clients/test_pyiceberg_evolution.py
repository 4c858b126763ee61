"""PyIceberg changes what a table is: columns, partitions, order, properties, references."""

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import EqualTo
from pyiceberg.table import Table
from pyiceberg.table.sorting import NullOrder
from pyiceberg.transforms import BucketTransform, IdentityTransform, TruncateTransform
from pyiceberg.types import DoubleType, IntegerType, LongType, StringType, StructType

from tests.clients.conftest import ARROW, Connect, read, reload, rows


def test_schema_evolution(table: Table) -> None:
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.add_column("d", DoubleType(), doc="a number")
        update.add_column("n", StructType())
        update.rename_column("s", "t")
        update.update_column("i", field_type=LongType())
        update.make_column_optional("i")
        update.move_first("d")
    with table.update_schema() as update:
        update.delete_column("t")
        update.add_column("t", StringType())
        update.add_column(("n", "x"), LongType(), doc="inside")
    with table.update_schema() as update:
        update.union_by_name(pa.schema([("d", pa.float64()), ("new", pa.int32())]))

    table = reload(table)
    assert [(f.name, f.field_id, str(f.field_type)) for f in table.schema().fields] == [
        ("d", 3, "double"),
        ("i", 1, "long"),
        ("n", 4, "struct<6: x: optional long (inside)>"),
        ("t", 5, "string"),
        ("new", 7, "int"),
    ]
    assert table.schema().schema_id == 3
    assert table.metadata.last_column_id == 7
    assert table.scan().to_arrow()["i"].to_pylist() == [1, 2]


def test_an_identical_schema_keeps_its_id(table: Table) -> None:
    with table.update_schema() as update:
        update.add_column("d", DoubleType())
    with table.update_schema() as update:
        update.delete_column("d")

    table = reload(table)
    assert table.schema().schema_id == 0
    assert sorted(table.schemas()) == [0, 1]


def test_spec_evolution(table: Table) -> None:
    with table.update_spec() as update:
        update.add_field("s", BucketTransform(4), "bucket")
        update.add_field("i", TruncateTransform(10), "ten")
    table.append(rows((3, "c")))
    with table.update_spec() as update:
        update.remove_field("bucket")
        update.rename_field("ten", "decade")
    table.append(rows((4, "d")))

    table = reload(table)
    live = [field.name for field in table.spec().fields if str(field.transform) != "void"]
    assert live == ["decade"]
    assert table.spec().spec_id == 2
    assert table.last_partition_id() == 1001
    assert read(table) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    assert read(table, row_filter=EqualTo("i", 4)) == [(4, "d")]


def test_an_identical_spec_keeps_its_id(iceberg: RestCatalog) -> None:
    table = iceberg.create_table("ns.t", ARROW)
    with table.update_spec() as update:
        update.add_identity("s")
    with table.update_spec() as update:
        update.remove_field("s")

    table = reload(table)
    assert table.spec().spec_id == 0
    assert sorted(table.specs()) == [0, 1]


def test_sort_order_evolution(table: Table) -> None:
    for column in ("s", "i", "s"):
        with table.update_sort_order() as update:
            update.desc(column, IdentityTransform(), NullOrder.NULLS_LAST)

    table = reload(table)
    assert [field.source_id for field in table.sort_order().fields] == [2]
    assert table.sort_order().order_id == 1
    assert sorted(table.sort_orders()) == [0, 1, 2]


def test_properties(table: Table) -> None:
    with table.transaction() as transaction:
        transaction.set_properties({"a": "1", "b": "2"})
    with table.transaction() as transaction:
        transaction.remove_properties("a")

    properties = reload(table).properties
    assert "a" not in properties
    assert properties["b"] == "2"


def test_a_table_moves_up_to_the_next_format_version(iceberg: RestCatalog) -> None:
    table = iceberg.create_table("ns.t", ARROW, properties={"format-version": "1"})
    table.append(rows((1, "a")))

    with table.transaction() as transaction:
        transaction.upgrade_table_version(2)
    table.append(rows((2, "b")))

    table = reload(table)
    assert table.format_version == 2
    assert read(table) == [(1, "a"), (2, "b")]


def test_tags_and_branches(table: Table) -> None:
    first = table.current_snapshot().snapshot_id
    table.manage_snapshots().create_tag(first, "v1").create_branch(
        first, "dev", min_snapshots_to_keep=2
    ).commit()
    assert reload(table).refs()["dev"].min_snapshots_to_keep == 2
    table.append(rows((3, "c")))
    table.append(rows((9, "z")), branch="dev")
    table.append(rows((8, "y")), branch="dev")

    table = reload(table)
    assert read(table) == [(1, "a"), (2, "b"), (3, "c")]
    assert read(table, snapshot_id=table.snapshot_by_name("v1").snapshot_id) == [(1, "a"), (2, "b")]
    dev = table.snapshot_by_name("dev").snapshot_id
    assert read(table, snapshot_id=dev) == [(1, "a"), (2, "b"), (8, "y"), (9, "z")]
    assert len(table.history()) == 2

    table.manage_snapshots().remove_tag("v1").remove_branch("dev").commit()
    assert set(reload(table).refs()) == {"main"}


def test_rollback(table: Table) -> None:
    first = table.current_snapshot()
    table.append(rows((3, "c")))
    second = table.current_snapshot()

    table.manage_snapshots().rollback_to_snapshot(first.snapshot_id).commit()
    table = reload(table)
    assert read(table) == [(1, "a"), (2, "b")]
    assert [entry.snapshot_id for entry in table.history()] == [
        first.snapshot_id,
        second.snapshot_id,
        first.snapshot_id,
    ]

    table.manage_snapshots().set_current_snapshot(second.snapshot_id).commit()
    assert read(table) == [(1, "a"), (2, "b"), (3, "c")]


def test_snapshots_expire(table: Table) -> None:
    first = table.current_snapshot().snapshot_id
    table.append(rows((3, "c")))
    kept = table.current_snapshot().snapshot_id
    table.manage_snapshots().create_tag(kept, "kept").commit()
    table.append(rows((4, "d")))

    table.maintenance.expire_snapshots().by_id(first).commit()

    table = reload(table)
    assert first not in {snapshot.snapshot_id for snapshot in table.snapshots()}
    assert set(table.refs()) == {"main", "kept"}
    assert read(table) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    assert read(table, snapshot_id=kept) == [(1, "a"), (2, "b"), (3, "c")]


def test_a_schema_change_on_an_old_state_is_refused(table: Table, connect: Connect) -> None:
    stale = connect().load_table("ns.t")
    with table.update_schema() as update:
        update.add_column("d", DoubleType())

    with (
        pytest.raises(
            CommitFailedException,
            match="Requirement failed: current schema changed: expected id 0 != 1",
        ),
        stale.update_schema() as update,
    ):
        update.add_column("e", IntegerType())

    assert [field.name for field in reload(table).schema().fields] == ["i", "s", "d"]


def test_a_spec_change_on_an_old_state_is_refused(table: Table, connect: Connect) -> None:
    stale = connect().load_table("ns.t")
    with table.update_spec() as update:
        update.add_identity("s")

    with (
        pytest.raises(CommitFailedException, match="Requirement failed: "),
        stale.update_spec() as update,
    ):
        update.add_field("i", BucketTransform(4), "bucket")

    assert [field.name for field in reload(table).spec().fields] == ["s"]
