"""Vended credentials of tables, renewed before they expire.

PyIceberg takes the credentials that come with a loaded table and never asks for others, so that a
long job fails when they expire. Here the FileIO of a table asks the catalog in time.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pyarrow.fs import FileSystem
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table
from pyiceberg.typedef import Identifier, Properties

log = logging.getLogger("luigi-interface.weather")

# Seconds before the end at which credentials are renewed: a file that is opened now is read or
# written within them. Java's clients take the same.
_MARGIN = 300.0
# Seconds until the next try, after one that brought no credentials.
_PAUSE = 30.0

# Properties with the end of a credential, milliseconds since 1970; Azure's has the host behind it.
_EXPIRY = (
    "s3.session-token-expires-at-ms",
    "gcs.oauth2.token-expires-at",
    "adls.sas-token-expires-at-ms.",
)
_REFUSED = re.compile(r"ACCESS_DENIED|AccessDenied|HTTP status 40[013]\b|Expired", re.IGNORECASE)


def expiry(properties: Properties) -> float | None:
    """Return when the credentials among properties expire, in seconds since 1970."""
    ends = [
        int(value) / 1000
        for name, value in properties.items()
        if name.startswith(_EXPIRY) and str(value).isdigit()
    ]
    return min(ends, default=None)


def refused(error: BaseException) -> bool:
    """Return whether an object store refused credentials, for example since they have expired.

    Arrow has no error of its own for it, and none with the store's word for answers to HEAD.
    """
    return isinstance(error, OSError) and _REFUSED.search(str(error)) is not None


class RenewingFileIO(PyArrowFileIO):
    """PyIceberg's FileIO with credentials that are replaced in time."""

    def __init__(self, properties: Properties, renew: Callable[[], Properties]) -> None:
        """Use the credentials of ``properties``, later those that ``renew`` returns."""
        super().__init__(properties)
        self._cached = self.fs_by_scheme
        self.fs_by_scheme = self._current
        self._renew = renew
        self._lock = threading.Lock()
        self._due = _due(properties)

    def _current(self, scheme: str, netloc: str | None = None) -> FileSystem:
        with self._lock:
            if time.time() >= self._due:
                self._replace()
            cached = self._cached
        return cached(scheme, netloc)

    def _replace(self) -> None:
        self._due = time.time() + _PAUSE
        try:
            fresh = self._renew()
        except Exception as error:
            end = expiry(self.properties)
            if end is None or time.time() >= end:
                raise
            log.info("credentials cannot be renewed yet: %s", error)
            return
        if fresh:
            self.properties = {**self.properties, **fresh}
            self._cached = lru_cache(self._initialize_fs)
            self._due = max(self._due, _due(self.properties))


def _due(properties: Properties) -> float:
    """Return when to renew credentials: in time, but not before half of their life is over."""
    end, now = expiry(properties), time.time()
    return float("inf") if end is None else end - min(_MARGIN, max(0.0, end - now) / 2)


class RenewingCatalog(RestCatalog):
    """PyIceberg's REST catalog, whose tables renew their credentials."""

    def _response_to_table(self, identifier_tuple: Identifier, table_response: Any) -> Table:
        table = super()._response_to_table(identifier_tuple, table_response)
        if isinstance(table.io, PyArrowFileIO) and expiry(table.io.properties) is not None:
            table.io = RenewingFileIO(
                table.io.properties,
                lambda: self.load_credentials(identifier_tuple, table.metadata_location),
            )
        return table
