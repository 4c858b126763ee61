"""Expiry keeps what a ref or a setting asks for, and deletes what nothing reaches any more."""

import datetime as dt
import os

import pytest
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.statistics import StatisticsFile

from jobs.maintenance import Plan, RefusedError, compact, expire_snapshots
from jobs.maintenance.errors import UncheckedError
from tests.maintenance.lake import SCHEMA, Lake, append_each, observations, path_of

ALL = dt.timedelta(0)


def make(lake: Lake, **properties: str) -> Table:
    table = lake.catalog.create_table("ns.t", SCHEMA, properties=properties)
    append_each(table, 5)
    return table


def ids(lake: Lake) -> list[int]:
    return [snapshot.snapshot_id for snapshot in lake.load("ns.t").snapshots()]


def head(table: Table) -> Snapshot:
    snapshot = table.current_snapshot()
    assert snapshot is not None
    return snapshot


def test_old_snapshots_go_with_the_files_that_only_they_reached(lake: Lake) -> None:
    make(lake)
    compact(lake.catalog, "ns.t")
    before = lake.rows("ns.t")
    result = expire_snapshots(lake.catalog, "ns.t", older_than=ALL)
    assert result.before["snapshots"].files == 6
    assert result.after["snapshots"].files == 1
    assert result.deleted["data files"].files == 5
    assert result.deleted["manifest lists"].files == 5
    assert result.deleted["manifests"].files == 5
    assert result.deleted["data files"].bytes > 1000
    assert lake.rows("ns.t") == lake.duck_rows("ns.t") == before
    assert not lake.missing("ns.t")
    # What is left besides: metadata files that aged out of nothing yet.
    assert not {path for path in lake.unreferenced("ns.t") if path.suffix != ".json"}


def test_files_that_a_kept_snapshot_shares_stay(lake: Lake) -> None:
    make(lake)
    before = lake.rows("ns.t")
    result = expire_snapshots(lake.catalog, "ns.t", older_than=ALL)
    assert set(result.deleted) == {"manifest lists"}
    assert lake.rows("ns.t") == before
    assert not lake.missing("ns.t")


def test_young_snapshots_stay_by_default(lake: Lake) -> None:
    make(lake)
    result = expire_snapshots(lake.catalog, "ns.t")
    assert not result.changed
    assert "old enough" in result.skipped[0].why
    assert len(ids(lake)) == 5


def test_as_many_stay_as_asked_for(lake: Lake) -> None:
    make(lake)
    newest = ids(lake)[-3:]
    expire_snapshots(lake.catalog, "ns.t", older_than=ALL, keep_last=3)
    assert ids(lake) == newest


def test_the_tables_properties_are_the_defaults(lake: Lake) -> None:
    make(
        lake,
        **{"history.expire.max-snapshot-age-ms": "1", "history.expire.min-snapshots-to-keep": "2"},
    )
    newest = ids(lake)[-2:]
    expire_snapshots(lake.catalog, "ns.t")
    assert ids(lake) == newest


def test_age_alone_keeps_the_young(lake: Lake) -> None:
    make(lake)
    assert len(ids(lake)) == 5
    expire_snapshots(lake.catalog, "ns.t", older_than=dt.timedelta(hours=1))
    assert len(ids(lake)) == 5


def test_a_dry_run_says_what_would_go(lake: Lake) -> None:
    make(lake)
    compact(lake.catalog, "ns.t")
    files = lake.files("ns.t")
    said = expire_snapshots(lake.catalog, "ns.t", older_than=ALL, dry_run=True)
    assert lake.files("ns.t") == files
    done = expire_snapshots(lake.catalog, "ns.t", older_than=ALL)
    assert {kind: size.files for kind, size in said.deleted.items()} == {
        kind: size.files for kind, size in done.deleted.items()
    }


def test_files_can_be_kept(lake: Lake) -> None:
    make(lake)
    compact(lake.catalog, "ns.t")
    files = lake.files("ns.t")
    result = expire_snapshots(lake.catalog, "ns.t", older_than=ALL, keep_files=True)
    assert len(ids(lake)) == 1
    assert not result.deleted
    assert files <= lake.files("ns.t")


def test_branches_and_tags_keep_what_they_name(lake: Lake) -> None:
    table = make(lake)
    first, second, *_ = ids(lake)
    table.manage_snapshots().create_tag(first, "kept").create_branch(second, "audit").commit()
    table.append(observations(900, 3), branch="audit")
    before = lake.rows("ns.t")
    audited = lake.rows("ns.t", snapshot_id=table.refs()["audit"].snapshot_id)
    compact(lake.catalog, "ns.t")
    expire_snapshots(lake.catalog, "ns.t", older_than=ALL)
    table = lake.load("ns.t")
    assert set(ids(lake)) == {ref.snapshot_id for ref in table.refs().values()}
    assert set(table.refs()) == {"main", "kept", "audit"}
    assert lake.rows("ns.t") == lake.duck_rows("ns.t") == before
    assert len(lake.rows("ns.t", snapshot_id=first)) == 10
    assert lake.rows("ns.t", snapshot_id=table.refs()["audit"].snapshot_id) == audited
    assert not lake.missing("ns.t")


