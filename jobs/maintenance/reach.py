"""The files that a table's metadata reaches."""

from collections.abc import Iterable, Iterator

from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFileContent, ManifestEntry, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from jobs.maintenance.files import check_readable
from jobs.maintenance.locations import normal

Files = dict[str, tuple[str, int]]
"""Kind and size in bytes by normal location; the size is 0 if no metadata has it."""

Read = dict[str, Files]
"""Cache of live files by manifest; manifests are immutable."""


def of_snapshots(io: FileIO, snapshots: Iterable[Snapshot], read: Read | None = None) -> Files:
    """Return the manifest lists, manifests and live files of snapshots.

    Args:
        io: reads them.
        snapshots: of one table.
        read: cache of manifests.
    """
    files: Files = {}
    read = {} if read is None else read
    for snapshot in snapshots:
        files[normal(snapshot.manifest_list)] = ("manifest lists", 0)
        for manifest in manifests(io, snapshot):
            path = normal(manifest.manifest_path)
            if path not in files:
                files[path] = ("manifests", manifest.manifest_length)
                if path not in read:
                    read[path] = dict(live(io, manifest))
                files.update(read[path])
    return files


def manifests(io: FileIO, snapshot: Snapshot) -> list[ManifestFile]:
    """Return a snapshot's manifests.

    Raises:
        UncheckedError: its manifest list is no regular file, or too large.
    """
    check_readable(io, snapshot.manifest_list)
    return snapshot.manifests(io)


def entries(io: FileIO, manifest: ManifestFile) -> list[ManifestEntry]:
    """Return the live entries of a manifest; raises as ``manifests``."""
    check_readable(io, manifest.manifest_path)
    return manifest.fetch_manifest_entry(io, discard_deleted=True)


def live(io: FileIO, manifest: ManifestFile) -> Iterator[tuple[str, tuple[str, int]]]:
    """Yield the live files of a manifest, with kind and size."""
    for entry in entries(io, manifest):
        file = entry.data_file
        kind = "data files" if file.content == DataFileContent.DATA else "delete files"
        yield normal(file.file_path), (kind, file.file_size_in_bytes)


def statistics(metadata: TableMetadata, *, snapshots: set[int] | None = None) -> Files:
    """Return the statistics files of some snapshots, or of all."""
    return {
        normal(file.statistics_path): ("statistics files", file.file_size_in_bytes)
        for file in [*metadata.statistics, *metadata.partition_statistics]
        if snapshots is None or file.snapshot_id in snapshots
    }


def metadata_files(table: Table) -> Files:
    """Return the current metadata file and those of the metadata log."""
    paths = [table.metadata_location, *(e.metadata_file for e in table.metadata.metadata_log)]
    return {normal(path): ("metadata files", 0) for path in paths if path}


def everything(table: Table, read: Read | None = None) -> Files:
    """Return every file that a table reaches; ``read`` is a cache of manifests."""
    return {
        **of_snapshots(table.io, table.metadata.snapshots, read),
        **statistics(table.metadata),
        **metadata_files(table),
    }
