"""Files and folders that outlive a power cut, seen by the owner only."""

import contextlib
import hashlib
import os
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Create a file of mode 0600, durable but for its folder's entry."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def add_file(path: Path, content: bytes) -> bool:
    """Create a file, whole or not at all, durable; return False, and leave it, if there is one."""
    made = [folder for folder in path.parents if not folder.is_dir()]
    path.parent.mkdir(parents=True, exist_ok=True)
    torso = path.with_name(f".{os.getpid()}-{path.name}"[:255])
    try:
        write_private(torso, content)
        torso.chmod(0o666 & ~_umask())
        os.link(torso, path)
    except FileExistsError:
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            torso.unlink()
    for folder in (path.parent, *(folder.parent for folder in made)):
        sync(folder)
    return True


def sync(path: Path) -> None:
    """Make a file's content, or a folder's entries, durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folders(root: Path) -> None:
    """Make the entries of a folder and of all folders in it durable, the inner ones first."""
    for folder, _, _ in os.walk(root, topdown=False):
        sync(Path(folder))


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