def test_a_branchs_own_retention_goes_first(lake: Lake) -> None:
    table = make(lake)
    third = ids(lake)[2]
    table.manage_snapshots().create_branch(third, "audit", min_snapshots_to_keep=3).commit()
    expire_snapshots(lake.catalog, "ns.t", older_than=ALL)
    # Three of the branch, and the head of main.
    assert len(ids(lake)) == 4


def test_refs_past_their_own_age_go(lake: Lake) -> None:
    table = make(lake)
    first, second, *_ = ids(lake)
    table.manage_snapshots().create_tag(first, "brief", max_ref_age_ms=1).commit()
    table.manage_snapshots().create_tag(second, "long", max_ref_age_ms=10**9).commit()
    result = expire_snapshots(lake.catalog, "ns.t", older_than=ALL)
    assert "the refs brief" in result.notes[0]
    assert set(lake.load("ns.t").refs()) == {"main", "long"}
    assert first not in ids(lake)
    assert second in ids(lake)


def test_statistics_of_expired_snapshots_go(lake: Lake) -> None:
    table = make(lake)
    for number, snapshot in ((0, ids(lake)[0]), (1, ids(lake)[-1])):
        path = f"{table.location()}/metadata/{number}.stats"
        path_of(path).write_bytes(b"PFA1")
        file = StatisticsFile.model_validate(
            {
                "snapshot-id": snapshot,
                "statistics-path": path,
                "file-size-in-bytes": 4,
                "file-footer-size-in-bytes": 0,
                "blob-metadata": [],
            }
        )
        with table.update_statistics() as update:
            update.set_statistics(file)
    result = expire_snapshots(lake.catalog, "ns.t", older_than=ALL)
    assert result.deleted["statistics files"].files == 1
    assert {path.name for path in lake.files("ns.t") if path.suffix == ".stats"} == {"1.stats"}
    assert not lake.missing("ns.t")


def test_position_deletes_of_a_kept_snapshot_stay(lake: Lake) -> None:
    make(lake)
    lake.sql("DELETE FROM lake.ns.t WHERE id < 15")
    deleted = head(lake.load("ns.t")).snapshot_id
    lake.load("ns.t").manage_snapshots().create_tag(deleted, "deleted").commit()
    compact(lake.catalog, "ns.t", Plan(min_input_files=2))
    expire_snapshots(lake.catalog, "ns.t", older_than=ALL)
    assert not lake.missing("ns.t")
    assert [row[0] for row in lake.rows("ns.t", snapshot_id=deleted)] == [
        row[0] for row in lake.rows("ns.t")
    ]
    lake.load("ns.t").manage_snapshots().remove_tag("deleted").commit()
    result = expire_snapshots(lake.catalog, "ns.t", older_than=ALL)
    assert result.deleted["delete files"].files > 0
    assert not lake.missing("ns.t")


def test_a_table_can_forbid_deletion(lake: Lake) -> None:
    make(lake, **{"gc.enabled": "false"})
    with pytest.raises(RefusedError, match=r"gc\.enabled=false"):
        expire_snapshots(lake.catalog, "ns.t", older_than=ALL)
    assert len(ids(lake)) == 5


def test_at_least_one_is_kept(lake: Lake) -> None:
    make(lake)
    with pytest.raises(RefusedError, match="keep_last must be 1 or more, not 0"):
        expire_snapshots(lake.catalog, "ns.t", keep_last=0)


def test_version_3_and_its_deletion_vectors(lake: Lake) -> None:
    lake.sql("CREATE TABLE lake.ns.t (id BIGINT) WITH ('format-version' = '3')")
    lake.sql("INSERT INTO lake.ns.t SELECT range FROM range(100)")
    lake.sql("DELETE FROM lake.ns.t WHERE id < 20")
    lake.sql("INSERT INTO lake.ns.t VALUES (1000)")
    before = lake.duck_rows("ns.t")
    expire_snapshots(lake.catalog, "ns.t", older_than=ALL)
    assert len(ids(lake)) == 1
    assert lake.duck_rows("ns.t") == before
    assert not lake.missing("ns.t")


@pytest.mark.parametrize("what", ["manifest_list", "manifest"])
def test_what_is_no_file_is_not_read(lake: Lake, what: str) -> None:
    table = make(lake)
    snapshot = table.snapshots()[0]
    location = snapshot.manifest_list
    if what == "manifest":
        location = snapshot.manifests(table.io)[0].manifest_path
    path_of(location).unlink()
    os.mkfifo(path_of(location))
    with pytest.raises(UncheckedError, match="is not a regular file"):
        expire_snapshots(lake.catalog, "ns.t", older_than=ALL)
    assert len(ids(lake)) == 5
