import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from falcon_catalog import durable_files
from falcon_catalog.errors import BadRequestError, NotFoundError, ServiceUnavailableError
from falcon_catalog.fileio import deadline
from falcon_catalog.fileio.base import Entry, walk
from falcon_catalog.fileio.local import LocalFileIO

pytestmark = pytest.mark.serverless

files = LocalFileIO()


@pytest.mark.parametrize("form", ["file://{}/m/x.json", "file:{}/m/x.json", "{}/m/x.json"])
def test_each_way_to_write_a_location_names_the_same_file(tmp_path: Path, form: str) -> None:
    location = form.format(tmp_path)
    files.write(location, b"abc")
    assert (tmp_path / "m" / "x.json").read_bytes() == files.read(location) == b"abc"
    files.delete(location)
    files.delete(location)
    with pytest.raises(NotFoundError, match=r"Failed to open input stream for file: .*x\.json"):
        files.read(location)


def test_a_file_that_exists_is_never_overwritten(tmp_path: Path) -> None:
    files.write(f"{tmp_path}/x", b"first")
    with pytest.raises(ServiceUnavailableError, match="File exists"):
        files.write(f"{tmp_path}/x", b"second")
    assert (tmp_path / "x").read_bytes() == b"first"


def test_a_file_exists_or_not(tmp_path: Path) -> None:
    assert not files.exists(f"{tmp_path}/x")
    assert not files.exists(f"{tmp_path}/x/y")
    files.write(f"{tmp_path}/x", b"1")
    assert files.exists(f"file://{tmp_path}/x")
    assert not files.exists(f"{tmp_path}/x/y")
    with pytest.raises(BadRequestError):
        files.exists("s3://bucket/x")


class TestCreate:
    def test_a_file_is_made_with_its_folders_and_never_overwritten(self, tmp_path: Path) -> None:
        assert files.create(f"file://{tmp_path}/a/b/x", b"first")
        assert not files.create(f"file://{tmp_path}/a/b/x", b"second")
        assert (tmp_path / "a/b/x").read_bytes() == b"first"
        assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["x"]

    def test_one_that_another_makes_meanwhile_is_left(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        really = os.link

        def late(source: str, target: str) -> None:
            Path(target).write_bytes(b"another's")
            really(source, target)

        monkeypatch.setattr("os.link", late)
        assert not files.create(f"{tmp_path}/x", b"ours")
        assert (tmp_path / "x").read_bytes() == b"another's"
        assert [path.name for path in tmp_path.iterdir()] == ["x"]

    def test_a_link_that_leads_nowhere_counts_as_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "x").symlink_to(tmp_path / "nowhere")
        assert not files.create(f"{tmp_path}/x", b"1")
        assert not (tmp_path / "nowhere").exists()

    @pytest.mark.parametrize("there", [True, False])
    def test_it_is_durable_whoever_made_it(
        self, tmp_path: Path, synced: list[str], *, there: bool
    ) -> None:
        folder = tmp_path / "a"
        if there:
            folder.mkdir()
            (folder / "x").write_bytes(b"1")
        assert LocalFileIO().create(f"{folder}/x", b"1") is not there
        assert str(tmp_path) in synced
        assert synced[-1] == str(folder)

    def test_a_failure_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_path: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(durable_files, "sync_file", full)
        for act in (files.create, files.replace):
            with pytest.raises(ServiceUnavailableError, match="No space left"):
                act(f"{tmp_path}/x", b"1")
        assert list(tmp_path.iterdir()) == []


