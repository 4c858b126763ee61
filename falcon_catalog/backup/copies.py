"""Files and folders that outlive a power cut, seen by the owner only."""

import contextlib
import hashlib
import os
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from falcon_catalog import durable_files

SYNCS_INLINE = 16  # that come together, a file system writes to its journal together


def write_private(path: Path, content: bytes, *, anew: bool = False) -> None:
    """Create a file of mode 0600; ``sync`` or ``sync_tree`` makes it durable.

    One that is there is an error, or written ``anew``.
    """
    how = os.O_TRUNC if anew else os.O_EXCL
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | how | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def add_file(path: Path, content: bytes) -> bool:
    """Create a file, whole or not at all; return False, and leave it, if there is one.

    Made by root, it belongs to the owner of the folder that it is in. Its content is durable,
    its entry when ``sync_entries`` was called.
    """
    if path.exists():
        return False
    for folder in reversed([folder for folder in path.parents if not folder.is_dir()]):
        folder.mkdir(exist_ok=True)
        durable_files.inherit(folder)
    torso = path.with_name(f".{os.getpid()}-{path.name}"[:255])
    try:
        torso.write_bytes(content)
        durable_files.inherit(torso)
        sync(torso)
        os.link(torso, path)
    except FileExistsError:
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            torso.unlink()
    return True


def sync_entries(paths: Iterable[Path]) -> None:
    """Make durable that these files are there, and the folders around them, whoever made them."""
    folders = {folder for path in paths for folder in path.absolute().parents}
    with ThreadPoolExecutor(SYNCS_INLINE) as pool:
        deque(pool.map(_sync_if_readable, folders), 0)


def _sync_if_readable(folder: Path) -> None:
    with contextlib.suppress(PermissionError):  # who may not read a folder has made nothing in it
        sync(folder)


def sync(path: Path) -> None:
    """Make a file's content, or a folder's entries, durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(root: Path) -> None:
    """Make all files in a folder durable, and the entries of all folders, the inner ones first."""
    inside = list(os.walk(root, topdown=False))
    with ThreadPoolExecutor(SYNCS_INLINE) as pool:
        deque(pool.map(sync, (Path(f) / name for f, _, names in inside for name in names)), 0)
    for folder, _, _ in inside:
        sync(Path(folder))


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
