"""What every implementation of FileIO does, whatever the storage."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from falcon_catalog.errors import (
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    ServiceUnavailableError,
)
from falcon_catalog.fileio.base import Entry, FileIO, walk

MISSING = r"Failed to open input stream for file: .*"


class Contract:
    """Tests of one implementation: a subclass has the fixtures ``files`` and ``root``.

    ``root`` is a location in which nothing is, different for each test.
    """

    unlistable: frozenset[str] = frozenset()
    """Names of folders that an emulator cannot list."""

    def test_a_file_that_was_written_is_read(self, files: FileIO, root: str) -> None:
        location = f"{root}/t/metadata/00000-{uuid.uuid4()}.metadata.json"
        files.write(location, b'{"a"', b": 1", b"}")
        assert files.read(location) == b'{"a": 1}'
        assert files.exists(location)
        assert files.size(location) == 8

    def test_an_empty_file_is_a_file(self, files: FileIO, root: str) -> None:
        files.write(f"{root}/x")
        assert files.read(f"{root}/x") == b""
        assert files.size(f"{root}/x") == 0

    def test_gzipped_metadata_stays_gzipped(self, files: FileIO, root: str) -> None:
        content = b"\x1f\x8b\x08\x00" + bytes(100)
        files.write(f"{root}/x.gz.metadata.json", content)
        assert files.read(f"{root}/x.gz.metadata.json") == content

    def test_twenty_megabytes(self, files: FileIO, root: str) -> None:
        content = uuid.uuid4().bytes * (20 << 16)
        files.write(f"{root}/x", content)
        assert files.read(f"{root}/x") == content

    def test_a_part_of_a_file(self, files: FileIO, root: str) -> None:
        files.write(f"{root}/x", b"0123456789")
        assert files.read_part(f"{root}/x", 2, 3) == b"234"
        assert files.read_part(f"{root}/x", 8, 100) == b"89"
        assert files.read_part(f"{root}/x", 10, 1) == b""
        assert files.read_part(f"{root}/x", 3, 0) == b""
        with pytest.raises(NotFoundError):
            files.read_part(f"{root}/missing", 0, 1)

    def test_a_file_that_is_not_there(self, files: FileIO, root: str) -> None:
        location = f"{root}/t/nothing.json"
        assert not files.exists(location)
        for ask in (files.read, files.size, files.version):
            with pytest.raises(NotFoundError, match=MISSING):
                ask(location)
        files.delete(location)

    def test_the_parent_of_a_file_is_no_file(self, files: FileIO, root: str) -> None:
        files.write(f"{root}/t/x", b"1")
        with pytest.raises(NotFoundError, match=MISSING):
            files.read(f"{root}/t")

    def test_a_file_is_never_overwritten(self, files: FileIO, root: str) -> None:
        files.write(f"{root}/x", b"first")
        with pytest.raises(ServiceUnavailableError, match="exists"):
            files.write(f"{root}/x", b"second")
        assert not files.create(f"{root}/x", b"third")
        assert files.read(f"{root}/x") == b"first"

    def test_of_many_creates_one_wins(self, files: FileIO, root: str) -> None:
        contents = [str(number).encode() for number in range(8)]
        with ThreadPoolExecutor(4) as threads:
            won = list(threads.map(lambda each: files.create(f"{root}/x", each), contents))
        assert won.count(True) == 1
        assert files.read(f"{root}/x") == contents[won.index(True)]

    def test_a_replaced_file_has_another_version(self, files: FileIO, root: str) -> None:
        files.replace(f"{root}/x", b"first")
        version = files.version(f"{root}/x")
        assert files.version(f"{root}/x") == version
        files.replace(f"{root}/x", b"second")
        assert files.version(f"{root}/x") != version
        assert files.read(f"{root}/x") == b"second"

    def test_a_deleted_file_is_gone(self, files: FileIO, root: str) -> None:
        files.write(f"{root}/x", b"1")
        files.write(f"{root}/xy", b"1")
        files.delete(f"{root}/x")
        files.delete(f"{root}/x")
        assert not files.exists(f"{root}/x")
        assert files.exists(f"{root}/xy")

    def test_many_deleted_files_are_gone(self, files: FileIO, root: str) -> None:
        inner = [f"{root}/t/{name}" for name in ("a", "ä b", "c+d", "gone")]
        for location in (*inner[:3], f"{root}/t/ab", f"{root}/x"):
            files.write(location, b"1")
        confined = files.within([f"{root}/t"])
        failed = confined.delete_all([*inner, f"{root}/x"])
        assert list(failed) == [f"{root}/x"]
        assert isinstance(failed[f"{root}/x"], ForbiddenError)
        assert not any(map(files.exists, inner))
        assert files.exists(f"{root}/x")
        assert files.exists(f"{root}/t/ab")
        assert files.delete_all(inner) == {}
        assert files.delete_all([]) == {}

    def test_a_list_has_what_lies_directly_below(self, files: FileIO, root: str) -> None:
        for name in ("t/a.json", "t/b.json", "t/data/x", "t/data/deep/y", "t2/z"):
            files.write(f"{root}/{name}", name.encode())
        found = sorted((e.location, e.kind, e.bytes) for e in files.list(f"{root}/t"))
        assert [each for each in found if each[1] == "file"] == [
            (f"{root}/t/a.json", "file", 8),
            (f"{root}/t/b.json", "file", 8),
        ]
        assert [each[0] for each in found if each[1] == "folder"] == [f"{root}/t/data"]
        assert sorted(e.name for e in files.list(f"{root}/t/")) == ["a.json", "b.json", "data"]
        assert list(files.list(f"{root}/t/a.json")) == []
        assert list(files.list(f"{root}/nothing")) == []

    def test_a_list_says_when_a_file_was_written(self, files: FileIO, root: str) -> None:
        files.write(f"{root}/x", b"1")
        (entry,) = files.list(root)
        assert abs(entry.changed / 1000 - time.time()) < 60

    def test_a_list_is_whole(self, files: FileIO, root: str) -> None:
        names = {f"{number:05}" for number in range(1100)}  # stores page at 1000
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda name: files.write(f"{root}/t/{name}", b"1"), names))
        assert {entry.name for entry in files.list(f"{root}/t")} == names

    def test_a_walk_finds_every_file(self, files: FileIO, root: str) -> None:
        names = {"a/b/x", "a/c/y", "z"}
        for name in names:
            files.write(f"{root}/{name}", b"1")
        found = {
            entry.location.removeprefix(f"{root}/")
            for _, _, entries in walk(files, Entry(root, "folder", 0, 0))
            for entry in entries
        }
        assert found == names

    @pytest.mark.parametrize("name", ["a b", "a+b", "a=b", "ä", "日本", "a&b", "a'b", 'a"b', "a*b"])
    def test_names_are_taken_literally(self, files: FileIO, root: str, name: str) -> None:
        files.write(f"{root}/{name}/{name}.json", name.encode())
        assert files.read(f"{root}/{name}/{name}.json") == name.encode()
        assert [e.name for e in files.list(root)] == [name]
        if name not in self.unlistable:
            assert [e.name for e in files.list(f"{root}/{name}")] == [f"{name}.json"]
        files.delete(f"{root}/{name}/{name}.json")
        assert not files.exists(f"{root}/{name}/{name}.json")

    def test_what_is_left_at_a_location(self, files: FileIO, root: str) -> None:
        files.prepare_table(f"{root}/t")
        files.write(f"{root}/t/data/x", b"1")
        files.write(f"{root}/t2/x", b"1")
        assert not files.remove_empty_folders(f"{root}/t")
        files.delete(f"{root}/t/data/x")
        assert files.remove_empty_folders(f"{root}/t")
        assert files.remove_empty_folders(f"{root}/t")
        assert files.exists(f"{root}/t2/x")

    def test_nothing_is_reached_outside_of_the_roots(self, files: FileIO, root: str) -> None:
        files.write(f"{root}/orders2/x", b"1")
        inside = files.within([f"{root}/orders"])
        inside.write(f"{root}/orders/x", b"1")
        assert inside.read(f"{root}/orders/x") == b"1"
        for act in (
            inside.read,
            lambda location: inside.read_part(location, 0, 1),
            inside.delete,
            inside.write,
            inside.prepare_table,
            inside.remove_empty_folders,
        ):
            with pytest.raises(ForbiddenError, match="outside the allowed locations"):
                act(f"{root}/orders2/x")
        assert files.read(f"{root}/orders2/x") == b"1"

    def test_a_location_is_compared_by_its_key(self, files: FileIO, root: str) -> None:
        assert files.resolve(f"{root}/t/").endswith("/t/")
        assert files.resolve(f"{root}/t/") == files.resolve(f"{root}/t")

    @pytest.mark.parametrize("location", ["ftp://host/x", "", "hdfs://x/y", "{root}/../x"])
    def test_no_location_here(self, files: FileIO, root: str, location: str) -> None:
        location = location.format(root=root)
        for act in (files.read, files.exists, files.size, files.delete, files.resolve):
            with pytest.raises(BadRequestError, match="Invalid location"):
                act(location)

    def test_a_thread_may_be_admitted_twice(self, files: FileIO, root: str) -> None:
        with files.admission(), files.admission():
            files.write(f"{root}/x", b"1")
        assert files.exists(f"{root}/x")
