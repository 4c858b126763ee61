"""The files of a snapshot: sizes, partitions, delete files."""

from collections.abc import Iterable
from dataclasses import dataclass

import falcon
from markupsafe import Markup

from falcon_catalog.catalog import contents
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.contents import Contents, LiveFile
from falcon_catalog.catalog.lru import LRU
from falcon_catalog.decimals import read_decimal
from falcon_catalog.errors import BadRequestError, CatalogError, show
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.metadata import history
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.web import plots
from falcon_catalog.web.errors import note
from falcon_catalog.web.plots import Bar
from falcon_catalog.web.tables import view
from falcon_catalog.web.tables.advice import SMALL, target_bytes
from falcon_catalog.web.tables.view import TableView

_SIZE = 100
_PARTITIONS = 25
_FILE_BYTES = 600
_CACHE_BYTES = 64 * 1024 * 1024
_SMALLEST, _LARGEST = 12, 31
"""The first and the last bar of the histogram, as powers of two: 4 KiB and 2 GiB."""
_OFFERED = 50


@dataclass(slots=True)
class Partition:
    """The files of a partition."""

    name: str
    files: int = 0
    rows: int = 0
    bytes: int = 0
    small: int = 0
    deletes: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """What the page shows of all files that were read."""

    data: int
    small: int
    deletes: int
    deleted: int
    """Rows in delete files."""
    rows: int
    bytes: int
    median: int
    partitions: list[Partition]
    """The largest ones."""
    partition_count: int
    sizes: list[Bar]
    plot: Markup


class FilesPage:
    """``…/tables/{table}/files``."""

    def __init__(self) -> None:
        self._cache: LRU[tuple[int, str, object], Contents] = LRU(_CACHE_BYTES, _cost)

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Show the files of a snapshot, which ``?at=`` names."""
        table = view.open_(call, identifier)
        at = req.get_param("at") or ""
        snapshot = history.current(table.metadata)
        start = _start(req.get_param("start"))
        found, problem, length = None, "", 0
        try:
            if at:
                snapshot = history.find(table.metadata, at)
            if snapshot is not None:
                found, length = self._contents(req, table, snapshot)
        except BadRequestError as error:
            note(req, resp, error)
            problem = error.message
        except CatalogError as error:
            problem = error.message
        target = target_bytes(table.metadata)
        view.send(
            req,
            resp,
            table,
            "files",
            "files",
            snapshot=snapshot,
            at=at,
            found=found,
            problem=problem,
            length=length,
            target=target,
            small_bytes=int(SMALL * target),
            summary=None if found is None else summarize(found.files, int(SMALL * target)),
            start=start,
            shown=[] if found is None else found.files[start : start + _SIZE],
            page_size=_SIZE,
            offered=history.newest_first(table.metadata)[:_OFFERED],
        )

    def _contents(
        self, req: falcon.Request, table: TableView, snapshot: JSON
    ) -> tuple[Contents | None, int]:
        """Return the files, or None and the bytes of manifests that a later request reads."""
        key = table.call.warehouse.id, table.uuid, snapshot.get("manifest-list")
        found = self._cache.get(key)
        if found is not None:
            return found, 0
        if view.is_deferred(req):
            return None, 0
        manifests = contents.manifests_of(table.call, table.metadata, snapshot)
        length = sum(manifest.length for manifest in manifests)
        if view.is_deferred(req, length):
            return None, length
        found = contents.read(table.call, table.metadata, manifests)
        self._cache.put(key, found)
        return found, length


def summarize(files: Iterable[LiveFile], small_bytes: int) -> Summary:
    """Return the numbers of files; a data file below ``small_bytes`` is a small one."""
    partitions: dict[str, Partition] = {}
    sizes, deletes, deleted, rows = list[int](), 0, 0, 0
    for file in files:
        partition = partitions.setdefault(file.partition, Partition(file.partition))
        if file.kind != "data":
            partition.deletes += 1
            deletes += 1
            deleted += file.rows
            continue
        sizes.append(file.bytes)
        rows += file.rows
        partition.files += 1
        partition.rows += file.rows
        partition.bytes += file.bytes
        partition.small += file.bytes < small_bytes
    bars = _histogram(sizes)
    largest = sorted(partitions.values(), key=lambda each: (-each.bytes, each.name))
    sizes.sort()
    return Summary(
        data=len(sizes),
        small=sum(size < small_bytes for size in sizes),
        deletes=deletes,
        deleted=deleted,
        rows=rows,
        bytes=sum(sizes),
        median=sizes[len(sizes) // 2] if sizes else 0,
        partitions=largest[:_PARTITIONS],
        partition_count=len(partitions),
        sizes=bars,
        plot=plots.bars("Data files by size", bars),
    )


def _histogram(sizes: list[int]) -> list[Bar]:
    """Return how many files have a size up to each power of two, and above the one before."""
    powers = [min(max((size - 1).bit_length(), _SMALLEST), _LARGEST) for size in sizes if size > 0]
    if not powers:
        return []
    counted = [(power, powers.count(power)) for power in range(min(powers), max(powers) + 1)]
    return [Bar(f"≤ {plots.bytes_(1 << power)}", number) for power, number in counted]


def _cost(found: Contents) -> int:
    return 1000 + _FILE_BYTES * len(found.files)


def _start(value: str | None) -> int:
    if not value:
        return 0
    number = read_decimal(value, most=contents.MOST_FILES)
    if number is None:
        raise BadRequestError(f"Invalid start {show(value)}: it is not a whole number")
    return number
