"""Every file that a table's or view's metadata reaches, but the current metadata file itself."""

import logging
from collections.abc import Iterator
from typing import Any

from falcon_catalog.catalog.base import Catalog
from falcon_catalog.catalog.planning import iceberg
from falcon_catalog.errors import BadRequestError, NotFoundError

_MANIFEST_PATH = 500
_FILE_PATH = 100
_log = logging.getLogger(__name__)

JSON = dict[str, Any]


def files_of(catalog: Catalog, metadata: JSON) -> Iterator[str]:
    """Yield the locations, each file before the one that names it.

    Interrupted and begun again, what was not reached yet can so still be reached. With
    ``gc.enabled=false`` data files belong to somebody else and are left out.
    """
    with_data = str(metadata.get("properties", {}).get("gc.enabled", "true")).lower() != "false"
    yield from _content_of(catalog, metadata, with_data=with_data)
    for statistics in ("statistics", "partition-statistics"):
        for file in metadata.get(statistics, ()):
            yield file["statistics-path"]
    for entry in metadata.get("metadata-log", ()):
        yield entry["metadata-file"]


def _content_of(catalog: Catalog, metadata: JSON, *, with_data: bool) -> Iterator[str]:
    lists = [s["manifest-list"] for s in metadata.get("snapshots", ()) if "manifest-list" in s]
    manifests: dict[str, None] = {}
    for location in lists:
        manifests |= dict.fromkeys(_manifests_in(catalog, location))
    if with_data:
        seen: set[str] = set()
        for manifest in manifests:
            for file in _files_in(catalog, manifest):
                if file not in seen:
                    seen.add(file)
                    yield file
    yield from manifests
    yield from lists


def _manifests_in(catalog: Catalog, location: str) -> list[str]:
    try:
        content = catalog.files.read(location)
        return [row[_MANIFEST_PATH] for row in iceberg.read_manifest_list(content, location)]
    except (NotFoundError, BadRequestError) as error:
        _log.warning("cannot look into manifest list %s: %s", location, error)
        return []


def _files_in(catalog: Catalog, location: str) -> list[str]:
    try:
        entries = iceberg.read_manifest(catalog.files.read(location), location)
        return [file[_FILE_PATH] for _, file in entries.rows]
    except (NotFoundError, BadRequestError) as error:
        _log.warning("cannot look into manifest %s: %s", location, error)
        return []
