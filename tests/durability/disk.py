"""A disk that forgets: what a power cut may leave of files and folders.

Until a file is synced, each write to it may be on the disk, or not, or in part, by sectors; until
a folder is synced, so may each change of its entries. Nothing is in order before a sync.
"""

import os
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.durability.syscalls import Event

SECTOR = 512

Lot = Callable[[random.Random], str]
KEPT: Lot = lambda _: "kept"  # noqa: E731
DROPPED: Lot = lambda _: "dropped"  # noqa: E731


def by_chance(chance: random.Random) -> str:
    return chance.choice(("kept", "kept", "dropped", "torn"))


@dataclass
class File:
    """What is on the disk for sure, and what was done since the last sync."""

    stable: bytearray = field(default_factory=bytearray)
    pending: list[Event] = field(default_factory=list)
    settled: int = 0
    """How many changes were made stable."""
    end: int = 0

    def content(self, lot: Lot, chance: random.Random) -> bytes:
        """Return what a power cut now may leave."""
        content = bytearray(self.stable)
        for event in self.pending:
            _apply(content, event, lot(chance), chance)
        return bytes(content)

    def settle(self, until: int) -> None:
        """Make the first changes stable, ``until`` so many since ever."""
        done = max(0, until - self.settled)
        for event in self.pending[:done]:
            _apply(self.stable, event, "kept", random.Random(0))
        del self.pending[:done]
        self.settled += done


def _apply(content: bytearray, event: Event, fate: str, chance: random.Random) -> None:
    assert event.offset is not None
    if fate == "dropped":
        return
    if event.what == "truncate":
        del content[event.offset :]
        content.extend(bytes(event.offset - len(content)))
        return
    for start, piece in (
        _sectors(event.offset, event.data) if fate == "torn" else [(event.offset, event.data)]
    ):
        if fate == "kept" or chance.random() < 0.5:
            content.extend(bytes(max(0, start - len(content))))
            content[start : start + len(piece)] = piece


