"""Delete files: the data files that they apply to, and the rows that they delete."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestEntry
from pyiceberg.transforms import VoidTransform

from jobs.lake.partitions import exact
from jobs.maintenance.errors import RefusedError
from jobs.maintenance.locations import normal
from jobs.maintenance.state import State

# The reserved field id of a position delete file's file_path.
_PATH_ID = 2147483546
_KEPT = 16


class DeleteFiles:
    """Reads position delete files, with a cache."""

    def __init__(self, io: FileIO) -> None:
        self._io = io
        self._paths = lru_cache(maxsize=None)(self._read_paths)
        # A delete file may apply to many data files, which are read one after the other.
        self._positions = lru_cache(maxsize=_KEPT)(self._table)

    def referenced(self, delete: DataFile, known: Container[str]) -> frozenset[str]:
        """Return the normal locations of the data files whose rows a position delete file deletes.

        Its bounds suffice if they name one known file. Writers may truncate bounds, so any other
        delete file is read.
        """
        only = self.only_target(delete)
        if only is not None and only in known:
            return frozenset([only])
        return self._paths(delete.file_path, delete.file_format)

    def only_target(self, delete: DataFile) -> str | None:
        """Return the normal location of the data file that the bounds name, if they name one."""
        lower = (delete.lower_bounds or {}).get(_PATH_ID)
        upper = (delete.upper_bounds or {}).get(_PATH_ID)
        return normal(lower.decode(errors="replace")) if lower and lower == upper else None

    def positions(self, deletes: Iterable[DataFile], wanted: str) -> pa.ChunkedArray:
        """Return the positions of the rows of a data file that the delete files delete."""
        chunks: list[Any] = []
        for delete in deletes:
            table = self._positions(delete.file_path, delete.file_format, ("file_path", "pos"))
            paths = pc.unique(table.column("file_path"))
            spelled = [path for path in paths.to_pylist() if normal(path) == wanted]
            mask = pc.is_in(table.column("file_path"), value_set=pa.array(spelled, paths.type))
            chunks += table.column("pos").cast(pa.int64()).filter(mask).chunks
        return pa.chunked_array(chunks, pa.int64())

    def _read_paths(self, path: str, file_format: FileFormat) -> frozenset[str]:
        column = self._table(path, file_format, ("file_path",)).column("file_path")
        return frozenset(normal(name) for name in pc.unique(column).to_pylist())

    def _table(self, path: str, file_format: FileFormat, columns: tuple[str, ...]) -> pa.Table:
        if file_format != FileFormat.PARQUET:
            raise RefusedError(
                f"{path} holds position deletes in {file_format.value}, and only those in Parquet"
                " can be read: let the engine that wrote them rewrite them"
            )
        with self._io.new_input(path).open() as source:
            return pq.read_table(source, columns=list(columns))


def positional(entries: Iterable[ManifestEntry]) -> list[ManifestEntry]:
    """Return the entries of position delete files."""
    kind = DataFileContent.POSITION_DELETES
    return [entry for entry in entries if entry.data_file.content == kind]


@dataclass(frozen=True)
class Applied:
    """Which position delete files apply to which data files, by normal location."""

    by_data_file: Mapping[str, Sequence[DataFile]]
    doubtful: frozenset[str]
    """Data files that a delete file of another partition names: by the specification it does not
    apply, but readers that compare the path alone apply it."""


def position_deletes(state: State, files: DeleteFiles) -> Applied:
    """Return the position delete files by data file.

    Source: "Scan Planning" in the specification, and Java's DeleteFileIndex. A delete file whose
    bounds name one data file applies by path, any other only to data files of its own spec and
    partition. Neither applies to younger data files.
    """
    found: dict[str, list[DataFile]] = {}
    doubtful = set()
    for entry in positional(state.deletes.values()):
        delete = entry.data_file
        only = files.only_target(delete)
        for path in files.referenced(delete, state.data):
            data = state.data.get(path)
            if data is None or (data.sequence_number or 0) > (entry.sequence_number or 0):
                continue
            if only is None and not _same_partition(data.data_file, delete):
                doubtful.add(path)
            else:
                found.setdefault(path, []).append(delete)
    return Applied(found, frozenset(doubtful))


def under_equality_deletes(state: State) -> set[str]:
    """Return the data files, by normal location, that an equality delete file may apply to.

    Source: as ``position_deletes``. A delete file of an unpartitioned spec applies to all specs and
    partitions. A spec with void fields only, which is what removing the last partition field of a
    version 1 table leaves, counts as unpartitioned.
    """
    equality = []
    for entry in state.deletes.values():
        if entry.data_file.content == DataFileContent.EQUALITY_DELETES:
            spec = state.metadata.specs()[entry.data_file.spec_id]
            void = all(isinstance(field.transform, VoidTransform) for field in spec.fields)
            equality.append((entry, void))
    return {
        path
        for path, data in state.data.items()
        if any(
            (data.sequence_number or 0) < (delete.sequence_number or 0)
            and (is_global or _same_partition(data.data_file, delete.data_file))
            for delete, is_global in equality
        )
    }


def _same_partition(data: DataFile, delete: DataFile) -> bool:
    return data.spec_id == delete.spec_id and exact(data.partition) == exact(delete.partition)
