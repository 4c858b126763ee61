"""A cache of raw responses: requesting them again costs a 304 where nothing changed."""

import gzip
import hashlib
import json
import logging
import os
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.targets import write

log = logging.getLogger("jobs.nws")

MAX_BYTES = 256 * 2**20
# An answer is asked for whole again after a day: a Last-Modified that is stale hides a change
# no longer than that.
MAX_AGE = 86_400.0
_FOLDERS = 64


@dataclass(frozen=True, slots=True)
class Kept:
    """A cached response: its body as received, and its validators."""

    url: str
    stored_at: float
    etag: str | None
    last_modified: str | None
    body: bytes

    def conditions(self) -> dict[str, str]:
        """Return the headers of a conditional request."""
        headers = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in headers.items() if value}


class AnswerCache:
    """A bounded folder of answers, by URL; threads and processes may share it.

    Files appear whole or not at all, and what is damaged counts as absent. Over `max_bytes` the
    answers longest kept go first. It is a cache: what goes wrong with it is logged and costs a
    request.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = MAX_BYTES,
        max_age: float = MAX_AGE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._share = max_bytes // _FOLDERS
        self._max_age = max_age
        self._clock = clock

    def get(self, url: str) -> Kept | None:
        """Find what is kept of this URL, unless it is too old."""
        try:
            head, _, body = gzip.decompress(self._path(url).read_bytes()).partition(b"\n")
            kept = Kept(**json.loads(head), body=body)
        except FileNotFoundError:
            return None
        except (OSError, EOFError, zlib.error, ValueError, TypeError) as error:
            log.debug("the kept answer to %s cannot be read: %s", url, error)
            return None
        fresh = 0 <= self._clock() - kept.stored_at <= self._max_age
        return kept if fresh and kept.url == url else None

    def put(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Keep an answer, if the service names its state and does not forbid it."""
        etag, changed = headers.get("ETag"), headers.get("Last-Modified")
        if not (etag or changed) or "no-store" in headers.get("Cache-Control", "").lower():
            return
        head = {"url": url, "stored_at": self._clock(), "etag": etag, "last_modified": changed}
        packed = gzip.compress(json.dumps(head).encode() + b"\n" + body, compresslevel=1, mtime=0)
        if len(packed) > self._share:
            return
        path = self._path(url)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._make_room(path.parent, len(packed))
            write(path, packed, durable=False)
        except OSError as error:
            log.warning("cannot keep answers in %s: %s", self._folder, error)

    def _path(self, url: str) -> Path:
        digest = hashlib.sha256(url.encode()).hexdigest()
        return self._folder / f"{int(digest[:8], 16) % _FOLDERS:02d}" / f"{digest[:40]}.gz"

    def _make_room(self, folder: Path, size: int) -> None:
        # Each folder has its share of the room, so that making some looks at few files.
        held = []
        for entry in os.scandir(folder):
            try:
                found = entry.stat()
            except FileNotFoundError:  # another process made room, too
                continue
            held.append((found.st_mtime, found.st_size, entry.path))
        room = self._share - size - sum(size for _, size, _ in held)
        for _, freed, path in sorted(held):
            if room >= 0:
                break
            Path(path).unlink(missing_ok=True)
            room += freed
