"""What maintenance a table needs, and the commands that do it."""

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from falcon_catalog.catalog.contents import Contents
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.metadata import history
from falcon_catalog.metadata.history import Numbers
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.web.plots import bytes_

SMALL = 0.75
"""Files below this part of the target size are small, as for ``compact``."""
_TARGET_BYTES = 512 * 1024 * 1024
_MIN_FILES = 5
_MANY_MANIFESTS = 100
_EXPIRE_MS = 5 * 24 * 3600 * 1000
_METADATA_FILES = 100
_MOST_STEPS = 500_000
"""From a snapshot to its parent, for all branches: beyond it no advice is given."""
_SPARK_VERSION = 3
_PLAIN = re.compile(r'[^."`*@\s]+')


@dataclass(frozen=True, slots=True)
class Advice:
    """Maintenance that a table needs."""

    title: str
    reason: str
    command: str


@dataclass(frozen=True, slots=True)
class Client:
    """How commands reach the catalog."""

    uri: str
    warehouse: str
    table: TableIdentifier
    is_default: bool
    """Whether the warehouse is the one that clients get without naming any."""

    def command(self, name: str, *, engine: str = "") -> str:
        """Return a command of ``falcon-catalog`` on the table."""
        parts = ["falcon-catalog", name, "--uri", self.uri, *self._options(engine), self._name]
        return shlex.join(parts)

    def operation(self, name: str, *options: str, engine: str = "") -> str:
        """Return the command of an operation of table maintenance that is no such command."""
        parts = ["python", "-m", "jobs.maintenance", "--catalog-uri", self.uri]
        return shlex.join([*parts, *self._options(engine), name, *options, self._name])

    def _options(self, engine: str) -> list[str]:
        warehouse = [] if self.is_default else ["--warehouse", self.warehouse]
        return [*warehouse, *(["--engine", engine] if engine else [])]

    @property
    def _name(self) -> str:
        return ".".join(map(_quoted, (*self.table.namespace.levels, self.table.name)))


def target_bytes(metadata: JSON) -> int:
    """Return the size of files that writers aim at."""
    return _number(metadata, "write.target-file-size-bytes", _TARGET_BYTES)


@dataclass(frozen=True, slots=True)
class Manifests:
    """What the manifests of the current snapshot say."""

    count: int
    joinable: int | None
    """Small data files in partitions that have enough of them to be joined; None if there are too
    many files to count."""

    @classmethod
    def of(cls, found: Contents, small_bytes: int) -> "Manifests":
        """Return what contents say; a data file below ``small_bytes`` is a small one."""
        if not found.is_complete:
            return cls(found.manifests, None)
        small = Counter(
            file.partition
            for file in found.files
            if file.kind == "data" and file.bytes < small_bytes
        )
        return cls(found.manifests, sum(n for n in small.values() if n >= _MIN_FILES))


def advise(
    metadata: JSON, client: Client, now_ms: int, manifests: Manifests | None
) -> Iterator[Advice]:
    """Yield what a table needs now.

    Args:
        metadata: of the table.
        client: of the commands.
        now_ms: the time.
        manifests: of the current snapshot; None if they were not read.
    """
    numbers = history.numbers(metadata, history.current(metadata))
    engine = "spark" if metadata["format-version"] >= _SPARK_VERSION else ""
    yield from _compaction(metadata, numbers, client, engine, manifests)
    if manifests is not None and manifests.count >= _MANY_MANIFESTS:
        reason = (
            f"The current snapshot has {manifests.count:,} manifests: planning reads each of them."
        )
        command = client.operation("rewrite-manifests", engine=engine)
        yield Advice("Rewrite manifests", reason, command)
    yield from _expiry(metadata, client, now_ms)
    if len(metadata.get("metadata-log") or ()) >= _METADATA_FILES and (
        metadata["properties"].get("write.metadata.delete-after-commit.enabled") != "true"
    ):
        reason = "The metadata log is full, and files that leave it are not deleted by commits."
        yield Advice(
            "Delete old metadata files", reason, client.operation("old-metadata", "--delete")
        )


def _compaction(
    metadata: JSON, numbers: Numbers, client: Client, engine: str, manifests: Manifests | None
) -> Iterator[Advice]:
    files, size, target = numbers.files or 0, numbers.bytes or 0, target_bytes(metadata)
    command = client.command("compact", engine=engine)
    joinable = None if manifests is None else manifests.joinable
    if joinable is None and files >= _MIN_FILES and size / files < SMALL * target:
        reason = (
            f"{files:,} data files have {bytes_(size / files)} on average, and the target is"
            f" {bytes_(target)}. Small files of a partition are joined if there are {_MIN_FILES}."
        )
        yield Advice("Compact small files", reason, command)
    if joinable:
        reason = (
            f"{joinable:,} data files are below {bytes_(SMALL * target)}, in partitions that have"
            f" {_MIN_FILES} or more of them."
        )
        yield Advice("Compact small files", reason, command)
    if numbers.delete_files:
        reason = (
            f"Readers apply {numbers.delete_files:,} delete files to the data files. Compaction"
            " rewrites the files that have many of them."
        )
        yield Advice("Apply delete files", reason, command)


def _expiry(metadata: JSON, client: Client, now_ms: int) -> Iterator[Advice]:
    age = _number(metadata, "history.expire.max-snapshot-age-ms", _EXPIRE_MS)
    keep = _number(metadata, "history.expire.min-snapshots-to-keep", 1)
    snapshots, kept, steps = history.by_id(metadata), set[int](), 0
    for ref in metadata["refs"].values():
        kept.add(ref["snapshot-id"])
        if ref["type"] != "branch":
            continue
        age_of_branch = ref.get("max-snapshot-age-ms", age)
        keep_of_branch = ref.get("min-snapshots-to-keep", keep)
        for n, snapshot in enumerate(history.ancestors(snapshots, ref["snapshot-id"])):
            if n >= keep_of_branch and snapshot["timestamp-ms"] < now_ms - age_of_branch:
                break
            kept.add(snapshot["snapshot-id"])
            steps += 1
            if steps > _MOST_STEPS:
                return
    old = [
        each
        for each in snapshots.values()
        if each["snapshot-id"] not in kept and each["timestamp-ms"] < now_ms - age
    ]
    if old:
        reason = (
            f"{len(old):,} of {len(snapshots):,} snapshots are older than the table keeps them"
            f" ({age / 86_400_000:g} days). They hold files that nothing else needs, and end time"
            " travel to them when they expire."
        )
        yield Advice("Expire snapshots", reason, client.command("expire"))


def _number(metadata: JSON, key: str, default: int) -> int:
    value = str(metadata["properties"].get(key, ""))
    return int(value) if value.isdecimal() and len(value) < 19 and int(value) else default  # noqa: PLR2004 - of 64 bits


def _quoted(level: str) -> str:
    return level if _PLAIN.fullmatch(level) else '"' + level.replace('"', '""') + '"'
