"""A table with very many data files: manifests without data, written once and kept."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    write_manifest,
    write_manifest_list,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadataUtil
from pyiceberg.typedef import Record

from benchmarks.tables import Table, metadata

FILES_IN_A_MANIFEST = 100
FILES_OF_A_DAY = 10
_VERSION = 1  # of what is written: raise it when that changes
_DAY_BYTES = 4


def made(cache: Path, files: int) -> Path:
    """Return the metadata file of a table of this many files, ten a day, made if it is not there.

    The paths in it are absolute, so a copy elsewhere is of no use.
    """
    folder = cache / f"manifests-{_VERSION}" / f"f{files}"
    done = folder / "metadata" / "00000.metadata.json"
    if not done.exists() or str(folder) not in done.read_text():
        shutil.rmtree(folder, ignore_errors=True)
        content = _write(folder, files)
        part = done.with_suffix(".part")
        part.write_bytes(orjson.dumps(content))
        part.rename(done)
    return done


def _write(folder: Path, files: int) -> dict[str, Any]:
    (folder / "metadata").mkdir(parents=True)
    content = partitioned(folder, f"f{files}")
    read = TableMetadataUtil.parse_obj(content)
    io, snapshot = PyArrowFileIO(), content["snapshots"][0]
    manifests = [
        manifest(io, folder, numbers, read.schema(), read.spec()) for numbers in _batches(files)
    ]
    write_list(io, snapshot["manifest-list"], manifests)
    return content


def partitioned(folder: Path, name: str) -> dict[str, Any]:
    """Return the metadata of a table in a folder, of one snapshot, with a partition a day."""
    content = metadata(Table(name, f"file://{folder}", 1))
    day = {"source-id": 6, "field-id": 1000, "name": "day", "transform": "identity"}
    content["partition-specs"] = [{"spec-id": 0, "fields": [day]}]
    content["last-partition-id"] = 1000
    return content


def write_list(io: PyArrowFileIO, location: str, manifests: list[ManifestFile]) -> None:
    """Write a manifest list."""
    with write_manifest_list(2, io.new_output(location), 1, None, 1, "deflate") as writer:
        writer.add_manifests(manifests)


def _batches(files: int) -> Iterator[range]:
    for start in range(0, files, FILES_IN_A_MANIFEST):
        yield range(start, min(start + FILES_IN_A_MANIFEST, files))


def manifest(
    io: PyArrowFileIO, folder: Path, numbers: range, schema: Schema, spec: PartitionSpec
) -> ManifestFile:
    """Write a manifest of the files with these numbers into a table's folder."""
    output = io.new_output(f"file://{folder}/metadata/{uuid.uuid4()}-m0.avro")
    with write_manifest(2, spec, schema, output, 1, "deflate") as writer:
        for number in numbers:
            added = ManifestEntryStatus.ADDED
            writer.add(ManifestEntry.from_args(status=added, data_file=_file(folder, number)))
    return writer.to_manifest_file()


def bound_of(day: int) -> bytes:
    """Return a bound, as manifests and manifest lists have it."""
    return day.to_bytes(_DAY_BYTES, "little")


def _file(folder: Path, number: int) -> DataFile:
    day = number // FILES_OF_A_DAY
    columns = range(1, 9)
    bound = bound_of(day)
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=f"file://{folder}/data/day={day}/{number:06d}-{uuid.uuid4()}.parquet",
        file_format=FileFormat.PARQUET,
        partition=Record(day),
        record_count=10_000,
        file_size_in_bytes=1_234_567,
        column_sizes=dict.fromkeys(columns, 100_000),
        value_counts=dict.fromkeys(columns, 10_000),
        null_value_counts=dict.fromkeys(columns, 0),
        lower_bounds={6: bound},
        upper_bounds={6: bound},
    )
