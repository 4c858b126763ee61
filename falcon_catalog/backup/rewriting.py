"""The metadata of one table or view with another prefix in its locations.

Files are never changed: what names a moved file is written anew beside its copy at the new
place, under a name made from its content. So a run that is repeated writes nothing twice.
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

from falcon_catalog.backup import avro, position_deletes
from falcon_catalog.backup.position_deletes import PATH_IDS, Rewritten
from falcon_catalog.backup.prefix import Move, RelocationError
from falcon_catalog.backup.verification import (
    compare_deletes,
    compare_manifest_lists,
    compare_manifests,
)
from falcon_catalog.catalog.manifests import (
    COLUMN_SIZES,
    CONTENT,
    DATA_FILE,
    DELETED,
    FILE_FORMAT,
    FILE_PATH,
    FILE_SIZE,
    LOWER_BOUNDS,
    MANIFEST_LENGTH,
    MANIFEST_PATH,
    POSITION_DELETES,
    REFERENCED,
    SPLIT_OFFSETS,
    STATUS,
    UPPER_BOUNDS,
)
from falcon_catalog.catalog.metadata_files import parse, read_text
from falcon_catalog.errors import BadRequestError, CatalogError, NotFoundError
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.locations import key_or_none

_PATH_PROPERTIES = (
    "write.data.path",
    "write.metadata.path",
    "write.object-storage.path",
    "write.folder-storage.path",
)
_FORMATS = (1, 2, 3)
_VERSION = re.compile(r"v?(\d+)[-.]")
_MOVED = re.compile(r"-moved-[0-9a-f]{32}$")

JSON = dict[str, Any]


@dataclass(slots=True)
class Rewriter:
    """Rewrites what one table or view reaches, and collects what stands in the way."""

    move: Move
    files: FileIO
    dry: bool = False
    """Whether files are only counted, not written."""
    tolerant: bool = False
    """Whether files may be missing: those of a table whose purge has begun."""
    progress: Callable[[int], None] = lambda _count: None
    """Called with the number of manifests read so far."""
    problems: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Values that mention the old prefix and are not for the catalog to change."""
    written: int = 0
    """Files that were written, or would be."""
    written_bytes: int = 0
    _lists: dict[str, str] = field(default_factory=dict)
    _manifests: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    _deletes: dict[str, tuple[str, int, Rewritten] | None] = field(default_factory=dict)
    _checked: set[tuple[str, int]] = field(default_factory=set)

    def metadata(self, location: str) -> tuple[str, JSON]:
        """Return where the metadata file is from now on, and its content.

        Raises:
            CatalogError: it is not at the new place, or is no metadata.
        """
        place = self.move(location)
        text = read_text(self.files, place)
        document = parse(text, f"Metadata file {place}")
        if not isinstance(document, dict) or document.get("format-version") not in _FORMATS:
            raise BadRequestError(f"{place} is no metadata of format version 1, 2 or 3")
        moved = self._document(document)
        log = moved.get("metadata-log") or ()
        if "metadata-log" in moved and (
            moved != document or any(self.move.changes(entry["metadata-file"]) for entry in log)
        ):
            # Earlier metadata files name files at the old place; nothing may lead to them.
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
                changed = False
                for row in file.records:
                    path, length = row[_name(MANIFEST_PATH)], row[_name(MANIFEST_LENGTH)]
                    new, new_length = self._manifest(path, length)
                    if new != path:
                        changed = True
                        row[_name(MANIFEST_PATH)], row[_name(MANIFEST_LENGTH)] = new, new_length
                if changed:
                    self._lists[location] = self._put(location, avro.write(file))
                if not self.dry:
                    place = self._lists[location]
                    contents = content, self.files.read(place)
                    compare_manifest_lists(contents, place, self.move, self._manifests)
        return self._lists[location]

    def _manifest(self, location: str, length: int | None) -> tuple[str, int | None]:
        """Return where a manifest is from now on, and its length."""
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
                    compare_manifests(contents, place, self.move, self._deletes)
        return self._manifests[location]

    def _entry(self, entry: JSON) -> bool:
        """Move the paths of one entry; return whether there were any to be moved."""
        file = entry[_name(DATA_FILE)]
        path, referenced = file[_name(FILE_PATH)], file.get(_name(REFERENCED))
        deletes_positions = file.get(_name(CONTENT)) == POSITION_DELETES
        changed = self.move.changes(path)
        file[_name(FILE_PATH)] = self.move(path)
        if referenced is not None:
            changed |= self.move.changes(referenced)
            file[_name(REFERENCED)] = self.move(referenced)
        if deletes_positions:
            for bounds in (LOWER_BOUNDS, UPPER_BOUNDS):
                changed |= _replace_bound(file, bounds, self.move.bound)
        if entry[_name(STATUS)] != DELETED:
            is_there = self._check(path, file[_name(FILE_SIZE)])
        else:
            # The same name as where an earlier snapshot has it, if that is still there.
            place = self.move(path)
            is_there = (
                deletes_positions and key_or_none(place) is not None and self.files.exists(place)
            )
        if (
            deletes_positions
            and is_there
            and (made := self._delete_file(path, file[_name(FILE_FORMAT)])) is not None
        ):
            _describe(file, *made)
            changed = True
        return changed

    def _delete_file(self, location: str, file_format: str) -> tuple[str, int, Rewritten] | None:
        """Return a rewritten delete file, its place and size; None if it needs no rewriting."""
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
                        compare_deletes(contents, new, self.move, file_format)
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
        """Return whether a file is at its place, and as long as the metadata says."""
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
            self.problems.append(f"{place} is not there")

    def _put(self, location: str, content: bytes) -> str:
        """Write what replaces the file at ``location``; return where."""
        folder, _, name = self.move(location).rpartition("/")
        stem, dot, end = name.rpartition(".")
        stem = _MOVED.sub("", stem if dot else end)[:150]
        digest = hashlib.sha256(content).hexdigest()[:32]
        new = f"{folder}/{stem}-moved-{digest}" + (f".{end}" if dot else "")
        self._write(new, content)
        return new

    def _write(self, location: str, content: bytes) -> None:
        """Have a file with this content, durable; one that is there already is kept."""
        self.written += 1
        self.written_bytes += len(content)
        if self.dry:
            return
        try:
            if self.files.read(location) == content:
                return
            # The name is made from the content: this is what an interrupted run left.
            self.files.delete(location)
        except NotFoundError:
            pass
        self.files.write(location, content)


