"""The state of a branch: its manifests and live files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pyiceberg.catalog import Catalog
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFileContent, ManifestContent, ManifestEntry, ManifestFile
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from jobs.maintenance import reach
from jobs.maintenance.errors import RefusedError
from jobs.maintenance.locations import normal
from jobs.maintenance.names import Name, identifier
from jobs.maintenance.names import spell as spell_name
from jobs.maintenance.results import Size

MAX_WRITABLE_VERSION = 2


class Reader:
    """Reads each manifest once, because manifests are immutable."""

    def __init__(self) -> None:
        self._entries: dict[str, list[ManifestEntry]] = {}

    def live(self, io: FileIO, manifest: ManifestFile) -> list[ManifestEntry]:
        """Return the entries of a manifest's live files."""
        path = manifest.manifest_path
        if path not in self._entries:
            self._entries[path] = reach.entries(io, manifest)
        return self._entries[path]


@dataclass(frozen=True)
class State:
    """The head of a branch: its manifests and its live files, by normal location."""

    table: Table
    branch: str
    snapshot: Snapshot | None
    manifests: tuple[ManifestFile, ...] = ()
    data: dict[str, ManifestEntry] = field(default_factory=dict)
    deletes: dict[str, ManifestEntry] = field(default_factory=dict)

    @property
    def metadata(self) -> TableMetadata:
        """Return the table's metadata."""
        return self.table.metadata

    def sizes(self) -> dict[str, Size]:
        """Return the sizes of the live files by kind."""
        return {"data files": size(self.data.values()), "delete files": size(self.deletes.values())}


def size(entries: Iterable[ManifestEntry]) -> Size:
    """Return the number and bytes of entries' files."""
    lengths = [entry.data_file.file_size_in_bytes for entry in entries]
    return Size(len(lengths), sum(lengths))


def look(catalog: Catalog, name: Name, branch: str, reader: Reader) -> State:
    """Load a table and return the state of a branch.

    Raises:
        NoSuchTableError: there is no such table.
        RefusedError: the table has no such branch.
    """
    table = catalog.load_table(identifier(name))
    snapshot = head(table, branch)
    if snapshot is None:
        return State(table, branch, None)
    manifests = tuple(reach.manifests(table.io, snapshot))
    data: dict[str, ManifestEntry] = {}
    deletes: dict[str, ManifestEntry] = {}
    for manifest in manifests:
        for entry in reader.live(table.io, manifest):
            is_data = entry.data_file.content == DataFileContent.DATA
            files = data if is_data else deletes
            files[normal(entry.data_file.file_path)] = entry
    return State(table, branch, snapshot, manifests, data, deletes)


def head(table: Table, branch: str) -> Snapshot | None:
    """Return a branch's snapshot; None for the main branch of a table that has none yet.

    Raises:
        RefusedError: the table has no such branch.
    """
    snapshot = table.metadata.snapshot_by_name(branch)
    if snapshot is None and branch != "main":
        names = ", ".join(sorted(table.metadata.refs)) or "none"
        raise RefusedError(f"{spell(table)} has no branch {branch!r}; its refs: {names}")
    return snapshot


def unwritable(table: Table) -> str | None:
    """Return why PyIceberg cannot write this table's manifests without loss; None if it can."""
    version = table.metadata.format_version
    if version > MAX_WRITABLE_VERSION:
        return (
            f"format version {version}: PyIceberg cannot write its manifests, and rewriting would"
            " lose the rows' lineage; Spark's rewrite_data_files and rewrite_manifests can"
        )
    return None


def spell(table: Table) -> str:
    """Return a table's name as text for the commands."""
    return spell_name(table.name())


def schema_of(metadata: TableMetadata, spec: PartitionSpec) -> Schema:
    """Return the newest schema with all source columns of a spec, some of which may be dropped."""
    sources = {field.source_id for field in spec.fields}
    newest_first: Iterator[Schema] = iter(
        [metadata.schema(), *sorted(metadata.schemas, key=lambda s: -s.schema_id)]
    )
    for schema in newest_first:
        if sources <= set(schema.field_ids):
            return schema
    return metadata.schema()


def is_deletes(manifest: ManifestFile) -> bool:
    """Return whether a manifest lists delete files."""
    return manifest.content == ManifestContent.DELETES
