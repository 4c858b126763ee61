"""Write snapshots of operation replace: other files, the same rows.

PyIceberg can produce append, overwrite and delete. A replace shows readers of changes, and the
conflict checks of other writers, that no row was added or removed.
"""

import itertools
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.manifest import (
    DataFile,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriter,
    ManifestWriterV2,
    write_manifest,
    write_manifest_list,
)
from pyiceberg.table import TableProperties
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.snapshots import (
    Operation,
    Snapshot,
    Summary,
    UpdateMetrics,
    update_snapshot_summaries,
)
from pyiceberg.table.update import AddSnapshotUpdate, AssertRefSnapshotId, SetSnapshotRefUpdate

from jobs.maintenance.errors import LostRaceError, OutcomeUnknownError
from jobs.maintenance.files import discard
from jobs.maintenance.locations import normal
from jobs.maintenance.publishing import publish
from jobs.maintenance.state import Reader, State, is_deletes, schema_of


class _DeleteManifestWriter(ManifestWriterV2):
    """Writes a manifest of delete files, for which PyIceberg has no writer."""

    def content(self) -> ManifestContent:
        """Return the content type."""
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


@dataclass
class Draft:
    """A snapshot being built; ``written`` lists its metadata files."""

    state: State
    snapshot_id: int = 0
    commit_id: uuid.UUID = field(default_factory=uuid.uuid4)
    written: list[str] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.snapshot_id = self.state.metadata.new_snapshot_id()

    def manifest(
        self,
        spec_id: int,
        entries: Iterable[ManifestEntry],
        put: Callable[[ManifestWriter, ManifestEntry], ManifestWriter],
        *,
        deletes: bool = False,
    ) -> ManifestFile:
        """Write a manifest.

        Args:
            spec_id: partition spec of the files.
            entries: the files.
            put: ``ManifestWriter.add``, ``existing`` or ``delete``, for their status.
            deletes: whether they are delete files.
        """
        metadata = self.state.metadata
        spec = metadata.specs()[spec_id]
        output = self.state.table.io.new_output(
            self._place(f"{self.commit_id}-m{next(self._numbers)}.avro")
        )
        arguments: tuple[Any, ...] = (
            spec,
            schema_of(metadata, spec),
            output,
            self.snapshot_id,
            self._compression(),
        )
        with (
            _DeleteManifestWriter(*arguments)
            if deletes
            else write_manifest(metadata.format_version, *arguments)
        ) as writer:
            for entry in entries:
                put(writer, entry)
        return writer.to_manifest_file()

    def added(self, files: Iterable[DataFile]) -> list[ManifestFile]:
        """Write manifests of new data files, one per partition spec."""
        by_spec: dict[int, list[ManifestEntry]] = defaultdict(list)
        for file in files:
            entry = ManifestEntry.from_args(
                status=ManifestEntryStatus.ADDED,
                snapshot_id=self.snapshot_id,
                sequence_number=None,
                file_sequence_number=None,
                data_file=file,
            )
            by_spec[file.spec_id].append(entry)
        return [
            self.manifest(spec_id, entries, ManifestWriter.add)
            for spec_id, entries in sorted(by_spec.items())
        ]

    def snapshot(self, manifests: list[ManifestFile], summary: Summary) -> Snapshot:
        """Write the manifest list and return the snapshot."""
        metadata = self.state.metadata
        parent = self.state.snapshot.snapshot_id if self.state.snapshot else None
        place = self._place(f"snap-{self.snapshot_id}-0-{self.commit_id}.avro")
        sequence_number = metadata.next_sequence_number()
        with write_manifest_list(
            format_version=metadata.format_version,
            output_file=self.state.table.io.new_output(place),
            snapshot_id=self.snapshot_id,
            parent_snapshot_id=parent,
            sequence_number=sequence_number,
            avro_compression=self._compression(),
        ) as writer:
            writer.add_manifests(manifests)
        return Snapshot.model_validate(
            {
                "snapshot-id": self.snapshot_id,
                "parent-snapshot-id": parent,
                "manifest-list": place,
                "sequence-number": sequence_number,
                "summary": summary,
                "schema-id": metadata.current_schema_id,
            }
        )

    def _place(self, name: str) -> str:
        place = self.state.table.location_provider().new_metadata_location(name)
        self.written.append(place)
        return place

    def _compression(self) -> Any:
        return self.state.metadata.properties.get(
            TableProperties.WRITE_AVRO_COMPRESSION, TableProperties.WRITE_AVRO_COMPRESSION_DEFAULT
        )


