"""The manifest of a backup: manifest.json."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from falcon_catalog.store.database import StoreError

NAME = "manifest.json"
DATABASE = "catalog.db"
FILES = "files"
OBJECTS = "objects"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Copy:
    """A file in a backup; ``location`` is its source."""

    location: str
    path: str
    """Relative to the backup's folder."""
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a backup."""

    version: str
    """The version of falcon-catalog that wrote it."""
    moment: int
    """Milliseconds since 1970-01-01 UTC; it contains every change acknowledged before."""
    database: Copy
    rows: dict[str, int]
    """The number of rows in each table of the database."""
    files: tuple[Copy, ...]
    unreadable: tuple[str, ...]
    """Locations of metadata files that could not be read when the backup was made."""

    def text(self) -> bytes:
        """Return the manifest as JSON."""
        document = {"format": _FORMAT, **asdict(self)}
        return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def read(folder: Path) -> Manifest:
    """Return the manifest of a backup; raise StoreError if it is missing or damaged."""
    path = folder / NAME
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        if document.pop("format") != _FORMAT:
            raise StoreError(f"{path} was written by a newer version of falcon-catalog")
        return Manifest(
            **{
                **document,
                "database": _copy(document["database"]),
                "files": tuple(map(_copy, document["files"])),
                "unreadable": tuple(document["unreadable"]),
            }
        )
    except FileNotFoundError:
        raise StoreError(
            f"{folder} is no backup, or one that was not finished: {NAME} is missing"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{path} is damaged: {error!r}") from error


def _copy(given: dict[str, Any]) -> Copy:
    copy = Copy(**given)
    path = PurePosixPath(copy.path)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{copy.path} is outside the backup")
    return copy
