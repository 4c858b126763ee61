"""What a catalog does by itself, in the background of the requests."""

import logging
import threading
from collections.abc import Sequence

from falcon_catalog.catalog import undrop
from falcon_catalog.catalog.base import Catalog
from falcon_catalog.catalog.watching import Room

_INTERVAL_SECONDS = 60.0
_log = logging.getLogger(__name__)


class Housekeeper:
    """A thread that lets go of what was dropped, once its retention is over, and measures disks."""

    def __init__(self, catalogs: Sequence[Catalog], room: Room) -> None:
        self._catalogs = tuple(catalogs)
        self._room = room
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after the file it may be deleting."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        self._room.measure()
        while not self._stopped.wait(_INTERVAL_SECONDS):
            self._room.measure()
            for catalog in self._catalogs:
                self._let_go(catalog)

    def _let_go(self, catalog: Catalog) -> None:
        try:
            if catalog.mount.absence():
                return  # it is told once, not each minute
            catalog.mount.mark()  # of an older store, whose warehouse was not there at the start
            for line in undrop.let_go(catalog, stopping=self._stopped.is_set):
                _log.info("%s", line)
        except Exception:  # noqa: BLE001 - the next round may go better
            _log.exception("cannot look for what is to be let go")
