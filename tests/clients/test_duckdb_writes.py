"""DuckDB inserts, updates, deletes, merges and truncates; every format version, each layout."""

import duckdb
import pytest
from pyiceberg.catalog.rest import RestCatalog

from tests.clients.conftest import Attach, Duck

MERGE = """MERGE INTO t USING (VALUES (2, 'two'), (4, 'four')) AS u (i, s) ON t.i = u.i
    WHEN MATCHED THEN UPDATE SET s = u.s WHEN NOT MATCHED THEN INSERT (i, s) VALUES (u.i, u.s)"""
ALL = [(1, "a"), (2, "b"), (3, "c")]


@pytest.fixture(params=["2", "3", "2 partitioned", "3 partitioned"])
def t(duck: Duck, request: pytest.FixtureRequest) -> Duck:
    """A connection with a table ``t`` that holds ALL."""
    version, _, partitioned = request.param.partition(" ")
    layout = "PARTITIONED BY (s)" if partitioned else ""
    duck(
        f"CREATE TABLE t (i INTEGER, s VARCHAR) {layout} WITH ('format-version' = '{version}')",
        "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    )
    return duck


@pytest.mark.parametrize(
    ("statement", "count", "left"),
    [
        ("INSERT INTO t VALUES (4, 'd')", 1, [*ALL, (4, "d")]),
        ("INSERT INTO t SELECT i + 3, s FROM t", 3, [*ALL, (4, "a"), (5, "b"), (6, "c")]),
        ("UPDATE t SET s = 'x' WHERE i > 1", 2, [(1, "a"), (2, "x"), (3, "x")]),
        ("DELETE FROM t WHERE s = 'b'", 1, [(1, "a"), (3, "c")]),
        ("DELETE FROM t WHERE i = 9", 0, ALL),
        (MERGE, 2, [(1, "a"), (2, "two"), (3, "c"), (4, "four")]),
        ("TRUNCATE t", 3, []),
    ],
)
def test_a_statement_changes_what_it_says(
    t: Duck, attach: Attach, statement: str, count: int, left: list[tuple[int, str]]
) -> None:
    assert t(statement) == [(count,)]
    assert t("FROM t ORDER BY i") == left
    assert attach()("FROM lake.ns.t ORDER BY i") == left


def test_changes_pile_up(t: Duck, iceberg: RestCatalog) -> None:
    t("DELETE FROM t WHERE i = 1", "DELETE FROM t WHERE i = 2", "INSERT INTO t VALUES (1, 'z')")
    t("UPDATE t SET i = i + 1", MERGE)

    assert t("FROM t ORDER BY i") == [(2, "two"), (4, "four")]
    numbers = [s.sequence_number for s in iceberg.load_table("ns.t").snapshots()]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_a_v1_table_takes_inserts_only(duck: Duck) -> None:
    duck("CREATE TABLE t WITH ('format-version' = '1') AS SELECT 1 AS i")
    duck("INSERT INTO t VALUES (2)")

    with pytest.raises(duckdb.NotImplementedException, match="V1"):
        duck("DELETE FROM t")
    assert duck("FROM t ORDER BY i") == [(1,), (2,)]
