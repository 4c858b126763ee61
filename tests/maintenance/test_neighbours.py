"""No file of another table or view goes, wherever it lies and however it is named."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.typedef import Identifier
from pyiceberg.view.metadata import SQLViewRepresentation, ViewVersion

from jobs.maintenance import (
    Plan,
    RefusedError,
    compact,
    expire_snapshots,
    old_metadata,
    remove_orphans,
)
from tests.maintenance.lake import SCHEMA, Lake, age, append_each, is_commit, observations, path_of

ALL = dt.timedelta(0)
FEW = Plan(min_input_files=2)
STATUSES = ["500 Error", "503 Busy", "403 Forbidden", "200 But not JSON"]
PATHS = [
    "/namespaces",
    "/namespaces/a/tables",
    "/namespaces/b/tables",
    "/namespaces/b/views",
    "/namespaces/b/tables/y",
    "/namespaces/b/views/v",
]
MINE = ("a", "t1")
THEIRS = ("a", "t1", "x")


def make(lake: Lake, name: Identifier, folder: str, batches: int = 3) -> None:
    """Make a table in a folder of the warehouse, whose files look a hundred days old."""
    for depth in range(1, len(name)):
        lake.catalog.create_namespace_if_not_exists(name[:depth])
    location = f"file://{lake.warehouse}/{folder}"
    append_each(lake.catalog.create_table(name, SCHEMA, location=location), batches)
    age(lake.files(name), 100)


def whole(lake: Lake, *names: Identifier) -> None:
    """Check that no file of tables is gone, and that both clients can read them by a filter."""
    for name in names:
        assert not lake.missing(name)
        rows = lake.rows(name, row_filter="station = 'KA'")
        assert len(rows) == 10
        quoted = ".".join(f'"{level}"' for level in name[:-1])
        if len(name) == 2:
            found = lake.sql(f"FROM lake.{quoted}.\"{name[-1]}\" WHERE station = 'KA'").fetchall()
            assert sorted(map(repr, found)) == sorted(map(repr, rows))


def view_version(metadata: dict[str, int]) -> ViewVersion:
    return ViewVersion(
        version_id=metadata["id"],
        schema_id=0,
        timestamp_ms=1,
        summary={},
        representations=[SQLViewRepresentation(type="sql", sql="SELECT 1", dialect="duckdb")],
        default_namespace=["a"],
    )


@pytest.mark.parametrize("operation", [remove_orphans, old_metadata])
@pytest.mark.parametrize(
    ("name", "folder"),
    [
        (THEIRS, "a/t1/x"),
        (("b", "y"), "a/t1/data/y"),
        (("b", "y"), "a"),
        (("b", "y"), "a/t1"),
    ],
)
def test_a_table_of_any_namespace_in_or_around_the_folder_is_refused(
    shared_lake: Lake, name: Identifier, folder: str, operation: Callable[..., object]
) -> None:
    lake = shared_lake
    make(lake, MINE, "a/t1")
    make(lake, name, folder)
    metadata = path_of(lake.load(MINE).location()) / "metadata" / "99999-left.metadata.json"
    metadata.write_bytes(b"left")
    age({metadata}, 100)
    with pytest.raises(RefusedError, match=f"overlaps .* of .*{name[-1]}"):
        operation(lake.catalog, MINE, dry_run=False)
    whole(lake, MINE, name)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *((path, "404 Not Found") for path in PATHS),
        *(("/namespaces/b/tables/y", status) for status in STATUSES),
    ],
)
def test_a_comparison_that_cannot_be_made_stops_the_deletion(
    shared_lake: Lake, path: str, status: str
) -> None:
    lake = shared_lake
    make(lake, MINE, "a/t1")
    make(lake, ("b", "y"), "b/y" if path.endswith("/v") else "a/t1/y")
    make_view(lake, ("b", "v"), "a/t1/v" if path.endswith("/v") else "b/v")
    lake.wire.refuse = lambda verb, asked: (
        status if verb == "GET" and asked.endswith(path) else None
    )
    with pytest.raises(RefusedError) as refused:
        remove_orphans(lake.catalog, MINE, dry_run=False)
    lake.wire.refuse = lambda *_: None
    assert "deleted nothing" in str(refused.value)
    if path.endswith(("/y", "/v")):
        assert f"b.{path[-1]}" in str(refused.value)
    whole(lake, MINE, ("b", "y"))


def make_view(lake: Lake, name: Identifier, folder: str) -> Path:
    lake.catalog.create_namespace_if_not_exists(name[:-1])
    location = f"{lake.warehouse}/{folder}"
    lake.catalog.create_view(name, SCHEMA, view_version({"id": 1}), location=f"file://{location}")
    files = {path for path in Path(location).rglob("*") if path.is_file()}
    age(files, 100)
    (metadata,) = files
    return metadata


def test_a_view_in_the_folder_is_refused(shared_lake: Lake) -> None:
    lake = shared_lake
    make(lake, MINE, "a/t1")
    metadata = make_view(lake, ("b", "v"), "a/t1/v")
    with pytest.raises(RefusedError, match=r"overlaps .* of the view b\.v"):
        remove_orphans(lake.catalog, MINE, dry_run=False)
    assert metadata.exists()
    assert lake.catalog.load_view(("b", "v")).metadata


@pytest.mark.parametrize("operation", [remove_orphans, old_metadata])
def test_the_same_table_under_two_names_is_refused(
    shared_lake: Lake, operation: Callable[..., object]
) -> None:
    lake = shared_lake
    make(lake, MINE, "a/t1")
    lake.catalog.register_table(("a", "copy"), lake.load(MINE).metadata_location)
    lake.load(("a", "copy")).append(observations(500, 10))
    compact(lake.catalog, "a.copy", FEW)
    age(lake.files(MINE), 100)
    with pytest.raises(RefusedError, match=r"a\.copy"):
        operation(lake.catalog, MINE, dry_run=False)
    assert not lake.missing(("a", "copy"))
    assert len(lake.rows(("a", "copy"))) == 40


def test_an_expiry_keeps_what_a_copy_of_the_table_reaches(shared_lake: Lake) -> None:
    lake = shared_lake
    make(lake, MINE, "a/t1")
    lake.catalog.register_table(("a", "copy"), lake.load(MINE).metadata_location)
    compact(lake.catalog, "a.t1", FEW)
    result = expire_snapshots(lake.catalog, MINE, older_than=ALL)
    assert any("another table" in skip.why for skip in result.skipped)
    assert len(lake.load(MINE).snapshots()) == 1
    whole(lake, MINE, ("a", "copy"))
    for snapshot in lake.load(("a", "copy")).snapshots():
        assert lake.rows(("a", "copy"), snapshot_id=snapshot.snapshot_id)


def test_a_table_reached_through_a_link_is_refused(shared_lake: Lake) -> None:
    """Its location has nothing in common with ours, but for the files."""
    lake = shared_lake
    make(lake, MINE, "a/t1")
    (lake.warehouse / "elsewhere").symlink_to(lake.warehouse / "a")
    make(lake, ("b", "y"), "elsewhere/t1/y")
    with pytest.raises(RefusedError, match=r"overlaps .* of b\.y"):
        remove_orphans(lake.catalog, MINE, dry_run=False)
    whole(lake, MINE, ("b", "y"))


def test_a_table_that_is_itself_reached_through_a_link_is_refused(shared_lake: Lake) -> None:
    lake = shared_lake
    make(lake, ("b", "y"), "b/y/z")
    (lake.warehouse / "a").mkdir()
    (lake.warehouse / "a" / "t1").symlink_to(lake.warehouse / "b" / "y")
    make(lake, MINE, "a/t1")
    with pytest.raises(RefusedError, match=r"overlaps .* of b\.y"):
        remove_orphans(lake.catalog, MINE, dry_run=False)
    whole(lake, MINE, ("b", "y"))


@pytest.mark.parametrize("key", ["write.data.path", "write.metadata.path"])
@pytest.mark.parametrize("key_of_it", ["write.object-storage.path", "write.folder-storage.path"])
def test_every_folder_that_a_table_may_write_to_counts(
    shared_lake: Lake, key: str, key_of_it: str
) -> None:
    lake = shared_lake
    make(lake, MINE, "a/t1")
    make(lake, ("b", "y"), "b/y")
    for name in (key, key_of_it):
        with lake.load(("b", "y")).transaction() as change:
            change.set_properties({name: f"file:{lake.warehouse}//a/t1/{name}"})
        left = path_of(lake.load(MINE).location()) / "data" / "left.parquet"
        left.write_bytes(b"left")
        age({left}, 100)
        with pytest.raises(RefusedError, match=rf"overlaps .*{name} of b\.y"):
            remove_orphans(lake.catalog, MINE, dry_run=False)
        with lake.load(("b", "y")).transaction() as change:
            change.remove_properties(name)


def test_a_table_that_comes_while_the_folder_is_compared_is_seen(
    shared_lake: Lake, other: RestCatalog
) -> None:
    """Others are listed until a listing names nothing new: names move from listed to unlisted."""
    lake = shared_lake
    make(lake, MINE, "a/t1")
    make(lake, ("z", "y"), "a/t1/y")

    def move(verb: str, path: str) -> None:
        if verb == "GET" and path.endswith("/namespaces/z/tables"):
            lake.wire.before.clear()
            other.rename_table(("z", "y"), ("a", "y"))

    lake.wire.before.append(move)
    with pytest.raises(RefusedError, match=r"overlaps .* of a\.y"):
        remove_orphans(lake.catalog, MINE, dry_run=False)
    assert not lake.wire.before
    whole(lake, MINE, ("a", "y"))


@pytest.fixture
def other(shared_lake: Lake) -> RestCatalog:
    """Another client, for what happens while a request of ours is served."""
    return RestCatalog("other", uri=shared_lake.url, warehouse="default")


def test_a_table_dropped_while_it_is_compared_stops_nothing(
    shared_lake: Lake, other: RestCatalog
) -> None:
    lake = shared_lake
    make(lake, MINE, "a/t1")
    make(lake, ("b", "y"), "b/y")
    left = path_of(lake.load(MINE).location()) / "data" / "left.parquet"
    left.write_bytes(b"left")
    age({left}, 100)

    def drop(verb: str, path: str) -> None:
        if verb == "GET" and path.endswith("/tables/y"):
            lake.wire.before.clear()
            other.drop_table(("b", "y"))

    lake.wire.before.append(drop)
    remove_orphans(lake.catalog, MINE, dry_run=False)
    assert not lake.wire.before
    assert not left.exists()


def test_a_catalog_without_views_has_none_to_compare(shared_lake: Lake) -> None:
    lake = shared_lake
    make(lake, MINE, "a/t1")
    left = path_of(lake.load(MINE).location()) / "data" / "left.parquet"
    left.write_bytes(b"left")
    age({left}, 100)
    lake.wire.refuse = lambda _verb, path: (
        "501 Not Implemented" if path.endswith("/views") else None
    )
    remove_orphans(lake.catalog, MINE, dry_run=False)
    assert not left.exists()


def test_lists_of_many_pages_are_read_to_their_end(shared_lake: Lake) -> None:
    lake = shared_lake
    make(lake, MINE, "a/t1")
    for number in range(5):
        make(lake, ("b", f"y{number}"), f"b/y{number}", 1)
        lake.catalog.create_namespace(f"c{number}")
    make(lake, ("c4", "z"), "a/t1/z")
    paged = RestCatalog("paged", uri=lake.url, warehouse="default", **{"rest-page-size": "2"})
    with pytest.raises(RefusedError, match=r"overlaps .* of c4\.z"):
        remove_orphans(paged, MINE, dry_run=False)


@pytest.mark.parametrize("dropped", [True, False])
def test_a_table_in_the_folder_that_is_not_listed_is_refused(
    shared_lake: Lake, dropped: bool
) -> None:
    """It was dropped and may come back, or it is another catalog's."""
    lake = shared_lake
    make(lake, MINE, "a/t1")
    make(lake, THEIRS, "a/t1/x")
    files = lake.files(THEIRS)
    metadata = lake.load(THEIRS).metadata_location
    lake.catalog.drop_table(THEIRS)
    if not dropped:
        path_of(metadata).write_text("{")
    for dry_run in (True, False):
        with pytest.raises(RefusedError, match="the metadata of another table"):
            remove_orphans(lake.catalog, MINE, dry_run=dry_run)
    assert all(path.exists() for path in files)
    if dropped:
        lake.catalog.register_table(("a", "back"), metadata)
        whole(lake, ("a", "back"))