def summarize(
    state: State,
    added: Iterable[DataFile] = (),
    removed: Iterable[DataFile] = (),
    properties: Mapping[str, str] | None = None,
) -> Summary:
    """Return a summary with the files that a replace adds and removes, and the new totals."""
    metrics = UpdateMetrics()
    for file in added:
        metrics.add_file(file)
    for file in removed:
        metrics.remove_file(file)
    before = state.snapshot.summary if state.snapshot else None
    # PyIceberg adds up the totals of the operations it knows.
    counted = update_snapshot_summaries(
        Summary(operation=Operation.OVERWRITE, **metrics.to_dict(), **(properties or {})),
        dict(before.additional_properties) if before is not None else None,
    )
    return Summary(operation=Operation.REPLACE, **counted.additional_properties)


def commit(catalog: Catalog, draft: Draft, snapshot: Snapshot) -> None:
    """Make a snapshot the head of its branch, if the head has not moved since the draft was begun.

    Raises:
        LostRaceError: another writer committed first; the draft's files are deleted if ``sure``.
        OutcomeUnknownError: the commit may have arrived; the draft's files are kept.
    """
    state = draft.state
    ref = state.metadata.refs.get(state.branch)
    update = SetSnapshotRefUpdate.model_validate(
        {
            # A branch's own retention stays.
            **(ref.model_dump(by_alias=True, exclude_none=True) if ref is not None else {}),
            "ref-name": state.branch,
            "type": SnapshotRefType.BRANCH,
            "snapshot-id": snapshot.snapshot_id,
        }
    )
    parent = state.snapshot.snapshot_id if state.snapshot else None
    try:
        publish(
            catalog,
            state.table,
            [AssertRefSnapshotId.model_validate({"ref": state.branch, "snapshot-id": parent})],
            [AddSnapshotUpdate(snapshot=snapshot), update],
            lambda metadata: metadata.snapshot_by_id(snapshot.snapshot_id) is not None,
        )
    except OutcomeUnknownError:
        raise
    except LostRaceError as lost:
        if lost.sure:
            discard(state.table.io, draft.written)
        raise
    except Exception:
        discard(state.table.io, draft.written)
        raise


def kept(
    draft: Draft, reader: Reader, removed: set[str]
) -> tuple[list[ManifestFile], list[ManifestEntry]]:
    """Return the head's manifests without some files, and the entries of these files.

    Manifests without a live file are left out.
    """
    manifests: list[ManifestFile] = []
    gone: dict[tuple[int, bool], list[ManifestEntry]] = defaultdict(list)
    for old in draft.state.manifests:
        spec_id, deletes = old.partition_spec_id, is_deletes(old)
        live = reader.live(draft.state.table.io, old)
        staying = [e for e in live if normal(e.data_file.file_path) not in removed]
        if len(staying) == len(live):
            manifests += [old] if live else []
            continue
        gone[spec_id, deletes] += [e for e in live if normal(e.data_file.file_path) in removed]
        if staying:
            manifest = draft.manifest(spec_id, staying, ManifestWriter.existing, deletes=deletes)
            manifests.append(manifest)
    manifests += [
        draft.manifest(spec_id, entries, ManifestWriter.delete, deletes=deletes)
        for (spec_id, deletes), entries in gone.items()
    ]
    return manifests, list(itertools.chain.from_iterable(gone.values()))
