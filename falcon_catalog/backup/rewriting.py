"""Rewriting of the locations in the metadata of one table or view.

Existing files are never changed. A file that names a moved file is rewritten beside its copy at the
new location, under a name derived from its content, so that a repeated run writes nothing twice.
Source: Iceberg's table specification, and the semantics of Spark's ``rewrite_table_path``.
"""

import hashlib
import re
import uuid
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from falcon_catalog.backup import avro, position_deletes, verification
from falcon_catalog.backup.position_deletes import PATH_IDS, Rewritten
from falcon_catalog.backup.prefix import Move, RelocationError
from falcon_catalog.catalog import manifests as ids
from falcon_catalog.catalog.metadata_files import parse, read_text
from falcon_catalog.errors import BadRequestError, CatalogError, NotFoundError
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.locations import key_or_none
from falcon_catalog.metadata.defaults import uuid_of
from falcon_catalog.metadata.json_fields import JSON

_PATH_PROPERTIES = (
    "write.data.path",
    "write.metadata.path",
    "write.object-storage.path",
    "write.folder-storage.path",
)
_FORMATS = (1, 2, 3)
_VERSION = re.compile(r"v?(\d+)[-.]")
_MOVED = re.compile(r"-moved-[0-9a-f]{32}$")


@dataclass(slots=True)
class Rewriter:
    """Rewrites all files of one table or view, and collects problems."""

    move: Move
    files: FileIO
    dry: bool = False
    """Whether to count files without writing them."""
    tolerant: bool = False
    """Whether files may be missing, because the table is being purged."""
    progress: Callable[[int], None] = lambda _count: None
    """Called with the number of manifests read so far."""
    problems: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Values that mention the old prefix and that the catalog must not change."""
    written: int = 0
    """The number of files written; in a dry run, of files to write."""
    written_bytes: int = 0
    _lists: dict[str, str] = field(default_factory=dict)
    _manifests: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    _deletes: dict[str, tuple[str, int, Rewritten] | None] = field(default_factory=dict)
    _checked: set[tuple[str, int]] = field(default_factory=set)

    def metadata(self, location: str) -> tuple[str, JSON]:
        """Rewrite the metadata file; return its new location and content.

        Raises:
            CatalogError: it is not at the new location, or is not metadata.
        """
        place = self.move(location)
        text = read_text(self.files, place)
        document = parse(text, f"Metadata file {place}")
        if not isinstance(document, dict) or document.get("format-version") not in _FORMATS:
            raise BadRequestError(f"{place} is no metadata of format version 1, 2 or 3")
        if document["format-version"] == 1 and "view-uuid" not in document:
            # If there is none, it follows from the old location, and stays what the row has.
            document["table-uuid"] = document.get("table-uuid") or uuid_of(document["location"])
        moved = self._document(document)
        log = moved.get("metadata-log") or ()
        if "metadata-log" in moved and (
            moved != document or any(self.move.changes(entry["metadata-file"]) for entry in log)
        ):
            # Earlier metadata files name files at the old location.
            moved["metadata-log"] = []
        self.left += _mentions(moved, self.move, "")
        if moved == document:
            return place, document
        content = orjson.dumps(moved)
        digest = hashlib.sha256(content).digest()
        folder, _, name = place.rpartition("/")
        match = _VERSION.match(name)
        version = int(match[1]) + 1 if match else 0
        zipped = name.endswith((".gz.metadata.json", ".metadata.json.gz"))
        if zipped:
            packer = zlib.compressobj(wbits=31)
            content = packer.compress(content) + packer.flush()
        end = ".gz.metadata.json" if zipped else ".metadata.json"
        new = f"{folder}/{version:05d}-{uuid.UUID(bytes=digest[:16], version=4)}{end}"
        self._write(new, content)
        if not self.dry and parse(read_text(self.files, new), new) != moved:
            raise RelocationError(f"{new} is not what was written")
        return new, moved

    def _document(self, document: JSON) -> JSON:
        moved = dict(document)
        if isinstance(document.get("location"), str):
            moved["location"] = self.move(document["location"])
        if isinstance(properties := document.get("properties"), dict):
            moved["properties"] = {
                key: self.move(value)
                if key in _PATH_PROPERTIES and isinstance(value, str)
                else value
                for key, value in properties.items()
            }
        if "snapshots" in document:
            moved["snapshots"] = [dict(one) for one in document["snapshots"] or ()]
        for snapshot in moved.get("snapshots", ()):
            if "manifest-list" in snapshot:
                snapshot["manifest-list"] = self._list(snapshot["manifest-list"])
            if "manifests" in snapshot:  # of format version 1
                paths = snapshot["manifests"]
                snapshot["manifests"] = [self._manifest(one, None)[0] for one in paths]
        for name in ("statistics", "partition-statistics"):
            if name in document:
                moved[name] = [dict(one) for one in document[name] or ()]
            for file in moved.get(name, ()):
                self._check(file["statistics-path"], file.get("file-size-in-bytes"))
                file["statistics-path"] = self.move(file["statistics-path"])
        return moved

    def _list(self, location: str) -> str:
        if location not in self._lists:
            self._lists[location] = self.move(location)  # if it cannot be rewritten
            if (found := self._read(location)) is not None:
                content, file = found
                path, length = _name(ids.MANIFEST_PATH), _name(ids.MANIFEST_LENGTH)
                changed = False
                for row in file.records:
                    new = self._manifest(row[path], row[length])
                    if new[0] != row[path]:
                        changed = True
                        row[path], row[length] = new
                if changed:
                    self._lists[location] = self._put(location, avro.write(file))
                if not self.dry:
                    place = self._lists[location]
                    contents = content, self.files.read(place)
                    verification.compare_manifest_lists(contents, place, self.move, self._manifests)
        return self._lists[location]

    def _manifest(self, location: str, length: int | None) -> tuple[str, int | None]:
        """Return the new location of a manifest, and its length."""
        if location not in self._manifests:
            self._manifests[location] = self.move(location), length
            self.progress(len(self._manifests))
            if self._check(location, length) and (found := self._read(location)) is not None:
                content, file = found
                changed = [self._entry(row) for row in file.records]
                if any(changed):
                    new = avro.write(file)
                    self._manifests[location] = self._put(location, new), len(new)
                if not self.dry:
                    place, _ = self._manifests[location]
                    contents = content, self.files.read(place)
                    verification.compare_manifests(contents, place, self.move, self._deletes)
        return self._manifests[location]

    def _entry(self, entry: JSON) -> bool:
        """Move the paths of one entry; return whether any changed."""
        file = entry[_name(ids.DATA_FILE)]
        path, referenced = file[_name(ids.FILE_PATH)], file.get(_name(ids.REFERENCED))
        deletes_positions = file.get(_name(ids.CONTENT)) == ids.POSITION_DELETES
        changed = self.move.changes(path)
        file[_name(ids.FILE_PATH)] = self.move(path)
        if referenced is not None:
            changed |= self.move.changes(referenced)
            file[_name(ids.REFERENCED)] = self.move(referenced)
        if deletes_positions:
            for bounds in (ids.LOWER_BOUNDS, ids.UPPER_BOUNDS):
                changed |= _replace_bound(file, bounds, self.move.bound)
        if entry[_name(ids.STATUS)] != ids.DELETED:
            is_there = self._check(path, file[_name(ids.FILE_SIZE)])
        else:
            # If it still exists, an earlier snapshot refers to it: use the same new name.
            place = self.move(path)
            is_there = (
                deletes_positions and key_or_none(place) is not None and self.files.exists(place)
            )
        if (
            deletes_positions
            and is_there
            and (made := self._delete_file(path, file[_name(ids.FILE_FORMAT)])) is not None
        ):
            _describe(file, *made)
            changed = True
        return changed

    def _delete_file(self, location: str, file_format: str) -> tuple[str, int, Rewritten] | None:
        """Return the new location and size of a delete file, and its content; None if unchanged."""
        if location not in self._deletes:
            self._deletes[location] = None
            place = self.move(location)
            try:
                content = self.files.read(place)
                made = position_deletes.rewrite(content, file_format, place, self.move)
                if made is not None:
                    new = self._put(location, made.content)
                    self._deletes[location] = new, len(made.content), made
                    if not self.dry:
                        contents = content, self.files.read(new)
                        verification.compare_deletes(contents, new, self.move, file_format)
            except CatalogError as error:
                self.problems.append(str(error))
        return self._deletes[location]

    def _read(self, location: str) -> tuple[bytes, avro.AvroFile] | None:
        """Return the content of a manifest or manifest list; None if it cannot be read."""
        place = self.move(location)
        try:
            content = self.files.read(place)
            return content, avro.read(content, place)
        except CatalogError as error:
            self._note(place, error)
        return None

    def _check(self, location: str, size: int | None) -> bool:
        """Return whether a file exists at its new location with the size in the metadata."""
        place = self.move(location)
        if size is not None and (place, size) in self._checked:
            return True
        if key_or_none(place) is None:
            self.left.append(f"{place} is not local: it was not checked")
            return False
        try:
            found = self.files.size(place)
        except CatalogError as error:
            self._note(place, error)
            return False
        if size is not None and found != size:
            self.problems.append(f"{place} has {found} bytes, and should have {size}")
            return False
        if size is not None:
            self._checked.add((place, size))
        return True

    def _note(self, place: str, error: CatalogError) -> None:
        if not isinstance(error, NotFoundError):
            self.problems.append(str(error))
        elif not self.tolerant:
            self.problems.append(f"{place} does not exist")

    def _put(self, location: str, content: bytes) -> str:
        """Write the replacement of the file at ``location``; return its location."""
        folder, _, name = self.move(location).rpartition("/")
        stem, dot, end = name.rpartition(".")
        stem = _MOVED.sub("", stem if dot else end)[:150]
        digest = hashlib.sha256(content).hexdigest()[:32]
        new = f"{folder}/{stem}-moved-{digest}" + (f".{end}" if dot else "")
        self._write(new, content)
        return new

    def _write(self, location: str, content: bytes) -> None:
        """Write a file durably, unless it exists with this content."""
        self.written += 1
        self.written_bytes += len(content)
        if self.dry:
            return
        try:
            if self.files.read(location) == content:
                return
            # The name is derived from the content: an interrupted run left this file.
            self.files.delete(location)
        except NotFoundError:
            pass
        self.files.write(location, content)


def _name(field_id: int) -> str:
    return f"f{field_id}"


def _replace_bound(file: JSON, bounds: int, change: Callable[[bytes], bytes]) -> bool:
    """Apply ``change`` to the bound of the path column; return whether it differs."""
    key, value = _name(bounds + 1), _name(bounds + 2)
    changed = False
    for pair in file.get(_name(bounds)) or ():
        if pair[key] in PATH_IDS:
            new = change(pair[value])
            changed |= new != pair[value]
            pair[value] = new
    return changed


def _describe(file: JSON, path: str, size: int, made: Rewritten) -> None:
    """Update a manifest's entry for a rewritten delete file."""
    file[_name(ids.FILE_PATH)] = path
    file[_name(ids.FILE_SIZE)] = size
    if made.bounds:
        lower, upper = made.bounds
        _replace_bound(file, ids.LOWER_BOUNDS, lambda _: lower)
        _replace_bound(file, ids.UPPER_BOUNDS, lambda _: upper)
    key, value = _name(ids.COLUMN_SIZES + 9), _name(ids.COLUMN_SIZES + 10)
    for pair in file.get(_name(ids.COLUMN_SIZES)) or ():
        pair[value] = made.column_sizes.get(pair[key], pair[value])
    if file.get(_name(ids.SPLIT_OFFSETS)) is not None and made.split_offsets:
        file[_name(ids.SPLIT_OFFSETS)] = made.split_offsets


def _mentions(value: Any, move: Move, where: str) -> Iterator[str]:
    """Yield the paths of values in a document that mention the old prefix."""
    if isinstance(value, str) and move.is_mentioned(value):
        yield f"{where}: {value[:200]}"
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _mentions(one, move, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _mentions(one, move, f"{where}[{number}]")
