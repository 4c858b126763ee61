"""Orphan removal deletes what nothing reaches, and nothing else."""

import datetime as dt
import os
import tempfile
from pathlib import Path

import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO

from jobs.maintenance import RefusedError, compact, old_metadata, remove_orphans
from jobs.maintenance.files import list_files
from jobs.maintenance.locations import normal, overlap, within
from tests.maintenance.lake import SCHEMA, Lake, age, append_each, observations, path_of


def folder(lake: Lake, name: str = "ns.t") -> Path:
    return path_of(lake.load(name).location())


def make(lake: Lake, **properties: str) -> None:
    append_each(lake.catalog.create_table("ns.t", SCHEMA, properties=properties), 3)


def litter(lake: Lake, days: float) -> set[Path]:
    """Leave what crashed writers leave."""
    left = {
        folder(lake) / "data" / "left.parquet",
        folder(lake) / "data" / "day=1" / "deep %20.parquet",
        folder(lake) / "metadata" / "snap-1-left.avro",
        folder(lake) / "metadata" / "99999-left.metadata.json",
    }
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"left")
    age(left, days)
    return left


def test_a_dry_run_deletes_nothing(lake: Lake) -> None:
    make(lake)
    litter(lake, 4)
    files = lake.files("ns.t")
    result = remove_orphans(lake.catalog, "ns.t")
    assert result.dry_run
    assert not result.changed
    assert result.deleted["other files"].files == 3
    assert result.deleted["other files"].bytes == 12
    assert result.deleted["metadata files"].files == 1
    assert lake.files("ns.t") == files


def test_old_orphans_go(lake: Lake) -> None:
    make(lake)
    files = lake.files("ns.t")
    age(files, 100)
    left = litter(lake, 4)
    rows = lake.rows("ns.t")
    result = remove_orphans(lake.catalog, "ns.t", dry_run=False)
    assert lake.files("ns.t") == files
    assert not any(path.exists() for path in left)
    assert result.after["other files"].files == result.before["other files"].files - 3
    assert lake.rows("ns.t") == lake.duck_rows("ns.t") == rows


def test_young_orphans_stay(lake: Lake) -> None:
    make(lake)
    left = litter(lake, 2.9)
    result = remove_orphans(lake.catalog, "ns.t", dry_run=False)
    assert all(path.exists() for path in left)
    assert result.skipped[0].what == "4 unreferenced files"
    remove_orphans(lake.catalog, "ns.t", dry_run=False, older_than=dt.timedelta(days=2))
    assert not any(path.exists() for path in left)


def test_less_than_a_day_must_be_asked_for_twice(lake: Lake) -> None:
    make(lake)
    left = litter(lake, 0.1)
    hour = dt.timedelta(hours=1)
    with pytest.raises(RefusedError, match="writers at work"):
        remove_orphans(lake.catalog, "ns.t", older_than=hour, dry_run=False)
    assert all(path.exists() for path in left)
    remove_orphans(lake.catalog, "ns.t", older_than=hour, dry_run=False, allow_young=True)
    assert not any(path.exists() for path in left)


def test_old_snapshots_tags_and_branches_are_reached(lake: Lake) -> None:
    make(lake)
    table = lake.load("ns.t")
    first = table.snapshots()[0].snapshot_id
    table.manage_snapshots().create_branch(first, "audit").commit()
    table.append(observations(500, 5), branch="audit")
    lake.sql("DELETE FROM lake.ns.t WHERE id < 7")
    compact(lake.catalog, "ns.t")
    age(lake.files("ns.t"), 100)
    remove_orphans(lake.catalog, "ns.t", dry_run=False)
    assert not lake.missing("ns.t")
    for snapshot in lake.load("ns.t").snapshots():
        assert lake.rows("ns.t", snapshot_id=snapshot.snapshot_id)


@pytest.mark.parametrize("request_number", [2, 3])
def test_what_became_referenced_meanwhile_stays(lake: Lake, request_number: int) -> None:
    """The table is asked for when the folder was listed, and again before the deletion."""
    make(lake)
    adopted = folder(lake) / "data" / "adopted.parquet"
    written = next(path for path in lake.files("ns.t") if path.suffix == ".parquet")
    adopted.write_bytes(written.read_bytes())
    age({adopted}, 10)
    left, asked = litter(lake, 10), []

    def adopt(verb: str, path: str) -> None:
        if verb == "GET" and path.endswith("/tables/t"):
            asked.append(path)
            if len(asked) == request_number:
                lake.wire.before.clear()
                lake.load("ns.t").add_files([f"file://{adopted}"])

    lake.wire.before.append(adopt)
    remove_orphans(lake.catalog, "ns.t", dry_run=False)
    assert len(asked) == request_number
    assert not lake.missing("ns.t")
    assert len(lake.rows("ns.t")) == 40
    assert not any(path.exists() for path in left)


def test_only_old_metadata_goes_if_asked_so(lake: Lake) -> None:
    make(lake, **{"write.metadata.previous-versions-max": "2"})
    left = litter(lake, 4)
    metadata = {path for path in lake.files("ns.t") if path.name.endswith(".metadata.json")}
    age(metadata, 4)
    kept = {path for path in metadata if path not in lake.unreferenced("ns.t")}
    assert len(kept) == 3, "the current one and two of the log"
    result = old_metadata(lake.catalog, "ns.t", dry_run=False)
    assert set(result.deleted) == {"metadata files"}
    assert result.after["metadata files"].files == 3
    assert kept <= lake.files("ns.t")
    assert sum(path.exists() for path in left) == 3
    assert not lake.missing("ns.t")


