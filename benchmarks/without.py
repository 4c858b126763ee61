"""The catalog without one of its mechanisms, to measure what each gains or costs.

``python -m benchmarks.without NAME serve …``; the names are those of ``MECHANISMS``.
"""

import sys
import zlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from falcon_catalog.app import CatalogApp
from falcon_catalog.catalog import authorization, events
from falcon_catalog.catalog.metadata_cache import LastCommits
from falcon_catalog.cli import main
from falcon_catalog.metadata.document import Document
from falcon_catalog.store.sqlite import writer


def _commit_alone() -> None:
    """Let no change share a transaction with another one, in this process."""
    writer._LARGEST_BATCH = 1  # noqa: SLF001 - nobody needs a setting that makes it slower


def _answer_from_threads() -> None:
    """Let the event loop answer nothing itself."""
    _replace(CatalogApp, "may_respond_inline", lambda _self, _method, _path: False)


def _compress_anew() -> None:
    """Compress each metadata file and each response as a whole, as fast as zlib can."""

    def gzip_pieces(document: Document, before: bytes = b"", after: bytes = b"") -> list[bytes]:
        zipper = zlib.compressobj(level=1, wbits=31)
        return [zipper.compress(b"".join((before, *document.pieces(), after))) + zipper.flush()]

    _replace(Document, "gzip_pieces", gzip_pieces)


def _read_each_row() -> None:
    """Begin each commit with a SELECT of the table's row."""
    _replace(LastCommits, "record", lambda *_: None)


def _check_nothing() -> None:
    """Let each principal do everything."""
    _replace(authorization, "require", lambda *_, **__: None)


def _record_nothing() -> None:
    """Write no rows of the audit log."""
    _replace(events, "record", lambda *_: None)


MECHANISMS: dict[str, Callable[[], None]] = {
    "group-commit": _commit_alone,
    "inline": _answer_from_threads,
    "gzip-join": _compress_anew,
    "last-commits": _read_each_row,
    "authorization": _check_nothing,
    "events": _record_nothing,
}


def _replace(owner: type | ModuleType, name: str, by: Any) -> None:
    setattr(owner, name, by)


if __name__ == "__main__":
    MECHANISMS[sys.argv.pop(1)]()
    main()
