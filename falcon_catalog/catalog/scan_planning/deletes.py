"""Which delete files apply to a data file.

Source: the table specification, "Scan Planning".
"""

import struct
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from falcon_catalog.catalog.scan_planning import statistics
from falcon_catalog.catalog.scan_planning.manifests import (
    EQUALITY_DELETES,
    POSITION_DELETES,
    ContentFile,
)
from falcon_catalog.catalog.scan_planning.values import is_nan
from falcon_catalog.metadata.types import Type

_PATH = 2147483546  # the column of position deletes that names the data file

_Partition = tuple[int, tuple[Any, ...]]
_Files = list[ContentFile]


class DeleteIndex:
    """The delete files of a snapshot, indexed by partition and sequence number."""

    def __init__(self, files: Iterable[ContentFile], types: Mapping[int, Type]) -> None:
        """Index delete files; ``types`` are the table's columns', by id."""
        self._types = types
        self._vectors: dict[str, _Files] = defaultdict(list)
        self._positions_by_path: dict[str, _Files] = defaultdict(list)
        self._positions: dict[_Partition, _Files] = defaultdict(list)
        self._equalities: dict[_Partition, _Files] = defaultdict(list)
        self._equalities_everywhere: _Files = []
        for file in sorted(files, key=lambda file: file.sequence_number):
            if file.content not in (POSITION_DELETES, EQUALITY_DELETES):
                continue
            partition, target = _partition(file), _only_target(file)
            if file.content == EQUALITY_DELETES:
                everywhere = not file.spec.is_partitioned
                group = self._equalities_everywhere if everywhere else self._equalities[partition]
            elif file.is_deletion_vector:
                group = self._vectors[target or ""]
            elif target is not None:
                group = self._positions_by_path[target]
            else:
                group = self._positions[partition]
            group.append(file)

    def of(self, data: ContentFile) -> list[ContentFile]:
        """Return the delete files that apply to a data file."""
        partition, age = _partition(data), data.sequence_number
        # An equality delete does not apply to files of its own commit.
        equalities = [
            file
            for group in (self._equalities_everywhere, self._equalities.get(partition, []))
            for file in _since(group, age + 1)
            if self._may_equal(file, data)
        ]
        vectors = _since(self._vectors.get(data.path, []), age)
        if vectors:  # the newest one contains all older position deletes
            return [*equalities, vectors[-1]]
        by_path = _since(self._positions_by_path.get(data.path, []), age)
        anywhere = _since(self._positions.get(partition, []), age)
        return [*equalities, *by_path, *(file for file in anywhere if _may_name(file, data.path))]

    def _may_equal(self, deletes: ContentFile, data: ContentFile) -> bool:
        """Return whether any row may equal a deleted one, by their bounds."""
        for column_id in deletes.raw[135] or ():
            kind = self._types.get(column_id)
            if not isinstance(kind, str):
                continue
            deleted = statistics.of_metrics(deletes, column_id, kind)
            if not deleted.overlaps(statistics.of_metrics(data, column_id, kind)):
                return False
        return True


def _partition(file: ContentFile) -> _Partition:
    return file.spec.id, tuple(map(_exact, file.partition))


def _exact(value: Any) -> Any:
    """Return a key that compares partition values as Java does: NaN is NaN, -0.0 is not 0.0."""
    if not isinstance(value, float):
        return value
    return "NaN" if is_nan(value) else struct.pack(">d", value)


def _since(files: list[ContentFile], sequence_number: int) -> list[ContentFile]:
    return files[bisect_left(files, sequence_number, key=lambda file: file.sequence_number) :]


def _only_target(file: ContentFile) -> str | None:
    """Return the only data file that position deletes apply to, or None."""
    if file.raw[143] is not None:
        return str(file.raw[143])
    lower, upper = ((file.raw[field] or {}).get(_PATH) for field in (125, 128))
    return lower.decode(errors="replace") if lower is not None and lower == upper else None


def _may_name(file: ContentFile, path: str) -> bool:
    name = path.encode()
    lower, upper = ((file.raw[field] or {}).get(_PATH) for field in (125, 128))
    return not (lower is not None and name < lower) and not (upper is not None and name > upper)