def test_metadata_that_a_table_put_elsewhere_in_its_folder_is_its_own(lake: Lake) -> None:
    append_each(lake.catalog.create_table("ns.t", SCHEMA), 3)
    location = lake.load("ns.t").location()
    properties = {
        "write.metadata.path": f"{location}/more/metadata",
        "write.metadata.previous-versions-max": "1",
    }
    with lake.load("ns.t").transaction() as change:
        change.set_properties(properties)
    append_each(lake.load("ns.t"), 3, first=100)
    left = path_of(location) / "data" / "left.parquet"
    left.write_bytes(b"left")
    age(lake.files("ns.t"), 100)
    result = remove_orphans(lake.catalog, "ns.t", dry_run=False)
    assert not left.exists()
    assert result.deleted["metadata files"].files == 6
    assert not lake.missing("ns.t")


def import_into(lake: Lake, name: Identifier, source: Identifier) -> set[Path]:
    """Let a table take the data files of another one, as add_files does."""
    files = {p for p in lake.files(source) if p.suffix == ".parquet"}
    lake.load(name).add_files([f"file://{path}" for path in files])
    return files


def test_files_that_another_table_took_over_are_no_orphans(lake: Lake) -> None:
    for name in ("ns.t", "ns.other"):
        append_each(lake.catalog.create_table(name, SCHEMA), 3 if name == "ns.t" else 0)
    files = import_into(lake, ("ns", "other"), ("ns", "t"))
    lake.load("ns.t").delete("id >= 0")
    expire_snapshots(lake.catalog, "ns.t", older_than=ALL, keep_files=True)
    left = path_of(lake.load("ns.t").location()) / "data" / "left.parquet"
    left.write_bytes(b"left")
    age(lake.files("ns.t"), 100)
    shown = remove_orphans(lake.catalog, "ns.t")
    done = remove_orphans(lake.catalog, "ns.t", dry_run=False)
    assert shown.deleted == done.deleted
    assert "3 files" in {skip.what for skip in done.skipped if "another table" in skip.why}
    assert all(path.exists() for path in files)
    assert not left.exists()
    whole(lake, ("ns", "other"))


