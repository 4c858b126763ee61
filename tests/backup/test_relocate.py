"""A warehouse is moved: its catalog finds everything again, or says why not and changes nothing."""

import datetime as dt
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from falcon_catalog.backup import avro
from falcon_catalog.backup.prefix import Move, RelocationError
from jobs.maintenance import compact, expire_snapshots, remove_orphans
from tests.backup.warehouse import Warehouse, fill, path_of, rows, seen
from tests.catalog.scanning import duckdb_on, plan, pyiceberg
from tests.catalog.serving import serving

pytestmark = pytest.mark.slow

MENTIONED = "ns.elsewhere: properties.comment"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Warehouse, dict[str, Any]]:
    """A warehouse that is copied by the tests, and what readers see in it."""
    folder = tmp_path_factory.mktemp("built")
    with serving(folder) as server:
        fill(server)
        before = seen(server)
    return Warehouse(folder, folder / "warehouse"), before


@pytest.fixture
def old(built: tuple[Warehouse, dict[str, Any]]) -> Warehouse:
    return built[0]


@pytest.fixture
def before(built: tuple[Warehouse, dict[str, Any]]) -> dict[str, Any]:
    return built[1]


@pytest.fixture
def moved(old: Warehouse, tmp_path: Path) -> Iterator[Warehouse]:
    """The warehouse at another place, not relocated yet; nothing is at the old place."""
    copy = old.copy(tmp_path, tmp_path / "mnt" / "new")
    away = old.location.with_name("away")
    old.location.rename(away)
    yield copy
    away.rename(old.location)


class TestMove:
    move = Move.of("file:///a/b", "/c d")

    @pytest.mark.parametrize(
        ("location", "moved"),
        [
            ("file:///a/b/t/x.avro", "file:///c d/t/x.avro"),
            ("file:/a/b/t", "file:/c d/t"),
            ("FILE:///a/b", "FILE:///c d"),
            ("file://localhost/a/b/t", "file://localhost/c d/t"),
            ("/a/b/", "/c d/"),
            ("/a//b/./t/", "/c d/t/"),
            ("/a/b/t%20/ü", "/c d/t%20/ü"),
            ("/a/bc", "/a/bc"),
            ("file:///a/b.old/t", "file:///a/b.old/t"),
            ("file:///x/a/b/t", "file:///x/a/b/t"),
            ("s3://a/b/t", "s3://a/b/t"),
            ("a/b/t", "a/b/t"),
        ],
    )
    def test_a_location_keeps_its_spelling(self, location: str, moved: str) -> None:
        assert self.move(location) == moved
        assert self.move(moved) == moved
        assert self.move.changes(location) == (location != moved)

    @pytest.mark.parametrize("new", ["/a/b", "/a/b/c", "/a", "/", "file:///a/b/"])
    def test_places_inside_one_another_are_refused(self, new: str) -> None:
        with pytest.raises(RelocationError, match="inside one another"):
            Move.of("/a/b", new)

    def test_text_that_mentions_the_place(self) -> None:
        for text in ("see file:///a/b/t", "'/a/b'", "/a/b"):
            assert self.move.is_mentioned(text)
        for text in ("/a/bc", "/x/a/b", "a/b", "/a/b-2"):
            assert not self.move.is_mentioned(text)


def test_every_row_is_read_at_the_new_place(
    old: Warehouse, before: dict[str, Any], moved: Warehouse
) -> None:
    status, out, err = moved.relocate(old.location)
    assert status == 0, out + err
    assert "Clean: 0 errors, 0 warnings" in out
    assert f"Write warehouse.location = 'file://{moved.location}' into the settings file" in out
    assert MENTIONED in out
    names_nothing_of(old, moved)
    with moved.serving() as server:
        assert seen(server) == before
        without_orphans(server, moved)
        assert seen(server) == before
        planned = plan(server, "positions")
        assert all(Path(path_of(one)).is_file() for one in planned.paths)
        assert any(task["deletes"] for task in planned.tasks)
        undropped_and_read(server, moved)
        goes_on(server, moved)
        assert server.ok("GET", "/v1/namespaces/home")["properties"] == {
            "location": f"file://{moved.location}/homes",
            "comment": "of nobody",
        }
    status, out, _ = moved.run("doctor", "--deep")
    assert status == 0, out