def test_compressed_metadata_is_metadata(lake: Lake) -> None:
    make(
        lake,
        **{
            "write.metadata.compression-codec": "gzip",
            "write.metadata.previous-versions-max": "1",
        },
    )
    assert ".gz.metadata.json" in lake.load("ns.t").metadata_location
    rows = lake.rows("ns.t")
    age(lake.files("ns.t"), 4)
    old_metadata(lake.catalog, "ns.t", dry_run=False)
    assert not lake.missing("ns.t")
    compact(lake.catalog, "ns.t")
    remove_orphans(lake.catalog, "ns.t", dry_run=False)
    assert lake.rows("ns.t") == lake.duck_rows("ns.t") == rows


@pytest.mark.parametrize("inner", ["", "/data/inner"])
def test_a_folder_shared_with_another_table_is_refused(shared_lake: Lake, inner: str) -> None:
    lake = shared_lake
    make(lake)
    left = litter(lake, 9)
    location = lake.load("ns.t").location()
    other = lake.catalog.create_table(
        "ns.other", SCHEMA, properties={"write.data.path": f"{location}{inner}"}
    )
    with pytest.raises(RefusedError, match=r"which overlaps .* of ns\.other"):
        remove_orphans(lake.catalog, "ns.t", dry_run=False)
    assert all(path.exists() for path in left)
    lake.catalog.drop_table(other.name())
    remove_orphans(lake.catalog, "ns.t", dry_run=False)


def test_a_namesake_folder_is_another_folder(lake: Lake) -> None:
    make(lake)
    left = litter(lake, 9)
    location = lake.load("ns.t").location()
    lake.catalog.create_table("ns.other", SCHEMA, location=f"{location}-more")
    result = remove_orphans(lake.catalog, "ns.t", dry_run=False)
    assert sum(size.files for size in result.deleted.values()) == len(left)


def test_a_table_can_forbid_deletion(lake: Lake) -> None:
    make(lake, **{"gc.enabled": "false"})
    with pytest.raises(RefusedError, match=r"gc\.enabled=false"):
        remove_orphans(lake.catalog, "ns.t")


def test_files_that_links_lead_to_stay(lake: Lake, tmp_path: Path) -> None:
    make(lake)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious.parquet").write_bytes(b"precious")
    age({elsewhere / "precious.parquet"}, 50)
    (folder(lake) / "data" / "link").symlink_to(elsewhere)
    remove_orphans(lake.catalog, "ns.t", dry_run=False)
    assert (elsewhere / "precious.parquet").exists()


def test_a_referenced_file_seen_by_another_spelling_stays(lake: Lake) -> None:
    """Metadata may spell a place as the writer did: here through a link to the folder."""
    make(lake)
    table = lake.load("ns.t")
    real, link = folder(lake), folder(lake).parent / "link"
    link.symlink_to(real)
    source = real / "data" / "imported.parquet"
    (written,) = [p for p in real.rglob("*.parquet") if p.exists()][:1]
    source.write_bytes(written.read_bytes())
    table.add_files([f"file://{link}/data/imported.parquet"], check_duplicate_files=False)
    age(lake.files("ns.t"), 50)
    result = remove_orphans(lake.catalog, "ns.t", dry_run=False)
    assert source.exists()
    assert any("bear the names" in skip.why for skip in result.skipped)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("file:///a/b", "/a/b", True),
        ("file:/a/b/", "file:///a//b", True),
        ("file://localhost/a/b", "/a/b", True),
        ("s3a://Bucket/k", "s3://bucket/k", True),
        ("s3n://b/k", "s3://b/k", True),
        ("gcs://b/k", "gs://b/k", True),
        ("abfs://c@a.dfs/k", "abfss://c@a.dfs/k", True),
        ("wasbs://c@a.blob.core.windows.net/k", "abfss://c@a.dfs.core.windows.net/k", True),
        ("s3://b/k", "s3://b/K", False),
        ("s3://b/a//k", "s3://b/a/k", False),
        ("file:///a/b%20c", "/a/b c", False),
        ("s3://b/k", "gs://b/k", False),
    ],
)
def test_spellings_of_one_place(one: str, other: str, same: bool) -> None:
    assert (normal(one) == normal(other)) is same


def test_folders_within_folders() -> None:
    assert within("s3://b/t/data", "s3a://b/t/")
    assert within("s3://b/t", "s3://b/t")
    assert not within("s3://b/table2", "s3://b/table")
    assert overlap("/w/t", "file:///w")
    assert not overlap("/w/t", "/w/u")


def test_what_is_mounted_in_a_folder_is_not_listed() -> None:
    shared = Path("/dev/shm")
    if not (shared.is_mount() and os.access(shared, os.W_OK)):
        pytest.skip("/dev/shm is no mount here")
    with tempfile.NamedTemporaryFile(dir=shared) as file:
        found = {each.location for each in list_files(PyArrowFileIO(), "file:///dev")}
        assert f"file://{file.name}" not in found
        found = {each.location for each in list_files(PyArrowFileIO(), f"file://{shared}")}
        assert f"file://{file.name}" in found


def test_a_place_that_clients_read_differently_is_refused(lake: Lake) -> None:
    make(lake)
    location = lake.load("ns.t").location()
    lake.catalog.create_table("ns.odd", SCHEMA)
    for odd in ("-a#b", "-a?b"):
        lake.move_unchecked(("ns", "odd"), f"{location}{odd}")
        assert lake.load("ns.odd").location() == f"{location}{odd}"
        left = folder(lake, "ns.odd") / "left.parquet"
        left.write_bytes(b"left")
        age({left}, 100)
        for dry_run in (True, False):
            with pytest.raises(RefusedError, match=r"has a [?] or #"):
                remove_orphans(lake.catalog, "ns.odd", dry_run=dry_run)
        assert left.exists()
