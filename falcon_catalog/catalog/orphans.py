"""Metadata files that commits may have left behind: recorded at once, deleted a day later.

A process that is killed records nothing: the doctor finds what it has left.
"""

import logging

from falcon_catalog.catalog import metadata_files
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.errors import BadRequestError, CatalogError, ForbiddenError, NotFoundError
from falcon_catalog.locations import key, key_or_none
from falcon_catalog.store import orphans, survey

_GRACE_MS = 24 * 60 * 60 * 1000
"""A request to a store may be done later than it was answered; no request is that late."""
_BATCH = 100
_log = logging.getLogger(__name__)


def record(warehouse: Warehouse, location: str) -> None:
    """Record a file that may have been left behind; the log has it if that is not possible."""
    try:
        with warehouse.store.write() as tx:
            orphans.insert(tx, warehouse.id, location, grace_ms=_GRACE_MS)
    except Exception as error:  # noqa: BLE001 - the commit's own error must be reported
        _log.warning("cannot record that %s may have been left behind: %s", location, error)


def remove_due(warehouse: Warehouse) -> int:
    """Delete the recorded files that are a day old and that nothing refers to; return how many.

    Those that cannot be judged or deleted now are left for another day.
    """
    deleted = 0
    for orphan in orphans.due(warehouse.store.autocommit(), warehouse.id, _BATCH):
        with warehouse.store.write() as tx:
            if not orphans.claim(tx, orphan.id):
                continue
        try:  # what refers to it now was there before the claim
            if not _is_referred_to(warehouse, orphan.location):
                warehouse.files.delete(orphan.location)
                deleted += 1
        except NotFoundError:
            pass  # it was never written
        except (BadRequestError, ForbiddenError) as error:
            _log.warning("%s is left behind: %s", orphan.location, error)
        except CatalogError as error:
            _log.warning("cannot delete %s yet: %s", orphan.location, error)
            with warehouse.store.write() as tx:
                orphans.postpone(tx, orphan.id, delay_ms=_GRACE_MS)
            continue
        with warehouse.store.write() as tx:
            orphans.delete(tx, orphan.id)
    return deleted


def _is_referred_to(warehouse: Warehouse, location: str) -> bool:
    """Return whether a table or view has a metadata file, as its current one or in its log.

    Only those with the uuid that is in the file can: it was registered, or the doctor has made it
    the current one. Both remove the record, but not the one in a store that was restored.

    Raises:
        NotFoundError: there is no such file.
        CatalogError: it cannot be read, or the metadata of such a table cannot.
    """
    metadata, own = metadata_files.read(warehouse.files, location), key(location)
    uuid = str(metadata.get("table-uuid") or metadata.get("view-uuid")).lower()
    for pointer in survey.places_of(warehouse.store.autocommit(), uuid):
        if key_or_none(pointer.metadata_location) == own:
            return True
        try:
            current = metadata_files.read(warehouse.files, pointer.metadata_location)
        except (NotFoundError, BadRequestError, ForbiddenError):
            return True  # its log, which may have the file, cannot be read: the doctor decides
        log = (entry["metadata-file"] for entry in current.get("metadata-log", ()))
        if own in map(key_or_none, log):
            return True
    return False
