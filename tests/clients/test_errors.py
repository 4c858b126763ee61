"""What the catalog refuses, in the words that reach the user of DuckDB."""

import duckdb
import pytest
from pyiceberg.catalog.rest import RestCatalog

from tests.clients.conftest import Duck


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("CREATE TABLE n (i INTEGER) WITH ('location' = '/etc/n')", "Location /etc/n is outside"),
        ("CREATE TABLE n (i INTEGER) WITH ('location' = 's3://b/n')", "scheme 's3' is not supp"),
        ("CREATE TABLE n (i INTEGER) WITH ('location' = 'n')", "not an absolute path"),
        ("CREATE TABLE n (i INTEGER) WITH ('format-version' = '4')", "Unsupported format version"),
        ("CREATE TABLE n (i INTEGER) WITH ('write.data.path' = '/etc')", "Location /etc is outs"),
        ("CREATE TABLE n (v VARIANT)", "variant is not supported until v3"),
        ("CREATE TABLE n (g GEOMETRY)", "geometry.* is not supported until v3"),
        ("CREATE TABLE n (t TIMESTAMP_NS)", "timestamp_ns is not supported until v3"),
        ("ALTER TABLE t ADD COLUMN t TIMESTAMP_NS", "timestamp_ns is not supported until v3"),
        ("ALTER TABLE t SET ('write.metadata.path' = 's3://b')", "scheme 's3' is not supported"),
        ("ALTER TABLE t RENAME TO taken", "Cannot rename|already exists"),
        ("CREATE TABLE t (i INTEGER)", "already exists"),
        ("CREATE TABLE lake.nowhere.t (i INTEGER)", "nowhere.* does not exist"),
        ("DROP TABLE nothing", "nothing does not exist"),
        ("DROP SCHEMA lake.nothing", "nothing.* does not exist"),
        ("INSERT INTO nothing VALUES (1)", "nothing does not exist"),
        ("DROP SCHEMA lake.ns", "Namespace ns is not empty"),
    ],
)
def test_a_refusal_says_why_and_changes_nothing(
    duck: Duck, iceberg: RestCatalog, statement: str, message: str
) -> None:
    duck("CREATE TABLE t AS SELECT 1 AS i", "CREATE TABLE taken (i INTEGER)")
    before = iceberg.load_table("ns.t").metadata

    with pytest.raises(duckdb.Error, match=message) as refusal:
        duck(statement)

    assert "stack" not in str(refusal.value)
    assert iceberg.load_table("ns.t").metadata == before
    assert sorted(iceberg.list_tables("ns")) == [("ns", "t"), ("ns", "taken")]
    assert duck("FROM lake.ns.t") == [(1,)]
