"""A metadata file in memory: parsed, and as text, plain and compressed.

Two versions of a table's document share the text of their common history.
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

# Bytes of memory for a byte of text: text, gzip and parsed, or text, gzip and ids.
_PARSED_COST = 8
_SEALED_COST = 1.7
_LEAST_COST = 4096
_SHORT = 128 * 1024  # bytes of text up to which the joined text is kept


class Document:
    """The metadata of one table or view, and its text. Immutable, except for its caches."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        """Wrap metadata, which must not change afterwards."""
        self.metadata: JSON = {
            key: History.of(value, _HISTORIES[key])
            if key in _HISTORIES and isinstance(value, list)
            else value
            for key, value in metadata.items()
        }
        """As read from JSON, but with a ``History`` for each growing list."""
        self._sections = tuple(_sections(self.metadata))
        self._last_text: tuple[object, bytes] = (None, b"")
        self._last_gzip: tuple[object, bytes] = (None, b"")
        self.length = sum(
            section.length if isinstance(section, Sealed) else len(section)
            for section in self._sections
        )
        """Bytes of the text."""

    @property
    def cost(self) -> int:
        """Return an estimate of its memory in bytes, including text not yet compressed."""
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
        """Return the text between two others; the last result is kept if it is short."""
        around, text = self._last_text
        if around != (before, after):
            text = b"".join((before, *self.pieces(), after))
            if len(text) <= _SHORT:
                self._last_text = ((before, after), text)
        return text

    def has_gzip(self, before: bytes = b"", after: bytes = b"") -> bool:
        """Return whether ``gzip`` has its result cached."""
        return self._last_gzip[0] == (before, after)

    def gzip(self, before: bytes = b"", after: bytes = b"") -> bytes:
        """Return the text between two others as one gzip member.

        The last result is kept: a table is loaded more often than it changes.
        """
        around, gzip = self._last_gzip
        if around != (before, after):
            gzip = b"".join(self.gzip_pieces(before, after))
            self._last_gzip = ((before, after), gzip)
        return gzip

    def gzip_pieces(self, before: bytes = b"", after: bytes = b"") -> list[bytes]:
        """Return the text between two others as one gzip member, in pieces."""
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
        """The sections that are not sealed as deflate blocks."""
        return tuple(
            b"" if isinstance(section, Sealed) else compress(section) for section in self._sections
        )


def _sections(metadata: Mapping[str, Any]) -> list[bytes | Sealed]:
    """Return the text in sections: histories last, their sealed chunks separately."""
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
