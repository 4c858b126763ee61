"""Files that an installation consists of, and how they differ from what is there.

Units belong to the installation: they are replaced by newer ones, unless they were edited. Settings
belong to the administrator as soon as they are there. A record of the checksums of what was written
tells the edited from the older, and says what to remove.
"""

import contextlib
import difflib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from falcon_catalog import __version__

RECORD = "/etc/falcon-catalog/installed.json"
Action = Literal["create", "update", "replace", "same", "settings", "edited", "remove"]


@dataclass(frozen=True, slots=True)
class File:
    """A file to install."""

    path: str
    """Absolute, on the machine or in the image that is installed to."""
    content: str = field(repr=False)
    mode: int = 0o644
    is_settings: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one file."""

    action: Action
    file: File
    before: str | None = field(default=None, repr=False)

    @property
    def is_made(self) -> bool:
        """Whether something is written or removed."""
        return self.action in {"create", "update", "replace", "remove"}

    def diff(self) -> str:
        """Return the change as a unified diff; empty if nothing changes."""
        if not self.is_made:
            return ""
        after = "" if self.action == "remove" else self.file.content
        lines = difflib.unified_diff(
            (self.before or "").splitlines(keepends=True),
            after.splitlines(keepends=True),
            "/dev/null" if self.before is None else self.file.path,
            "/dev/null" if self.action == "remove" else self.file.path,
        )
        return "".join(lines)


class Tree:
    """The file system that is installed to: the machine's, or that of an image in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """Return where an absolute path of the tree is."""
        return self.root / name.lstrip("/")

    def record(self) -> dict[str, str]:
        """Return the checksum of each file as it was installed, by path; empty without one.

        Raises:
            ValueError: the record is damaged.
        """
        with contextlib.suppress(FileNotFoundError):
            try:
                files = json.loads(self.path(RECORD).read_text(encoding="utf-8"))["files"]
                return {str(path): str(digest) for path, digest in files.items()}
            except (ValueError, KeyError, AttributeError, TypeError):
                raise ValueError(
                    f"{RECORD} is damaged: it lists what was installed. Restore it, or delete it"
                    " and install again"
                ) from None
        return {}

    def compare(self, files: Iterable[File], *, replace: bool = False) -> list[Change]:
        """Return what to do to each file, and to those that earlier versions installed.

        With ``replace``, edited units are replaced.
        """
        record, changes = self.record(), []
        for file in files:
            before = self._read(file)
            changes.append(
                Change(self._action(file, before, record, replace=replace), file, before)
            )
        wanted = {change.file.path for change in changes}
        for path in sorted(record.keys() - wanted):
            gone = File(path, "")
            if (before := self._read(gone)) is not None and _digest(before) == record[path]:
                changes.append(Change("remove", gone, before))
        return changes

    def apply(self, changes: Iterable[Change]) -> Iterator[Change]:
        """Make the changes, and yield each; record what is installed.

        Raises:
            OSError: a file cannot be written.
        """
        record: dict[str, str] = {}
        for change in changes:
            path = self.path(change.file.path)
            if change.action == "remove":
                path.unlink()
            elif change.is_made:
                if change.action == "replace":
                    path.rename(f"{path}.old")
                self.write(change.file.path, change.file.content, change.file.mode)
            if not change.file.is_settings and change.action not in {"remove", "edited"}:
                record[change.file.path] = _digest(change.file.content)
            elif change.action == "edited":
                record[change.file.path] = ""  # no content has this checksum
            yield change
        text = json.dumps({"version": __version__, "files": record}, indent=1) + "\n"
        if self._read(File(RECORD, "")) != text:
            self.write(RECORD, text, 0o644)

    def write(self, name: str, content: str, mode: int) -> None:
        """Write a file, whole or not at all."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.new")
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        new.replace(path)

    def make_folder(self, name: str, user: str) -> None:
        """Make a folder for a user that the tree has, and those around it for root."""
        path = self.path(name)
        path.mkdir(mode=0o755, parents=True)
        path.chmod(0o750)
        users = self.path("/etc/passwd").read_text(encoding="utf-8").splitlines()
        fields = next(each for each in (line.split(":") for line in users) if each[0] == user)
        os.chown(path, int(fields[2]), int(fields[3]))

    def _read(self, file: File) -> str | None:
        try:
            return self.path(file.path).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except PermissionError:  # a secret, seen by a user who only wants to know what would happen
            return ""

    def _action(
        self, file: File, before: str | None, record: Mapping[str, Any], *, replace: bool
    ) -> Action:
        if before is None:
            return "create"
        if before == file.content:
            return "same"
        if file.is_settings:
            return "settings"
        if record.get(file.path) == _digest(before):
            return "update"
        return "replace" if replace else "edited"


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
