"""DuckDB looks into the past and the inside of tables."""

import duckdb
import pytest
from pyiceberg.catalog.rest import RestCatalog

from tests.clients.conftest import Duck

SNAPSHOTS = (
    "SELECT snapshot_id, timestamp_ms FROM iceberg_snapshots(lake.ns.t) ORDER BY sequence_number"
)


@pytest.fixture
def t(duck: Duck) -> Duck:
    """A connection with a table whose four states hold STATES."""
    duck(
        "CREATE TABLE t AS SELECT 1 AS i, 'a' AS s",
        "INSERT INTO t VALUES (2, 'b')",
        "UPDATE t SET s = 'c' WHERE i = 1",
        "DELETE FROM t WHERE i = 2",
    )
    return duck


STATES = [[(1, "a")], [(1, "a"), (2, "b")], [(1, "c"), (2, "b")], [(1, "c")]]


def test_each_snapshot_is_read_by_its_id(t: Duck) -> None:
    ids = [row[0] for row in t(SNAPSHOTS)]

    assert [t(f"FROM t AT (VERSION => {id_}) ORDER BY i") for id_ in ids] == STATES


def test_each_snapshot_is_read_at_its_own_time_and_not_before(t: Duck) -> None:
    times = [f"TIMESTAMP '{row[1]}'" for row in t(SNAPSHOTS)]

    assert [t(f"FROM t AT (TIMESTAMP => {time}) ORDER BY i") for time in times] == STATES
    assert [
        t(f"FROM t AT (TIMESTAMP => {time} - INTERVAL 1 MILLISECOND) ORDER BY i") for time in times
    ] == [[], *STATES[:-1]]


def test_the_past_keeps_its_columns(t: Duck) -> None:
    first = t(SNAPSHOTS)[0][0]
    t("ALTER TABLE t DROP COLUMN s", "ALTER TABLE t ADD COLUMN k INTEGER")

    assert t(f"FROM t AT (VERSION => {first})") == [(1, "a")]
    assert t("FROM t") == [(1, None)]


def test_an_unknown_snapshot_is_refused(t: Duck) -> None:
    with pytest.raises(duckdb.Error, match="Could not find snapshot with id 1"):
        t("FROM t AT (VERSION => 1)")


def test_the_history_is_that_of_the_catalog(t: Duck, iceberg: RestCatalog) -> None:
    table = iceberg.load_table("ns.t")

    assert [entry.snapshot_id for entry in table.history()] == [row[0] for row in t(SNAPSHOTS)]
    by_id = {snapshot.snapshot_id: snapshot.timestamp_ms for snapshot in table.snapshots()}
    assert {entry.snapshot_id: entry.timestamp_ms for entry in table.history()} == by_id


def test_a_merge_is_two_snapshots_and_one_entry_of_history(t: Duck, iceberg: RestCatalog) -> None:
    t(
        "MERGE INTO t USING (VALUES (1), (5)) AS u (i) ON t.i = u.i"
        " WHEN MATCHED THEN UPDATE SET s = 'm' WHEN NOT MATCHED THEN INSERT VALUES (u.i, 'n')"
    )

    table = iceberg.load_table("ns.t")
    assert len(table.snapshots()) == len(STATES) + 2
    assert len(table.history()) == len(STATES) + 1
    assert table.history()[-1].snapshot_id == table.metadata.current_snapshot_id
    assert t("FROM t ORDER BY i") == [(1, "m"), (5, "n")]


def test_metadata_functions_show_files_and_statistics(t: Duck, iceberg: RestCatalog) -> None:
    files = t("SELECT DISTINCT content FROM iceberg_metadata(lake.ns.t) ORDER BY ALL")
    statistics = t(
        "SELECT DISTINCT column_name, lower_bound FROM iceberg_column_stats(lake.ns.t)"
        " WHERE column_name = 'i' ORDER BY ALL"
    )

    assert files == [("EXISTING",), ("POSITION_DELETES",)]
    assert ("i", "1") in statistics
    [(location, metadata, *_)] = t("FROM iceberg_load_table_response(lake.ns.t)")
    table = iceberg.load_table("ns.t")
    assert location == table.metadata_location
    assert metadata["table-uuid"] == str(table.metadata.table_uuid)


def test_partition_statistics_are_shown(duck: Duck) -> None:
    duck("CREATE TABLE p (d DATE) PARTITIONED BY (year(d))", "INSERT INTO p VALUES ('2024-05-01')")

    shown = duck(
        "SELECT partition_source_columns, partition_field_transform, lower_bound, upper_bound"
        " FROM iceberg_partition_stats(lake.ns.p)"
    )

    assert shown == [(["d"], "year", "54", "54")]