class TestList:
    def test_what_lies_in_a_folder_and_nothing_below(self, tmp_path: Path) -> None:
        (tmp_path / "inner" / "deep").mkdir(parents=True)
        (tmp_path / "x").write_bytes(b"abc")
        os.utime(tmp_path / "x", (1, 1.5))
        (tmp_path / "link").symlink_to(tmp_path / "inner")
        (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
        os.mkfifo(tmp_path / "pipe")
        found = {entry.name: entry for entry in files.list(f"file://{tmp_path}/")}
        assert {name: entry.kind for name, entry in found.items()} == {
            "inner": "folder",
            "x": "file",
            "link": "other",
            "broken": "other",
            "pipe": "other",
        }
        assert found["x"] == Entry(f"file://{tmp_path}/x", "file", 3, 1500)

    def test_of_no_folder_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"abc")
        assert list(files.list(f"{tmp_path}/x")) == []
        assert list(files.list(f"{tmp_path}/y")) == []

    def test_a_walk_visits_what_is_left_in_the_list(self, tmp_path: Path) -> None:
        for path in ("a/b", "a/c", "d/e"):
            (tmp_path / path).mkdir(parents=True)
        (tmp_path / "a/b/x").write_bytes(b"1")
        (tmp_path / "a/link").symlink_to(tmp_path / "d")
        seen = {}
        for folder, inner, others in walk(files, Entry(str(tmp_path), "folder", 0, 0)):
            inner[:] = [each for each in inner if each.name != "d"]
            seen[folder.location.removeprefix(str(tmp_path))] = [each.name for each in others]
        assert seen == {"": [], "/a": ["link"], "/a/b": ["x"], "/a/c": []}

    def test_a_folder_that_cannot_be_listed_is_not_taken_for_empty(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_path: str) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("os.scandir", refuse)
        with pytest.raises(ServiceUnavailableError, match="Permission denied"):
            files.list(str(tmp_path))
        ((_, inner, others),) = walk(files, Entry(str(tmp_path), "folder", 0, 0))
        assert (inner, [each.kind for each in others]) == ([], ["other"])


