"""Transactions of DuckDB: all or nothing, first come first served."""

import duckdb
import pytest
from pyiceberg.catalog.rest import RestCatalog

from tests.clients.conftest import Attach, Duck, Lake


@pytest.fixture
def two(duck: Duck) -> Duck:
    """A connection with the tables ``a`` and ``b``, one row in each."""
    duck("CREATE TABLE a AS SELECT 1 AS i", "CREATE TABLE b AS SELECT 1 AS i")
    return duck


@pytest.fixture
def other(two: Duck, attach: Attach) -> Duck:
    """A second DuckDB beside the first, at work on the same tables."""
    del two  # made the tables
    one = attach()
    one("USE lake.ns")
    return one


def test_two_tables_are_committed_in_one_request(two: Duck, lake: Lake) -> None:
    lake.forget()
    two("BEGIN", "INSERT INTO a VALUES (2)", "DELETE FROM b", "ALTER TABLE b ADD COLUMN k INTEGER")
    assert lake.sent("POST") == []

    two("COMMIT")

    assert lake.sent("POST") == ["/v1/default/transactions/commit"]
    assert two("FROM a ORDER BY i") == [(1,), (2,)]
    assert two("FROM b") == []


@pytest.mark.parametrize("blocked", ["a", "b"])
def test_a_conflict_in_one_table_leaves_both_unchanged(
    two: Duck, other: Duck, iceberg: RestCatalog, blocked: str
) -> None:
    two("BEGIN", "INSERT INTO a VALUES (2)", "INSERT INTO b VALUES (2)")
    other(f"INSERT INTO {blocked} VALUES (3)")
    states = {name: iceberg.load_table(f"ns.{name}").metadata for name in "ab"}

    with pytest.raises(duckdb.TransactionException, match="branch main has changed: expected id"):
        two("COMMIT")

    assert {name: iceberg.load_table(f"ns.{name}").metadata for name in "ab"} == states
    rows = {name: other(f"FROM {name} ORDER BY i") for name in "ab"}
    assert rows == {name: [(1,), (3,)] if name == blocked else [(1,)] for name in "ab"}
    two("INSERT INTO a VALUES (4)")
    assert (4,) in two("FROM a")


def test_a_dropped_table_undoes_the_whole_transaction(two: Duck, other: Duck) -> None:
    two("BEGIN", "INSERT INTO a VALUES (2)", "INSERT INTO b VALUES (2)")
    other("DROP TABLE b")

    with pytest.raises(duckdb.TransactionException, match=r"Table does not exist: ns\.b"):
        two("COMMIT")

    assert other("FROM a") == [(1,)]


@pytest.mark.parametrize(
    ("statement", "message", "after"),
    [
        ("INSERT INTO a VALUES (2)", "branch main has changed: expected id", "FROM a"),
        ("DELETE FROM a", "branch main has changed: expected id", "FROM a"),
        ("UPDATE a SET i = i + 1", "branch main has changed: expected id", "FROM a"),
        (
            "ALTER TABLE a ADD COLUMN k INTEGER",
            "current schema changed: expected id 0 != 1",
            "DESCRIBE a",
        ),
        (
            "ALTER TABLE a SET PARTITIONED BY (i)",
            "last assigned partition id changed: expected id 999 != 1000",
            "FROM iceberg_table_properties(a)",
        ),
        ("CREATE TABLE c (i INTEGER)", "Requirement failed: table already exists", "FROM c"),
        ("ALTER TABLE a RENAME TO c", r"Table does not exist: ns\.a", "FROM c"),
    ],
)
def test_the_second_of_two_commits_is_refused(
    two: Duck, other: Duck, statement: str, message: str, after: str
) -> None:
    two("BEGIN", statement)
    other(statement)
    left = sorted(other(after))

    with pytest.raises(duckdb.TransactionException, match=message):
        two("COMMIT")

    assert sorted(other(after)) == left


def test_writers_of_different_tables_do_not_meet(two: Duck, other: Duck) -> None:
    two("BEGIN", "INSERT INTO a VALUES (2)")
    other("BEGIN", "INSERT INTO b VALUES (2)", "COMMIT")
    two("COMMIT")

    assert two("FROM a ORDER BY i") == two("FROM b ORDER BY i") == [(1,), (2,)]


def test_a_transaction_reads_one_state_and_its_own_changes(two: Duck, other: Duck) -> None:
    two("BEGIN")
    assert two("FROM a") == [(1,)]
    other("INSERT INTO a VALUES (9)")
    two("INSERT INTO b VALUES (2)")

    assert two("FROM a") == [(1,)]
    assert two("FROM b ORDER BY i") == [(1,), (2,)]
    assert other("FROM b") == [(1,)]
    two("COMMIT")
    assert two("FROM a ORDER BY i") == [(1,), (9,)]


def test_a_rollback_asks_nothing_of_the_server(two: Duck, lake: Lake) -> None:
    two("BEGIN", "INSERT INTO a VALUES (2)", "DROP TABLE b", "ALTER TABLE a ADD COLUMN k INTEGER")
    lake.forget()

    two("ROLLBACK")

    assert lake.requests == []
    assert two("FROM a") == two("FROM b") == [(1,)]


def test_a_staged_create_that_is_rolled_back_leaves_nothing(
    duck: Duck, iceberg: RestCatalog
) -> None:
    duck("BEGIN", "CREATE TABLE t AS SELECT 1 AS i", "ROLLBACK")

    assert iceberg.list_tables("ns") == []
    duck("CREATE TABLE t AS SELECT 'x' AS s")
    assert duck("FROM t") == [("x",)]
    duck("DROP TABLE t", "DROP SCHEMA lake.ns")


def test_a_table_is_made_and_filled_in_a_transaction(two: Duck, other: Duck) -> None:
    two("BEGIN", "CREATE TABLE c AS SELECT 1 AS i", "INSERT INTO c VALUES (2)")
    two("INSERT INTO a VALUES (2)")
    with pytest.raises(duckdb.CatalogException, match="c does not exist"):
        other("FROM c")
    two("COMMIT")

    assert other("FROM c ORDER BY i") == other("FROM a ORDER BY i") == [(1,), (2,)]