def names_nothing_of(old: Warehouse, moved: Warehouse) -> None:
    """See that the rows, and all that they reach, name no file of the old place."""
    history = 'INSERT INTO "events"'  # which keeps the places of then
    dump = "\n".join(line for line in moved.dump() if not line.startswith(history))
    assert str(old.location) not in dump
    for (location,) in moved.sql("SELECT metadata_location FROM tabulars"):
        content = path_of(location).read_bytes()
        if ".gz." not in location:
            assert str(old.location).encode() not in content
    statuses = set()
    for path in moved.location.rglob("*-moved-*.avro"):
        for entry in avro.read(path.read_bytes(), str(path)).records:
            assert str(old.location) not in repr(entry)
            if entry.get("f2", {}).get("f134") == 1:  # position deletes, old and removed ones, too
                statuses.add(entry["f0"])
                assert "-moved-" in entry["f2"]["f100"]
                assert path_of(entry["f2"]["f100"]).stat().st_size == entry["f2"]["f104"]
    assert statuses >= {1, 2}
    for path in moved.location.rglob("*-moved-*"):
        if path.suffix in (".avro", ".puffin"):  # where they are not compressed
            assert str(old.location).encode() not in path.read_bytes()


def without_orphans(server: Any, moved: Warehouse) -> None:
    """Delete the copies that nothing names any more."""
    catalog = pyiceberg(server)
    young = dt.timedelta(0)
    for name in ("ns.everything", "ns.positions", "ns.vectors"):
        files = set(moved.files())
        remove_orphans(catalog, name, older_than=young, dry_run=False, allow_young=True)
        gone = files - set(moved.files())
        assert any(one.endswith(".avro") for one in gone)
        assert not any("-moved-" in one for one in gone)


def undropped_and_read(server: Any, moved: Warehouse) -> None:
    (row,) = server.ok("GET", "/management/v1/warehouses/default/dropped")["dropped"]
    server.ok("POST", f"/management/v1/warehouses/default/dropped/{row['id']}/undrop")
    table = pyiceberg(server).load_table("ns.dropped")
    assert table.location().startswith(f"file://{moved.location}/")
    assert sorted(table.scan().to_arrow().column("id").to_pylist()) == [0, 2, 3, 4, 5, 6, 7]


def goes_on(server: Any, moved: Warehouse) -> None:
    """Write to tables, compact and expire them."""
    catalog = pyiceberg(server)
    table = catalog.load_table("ns.first")
    table.append(rows(100))
    for number in range(5):
        table.append(rows(200 + 4 * number))
    expected = sorted(table.scan().to_arrow().column("id").to_pylist())
    assert compact(catalog, "ns.first").changed
    assert (
        sorted(catalog.load_table("ns.first").scan().to_arrow().column("id").to_pylist())
        == expected
    )
    with duckdb_on(server) as duck:
        duck.execute("INSERT INTO lake.ns.positions VALUES (900, 'after')")
        duck.execute("DELETE FROM lake.ns.positions WHERE id IN (5, 900)")
        duck.execute("DELETE FROM lake.ns.vectors WHERE id = 6")
        for name in ("positions", "vectors"):
            (found,) = duck.execute(f"SELECT list(id ORDER BY id) FROM lake.ns.{name}").fetchone()
            gone = {3, 4, 105, 120} | ({5} if name == "positions" else {6})
            assert found == sorted({*range(50), *range(100, 150)} - gone)
    result = compact(catalog, "ns.positions")
    ids = catalog.load_table("ns.positions").scan().to_arrow().column("id").to_pylist()
    assert sorted(ids) == sorted({*range(50), *range(100, 150)} - {3, 4, 5, 105, 120}), result
    for name in ("ns.first", "ns.positions"):
        table = catalog.load_table(name)
        expire_snapshots(catalog, name, older_than=dt.timedelta(0))
        assert all(
            path_of(snapshot.manifest_list).is_relative_to(moved.location)
            for snapshot in catalog.load_table(name).snapshots()
        )


def test_a_dry_run_changes_nothing(old: Warehouse, moved: Warehouse) -> None:
    files, dump = moved.files(), moved.dump()
    status, out, _ = moved.relocate(old.location, "--dry-run")
    assert status == 0, out
    assert "table default:ns.everything" in out
    assert out.endswith("Nothing was changed: this was a dry run.\n")
    assert (moved.files(), moved.dump()) == (files, dump)