def _name(field_id: int) -> str:
    return f"f{field_id}"


def _replace_bound(file: JSON, bounds: int, change: Callable[[bytes], bytes]) -> bool:
    """Change the bound of the column of paths; return whether it is another one now."""
    key, value = _name(bounds + 1), _name(bounds + 2)
    changed = False
    for pair in file.get(_name(bounds)) or ():
        if pair[key] in PATH_IDS:
            new = change(pair[value])
            changed |= new != pair[value]
            pair[value] = new
    return changed


def _describe(file: JSON, path: str, size: int, made: Rewritten) -> None:
    """Let a manifest's entry say what a rewritten delete file is."""
    file[_name(FILE_PATH)] = path
    file[_name(FILE_SIZE)] = size
    if made.bounds:
        lower, upper = made.bounds
        _replace_bound(file, LOWER_BOUNDS, lambda _: lower)
        _replace_bound(file, UPPER_BOUNDS, lambda _: upper)
    key, value = _name(COLUMN_SIZES + 9), _name(COLUMN_SIZES + 10)
    for pair in file.get(_name(COLUMN_SIZES)) or ():
        pair[value] = made.column_sizes.get(pair[key], pair[value])
    if file.get(_name(SPLIT_OFFSETS)) is not None and made.split_offsets:
        file[_name(SPLIT_OFFSETS)] = made.split_offsets


def _mentions(value: Any, move: Move, where: str) -> Iterator[str]:
    """Yield where in a document the old prefix is still mentioned."""
    if isinstance(value, str) and move.is_mentioned(value):
        yield f"{where}: {value[:200]}"
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _mentions(one, move, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _mentions(one, move, f"{where}[{number}]")