def test_an_expiry_leaves_files_that_another_table_took_over(lake: Lake) -> None:
    for name in ("ns.t", "ns.other"):
        append_each(lake.catalog.create_table(name, SCHEMA), 3 if name == "ns.t" else 0)
    files = import_into(lake, ("ns", "other"), ("ns", "t"))
    compact(lake.catalog, "ns.t", FEW)
    shown = expire_snapshots(lake.catalog, "ns.t", older_than=ALL, dry_run=True)
    result = expire_snapshots(lake.catalog, "ns.t", older_than=ALL)
    assert shown.deleted == result.deleted
    assert "data files" not in result.deleted
    assert "3 files" in {skip.what for skip in result.skipped if "another table" in skip.why}
    assert all(path.exists() for path in files)
    whole(lake, ("ns", "t"), ("ns", "other"))


def test_an_expiry_leaves_files_outside_of_the_tables_folders(lake: Lake) -> None:
    """The other table may be in another catalog: what is elsewhere may be another's."""
    for name in ("ns.t", "ns.other"):
        append_each(lake.catalog.create_table(name, SCHEMA), 3 if name == "ns.other" else 0)
    files = import_into(lake, ("ns", "t"), ("ns", "other"))
    compact(lake.catalog, "ns.t", FEW)
    lake.catalog.drop_table("ns.other")
    shown = expire_snapshots(lake.catalog, "ns.t", older_than=ALL, dry_run=True)
    result = expire_snapshots(lake.catalog, "ns.t", older_than=ALL)
    assert shown.deleted == result.deleted
    assert "3 files" in {skip.what for skip in result.skipped if "outside" in skip.why}
    assert all(path.exists() for path in files)
    assert not lake.missing("ns.t")


