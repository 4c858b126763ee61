"""Metadata files kept in memory: read once, served and committed to many times.

A metadata file never changes, so neither does what is kept of it: each new version of a table
has a location of its own, and nothing here can be out of date.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from falcon_catalog.metadata.document import Document

Snapshots = Literal["all", "refs"]


@dataclass(frozen=True, slots=True)
class Key:
    """Which file, in which shape.

    ``since`` is when the row that points at it was made: who removes a table may write another
    file to the same place and register that.
    """

    metadata_location: str
    since: int
    snapshots: Snapshots = "all"


class Documents:
    """The documents used last, within a bound of bytes. Safe to use from many threads.

    What it counts may be read at any time.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        """An estimate, which errs towards too much."""
        self.hits = 0
        self.misses = 0
        self.evictions = 0
        self._guard = threading.Lock()
        self._documents: OrderedDict[Key, Document] = OrderedDict()

    def __len__(self) -> int:
        return len(self._documents)

    def get(self, key: Key) -> Document | None:
        """Return a document if it is kept."""
        with self._guard:
            document = self._documents.get(key)
            if document is None:
                self.misses += 1
                return None
            self.hits += 1
            self._documents.move_to_end(key)
            return document

    def put(self, key: Key, document: Document) -> None:
        """Keep a document, and let go of those that were not used for longest."""
        with self._guard:
            self._remove(key)
            if document.cost > self.limit_bytes:
                return
            self._documents[key] = document
            self.used_bytes += document.cost
            while self.used_bytes > self.limit_bytes:
                self._remove(next(iter(self._documents)))
                self.evictions += 1

    def forget(self, metadata_location: str, since: int) -> None:
        """Let go of a version that nobody will ask for again."""
        with self._guard:
            self._remove(Key(metadata_location, since))
            self._remove(Key(metadata_location, since, "refs"))

    def _remove(self, key: Key) -> None:
        document = self._documents.pop(key, None)
        if document is not None:
            self.used_bytes -= document.cost
