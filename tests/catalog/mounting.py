"""Warehouses that are taken away for a while, as when a file system is not mounted."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHAPES = ["empty mount point", "no folder"]


@contextmanager
def unmounted(root: Path, shape: str = SHAPES[0]) -> Iterator[Path]:
    """Take a warehouse away for a while; yield where it is. Nothing may be left at its place."""
    away = root.with_name(f"{root.name}.away")
    root.rename(away)
    if shape == SHAPES[0]:
        root.mkdir()
    try:
        yield away
    finally:
        if root.exists():
            root.rmdir()  # fails if anything was made in it
        away.rename(root)