def _sectors(offset: int, data: bytes) -> Iterable[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        size = min(len(data) - at, SECTOR - (offset + at) % SECTOR)
        yield offset + at, data[at : at + size]
        at += size


@dataclass
class Folder:
    """Entries that are on the disk for sure, and changes since the last sync."""

    stable: dict[str, "File | Folder"] = field(default_factory=dict)
    pending: list[dict[str, "File | Folder | None"]] = field(default_factory=list)
    settled: int = 0
    now: dict[str, "File | Folder"] = field(default_factory=dict)

    def change(self, entries: dict[str, "File | Folder | None"]) -> None:
        self.pending.append(entries)
        _update(self.now, entries)

    def settle(self, until: int) -> None:
        """Make the first changes stable, ``until`` so many since ever."""
        done = max(0, until - self.settled)
        for entries in self.pending[:done]:
            _update(self.stable, entries)
        del self.pending[:done]
        self.settled += done

    def content(self, lot: Lot, chance: random.Random) -> dict[str, "File | Folder"]:
        """Return entries that a power cut now may leave."""
        content = dict(self.stable)
        for entries in self.pending:
            if lot(chance) == "kept":  # an entry is written whole, or not at all
                _update(content, entries)
        return content


def _update(
    entries: dict[str, "File | Folder"], changes: dict[str, "File | Folder | None"]
) -> None:
    for name, what in changes.items():
        if what is None:
            entries.pop(name, None)
        else:
            entries[name] = what


class Disk:
    """The folder ``root`` and all below it, as events change it."""

    def __init__(self, root: str, syncs: Callable[[str], bool] = lambda _: True) -> None:
        """Begin empty; ``syncs`` may deny that the sync of a path has any effect."""
        self.root = root
        self.top = Folder()
        self._syncs = syncs
        self._syncing: dict[int, tuple[File | Folder, int]] = {}

    def apply(self, event: Event) -> bool:
        """Let an event happen; tell whether it changed what may be on the disk."""
        steps = self._steps(event.path)
        if not steps or event.what == "answer":
            return False
        if event.what in ("write", "truncate"):
            return self._write(steps, event)
        if event.what in ("syncing", "synced"):
            return self._sync(steps, event)
        folder = self._folder(steps)
        if event.what == "make" and steps[-1] in folder.now:
            return False
        if event.what in ("move", "link"):
            return self._move(folder, steps, self._steps(event.to), keep=event.what == "link")
        made = {"make": File, "makedir": Folder, "remove": lambda: None}[event.what]
        folder.change({steps[-1]: made()})
        return True

    def _write(self, steps: list[str], event: Event) -> bool:
        file = self._find(steps)
        if not isinstance(file, File):
            return False  # removed meanwhile: nothing of it can be found again
        offset = file.end if event.offset is None else event.offset
        file.pending.append(Event(event.what, event.path, offset, event.data))
        file.end = offset + len(event.data)
        return True

    def _move(self, source: Folder, steps: list[str], to: list[str], *, keep: bool) -> bool:
        target, moved = self._folder(to), source.now[steps[-1]]
        if keep:
            target.change({to[-1]: moved})
        elif source is target:
            source.change({steps[-1]: None, to[-1]: moved})
        else:
            target.change({to[-1]: moved})
            source.change({steps[-1]: None})
        return True

    def _sync(self, steps: list[str], event: Event) -> bool:
        if event.what == "syncing":
            found = self._find(steps)
            if found is not None and self._syncs(event.path):
                self._syncing[event.call] = (found, found.settled + len(found.pending))
            return False
        if event.call not in self._syncing:
            return False
        found, until = self._syncing.pop(event.call)
        found.settle(until)
        return True

    def after_cut(self, lot: Lot, chance: random.Random) -> "Remains":
        """Return what a power cut now may leave."""
        files: dict[str, File] = {}
        waiting = [(self.root, self.top)]
        while waiting:
            path, folder = waiting.pop()
            for name, found in folder.content(lot, chance).items():
                if isinstance(found, Folder):
                    waiting.append((f"{path}/{name}", found))
                else:
                    files[f"{path}/{name}"] = found
        return Remains(files, lot, chance)

    def has(self, path: str) -> bool:
        """Tell whether a running process would find a file or a folder there."""
        return self._find(self._steps(path)) is not None

    def _steps(self, path: str) -> list[str]:
        if path == self.root:
            return ["."]
        return path.removeprefix(f"{self.root}/").split("/") if path.startswith(self.root) else []

    def _folder(self, steps: list[str]) -> Folder:
        folder = self.top
        for step in steps[:-1]:
            inner = folder.now[step]
            assert isinstance(inner, Folder), steps
            folder = inner
        return folder

    def _find(self, steps: list[str]) -> File | Folder | None:
        if steps == ["."]:
            return self.top
        folder: File | Folder | None = self.top
        for step in steps:
            folder = folder.now.get(step) if isinstance(folder, Folder) else None
        return folder


@dataclass
class Remains:
    """The files that a power cut left, each read once at most and then always the same."""

    files: dict[str, File]
    lot: Lot
    chance: random.Random
    _read: dict[str, bytes] = field(default_factory=dict)

    def read(self, path: str) -> bytes:
        if path not in self._read:
            if path not in self.files:
                raise FileNotFoundError(path)
            self._read[path] = self.files[path].content(self.lot, self.chance)
        return self._read[path]


def missed(root: str, happened: Iterable[Event]) -> list[Event]:
    """Return what is there, below ``root``, and was not written down: a kill may end a call.

    What is mapped into memory is left out, and so is what only stands for a lock.
    """
    disk = Disk(root)
    for event in happened:
        disk.apply(event)
    known = disk.after_cut(KEPT, random.Random(0))
    found: list[Event] = []
    for folder, inner, names in os.walk(root):
        paths = [f"{folder}/{name}" for name in inner]
        found += [Event("makedir", path) for path in paths if not disk.has(path)]
        for path in (f"{folder}/{name}" for name in names):
            if not path.endswith(("-shm", "-lock", "-in-use")):
                found += _missed(path, known)
    gone = [path for path in known.files if not Path(path).exists()]
    return [*found, *(Event("remove", path) for path in gone)]


def _missed(path: str, known: Remains) -> Iterator[Event]:
    content, before = Path(path).read_bytes(), b""
    if path in known.files:
        before = known.read(path)
    else:
        yield Event("make", path)
    if content != before:
        pairs = enumerate(zip(content, before, strict=False))
        same = next((at for at, (one, other) in pairs if one != other), len(before))
        yield Event("truncate", path, len(content))
        yield Event("write", path, same, content[same:])