def test_a_second_run_has_nothing_to_do(old: Warehouse, moved: Warehouse) -> None:
    assert moved.relocate(old.location)[0] == 0
    files, dump = moved.files(), moved.dump()
    status, out, _ = moved.relocate(old.location)
    assert status == 0
    assert "Nothing to do: no table is in" in out
    assert (moved.files(), moved.dump()) == (files, dump)


def test_it_is_refused_while_a_server_runs(old: Warehouse, moved: Warehouse) -> None:
    with moved.serving():
        dump = moved.dump()
        status, _, err = moved.relocate(old.location)
        assert moved.dump() == dump
    assert status == 2
    assert "is in use: stop the server" in err


def test_settings_that_name_the_old_place_are_told(old: Warehouse, moved: Warehouse) -> None:
    files, dump = moved.files(), moved.dump()
    wrong = Warehouse(moved.folder, old.location)
    words = ("relocate", f"file://{old.location}", f"file://{moved.location}")
    status, _, err = wrong.run(*words)
    assert status == 2
    assert f'Set warehouse.location = "file://{moved.location}"' in err
    assert "from flag --warehouse" in err
    assert (moved.files(), moved.dump()) == (files, dump)


def test_a_place_outside_the_settings_is_refused(old: Warehouse, moved: Warehouse) -> None:
    dump = moved.dump()
    elsewhere = Warehouse(moved.folder, moved.folder / "third")
    words = ("relocate", f"file://{old.location}", f"file://{moved.location}")
    status, out, _ = elsewhere.run(*words)
    assert status == 1
    assert (
        f"is outside the locations of warehouse default in the settings: file://{moved.folder}/third"
        in out
    )
    assert moved.dump() == dump


def test_a_prefix_that_nothing_has_is_told(moved: Warehouse) -> None:
    status, out, _ = moved.relocate(Path("/srv/mistyped"))
    assert status == 1
    assert "no table is in file:///srv/mistyped. Tables are in: /" in out


class TestDamage:
    """What is not whole at the new place: all of it is told, and nothing is changed."""

    def refused(self, old: Warehouse, moved: Warehouse, *told: str) -> None:
        files, dump = moved.files(), moved.dump()
        status, out, err = moved.relocate(old.location)
        assert status == 1, out + err
        for line in told:
            assert line in out
        assert "Nothing was changed: " in out
        assert (moved.files(), moved.dump()) == (files, dump)

    def file(self, moved: Warehouse, table: str, pattern: str) -> Path:
        location = path_of(moved.metadata(table)["location"])
        folder = next(moved.location.rglob(location.name))
        return min(folder.glob(pattern))

    @pytest.fixture
    def here(self, old: Warehouse, moved: Warehouse) -> Iterator[Warehouse]:
        """The moved warehouse, whose old place is there to be read by the test."""
        old.location.symlink_to(moved.location)
        yield moved
        old.location.unlink(missing_ok=True)

    def test_several_at_once(self, old: Warehouse, here: Warehouse) -> None:
        gone = self.file(here, "everything", "data/**/*.parquet")
        cut = self.file(here, "first", "data/**/*.parquet")
        torn = self.file(here, "positions", "metadata/*-m*.avro")
        lost = here.pointer("seen").resolve()
        old.location.unlink()
        gone.unlink()
        cut.write_bytes(cut.read_bytes()[:-7])
        torn.write_bytes(torn.read_bytes()[:-30])
        lost.unlink()
        self.refused(
            old,
            here,
            f"{gone} does not exist",
            f"{cut} has {cut.stat().st_size} bytes, and should have {cut.stat().st_size + 7}",
            f"{torn} has {torn.stat().st_size} bytes",
            f"{lost}",
        )

    def test_a_manifest_list_that_is_no_avro(self, old: Warehouse, here: Warehouse) -> None:
        torn = self.file(here, "first", "metadata/snap-*.avro")
        old.location.unlink()
        torn.write_bytes(torn.read_bytes()[:-30])
        self.refused(old, here, f"{torn} cannot be read: it is cut short")

    def test_the_others_are_moved_if_that_is_asked_for(
        self, old: Warehouse, here: Warehouse
    ) -> None:
        gone = self.file(here, "everything", "data/**/*.parquet")
        content = gone.read_bytes()
        old.location.unlink()
        gone.unlink()
        status, out, _ = here.relocate(old.location, "--skip-broken")
        assert status == 1
        assert "table default:ns.everything cannot be relocated:" in out
        pointed = dict(here.sql("SELECT name, metadata_location FROM tabulars"))
        assert path_of(pointed.pop("everything")).is_relative_to(old.location)
        assert all(path_of(one).is_relative_to(here.location) for one in pointed.values())
        gone.write_bytes(content)
        assert here.relocate(old.location)[0] == 0
        assert here.pointer("everything").is_relative_to(here.location)


