"""PyIceberg writes rows, alone and against others."""

import threading

from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.expressions import EqualTo, GreaterThan
from pyiceberg.table import Table
from pyiceberg.types import DoubleType

from tests.clients.conftest import ARROW, Connect, read, reload, rows


def test_append_overwrite_delete(table: Table) -> None:
    table.append(rows((3, "c")), snapshot_properties={"batch": "7"})
    assert table.current_snapshot().summary["batch"] == "7"
    table.overwrite(rows((3, "C")), overwrite_filter=EqualTo("i", 3))
    assert read(table) == [(1, "a"), (2, "b"), (3, "C")]

    table.delete(GreaterThan("i", 1))
    assert read(table) == [(1, "a")]
    table.overwrite(rows((9, "z")))
    assert read(table) == [(9, "z")]
    assert reload(table).metadata == table.metadata


def test_overwrite_is_two_snapshots_and_one_entry_of_history(table: Table) -> None:
    table.overwrite(rows((9, "z")))

    table = reload(table)
    assert len(table.snapshots()) == 3
    assert [entry.snapshot_id for entry in table.history()] == [
        table.snapshots()[0].snapshot_id,
        table.snapshots()[2].snapshot_id,
    ]
    assert table.snapshots()[2].parent_snapshot_id == table.snapshots()[1].snapshot_id


def test_upsert(table: Table) -> None:
    result = table.upsert(rows((2, "B"), (3, "c")), join_cols=["i"])

    assert (result.rows_updated, result.rows_inserted) == (1, 1)
    assert read(table) == [(1, "a"), (2, "B"), (3, "c")]


def test_dynamic_partition_overwrite(table: Table) -> None:
    with table.update_spec() as update:
        update.add_identity("s")
    table.overwrite(rows((1, "a"), (2, "b"), (3, "b")))

    table.dynamic_partition_overwrite(rows((9, "b")))

    assert read(table) == [(1, "a"), (9, "b")]


def test_files_are_added(table: Table, iceberg: RestCatalog) -> None:
    source = iceberg.create_table("ns.source", ARROW)
    source.append(rows((5, "e")))

    table.add_files([task.file.file_path for task in source.scan().plan_files()])

    assert read(table) == [(1, "a"), (2, "b"), (5, "e")]


def test_a_transaction_commits_everything_at_once(table: Table, connect: Connect) -> None:
    other = connect().load_table("ns.t")
    with table.transaction() as transaction:
        with transaction.update_schema() as update:
            update.add_column("d", DoubleType())
        transaction.delete(EqualTo("i", 1))
        transaction.append(rows((3, "c")))
        transaction.set_properties(owner="me")
        assert read(other) == [(1, "a"), (2, "b")]

    assert read(other) == [(2, "b", None), (3, "c", None)]
    assert reload(other).properties["owner"] == "me"
    assert len(reload(other).history()) == 2


def test_an_append_on_an_old_state_is_tried_again(table: Table, connect: Connect) -> None:
    stale = connect().load_table("ns.t")
    table.append(rows((3, "c")))

    stale.append(rows((4, "d")))

    assert read(table) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]


def test_concurrent_appends_all_arrive(table: Table, connect: Connect) -> None:
    writers = 3
    tables = [connect().load_table("ns.t") for _ in range(writers)]
    with table.transaction() as transaction:
        transaction.set_properties({"commit.retry.num-retries": "20"})
    gate = threading.Barrier(writers)
    failures: list[Exception] = []

    def append(number: int) -> None:
        gate.wait()
        try:
            for batch in range(3):
                tables[number].append(rows((100 + 10 * number + batch, "x")))
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=append, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    table = reload(table)
    appended = [100 + 10 * number + batch for number in range(writers) for batch in range(3)]
    assert [i for i, _ in read(table)] == [1, 2, *appended]
    assert len(table.snapshots()) == len(table.history()) == 1 + len(appended)
