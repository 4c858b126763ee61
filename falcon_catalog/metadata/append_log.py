"""Append-only lists whose old items are kept as text, shared by all later versions.

A table's snapshots and snapshot log grow with each commit. Their old items are serialized and
compressed once; a commit processes only the newest items.
"""

import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import orjson

from falcon_catalog.metadata.gzip_join import Zipped, compress

JSON = dict[str, Any]

CHUNK = 32
"""Items in a sealed chunk."""
_LEVEL = 6  # compressed once, sent many times


class Chunk:
    """``CHUNK`` items that will not change, as text in which a comma follows each."""

    def __init__(self, items: Sequence[JSON], key: str | None) -> None:
        self.text = orjson.dumps(items)[1:-1] + b","
        self.values = frozenset() if key is None else frozenset(item[key] for item in items)
        """The items' values of the field that they are looked up by."""

    @cached_property
    def zipped(self) -> bytes:
        """The text as deflate blocks."""
        return compress(self.text, _LEVEL)

    def items(self) -> list[JSON]:
        """Return the items, read from the text."""
        items: list[JSON] = orjson.loads(b"[" + self.text[:-1] + b"]")
        return items


@dataclass(frozen=True, eq=False)
class Sealed:
    """The chunks of a history, with the checksum of their text."""

    chunks: tuple[Chunk, ...] = ()
    crc: int = 0
    length: int = 0
    """Bytes of text."""
    values: frozenset[object] = frozenset()
    """All items' values of the field that they are looked up by."""

    def plus(self, *chunks: Chunk) -> "Sealed":
        """Return these chunks followed by others."""
        crc = self.crc
        for chunk in chunks:
            crc = zlib.crc32(chunk.text, crc)
        return Sealed(
            (*self.chunks, *chunks),
            crc,
            self.length + sum(len(chunk.text) for chunk in chunks),
            self.values.union(*(chunk.values for chunk in chunks)),
        )

    def with_values(self, key: str, values: Collection[object]) -> Iterator[JSON]:
        """Yield the items with one of the values in the field that they are looked up by."""
        if not self.values.isdisjoint(values):
            for chunk in self.chunks:
                if not chunk.values.isdisjoint(values):
                    yield from with_values(chunk.items(), key, values)

    @cached_property
    def zipped(self) -> Zipped:
        """All chunks as one compressed text."""
        return Zipped([chunk.zipped for chunk in self.chunks], self.crc, self.length)


class History(Sequence[JSON]):
    """An immutable list of JSON objects, sealed chunks first, then 1 to ``CHUNK`` open items.

    Only an empty list has no open item: the text of a chunk ends in a comma.
    ``key`` is the field that items are looked up by, or None.
    """

    def __init__(self, sealed: Sealed, opened: tuple[JSON, ...], key: str | None) -> None:
        self.sealed = sealed
        self.opened = opened
        self.key = key

    @classmethod
    def of(cls, items: Sequence[JSON], key: str | None) -> "History":
        """Return a list as a history."""
        if isinstance(items, History):
            return items
        count = max(0, (len(items) - 1) // CHUNK)
        chunks = (Chunk(items[at * CHUNK : (at + 1) * CHUNK], key) for at in range(count))
        return cls(Sealed().plus(*chunks), tuple(items[count * CHUNK :]), key)

    def __len__(self) -> int:
        return len(self.sealed.chunks) * CHUNK + len(self.opened)

    def __iter__(self) -> Iterator[JSON]:
        for chunk in self.sealed.chunks:
            yield from chunk.items()
        yield from self.opened

    @overload
    def __getitem__(self, index: int) -> JSON: ...
    @overload
    def __getitem__(self, index: slice) -> list[JSON]: ...
    def __getitem__(self, index: int | slice) -> JSON | list[JSON]:
        if isinstance(index, slice):
            return list(self)[index]
        at = range(len(self))[index]
        chunk, place = divmod(at, CHUNK)
        if chunk < len(self.sealed.chunks):
            return self.sealed.chunks[chunk].items()[place]
        return self.opened[at - len(self.sealed.chunks) * CHUNK]

    def plus(self, item: JSON) -> "History":
        """Return this list with an item appended."""
        if len(self.opened) < CHUNK:
            return History(self.sealed, (*self.opened, item), self.key)
        return History(self.sealed.plus(Chunk(self.opened, self.key)), (item,), self.key)

    def open_text(self) -> bytes:
        """Return the open items as comma-separated text."""
        return orjson.dumps(self.opened)[1:-1]


def plus(items: Sequence[JSON], item: JSON) -> Sequence[JSON]:
    """Return a list, plain or a history, with an item appended."""
    return items.plus(item) if isinstance(items, History) else [*items, item]


def with_values(items: Iterable[JSON], key: str, values: Collection[object]) -> list[JSON]:
    """Return those items of a list, plain or a history, whose ``key`` is one of the values."""
    if isinstance(items, History) and key == items.key:
        return [*items.sealed.with_values(key, values), *with_values(items.opened, key, values)]
    return [item for item in items if item[key] in values]
