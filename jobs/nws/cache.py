"""A cache of raw responses, each of which is revalidated with a conditional request."""

import logging
import sqlite3
from pathlib import Path
from typing import Any

import requests
from hishel import CacheOptions, SqliteStorage
from hishel.requests import CacheAdapter

log = logging.getLogger("jobs.nws")

MAX_BYTES = 256 * 2**20
# Seconds after which a response is requested whole, in case the service's Last-Modified is stale.
MAX_AGE = 86_400.0


class CachingAdapter(CacheAdapter):
    """Keeps responses in a database that threads and processes may share, and revalidates each.

    Entries are keyed by URL alone. Above `max_bytes` the least recently used entries are evicted.
    A damaged database is replaced.

    Raises:
        OSError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "responses.db"
        try:
            with sqlite3.connect(file) as database:
                database.execute("PRAGMA user_version = 1")
        except sqlite3.OperationalError as error:
            raise OSError(f"{file}: {error}") from error
        except sqlite3.DatabaseError as error:
            log.warning("%s is replaced: %s", file, error)
            file.unlink()
        storage = SqliteStorage(database_path=file, default_ttl=MAX_AGE, max_size=max_bytes)
        super().__init__(storage=storage, rfc=CacheOptions(shared=False))

    def send(self, request: requests.PreparedRequest, *rest: Any, **options: Any) -> Any:
        """Send a conditional request, and return the cached response if it is unchanged."""
        request.headers["Cache-Control"] = "no-cache"
        request.headers["X-Hishel-Key"] = str(request.url)
        return super().send(request, *rest, **options)

    def add_headers(self, request: requests.PreparedRequest, **_: Any) -> None:
        """Remove the header that addresses this cache."""
        request.headers.pop("Cache-Control", None)

    def forget(self, url: str) -> None:
        """Remove a response that turned out to be invalid."""
        for entry in self.storage.get_entries(url):
            self.storage.remove_entry(entry.id)


def was_revalidated(response: requests.Response) -> bool:
    """Return whether a response is the cached one, confirmed as unchanged."""
    return response.headers.get("X-Hishel-From-Cache") == "true"