def test_a_location_is_resolved_through_links(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    assert files.resolve(f"file://{tmp_path}/link/x") == f"{os.path.realpath(tmp_path)}/there/x/"


def test_a_file_that_cannot_be_written_whole_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fdatasync", full)
    with pytest.raises(ServiceUnavailableError, match="No space left"):
        files.write(f"{tmp_path}/x", b"abc")
    assert list(tmp_path.iterdir()) == []


def test_a_table_finds_its_folders(tmp_path: Path) -> None:
    files.prepare_table(f"file://{tmp_path}/a/t")
    files.prepare_table(f"file://{tmp_path}/a/t")
    assert sorted(p.name for p in (tmp_path / "a" / "t").iterdir()) == ["data", "metadata"]


def test_another_scheme_is_refused() -> None:
    with pytest.raises(BadRequestError, match="s3"):
        files.read("s3://bucket/key")


def test_a_file_may_come_in_very_many_pieces(tmp_path: Path) -> None:
    pieces = [bytes([number % 251]) * (number % 7) for number in range(5_000)]
    files.write(f"{tmp_path}/x", *pieces)
    assert (tmp_path / "x").read_bytes() == b"".join(pieces)


def test_a_write_that_is_cut_short_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(descriptor: int, pieces: Sequence[bytes]) -> int:
        return os.write(descriptor, b"".join(pieces)[:5])

    monkeypatch.setattr("os.writev", short)
    files.write(f"{tmp_path}/x", b"abc", b"defg", b"hij")
    assert (tmp_path / "x").read_bytes() == b"abcdefghij"


def test_without_durability_nothing_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fdatasync", synced.append)
    monkeypatch.setattr("os.fsync", synced.append)
    (tmp_path / "m").mkdir()
    LocalFileIO(durable=False).write(f"{tmp_path}/m/x", b"abc")
    assert (tmp_path / "m" / "x").read_bytes() == b"abc"
    assert synced == []
    files = LocalFileIO()
    files.write(f"{tmp_path}/m/y", b"abc")
    assert len(synced) > 2  # the first time with every folder around it
    synced.clear()
    files.write(f"{tmp_path}/m/z", b"abc")
    assert len(synced) == 2


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders whose entries were made durable, one after the other."""
    found: list[str] = []
    really = os.fsync

    def sync(descriptor: int) -> None:
        found.append(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115
        really(descriptor)

    monkeypatch.setattr("os.fsync", sync)
    return found


class TestEmptyFolders:
    def test_only_what_is_empty_is_removed(self, tmp_path: Path) -> None:
        table = tmp_path / "ns" / "t"
        for folder in ("metadata", "data/a=1/b=2", "data/a=2"):
            (table / folder).mkdir(parents=True)
        (table / "data/a=2/kept.parquet").write_bytes(b"x")
        (tmp_path / "elsewhere").mkdir()
        (table / "data/a=3").symlink_to(tmp_path / "elsewhere")
        assert not LocalFileIO().remove_empty_folders(f"file://{table}")
        left = sorted(str(path.relative_to(table)) for path in table.rglob("*"))
        assert left == ["data", "data/a=2", "data/a=2/kept.parquet", "data/a=3"]
        (table / "data/a=2/kept.parquet").unlink()
        (table / "data/a=3").unlink()
        assert LocalFileIO().remove_empty_folders(str(table))
        assert sorted(tmp_path.rglob("*")) == [tmp_path / "elsewhere", tmp_path / "ns"]
        assert LocalFileIO().remove_empty_folders(str(table))  # it is not there

    def test_a_folder_that_was_removed_is_made_again_and_durable(
        self, tmp_path: Path, synced: list[str]
    ) -> None:
        own = LocalFileIO()
        own.prepare_table(f"{tmp_path}/ns/t")
        own.remove_empty_folders(f"{tmp_path}/ns/t")
        # A client makes them again, and syncs nothing.
        (tmp_path / "ns/t/metadata").mkdir(parents=True)
        synced.clear()
        own.write(f"{tmp_path}/ns/t/metadata/1.json", b"x")
        assert synced == [f"{tmp_path}/ns", f"{tmp_path}/ns/t", f"{tmp_path}/ns/t/metadata"]

    def test_what_another_process_removed_is_made_again_and_durable(
        self, tmp_path: Path, synced: list[str]
    ) -> None:
        own = LocalFileIO()
        own.prepare_table(f"{tmp_path}/ns/t")
        LocalFileIO().remove_empty_folders(f"{tmp_path}/ns/t")
        synced.clear()
        own.write(f"{tmp_path}/ns/t/metadata/1.json", b"x")
        assert synced == [f"{tmp_path}/ns", f"{tmp_path}/ns/t", f"{tmp_path}/ns/t/metadata"]

    @pytest.mark.parametrize("staged", [True, False])
    def test_those_of_a_table_that_is_not_created_are_not_counted_on(
        self, tmp_path: Path, synced: list[str], *, staged: bool
    ) -> None:
        own = LocalFileIO()
        (tmp_path / "ns").mkdir()
        own.write(f"{tmp_path}/ns/other/metadata/1.json", b"x")
        synced.clear()
        own.prepare_table(f"{tmp_path}/ns/t", staged=staged)
        if staged:
            assert synced == []
        else:
            own.abandon_table(f"{tmp_path}/ns/t")
        LocalFileIO().remove_empty_folders(f"{tmp_path}/ns/t")
        (tmp_path / "ns/t/metadata").mkdir(parents=True)
        synced.clear()
        own.write(f"{tmp_path}/ns/t/metadata/1.json", b"x")
        assert synced == [f"{tmp_path}/ns", f"{tmp_path}/ns/t", f"{tmp_path}/ns/t/metadata"]

    def test_a_folder_that_goes_between_its_making_and_the_file_is_made_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        really, times = durable_files.Folders.make, []

        def make(self: durable_files.Folders, path: str) -> None:
            really(self, path)
            times.append(path)
            if len(times) < 3:
                durable_files.remove_empty(f"{tmp_path}/ns/t")

        monkeypatch.setattr(durable_files.Folders, "make", make)
        LocalFileIO().write(f"{tmp_path}/ns/t/metadata/1.json", b"x")
        assert (tmp_path / "ns/t/metadata/1.json").read_bytes() == b"x"
        assert len(times) == 3


def test_a_fifo_or_device_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for location in (f"{tmp_path}/fifo", "/dev/zero", str(tmp_path)):
        with pytest.raises(NotFoundError):
            files.read(location)


def test_a_read_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, hangs = deadline._read_regular, threading.Event()
    late = lambda *given: (hangs.wait(60), reading(*given))[1]  # noqa: E731
    monkeypatch.setattr(deadline, "_read_regular", late)
    monkeypatch.setattr(deadline, "_MOST_THREADS", 2)
    (tmp_path / "x").write_bytes(b"content")
    reader = deadline.Reader(0.1)
    for _ in range(3):  # one more than there are threads
        with pytest.raises(TimeoutError, match="does not respond"):
            reader.read(f"{tmp_path}/x", lambda _: None)
    hangs.set()
    until = time.monotonic() + 20
    while True:  # those that hung go on with what came meanwhile
        try:
            assert reader.read(f"{tmp_path}/x", lambda _: None) == b"content"
            break
        except TimeoutError:
            assert time.monotonic() < until
