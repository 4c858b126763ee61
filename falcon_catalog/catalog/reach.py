"""Every file that a table's or view's metadata reaches, but the current metadata file itself."""

import logging
from collections.abc import Iterator
from typing import Any

from falcon_catalog.catalog.manifests import Read, Walk
from falcon_catalog.errors import BadRequestError, CatalogError, NotFoundError

_log = logging.getLogger(__name__)


def files_of(metadata: dict[str, Any], read: Read) -> Iterator[str]:
    """Yield the locations, each file before the one that names it.

    Interrupted and begun again, what was not reached yet can so still be reached. With
    ``gc.enabled=false`` data files belong to somebody else and are left out.
    """
    walk = Walk(metadata, read, _log_trouble)
    manifests = walk.manifests()
    if str(metadata.get("properties", {}).get("gc.enabled", "true")).lower() != "false":
        seen: set[str] = set()
        for file in walk.files(manifests):
            if file.path not in seen:
                seen.add(file.path)
                yield file.path
    yield from manifests
    yield from walk.lists
    for statistics in ("statistics", "partition-statistics"):
        for entry in metadata.get(statistics, ()):
            yield entry["statistics-path"]
    for entry in metadata.get("metadata-log", ()):
        yield entry["metadata-file"]


def _log_trouble(location: str, error: CatalogError) -> None:
    """Go on where a file is gone or damaged; what cannot be read now may be read later."""
    if not isinstance(error, NotFoundError | BadRequestError):
        raise error
    _log.warning("cannot look into %s: %s", location, error)
