"""Backups in the folder beside a store: those of migrations, and others in the same place."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from falcon_catalog.backup import manifest
from falcon_catalog.store.database import StoreError

_MOST = 50


@dataclass(frozen=True, slots=True)
class Kept:
    """A backup, or what should be one."""

    path: Path
    content: manifest.Manifest | None
    """None if it cannot be read."""
    problem: str = ""
    """Why."""

    @property
    def bytes(self) -> int:
        """The size of all its files but the manifest."""
        found = self.content
        return 0 if found is None else found.database.bytes + sum(one.bytes for one in found.files)


def folder(store: Path) -> Path:
    """Return the folder of backups beside a database file."""
    return store.parent / "backups"


def kept(store: Path) -> list[Kept]:
    """Return the backups in that folder, the newest first, as their manifests describe them."""
    found = list(_read(folder(store)))
    return sorted(found, key=_moment, reverse=True)[:_MOST]


def _read(place: Path) -> Iterator[Kept]:
    try:
        names = [each for each in place.iterdir() if each.is_dir() and each.name[0] != "."]
    except OSError:
        return
    for each in names:
        try:
            yield Kept(each, manifest.read(each))
        except (StoreError, OSError) as error:
            yield Kept(each, None, str(error))


def _moment(each: Kept) -> tuple[int, str]:
    return (0 if each.content is None else each.content.moment), each.path.name
