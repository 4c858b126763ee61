"""What the checks share: the probe's folder in the store, and how a check ends early."""

from contextlib import suppress
from dataclasses import dataclass, field

from falcon_catalog.errors import CatalogError, NotFoundError, ServiceUnavailableError
from falcon_catalog.fileio.base import Entry, walk
from falcon_catalog.fileio.client import ClientStore
from falcon_catalog.fileio.storage import Storage
from falcon_catalog.locations import FILE, OBJECT_STORES, join, parse
from falcon_catalog.settings import StorageSettings


class Failed(Exception):  # noqa: N818 - an outcome
    """A check failed, and it is known why."""

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy


class Skipped(Exception):  # noqa: N818 - an outcome
    """A check has no meaning here; the message says why."""


@dataclass(slots=True)
class Probe:
    """A folder of the check's own, and all that was written for the check."""

    storage: Storage
    settings: StorageSettings
    root: str
    written: list[str] = field(default_factory=list)
    client: ClientStore | None = None
    """Opened with a vended credential."""

    @property
    def table(self) -> str:
        """The location of the table that access is given to."""
        return self.at("table")

    def at(self, *segments: str) -> str:
        """Return a location in the probe's folder, noted for the clean-up."""
        location = join(self.root, *segments)
        if location not in self.written:
            self.written.append(location)
        return location

    def key(self, *segments: str) -> str:
        """Return the key of a location in the probe's folder."""
        return parse(self.at(*segments), FILE | OBJECT_STORES).path

    def create(self, name: str, content: bytes) -> str:
        """Create a file with the server's own credential; return its location."""
        location = self.at(*name.split("/"))
        if not self.storage.files.create(location, content):
            raise ServiceUnavailableError(f"Cannot create {location}: it exists")
        return location

    def clean_up(self) -> tuple[list[str], CatalogError | None]:
        """Delete all that was written; return what is left, and the last error."""
        files, trouble = self.storage.files, None
        places = list(self.written)
        with suppress(CatalogError):  # the store need not let us list
            top = Entry(self.root, "folder", 0, 0)
            for _, _, others in walk(files, top):
                places += [each.location for each in others if each.kind == "file"]
        left = []
        for place in dict.fromkeys(places):
            try:
                files.delete(place)
            except CatalogError as error:
                if not isinstance(error, NotFoundError) and self._is_there(place):
                    trouble = error
                    left.append(place)
        with suppress(CatalogError):
            files.remove_empty_folders(self.root)
        return left, trouble

    def _is_there(self, place: str) -> bool:
        try:
            return self.storage.files.exists(place)
        except CatalogError:
            return True
