"""The disk that forgets does so where it may, and strace is read as it writes."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from falcon_catalog.durable_files import Folders
from tests.durability.disk import DROPPED, KEPT, Disk, Lot, by_chance, missed
from tests.durability.processes import why_no_strace
from tests.durability.syscalls import Event, events, tracing

ROOT = "/r"


def disk_after(*happened: Event) -> Disk:
    disk = Disk(ROOT)
    for event in happened:
        disk.apply(event)
    return disk


def left(disk: Disk, lot: Lot = DROPPED, seed: int = 0) -> dict[str, bytes]:
    remains = disk.after_cut(lot, random.Random(seed))
    return {path.removeprefix("/r/"): remains.read(path) for path in remains.files}


def written(path: str, data: bytes, offset: int | None = None) -> Event:
    return Event("write", f"/r/{path}", offset, data)


def synced(path: str, call: int = 1) -> tuple[Event, Event]:
    path = f"/r/{path}" if path else ROOT
    return Event("syncing", path, call=call), Event("synced", path, call=call)


MADE = Event("make", "/r/a")


def test_what_a_kill_kept_from_being_written_down_is_found(tmp_path: Path) -> None:
    files = {"same": b"x", "longer": b"abcd", "other": b"aXc", "in/new": b"y", "empty": b""}
    (tmp_path / "in").mkdir()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    known = {"same": b"x", "longer": b"ab", "other": b"abcde", "gone": b"z"}
    told = [Event("make", f"{tmp_path}/{name}") for name in known]
    told += [Event("write", f"{tmp_path}/{name}", 0, text) for name, text in known.items()]
    told += missed(str(tmp_path), told)
    assert not missed(str(tmp_path), told)
    disk = Disk(str(tmp_path))
    for event in told:
        disk.apply(event)
    remains = disk.after_cut(KEPT, random.Random(0))
    left = {str(Path(path).relative_to(tmp_path)): remains.read(path) for path in remains.files}
    assert left == files


def test_nothing_is_sure_before_a_sync() -> None:
    disk = disk_after(MADE, written("a", b"x"))
    assert left(disk, KEPT) == {"a": b"x"}
    assert left(disk) == {}


def test_a_file_without_its_entry_is_lost() -> None:
    assert left(disk_after(MADE, written("a", b"x"), *synced("a"))) == {}


def test_an_entry_without_its_file_is_empty() -> None:
    assert left(disk_after(MADE, written("a", b"x"), *synced(""))) == {"a": b""}


def test_what_is_synced_stays() -> None:
    disk = disk_after(MADE, written("a", b"x"), *synced("a"), *synced("", 2), written("a", b"y"))
    assert left(disk) == {"a": b"x"}
    assert left(disk, KEPT) == {"a": b"xy"}


def test_a_sync_covers_only_what_was_done_when_it_began() -> None:
    begun, ended = synced("a")
    disk = disk_after(MADE, *synced("", 2), written("a", b"x"), begun, written("a", b"y"), ended)
    assert left(disk) == {"a": b"x"}


def test_syncs_that_overlap_each_cover_what_they_may() -> None:
    first, second = synced("a", 1), synced("a", 2)
    disk = disk_after(MADE, *synced("", 3), written("a", b"x"), first[0], written("a", b"y"))
    for event in (second[0], written("a", b"z"), second[1], first[1]):
        disk.apply(event)
    assert left(disk) == {"a": b"xy"}


def test_a_write_is_torn_between_sectors() -> None:
    disk = disk_after(MADE, *synced(""), written("a", b"x" * 1024, 0))
    found = {left(disk, lambda _: "torn", seed)["a"] for seed in range(40)}
    assert found == {b"", b"x" * 512, b"\0" * 512 + b"x" * 512, b"x" * 1024}


def test_a_later_write_may_be_there_without_an_earlier_one() -> None:
    disk = disk_after(MADE, *synced(""), written("a", b"x", 0), written("a", b"y", 1))
    found = {left(disk, by_chance, seed)["a"] for seed in range(60)}
    assert found == {b"", b"x", b"\0y", b"xy"}


def test_a_truncation_is_a_change_like_others() -> None:
    disk = disk_after(MADE, written("a", b"xyz"), *synced("a"), *synced("", 2))
    disk.apply(Event("truncate", "/r/a", 1))
    assert (left(disk), left(disk, KEPT)) == ({"a": b"xyz"}, {"a": b"x"})


def test_a_removal_may_not_have_happened() -> None:
    disk = disk_after(MADE, *synced(""), Event("remove", "/r/a"))
    assert (left(disk), left(disk, KEPT)) == ({"a": b""}, {})


def test_a_move_within_a_folder_is_whole() -> None:
    disk = disk_after(MADE, *synced(""), Event("move", "/r/a", to="/r/b"))
    assert {tuple(left(disk, by_chance, seed)) for seed in range(20)} == {("a",), ("b",)}


def test_a_link_is_a_second_entry_of_one_file() -> None:
    disk = disk_after(MADE, written("a", b"x"), *synced("a"), Event("link", "/r/a", to="/r/b"))
    disk.apply(Event("remove", "/r/a"))
    assert left(disk, KEPT) == {"b": b"x"}
    assert left(disk) == {}


def test_a_folder_that_is_lost_takes_all_below_it() -> None:
    inside = (Event("make", "/r/d/a"), written("d/a", b"x"), *synced("d/a"), *synced("d", 2))
    disk = disk_after(Event("makedir", "/r/d"), *inside)
    assert left(disk) == {}
    for event in synced("", 3):
        disk.apply(event)
    assert left(disk) == {"d/a": b"x"}


@pytest.mark.skipif(bool(why_no_strace()), reason=why_no_strace())
def test_a_folder_that_a_killed_process_made_is_synced_by_who_finds_it(tmp_path: Path) -> None:
    """The first process ends between making a folder and syncing its entry."""
    root = tmp_path / "r"
    root.mkdir()
    script = (
        f"from falcon_catalog.durable_files import Folders; Folders().make({str(root)!r} + '/a/b')"
    )
    dies = ["strace", "-f", "-e", "trace=mkdir", "-e", "inject=mkdir:signal=KILL:when=1"]
    killed = subprocess.run([*dies, sys.executable, "-c", script], capture_output=True, check=False)
    assert killed.returncode != 0
    Folders().make(f"{root}/a")  # whoever did it, nobody knows whether it is durable
    log = tmp_path / "log"
    subprocess.run([*tracing(log), sys.executable, "-c", script], check=True)
    said = [(event.what, event.path) for event in events(log) if event.path.startswith(str(root))]
    assert ("synced", str(root)) in said
    assert ("makedir", f"{root}/a/b") in said
    assert said.index(("makedir", f"{root}/a/b")) < said.index(("synced", f"{root}/a"))


LOG = r"""
7 mkdir("\x2f\x72\x2f\x64", 0777) = 0
7 openat(AT_FDCWD<\x2f>, "\x2f\x72\x2f\x61", O_RDWR|O_CREAT, 0666) = 3<\x2f\x72\x2f\x61>
8 openat(AT_FDCWD<\x2f>, "\x2f\x72\x2f\x62", O_RDONLY) = -1 ENOENT (No such file or directory)
7 pwrite64(3<\x2f\x72\x2f\x61>, "\x78\x79", 2, 512) = 2
7 fdatasync(3<\x2f\x72\x2f\x61> <unfinished ...>
8 writev(4<\x2f\x72\x2f\x63>, [{iov_base="\x78", iov_len=1}, {iov_base="\x79", iov_len=1}], 2) = 1
7 <... fdatasync resumed>) = 0
8 sendto(5<\x73>, "HTTP", 9, 0, NULL, 0) = 9
8 ftruncate(3<\x2f\x72\x2f\x61>, 0 <unfinished ...>
8 +++ killed by SIGKILL +++
7 rename("\x2f\x72\x2f\x61", "\x2f\x72\x2f\x65") = 0
7 link("\x2f\x72\x2f\x65", "\x2f\x72\x2f\x66") = 0
7 +++ exited with 0 +++
"""


def test_a_log_is_read_as_events(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nX-Request-Id: me\r\n\r\n"
    log = LOG.strip().replace("HTTP", "".join(f"\\x{byte:02x}" for byte in answer))
    (tmp_path / "log").write_text(log + "\n", encoding="ascii")
    assert list(events(tmp_path / "log")) == [
        Event("makedir", "/r/d"),
        Event("make", "/r/a"),
        Event("write", "/r/a", 512, b"xy"),
        Event("syncing", "/r/a", call=4),
        Event("write", "/r/c", None, b"x"),  # no more than was written
        Event("synced", "/r/a", call=4),
        Event("answer", data=b"200", to="me"),
        Event("move", "/r/a", to="/r/e"),
        Event("link", "/r/e", to="/r/f"),
    ]