def test_files_taken_over_through_a_link_are_no_orphans(lake: Lake, tmp_path: Path) -> None:
    """Neither the path nor the name says whose file it is."""
    for name in ("ns.t", "ns.other"):
        append_each(lake.catalog.create_table(name, SCHEMA), 1 if name == "ns.t" else 0)
    (file,) = (p for p in lake.files("ns.t") if p.suffix == ".parquet")
    alias = tmp_path / "alias.parquet"
    alias.symlink_to(file)
    lake.load("ns.other").add_files([f"file://{alias}"])
    lake.load("ns.t").delete("id >= 0")
    expire_snapshots(lake.catalog, "ns.t", older_than=ALL)
    age(lake.files("ns.t"), 100)
    remove_orphans(lake.catalog, "ns.t", dry_run=False)
    assert file.exists()
    assert len(lake.rows("ns.other")) == len(lake.duck_rows("ns.other")) == 10


def test_manifests_of_others_that_cannot_be_read_stop_the_deletion(lake: Lake) -> None:
    for name in ("ns.t", "ns.other"):
        append_each(lake.catalog.create_table(name, SCHEMA), 3)
    snapshot = lake.load("ns.other").current_snapshot()
    assert snapshot is not None
    path_of(snapshot.manifest_list).unlink()
    left = path_of(lake.load("ns.t").location()) / "data" / "left.parquet"
    left.write_bytes(b"left")
    age({left}, 100)
    compact(lake.catalog, "ns.t", FEW)
    for dry_run in (True, False):
        with pytest.raises(RefusedError, match=r"ns\.other"):
            remove_orphans(lake.catalog, "ns.t", dry_run=dry_run)
        with pytest.raises(RefusedError, match=r"ns\.other"):
            expire_snapshots(lake.catalog, "ns.t", older_than=ALL, dry_run=dry_run)
    assert left.exists()
    assert len(lake.load("ns.t").snapshots()) == 4
    remove_orphans(lake.catalog, "ns.t", dry_run=False, locations_only=True)
    assert not left.exists()
    result = expire_snapshots(lake.catalog, "ns.t", older_than=ALL, locations_only=True)
    assert result.deleted["data files"].files == 3


