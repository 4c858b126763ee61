"""Files of one table: scans planned by the server, and the doctor's walk over all manifests.

One manifest is written, with 10,000 entries. The others are hard links to it, each with a path of
its own, so that each is opened and read, and with bounds of its own in the manifest list. So the
manifest lists are as long as those of real tables, and data files repeat. Where nothing but one day
is planned, the manifests of other days, which are never opened, are in the manifest list only.
"""

import os
from pathlib import Path

import orjson
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import ManifestFile, PartitionFieldSummary
from pyiceberg.table.metadata import TableMetadataUtil

from benchmarks import manifests, scans, servers
from benchmarks.processes import ended, python
from benchmarks.scale.section import Cell, Context, Section, megabytes
from benchmarks.tables import NAMESPACE, open_namespace

ENTRIES = 10_000  # of a manifest
_DAYS = ENTRIES // manifests.FILES_OF_A_DAY
PLANS = (
    "files",
    "manifests",
    "manifest list, MB",
    "one day, the first time, ms",
    "one day, again, ms",
    "all files, the first time, s",
    "memory, peak MB",
)
DOCTOR = ("files", "manifests", "doctor --deep, s", "peak MB")


def measure(
    context: Context, sizes: list[int], *, all_up_to: int, deep_up_to: int
) -> list[Section]:
    """Measure tables of so many files, in steps of 10,000.

    Args:
        context: as everywhere.
        sizes: numbers of files.
        all_up_to: the most files of which a scan without a filter is planned.
        deep_up_to: the most files that the doctor walks over.
    """
    plans: list[list[Cell]] = []
    walks: list[list[Cell]] = []
    for size in sizes:
        number = max(1, size // ENTRIES)
        context.say(f"{size:,} files in {number:,} manifests")
        place = context.bench.place(f"files-{size}")
        folder = place / "warehouse" / NAMESPACE / "t"
        with servers.ours(place) as ours:
            open_namespace(ours)
            opened = size <= max(all_up_to, deep_up_to)
            listed = _write(folder, number, min(size, ENTRIES), linked=opened)
            scans.register(ours, "t", f"file://{folder}/metadata/00000.metadata.json")
            day = [scans.plan(ours, "t", {"filter": scans.ONE_DAY}, 10) for _ in range(3)]
            every = scans.plan(ours, "t", {}, size) / 1000 if size <= all_up_to else None
            peak = megabytes(ours.peak_bytes())
        plans.append([size, number, listed, day[0], min(day[1:]), every, peak])
        if size <= deep_up_to:
            walks.append([size, number, *_doctor(place)])
    return [
        Section("plans", "Scans planned by the server, SQLite, local disk", PLANS, plans),
        Section("deep", "doctor --deep", DOCTOR, walks),
    ]


def _doctor(place: Path) -> tuple[Cell, Cell]:
    """Check a catalog of which the data files are missing, which is reported once."""
    options = ["--store", servers.store_url(place), "--warehouse", f"file://{place}/warehouse"]
    command = python("falcon_catalog", "doctor", "--deep", *options)
    walked = ended(command, place / "doctor.log", allowed=(1,))
    return walked.seconds, megabytes(walked.peak_bytes)


def _write(folder: Path, number: int, entries: int, *, linked: bool) -> float:
    """Write a table with so many manifests; return the MB of its manifest list."""
    (folder / "metadata").mkdir(parents=True)
    content = manifests.partitioned(folder, "t")
    read, io = TableMetadataUtil.parse_obj(content), PyArrowFileIO()
    first = manifests.manifest(io, folder, range(entries), read.schema(), read.spec())
    path = first.manifest_path.removeprefix("file://")
    listed = [first]
    for one in range(1, number):
        other = f"{folder}/metadata/{one:08d}-m0.avro"
        if linked:
            os.link(path, other)
        listed.append(_entry(first, f"file://{other}", one))
    location = content["snapshots"][0]["manifest-list"]
    manifests.write_list(io, location, listed)
    (folder / "metadata" / "00000.metadata.json").write_bytes(orjson.dumps(content))
    return megabytes(Path(location.removeprefix("file://")).stat().st_size)


def _entry(first: ManifestFile, path: str, number: int) -> ManifestFile:
    """Return the entry of another manifest, of later days."""
    day = number * _DAYS
    summary = PartitionFieldSummary.from_args(
        contains_null=False,
        contains_nan=False,
        lower_bound=manifests.bound_of(day),
        upper_bound=manifests.bound_of(day + _DAYS - 1),
    )
    return ManifestFile.from_args(
        manifest_path=path,
        manifest_length=first.manifest_length,
        partition_spec_id=first.partition_spec_id,
        content=first.content,
        sequence_number=first.sequence_number,
        min_sequence_number=first.min_sequence_number,
        added_snapshot_id=first.added_snapshot_id,
        added_files_count=first.added_files_count,
        existing_files_count=first.existing_files_count,
        deleted_files_count=first.deleted_files_count,
        added_rows_count=first.added_rows_count,
        existing_rows_count=first.existing_rows_count,
        deleted_rows_count=first.deleted_rows_count,
        partitions=[summary],
    )
