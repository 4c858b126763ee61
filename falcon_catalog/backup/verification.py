"""Read rewritten metadata back, and compare it with what it was made from.

With the reader of scan planning, another one than that which rewrote it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from falcon_catalog.backup import position_deletes
from falcon_catalog.backup import rewriting as ids
from falcon_catalog.backup.prefix import Move, RelocationError
from falcon_catalog.catalog import metadata_files as files
from falcon_catalog.catalog.scan_planning import iceberg
from falcon_catalog.errors import CatalogError
from falcon_catalog.fileio.base import FileIO

_MAY_DIFFER = {"location", "properties", "snapshots", "statistics", "partition-statistics"}
_LOG = "metadata-log"
# A rewritten delete file has another length, other pages and other bounds of its paths.
_OF_DELETES = {ids.FILE_SIZE, ids.COLUMN_SIZES, ids.SPLIT_OFFSETS}

JSON = dict[str, Any]
ById = dict[int, Any]
"""A record of a manifest by field ids."""


@dataclass(slots=True)
class Verifier:
    """Compares the metadata of one table or view with what it was made from."""

    move: Move
    files: FileIO
    tolerant: bool = False
    """Whether files may be missing: those of a table whose purge has begun."""
    _seen: set[tuple[str, str]] = field(default_factory=set)

    def verify(self, old: str, new: str) -> None:
        """Compare two metadata files, and all that they name.

        Raises:
            RelocationError: they differ in more than locations, or a file that the new one names
                is not there, is of another length, or is at the old place.
            CatalogError: a file cannot be read.
        """
        before, after = files.read(self.files, old), files.read(self.files, new)
        if old == new:
            return
        plain = set(before) - _MAY_DIFFER - {_LOG}
        self._equal(new, {key: before[key] for key in plain}, {key: after[key] for key in plain})
        self._equal(new, list(before), list(after))
        self._moved(new, before["location"], after["location"])
        if after.get(_LOG):
            raise RelocationError(f"{new}: its {_LOG} is not empty")
        for name, value in after.get("properties", {}).items():
            self._equal(new, before["properties"][name], value, name=name)
        for left, right in _pairs(before, after, "snapshots"):
            self._snapshot(new, left, right)
        for name in ("statistics", "partition-statistics"):
            for left, right in _pairs(before, after, name):
                self._moved(new, left["statistics-path"], right["statistics-path"])
                self._present(right["statistics-path"], right.get("file-size-in-bytes"))

    def _snapshot(self, where: str, before: JSON, after: JSON) -> None:
        places = ("manifest-list", "manifests")
        rest = [{key: one[key] for key in one if key not in places} for one in (before, after)]
        self._equal(where, *rest)
        if "manifest-list" in after:
            self._list(self.move(before["manifest-list"]), after["manifest-list"])
        pairs = zip(before.get("manifests", ()), after.get("manifests", ()), strict=True)
        for left, right in pairs:
            self._manifest(self.move(left), right)

    def _list(self, old: str, new: str) -> None:
        if (old, new) in self._seen or not self._present(new, None):
            return
        self._seen.add((old, new))
        rows = [iceberg.read_manifest_list(self.files.read(one), one) for one in (old, new)]
        self._equal(new, len(rows[0]), len(rows[1]))
        for before, after in zip(*rows, strict=True):
            left, right = before.pop(ids.MANIFEST_PATH), after.pop(ids.MANIFEST_PATH)
            before.pop(ids.MANIFEST_LENGTH)
            self._present(right, after.pop(ids.MANIFEST_LENGTH))
            self._equal(new, before, after)
            self._manifest(self.move(left), right)

    def _manifest(self, old: str, new: str) -> None:
        if (old, new) in self._seen or not self._present(new, None):
            return
        self._seen.add((old, new))
        before, after = (iceberg.read_manifest(self.files.read(one), one) for one in (old, new))
        self._equal(new, before.header, after.header)
        self._equal(new, len(before.rows), len(after.rows))
        for left, right in zip(before.rows, after.rows, strict=True):
            self._equal(new, left[0], right[0])
            self._entry(new, left[0], _plain(left[1]), _plain(right[1]))

    def _entry(self, where: str, entry: ById, before: ById, after: ById) -> None:
        old, new = before.pop(ids.FILE_PATH), after.pop(ids.FILE_PATH)
        referenced = before.pop(ids.REFERENCED), after.pop(ids.REFERENCED)
        size = after[ids.FILE_SIZE]
        is_rewritten = new != self.move(old)
        if before[ids.CONTENT] == ids.POSITION_DELETES:
            for bounds in (ids.LOWER_BOUNDS, ids.UPPER_BOUNDS):
                _drop_paths(before[bounds])
                if any(self.move.bound(value) != value for value in _drop_paths(after[bounds])):
                    raise RelocationError(f"{where}: a bound of {new} is at the old place")
            for one in _OF_DELETES if is_rewritten else ():
                before.pop(one)
                after.pop(one)
        elif is_rewritten:
            raise RelocationError(f"{where} names {new}, and should name {self.move(old)}")
        self._equal(where, before, after)
        self._moved(where, *((one or "") for one in referenced))
        if self.move.changes(new):
            raise RelocationError(f"{where} names {new}, which is at the old place")
        if entry[ids.STATUS] != ids.DELETED and self._present(new, size) and is_rewritten:
            self._delete_file(self.move(old), new, before[ids.FILE_FORMAT])

    def _delete_file(self, old: str, new: str, file_format: str) -> None:
        if (old, new) in self._seen:
            return
        self._seen.add((old, new))
        kind = str(file_format)
        before, after = (
            position_deletes.positions(self.files.read(one), kind, one) for one in (old, new)
        )
        if sorted((self.move(path), position) for path, position in before) != sorted(after):
            raise RelocationError(f"{new} does not delete what {old} deletes")

    def _present(self, location: str, size: int | None) -> bool:
        """Return whether a file is there; raise an error if it should be."""
        if self.move.changes(location):
            raise RelocationError(f"{location} is still named, and is at the old place")
        try:
            found = self.files.size(location)
        except CatalogError:
            if self.tolerant or not ids.is_local(location):
                return False
            raise
        if size is not None and found != size:
            raise RelocationError(f"{location} has {found} bytes, and should have {size}")
        return True

    def _moved(self, where: str, before: str, after: str) -> None:
        self._equal(where, self.move(before), after)

    def _equal(self, where: str, before: object, after: object, *, name: str = "") -> None:
        if name in ids.PATH_PROPERTIES and isinstance(before, str):
            before = self.move(before)
        if repr(before) != repr(after):  # by their text: NaN is not equal to itself
            raise RelocationError(
                f"{where} differs from what it was made from: {after!r:.200}, not {before!r:.200}"
            )


def _plain(file: ById) -> ById:
    """Return a data file with plain dicts in it: the reader's own decode only when used."""
    return {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in file.items()
    }


def _drop_paths(bounds: dict[int, bytes] | None) -> list[bytes]:
    """Remove the bounds of columns that are not the table's; return them."""
    return [bounds.pop(one) for one in list(bounds) if one >= ids.RESERVED] if bounds else []


def _pairs(before: JSON, after: JSON, name: str) -> Iterator[tuple[JSON, JSON]]:
    yield from zip(before.get(name) or (), after.get(name) or (), strict=True)
