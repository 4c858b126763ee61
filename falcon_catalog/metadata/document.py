"""A metadata file in memory: what is computed with, and its text, plain and compressed.

Two versions of a table's document share the text of the history that they have in common.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import orjson

from falcon_catalog.metadata.append_log import History, Sealed
from falcon_catalog.metadata.gzip_join import GzipJoin, compress

JSON = dict[str, Any]

# Lists that grow with each commit, and the field by which their items are looked up.
_HISTORIES: dict[str, str | None] = {"snapshots": "snapshot-id", "snapshot-log": None}

# What memory holds for a byte of text: as text, zipped and parsed, or as text, zipped and ids.
_PARSED_COST = 8
_SEALED_COST = 1.7
_LEAST_COST = 4096
_SHORT = 128 * 1024  # bytes of text that are worth remembering as one


class Document:
    """The metadata of one table or view, and its text. Immutable, but for what it remembers."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        """Take metadata; neither it nor anything in it may change from now on."""
        self.metadata: JSON = {
            key: History.of(value, _HISTORIES[key])
            if key in _HISTORIES and isinstance(value, list)
            else value
            for key, value in metadata.items()
        }
        """As read from JSON, but for its histories, which are sequences of another kind."""
        self._sections = tuple(_sections(self.metadata))
        self._last_text: tuple[object, bytes] = (None, b"")
        self._last_gzip: tuple[object, bytes] = (None, b"")
        self.length = sum(map(_length, self._sections))
        """Bytes of the text."""

    @property
    def cost(self) -> int:
        """Estimate the bytes of memory that this holds, what is yet to be zipped included."""
        sealed = sum(part.length for part in self._sections if isinstance(part, Sealed))
        kept = self.length if self.length <= _SHORT else 0
        return int(
            kept + _LEAST_COST + _PARSED_COST * (self.length - sealed) + _SEALED_COST * sealed
        )

    def pieces(self) -> list[bytes]:
        """Return the text in pieces."""
        pieces: list[bytes] = []
        for section in self._sections:
            if isinstance(section, Sealed):
                pieces += [chunk.text for chunk in section.chunks]
            else:
                pieces.append(section)
        return pieces

    def text(self, before: bytes = b"", after: bytes = b"") -> bytes:
        """Return the text, put between two others; the last one is remembered if it is short."""
        around, text = self._last_text
        if around != (before, after):
            text = b"".join((before, *self.pieces(), after))
            if len(text) <= _SHORT:
                self._last_text = ((before, after), text)
        return text

    def gzip_pieces(self) -> list[bytes]:
        """Return the text as one gzip member, in pieces."""
        return self._zip()

    def has_gzip(self, before: bytes = b"", after: bytes = b"") -> bool:
        """Say whether ``gzip`` remembers its answer."""
        return self._last_gzip[0] == (before, after)

    def gzip(self, before: bytes = b"", after: bytes = b"") -> bytes:
        """Return the text, put between two others, as one gzip member.

        The last one is remembered: a table is loaded more often than it changes.
        """
        around, gzip = self._last_gzip
        if around != (before, after):
            gzip = b"".join(self._zip(before, after))
            self._last_gzip = ((before, after), gzip)
        return gzip

    def _zip(self, before: bytes = b"", after: bytes = b"") -> list[bytes]:
        joined = GzipJoin()
        joined.add_stored(before)
        for section, blocks in zip(self._sections, self._compressed, strict=True):
            if isinstance(section, Sealed):
                joined.add(section.zipped)
            else:
                joined.add_compressed(section, blocks)
        joined.add_stored(after)
        return joined.gzip()

    @cached_property
    def _compressed(self) -> tuple[bytes, ...]:
        """The sections as deflate blocks, but for those that are sealed."""
        return tuple(
            b"" if isinstance(section, Sealed) else compress(section) for section in self._sections
        )


def _sections(metadata: Mapping[str, Any]) -> list[bytes | Sealed]:
    """Return the text: the histories last, their sealed chunks apart from all the rest."""
    sections: list[bytes | Sealed] = []
    rest = {key: value for key, value in metadata.items() if not isinstance(value, History)}
    text = orjson.dumps(rest)[:-1]
    for key, value in metadata.items():
        if isinstance(value, History):
            text += b"" if text == b"{" else b","
            text += orjson.dumps(key) + b":["
            if value.sealed.chunks:
                sections += (text, value.sealed)
                text = b""
            text += value.open_text() + b"]"
    return [*sections, text + b"}"]


def _length(section: bytes | Sealed) -> int:
    return section.length if isinstance(section, Sealed) else len(section)