@pytest.mark.parametrize("request_number", [2, 3])
def test_another_table_under_the_name_stops_the_removal(lake: Lake, request_number: int) -> None:
    """A table is renamed and another made under its name, while the folder is looked at."""
    other = RestCatalog("other", uri=lake.url, warehouse="default")
    append_each(lake.catalog.create_table("ns.t", SCHEMA), 3)
    left = path_of(lake.load("ns.t").location()) / "data" / "left.parquet"
    left.write_bytes(b"left")
    age(lake.files("ns.t"), 100)
    asked = []

    def replace(verb: str, path: str) -> None:
        if verb == "GET" and path.endswith("/tables/t"):
            asked.append(path)
            if len(asked) == request_number:
                lake.wire.before.clear()
                other.rename_table("ns.t", "ns.old")
                other.create_table("ns.t", SCHEMA)

    lake.wire.before.append(replace)
    with pytest.raises(RefusedError, match=r"ns\.t is another table now"):
        remove_orphans(lake.catalog, "ns.t", dry_run=False)
    assert left.exists()
    whole(lake, ("ns", "old"))


@pytest.mark.parametrize("change", ["replaced", "gone", "unanswered"])
def test_an_expiry_whose_table_is_another_afterwards_deletes_nothing(
    lake: Lake, change: str
) -> None:
    other = RestCatalog("other", uri=lake.url, warehouse="default")
    append_each(lake.catalog.create_table("ns.t", SCHEMA), 3)
    compact(lake.catalog, "ns.t", FEW)
    files = lake.files("ns.t")
    committed = []

    def hook(verb: str, path: str) -> None:
        if is_commit(verb, path):
            committed.append(path)
        elif committed and verb == "GET" and path.endswith("/tables/t"):
            lake.wire.before.remove(hook)
            if change != "unanswered":
                other.rename_table("ns.t", "ns.old")
            if change == "replaced":
                other.create_table("ns.t", SCHEMA)
            if change == "unanswered":
                lake.wire.refuse = lambda *_: "503 Busy"

    lake.wire.before.append(hook)
    result = expire_snapshots(lake.catalog, "ns.t", older_than=ALL)
    lake.wire.refuse = lambda *_: None
    assert not result.deleted
    assert "no file was deleted" in result.skipped[0].why
    assert files <= {*lake.files(("ns", "t" if change == "unanswered" else "old")), *files}
    assert all(path.exists() for path in files)
    whole(lake, ("ns", "t" if change == "unanswered" else "old"))


