"""Which data files a delete file is about, and which of their rows it deletes."""

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
    """Reads position delete files; the answers of recent questions are kept."""

    def __init__(self, io: FileIO) -> None:
        self._io = io
        self._paths = lru_cache(maxsize=None)(self._read_paths)
        # A delete file may be about many data files, which are read one after the other.
        self._positions = lru_cache(maxsize=_KEPT)(self._read_positions)

    def referenced(self, delete: DataFile, known: Container[str]) -> frozenset[str]:
        """Return the normal locations of the data files whose rows a position delete file deletes.

        Its bounds tell if they name one file that is known; bounds may be cut short by the
        writer, so anything else is looked up in the file itself.
        """
        only = self.only_target(delete)
        if only is not None and only in known:
            return frozenset([only])
        return self._paths(delete.file_path, delete.file_format)

    def only_target(self, delete: DataFile) -> str | None:
        """Return the one data file that a delete file's bounds name, as a normal location."""
        lower = (delete.lower_bounds or {}).get(_PATH_ID)
        upper = (delete.upper_bounds or {}).get(_PATH_ID)
        return normal(lower.decode(errors="replace")) if lower and lower == upper else None

    def positions(self, deletes: Iterable[DataFile], wanted: str) -> pa.ChunkedArray:
        """Return the positions of a data file's rows that any of the delete files deletes."""
        chunks: list[Any] = []
        for delete in deletes:
            table = self._positions(delete.file_path, delete.file_format)
            paths = pc.unique(table.column("file_path"))
            spelled = [path for path in paths.to_pylist() if normal(path) == wanted]
            mask = pc.is_in(table.column("file_path"), value_set=pa.array(spelled, paths.type))
            chunks += table.column("pos").cast(pa.int64()).filter(mask).chunks
        return pa.chunked_array(chunks, pa.int64())

    def _read_positions(self, path: str, file_format: FileFormat) -> pa.Table:
        return self._table(path, file_format, ["file_path", "pos"])

    def _read_paths(self, path: str, file_format: FileFormat) -> frozenset[str]:
        column = self._table(path, file_format, ["file_path"]).column("file_path")
        return frozenset(normal(name) for name in pc.unique(column).to_pylist())

    def _table(self, path: str, file_format: FileFormat, columns: list[str]) -> pa.Table:
        if file_format != FileFormat.PARQUET:
            raise RefusedError(
                f"{path} holds position deletes in {file_format.value}, and only those in Parquet"
                " can be read: let the engine that wrote them rewrite them"
            )
        with self._io.new_input(path).open() as source:
            return pq.read_table(source, columns=columns)


def positional(entries: Iterable[ManifestEntry]) -> list[ManifestEntry]:
    """Pick the position deletes among delete files' entries."""
    kind = DataFileContent.POSITION_DELETES
    return [entry for entry in entries if entry.data_file.content == kind]


@dataclass(frozen=True)
class Applied:
    """Which position delete files apply to which data files, by normal location."""

    by_data_file: Mapping[str, Sequence[DataFile]]
    doubtful: frozenset[str]
    """Data files that a delete file names though it lies in another partition: the specification
    says that it does not apply, and readers that go by the path alone apply it."""


def position_deletes(state: State, files: DeleteFiles) -> Applied:
    """Find the position delete files of every data file that has some.

    Source: "Scan Planning" in the specification, and Java's DeleteFileIndex. A delete file that
    its bounds show to be about one data file applies by its path, any other one only to data files
    of its own spec and partition; neither to data that is younger.
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
    """Return the data files that an equality delete file may delete rows of.

    Source: as ``position_deletes``. One that is written under a spec without partitions applies
    to data of every spec and partition. Such is a spec whose fields are all void, too, which is
    what removing the last field of a version 1 table leaves.
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
