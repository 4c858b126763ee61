"""Who owns a file that was made for somebody else: a server need not run as root."""

import os
from pathlib import Path

from falcon_catalog import durable_files

# Of whoever owns the database; a link that somebody put in their place is not followed.
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


def inherit(path: Path) -> None:
    """Give what root has just made to the owner of the folder that it is in."""
    durable_files.inherit(path)


def open_lock(path: Path, database: Path | None = None) -> int:
    """Open a lock file, made if there is none, and return its descriptor.

    If root opens it, it is given to the owner of the database, or of the folder while there is
    no database: another user who works on the store must be able to open it, too.

    Raises:
        OSError: it can be neither made nor opened.
    """
    descriptor = os.open(path, _LOCK_FLAGS, 0o600)
    try:
        if os.geteuid() == 0:
            there = database is not None and database.exists()
            durable_files.give(descriptor, database if there and database else path.parent)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
