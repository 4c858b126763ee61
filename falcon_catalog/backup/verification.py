"""Comparison of rewritten files with the originals.

It uses the reader of scan planning, not the one that rewrote them. Each function raises
RelocationError if the files differ in more than locations, or if a location is still the old one,
and BadRequestError if a file is damaged.
"""

from collections.abc import Mapping
from typing import Any

from falcon_catalog.backup import position_deletes
from falcon_catalog.backup.prefix import Move, RelocationError
from falcon_catalog.catalog import manifests as ids
from falcon_catalog.catalog.scan_planning import iceberg

RESERVED = 2147483447  # ids from here on are not the table's columns

ById = dict[int, Any]
"""A record of a manifest by field ids."""


def compare_manifest_lists(
    contents: tuple[bytes, bytes], place: str, move: Move, manifests: Mapping[str, tuple[Any, ...]]
) -> None:
    """Compare two manifest lists, given the new location and length of each manifest."""
    before, after = (iceberg.read_manifest_list(content, place) for content in contents)
    for row in before:
        row[ids.MANIFEST_PATH], row[ids.MANIFEST_LENGTH] = manifests[row[ids.MANIFEST_PATH]]
    _compare(place, before, after)
    _require_moved(place, move, [row[ids.MANIFEST_PATH] for row in after])


def compare_manifests(
    contents: tuple[bytes, bytes],
    place: str,
    move: Move,
    rewritten: Mapping[str, tuple[Any, ...] | None],
) -> None:
    """Compare two manifests, given the new location and size of each rewritten delete file."""
    before, after = (iceberg.read_manifest(content, place) for content in contents)
    _compare(place, before.header, after.header)
    _compare(place, [entry for entry, _ in before.rows], [entry for entry, _ in after.rows])
    for (_, old), (_, new) in zip(before.rows, after.rows, strict=True):
        _compare_files(place, _plain(old), _plain(new), move, rewritten.get(old[ids.FILE_PATH]))
    _require_moved(place, move, [file[ids.FILE_PATH] for _, file in after.rows])


def _compare_files(
    place: str, old: ById, new: ById, move: Move, rewritten: tuple[Any, ...] | None
) -> None:
    old[ids.FILE_PATH] = move(old[ids.FILE_PATH])
    if old[ids.REFERENCED] is not None:
        old[ids.REFERENCED] = move(old[ids.REFERENCED])
    if old[ids.CONTENT] == ids.POSITION_DELETES:
        for bounds in (ids.LOWER_BOUNDS, ids.UPPER_BOUNDS):
            _drop_paths(old[bounds])
            if any(move.bound(value) != value for value in _drop_paths(new[bounds])):
                raise RelocationError(f"{place}: a bound of {new} is at the old location")
        if rewritten is not None:
            old[ids.FILE_PATH], old[ids.FILE_SIZE] = rewritten[:2]
            for one in (ids.COLUMN_SIZES, ids.SPLIT_OFFSETS):  # the rewritten file has other pages
                old[one] = new[one]
    _compare(place, old, new)


def compare_deletes(
    contents: tuple[bytes, bytes], place: str, move: Move, file_format: str
) -> None:
    """Compare two files of position deletes."""
    before, after = (
        position_deletes.positions(content, file_format, place) for content in contents
    )
    if sorted((move(path), position) for path, position in before) != sorted(after):
        raise RelocationError(f"{place} does not delete what the file that it was made from does")


def _compare(place: str, before: object, after: object) -> None:
    if repr(before) != repr(after):  # NaN is not equal to itself
        raise RelocationError(
            f"{place} differs from what it was made from: {after!r:.200}, not {before!r:.200}"
        )


def _require_moved(place: str, move: Move, named: list[str]) -> None:
    if left := [location for location in named if move.changes(location)]:
        raise RelocationError(f"{place} names {left[0]}, which is at the old location")


def _plain(file: ById) -> ById:
    """Return a data file with plain dicts instead of the reader's lazy ones."""
    return {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in file.items()
    }


def _drop_paths(bounds: dict[int, bytes] | None) -> list[bytes]:
    """Remove the bounds of reserved columns; return them."""
    return [bounds.pop(one) for one in list(bounds) if one >= RESERVED] if bounds else []
