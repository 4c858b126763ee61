"""Restore and backup fail or are killed at each of their steps: no catalog is lost, none made up.

strace lets the n-th call of a kind fail, or kills the process at it, for each n that there is.
"""

import hashlib
import itertools
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from falcon_catalog.cli import main
from tests.durability import wire
from tests.durability.processes import Catalog, why_no_strace
from tests.durability.store import Store

pytestmark = pytest.mark.skipif(bool(why_no_strace()), reason=why_no_strace())

Rows = dict[str, str]

RENAMED = (".catalog.db.restored", ".catalog.db.restored-journal")
FAILURES = {
    "ENOSPC": ("write", "pwrite64", "mkdir"),
    "EIO": ("fsync", "fdatasync", "rename", "link", "unlink"),
}


@dataclass
class World:
    """A stopped catalog and two backups of it, which can be brought back as often as needed."""

    catalog: Catalog
    original: Path
    rows: dict[str, Rows] = field(default_factory=dict)
    """What the backups "small" and "large" hold, and what the catalog does: "present"."""
    lost: dict[Path, bytes] = field(default_factory=dict)
    """Metadata files that are gone."""

    @property
    def folder(self) -> Path:
        return self.catalog.folder

    @property
    def store(self) -> Path:
        return self.catalog.store

    @property
    def log(self) -> Path:
        """Where strace writes to."""
        return self.original.parent / "strace.log"

    def reset(self, there: str) -> None:
        """Bring all back; where the store was, there is the present one, a damaged one or none."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.original, self.folder)
        if there == "none":
            shutil.rmtree(self.store.parent)
        elif there == "damaged":
            with self.store.open("r+b") as file:
                file.write(bytes(100))
            with Path(f"{self.store}-wal").open("r+b") as file:
                file.truncate(32)  # else it brings the first page back
            self.rows["damaged"] = rows_of(self.store.parent)

    def find_lost(self) -> None:
        for path, content in self.lost.items():
            path.write_bytes(content)

    @property
    def flags(self) -> list[str]:
        lake = f"--warehouse=file://{self.folder}/lake/warehouse"
        return [f"--store=sqlite:///{self.store}", lake]

    def run(self, command: str, *words: str) -> tuple[int, str]:
        """Run a command undisturbed; return its status and what it told."""
        done = CliRunner().invoke(main, [command, *self.flags, *words], catch_exceptions=False)
        return done.exit_code, done.output

    def run_under(self, injected: str, command: str, *words: str) -> tuple[int, str, bool]:
        """Run a command under strace; return its status, what it told, and if a call failed."""
        log = self.log
        call = injected.partition(":")[0]
        told = ["strace", "-f", "-y", "-o", str(log)]
        told += ["-e", f"trace={call}", "-e", f"inject={injected}"]
        if "signal" not in injected:  # it is faster, and injects no signals
            told.append("--seccomp-bpf")
        if call == "pwrite64":  # the old store is only folded
            told += [f"--trace-path={self.store.with_name(name)}" for name in RENAMED]
        done = subprocess.run(
            [*told, sys.executable, "-c", self.catalog.program, command, *self.flags, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        hit = "(INJECTED)" in (traced := log.read_text()) or "killed by SIGKILL" in traced
        return done.returncode, done.stdout + done.stderr, hit

    def folders(self) -> list[Path]:
        """Return where databases may be: in place, or aside."""
        return [self.store.parent, *sorted(self.store.parent.glob("catalog.db.replaced-*"))]

    def held(self) -> list[Rows]:
        """Return what the databases hold, the one in place first if there is one."""
        return [rows_of(folder) for folder in self.folders() if (folder / "catalog.db").exists()]


def rows_of(folder: Path) -> Rows:
    """Return the pointers in a database, or what is in it if it is damaged."""
    try:
        return Store(folder / "catalog.db").pointers()
    except sqlite3.DatabaseError:
        return {"damaged": hashlib.sha256((folder / "catalog.db").read_bytes()).hexdigest()}


def made(folder: Path) -> World:
    """Make a catalog that was killed, one small backup of it, and one that is larger."""
    catalog = Catalog(folder / "world")
    catalog.folder.mkdir()
    world = World(catalog, folder / "original")
    catalog.start()
    with catalog.client() as client:
        client.ok("POST", wire.namespace(), {"namespace": ["ns"]})
        for backup, count in (("small", 3), ("large", 12), ("present", 2)):
            for number in range(count):
                client.ok("POST", wire.table(""), wire.creation(f"{backup}{number}", "start"))
            client.ok("DELETE", f"{wire.table(f'{backup}0')}?purgeRequested=true")
            world.rows[backup] = Store(catalog.store).pointers()
            if backup != "present":
                assert world.run("backup", str(world.folder / backup))[0] == 0
    catalog.kill()
    for name in ("small1", "small2"):
        path = Path(world.rows["small"][f"ns.{name}"].removeprefix("file://"))
        world.lost[path] = path.read_bytes()
        path.unlink()
    shutil.copytree(world.folder, world.original)
    return world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return made(tmp_path_factory.mktemp("restoring"))


def each(first: int) -> Iterator[int]:
    """Yield which of the calls are to fail: the first ones, and some of many more."""
    return (n for n in itertools.count(1) if n <= first or n % first == 0)


KILLS = [("KILL", call) for calls in FAILURES.values() for call in calls]
ERRORS = [(error, call) for error, calls in FAILURES.items() for call in calls]
FEW = [case for case in [*KILLS, *ERRORS] if case[1] in ("fsync", "rename")]
CASES = [
    *(("present", *case) for case in [*KILLS, *ERRORS]),
    *(("damaged", *case) for case in FEW),
    *(("none", *case) for case in FEW),
]


@pytest.mark.parametrize(("there", "how", "call"), CASES)
def test_a_restore_that_ends_early_destroys_nothing(
    world: World, there: str, how: str, call: str
) -> None:
    what = "signal=KILL" if how == "KILL" else f"error={how}"
    rows = world.rows
    for number in each(6):
        world.reset(there)
        small, large = (str(world.folder / name) for name in ("small", "large"))
        injected = f"{call}:{what}:when={number}"
        status, told, hit = world.run_under(injected, "restore", "--replace", small)
        if not hit:
            assert status == 0, told
            assert number > 1
            break
        where = (injected, status, told)
        old = [rows[there]] if there != "none" else []
        check_what_is_left(world, how, old, where)
        # The next one may be of another backup.
        status, told = world.run("restore", "--replace", large)
        assert status == 0, (where, told)
        Store(world.store).check()
        held = world.held()
        assert held[0] == rows["large"], where
        assert all(one in held for one in old), where
        assert not list(world.store.parent.glob(".*")), where
        assert world.run("maintain")[0] == 0, where


def check_what_is_left(world: World, how: str, old: list[Rows], where: object) -> None:
    """Hold that the old catalog is whole, and that none is made up in its place."""
    held = world.held()
    assert all(one in held for one in old), where
    if world.store.exists():
        assert held[0] in (*old, world.rows["small"]), where
    elif list(world.store.parent.glob(".*")):
        assert how == "KILL" or not old, where
        status, told = world.run("maintain")
        assert status == 1, where
        assert "falcon-catalog restore was interrupted" in told, where
    else:
        assert not old, where


def test_no_server_makes_up_a_catalog_after_a_killed_restore(world: World) -> None:
    world.reset("present")
    small = str(world.folder / "small")
    _, _, hit = world.run_under("rename:signal=KILL:when=2", "restore", "--replace", small)
    assert hit
    assert not world.store.exists()
    command = [sys.executable, "-c", world.catalog.program, "serve", *world.flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "falcon-catalog restore was interrupted before it was done" in done.stderr
    assert not world.store.exists()
    # What it says can be done, can be.
    (aside,) = world.folders()[1:]
    for path in aside.iterdir():
        path.rename(world.store.parent / path.name)
    world.store.with_name(".catalog.db.restored").unlink()
    assert world.run("maintain")[0] == 0
    assert world.held() == [world.rows["present"]]


def test_a_restore_syncs_what_an_earlier_one_may_have_left_unsynced(world: World) -> None:
    world.reset("none")
    shutil.rmtree(world.folder / "lake")
    # The folder is lost, and not only unmounted: that is for people to say.
    words = ("restore", "--adopt-warehouse", str(world.folder / "small"))
    assert world.run_under("fsync:signal=KILL:when=3", *words)[2]
    status, told, _ = world.run_under("fsync:delay_exit=1", *words)
    assert status == 0, told
    synced = set(re.findall(r"fsync\(\d+<([^>]*)>", world.log.read_text()))
    for location in world.rows["small"].values():
        path = Path(location.removeprefix("file://"))
        around = {str(folder) for folder in path.parents if world.folder in folder.parents}
        assert len(around) == 5
        assert around <= synced


WRITING = [case for case in [*KILLS, *ERRORS] if case[1] in ("write", "fsync", "rename")]


@pytest.mark.parametrize(("how", "call"), WRITING)
def test_a_backup_that_ends_early_is_none_or_whole(world: World, how: str, call: str) -> None:
    what = "signal=KILL" if how == "KILL" else f"error={how}"
    world.reset("present")
    world.find_lost()
    for number in each(4):
        target = world.folder / f"backup{number}"
        status, told, hit = world.run_under(f"{call}:{what}:when={number}", "backup", str(target))
        if not hit:
            assert target.exists(), told
            break
        assert world.held() == [world.rows["present"]]
        assert target.exists() or status != 0, told
        if target.exists():
            moved = world.store.with_name("drill.db")
            flag = f"--store=sqlite:///{moved}"
            assert world.run("restore", flag, str(target))[0] == 0, told
            assert Store(moved).pointers() == world.rows["present"]
            moved.unlink()
        assert how == "KILL" or not list(world.folder.glob(".backup*")), told
