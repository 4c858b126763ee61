"""Atomic files: the checkpoints of every step."""

import gzip
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import luigi


def write(path: Path, data: bytes) -> None:
    """Write a file durably and atomically, making its folders.

    The data reaches the disk before the name does, so a file that exists is whole whatever was
    killed or lost power in between.

    Raises:
        OSError: the disk is full or the place cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", delete=False
    ) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()
            raise
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def kept(path: Path) -> Path:
    """Return where a file is kept: at its path, or compressed beside it if only that exists."""
    packed = path.with_name(f"{path.name}.gz")
    return packed if not path.exists() and packed.exists() else path


def pack(path: Path) -> None:
    """Compress a file in place; it keeps its time, of which steps are told older from newer."""
    packed, times = path.with_name(f"{path.name}.gz"), path.stat()
    write(packed, gzip.compress(path.read_bytes(), mtime=0))
    os.utime(packed, ns=(times.st_atime_ns, times.st_mtime_ns))
    path.unlink()


class Checkpoint(luigi.LocalTarget):
    """A step's file, which may have been compressed since."""

    def exists(self) -> bool:
        """Return whether the file exists, compressed or not."""
        return kept(Path(self.path)).exists()


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, or compressed if the name ends in ``.gz``."""
    if path.suffix == ".gz":
        # No time in the header: equal content makes equal bytes.
        write(path, gzip.compress(json.dumps(value).encode(), mtime=0))
    else:
        write(path, json.dumps(value, indent=2).encode() + b"\n")


def read_json(path: Path) -> Any:
    """Return the value of a file that ``write_json`` wrote, and that may be compressed since."""
    path = kept(path)
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