KILLER = """
import importlib, os, signal, sys
target, count = sys.argv[1], int(sys.argv[2])
name, _, function = target.rpartition(".")
module = importlib.import_module(name)
original, calls = getattr(module, function), []
def counted(*given, **named):
    calls.append(1)
    if len(calls) == count:
        if target == "os.writev":  # half of a file
            os.write(given[0], given[1][0][: len(given[1][0]) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*given, **named)
from falcon_catalog.cli import main
setattr(module, function, counted)
main(sys.argv[3:])
"""


@pytest.mark.parametrize(
    "killed_at",
    [
        ("os.fdatasync", 1, False),
        ("os.writev", 4, False),
        ("os.fdatasync", 20, False),
        ("falcon_catalog.backup.relocate._switch", 1, False),
        ("falcon_catalog.store.relocation.repoint", 3, False),
        ("falcon_catalog.store.relocation.answers", 1, False),
        ("falcon_catalog.cli.relocate.check", 1, True),
    ],
)
def test_killed_and_run_again(
    old: Warehouse,
    before: dict[str, Any],
    moved: Warehouse,
    killed_at: tuple[str, int, bool],
) -> None:
    where, count, is_switched = killed_at
    words = ["relocate", *moved.flags, f"file://{old.location}", f"file://{moved.location}"]
    killed = subprocess.run(
        [sys.executable, "-c", KILLER, where, str(count), *words], check=False, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    pointers = [path_of(row[0]) for row in moved.sql("SELECT metadata_location FROM tabulars")]
    place = moved.location if is_switched else old.location
    assert all(pointer.is_relative_to(place) for pointer in pointers)
    written = set(moved.files())
    status, out, err = moved.relocate(old.location)
    assert status == 0, out + err
    assert written <= set(moved.files())
    with moved.serving() as server:
        assert seen(server) == before


def test_the_old_place_still_works_after_a_run_that_was_killed(
    old: Warehouse, before: dict[str, Any], tmp_path: Path
) -> None:
    copy = old.copy(tmp_path, tmp_path / "new")
    words = ["relocate", *copy.flags, f"file://{old.location}", f"file://{copy.location}"]
    killed = subprocess.run(
        [sys.executable, "-c", KILLER, "os.fdatasync", "9", *words],
        check=False,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL
    with Warehouse(copy.folder, old.location).serving() as server:
        assert seen(server) == before


def test_a_v1_table_without_a_uuid_keeps_its_own(tmp_path: Path) -> None:
    """Its uuid follows from its location, which changes."""
    before = Warehouse(tmp_path / "before", tmp_path / "before/warehouse")
    before.folder.mkdir()
    with serving(before.folder) as server:
        server.namespace("ns")
        made = server.table("t", properties={"format-version": "1"})
        server.ok("POST", "/v1/namespaces/ns/tables/t/unregister")
        bare = path_of(made["metadata-location"]).with_name("00001-bare.metadata.json")
        metadata = {k: v for k, v in made["metadata"].items() if k != "table-uuid"}
        bare.write_text(json.dumps(metadata), encoding="utf-8")
        body = {"name": "t", "metadata-location": f"file://{bare}"}
        registered = server.ok("POST", "/v1/namespaces/ns/register", body)
    after = before.copy(tmp_path / "after", tmp_path / "after/elsewhere")
    before.location.rename(before.location.with_name("away"))
    status, out, err = after.relocate(before.location)
    assert status == 0, out + err
    with after.serving() as server:
        loaded = server.ok("GET", "/v1/namespaces/ns/tables/t")["metadata"]
    assert loaded["table-uuid"] == registered["metadata"]["table-uuid"]
    assert loaded["location"] != registered["metadata"]["location"]