@pytest.mark.parametrize(
    ("hidden", "path"),
    [
        (True, "_delta_log/00000.json"),
        (True, ".hoodie/hoodie.properties"),
        (True, "data/_checkpoint/1/state"),
        (True, "data/_SUCCESS"),
        (True, "data/.part.crc"),
        (True, "data/_other=1/left.parquet"),
        (False, "data/_kind=1/left.parquet"),
        (False, "data/a_b/left.parquet"),
    ],
)
def test_hidden_paths_are_no_orphans_but_partitions_are(
    lake: Lake, hidden: bool, path: str
) -> None:
    table = lake.catalog.create_table("ns.t", SCHEMA)
    with table.update_spec() as update:
        update.add_field("station", "identity", "_kind")
    with table.update_spec() as update:
        update.remove_field("_kind")
    left = path_of(table.location()) / path
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(b"left")
    age({left}, 100)
    result = remove_orphans(lake.catalog, "ns.t", dry_run=False)
    assert left.exists() is hidden
    assert sum(size.files for size in result.deleted.values()) == (not hidden)


@pytest.mark.parametrize("tail", ["#copy", "?copy", "\n", "\t"])
def test_a_name_that_clients_cut_short_deletes_no_live_file(lake: Lake, tail: str) -> None:
    """``a.parquet#copy`` is ``a.parquet`` to a client that reads locations as URLs."""
    append_each(lake.catalog.create_table("ns.t", SCHEMA), 3)
    live = next(path for path in lake.files("ns.t") if path.suffix == ".parquet")
    copy = live.with_name(f"{live.name}{tail}")
    copy.write_bytes(b"left")
    age(lake.files("ns.t"), 100)
    result = remove_orphans(lake.catalog, "ns.t", dry_run=False)
    assert live.exists()
    assert copy.exists()
    assert any("clients" in skip.why for skip in result.skipped)
    whole(lake, ("ns", "t"))


def test_a_history_that_is_not_loaded_stops_the_deletion(lake: Lake) -> None:
    """With ``snapshot-loading-mode=refs`` the catalog leaves out what no ref is at."""
    append_each(lake.catalog.create_table("ns.t", SCHEMA), 3)
    compact(lake.catalog, "ns.t", FEW)
    age(lake.files("ns.t"), 100)
    partial = RestCatalog(
        "partial", uri=lake.url, warehouse="default", **{"snapshot-loading-mode": "refs"}
    )
    for operation in (remove_orphans, old_metadata):
        with pytest.raises(RefusedError, match="snapshot-loading-mode"):
            operation(partial, "ns.t", dry_run=False)
    with pytest.raises(RefusedError, match="snapshot-loading-mode"):
        expire_snapshots(partial, "ns.t", older_than=ALL)
    assert not lake.missing("ns.t")


def test_an_expired_path_to_a_file_that_another_path_still_reaches(lake: Lake) -> None:
    append_each(lake.catalog.create_table("ns.t", SCHEMA), 1)
    folder = path_of(lake.load("ns.t").location())
    (folder.parent / "link").symlink_to(folder)
    (file,) = (path for path in lake.files("ns.t") if path.suffix == ".parquet")
    lake.load("ns.t").delete("id >= 0")
    lake.load("ns.t").add_files([f"file://{folder.parent}/link/data/{file.name}"])
    expire_snapshots(lake.catalog, "ns.t", older_than=ALL)
    assert file.exists()
    assert lake.ids("ns.t") == [*range(10)]
