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

_Place = tuple[int, tuple[Any, ...]]


class DeleteIndex:
    """The delete files of a snapshot, found by place and age."""

    def __init__(self, files: Iterable[ContentFile], types: Mapping[int, Type]) -> None:
        """Index delete files; ``types`` are the table's columns', by id."""
        self._types = types
        self._vectors: dict[str, list[ContentFile]] = defaultdict(list)
        self._positions_by_path: dict[str, list[ContentFile]] = defaultdict(list)
        self._positions: dict[_Place, list[ContentFile]] = defaultdict(list)
        self._equalities: dict[_Place, list[ContentFile]] = defaultdict(list)
        self._equalities_everywhere: list[ContentFile] = []
        for file in sorted(files, key=lambda file: file.sequence_number):
            self._add(file)

    def of(self, data: ContentFile) -> list[ContentFile]:
        """Return what must be applied to a data file."""
        place, age = _place(data), data.sequence_number
        # An equality delete never touches what was written in its own commit.
        equalities = [
            file
            for group in (self._equalities_everywhere, self._equalities.get(place, []))
            for file in _since(group, age + 1)
            if self._may_equal(file, data)
        ]
        vectors = _since(self._vectors.get(data.path, []), age)
        if vectors:  # the newest holds all that older position deletes said
            return [*equalities, vectors[-1]]
        by_path = _since(self._positions_by_path.get(data.path, []), age)
        anywhere = _since(self._positions.get(place, []), age)
        return [
            *equalities,
            *by_path,
            *(file for file in anywhere if _may_name(file, data.path)),
        ]

    def _add(self, file: ContentFile) -> None:
        if file.content == POSITION_DELETES:
            target = _only_target(file)
            if file.is_deletion_vector:
                self._vectors[target or ""].append(file)
            elif target is not None:
                self._positions_by_path[target].append(file)
            else:
                self._positions[_place(file)].append(file)
        elif file.content == EQUALITY_DELETES:
            if file.spec.is_partitioned:
                self._equalities[_place(file)].append(file)
            else:
                self._equalities_everywhere.append(file)

    def _may_equal(self, deletes: ContentFile, data: ContentFile) -> bool:
        """Tell whether any row can be equal to a deleted one, as far as bounds show."""
        for column_id in deletes.raw[135] or ():
            kind = self._types.get(column_id)
            if not isinstance(kind, str):
                continue
            deleted = statistics.of_metrics(deletes, column_id, kind)
            if not deleted.overlaps(statistics.of_metrics(data, column_id, kind)):
                return False
        return True


def _place(file: ContentFile) -> _Place:
    return file.spec.id, tuple(map(_exact, file.partition))


def _exact(value: Any) -> Any:
    """Return what tells partition values apart as Java does: NaN is NaN, and -0.0 is not 0.0."""
    if not isinstance(value, float):
        return value
    return "NaN" if is_nan(value) else struct.pack(">d", value)


def _since(files: list[ContentFile], sequence_number: int) -> list[ContentFile]:
    return files[bisect_left(files, sequence_number, key=lambda file: file.sequence_number) :]


def _only_target(file: ContentFile) -> str | None:
    """Return the one data file that position deletes are for, if there is only one."""
    if file.raw[143] is not None:
        return str(file.raw[143])
    lower, upper = ((file.raw[field] or {}).get(_PATH) for field in (125, 128))
    return lower.decode(errors="replace") if lower is not None and lower == upper else None


def _may_name(file: ContentFile, path: str) -> bool:
    name = path.encode()
    lower, upper = ((file.raw[field] or {}).get(_PATH) for field in (125, 128))
    return not (lower is not None and name < lower) and not (upper is not None and name > upper)
