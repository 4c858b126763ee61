"""A cache of raw responses, with which an unchanged list costs a 304."""

import logging
import sqlite3
from pathlib import Path
from typing import Any

import requests
from hishel import CacheOptions, SqliteStorage
from hishel.requests import CacheAdapter

log = logging.getLogger("jobs.nws")

MAX_BYTES = 256 * 2**20
# A response is requested whole again after a day: a Last-Modified that is stale hides a change no
# longer than that.
MAX_AGE = 86_400.0


class CachingAdapter(CacheAdapter):
    """Keeps responses in a database, which threads and processes may share, and revalidates each.

    An entry is one URL, whatever else a request for it says. Over `max_bytes` the entries unused
    for the longest time go. A database that is damaged is replaced.

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
        """Answer a request from the cache, once the service has said that nothing changed."""
        request.headers["Cache-Control"] = "no-cache"
        request.headers["X-Hishel-Key"] = str(request.url)
        return super().send(request, *rest, **options)

    def add_headers(self, request: requests.PreparedRequest, **_: Any) -> None:
        """Keep what is meant for this cache from the service."""
        request.headers.pop("Cache-Control", None)

    def forget(self, url: str) -> None:
        """Remove a response, which turned out not to be what it should be."""
        for entry in self.storage.get_entries(url):
            self.storage.remove_entry(entry.id)


def was_revalidated(response: requests.Response) -> bool:
    """Return whether the body is the cached one, which the service called unchanged."""
    return response.headers.get("X-Hishel-From-Cache") == "true"
