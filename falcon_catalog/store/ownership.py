"""Who owns a file that was made for somebody else."""

import os
from pathlib import Path


def inherit(path: Path) -> None:
    """Give what root made to the owner of the folder that it is in: a server may not be root."""
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.chown(path, folder.st_uid, folder.st_gid)
