"""A disk whose syncs take long: a shared library that delays fsync and fdatasync in a process."""

import shutil
import subprocess
from pathlib import Path

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static int delayed(const char *name, int descriptor)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *microseconds = getenv("SYNC_MICROSECONDS");
    int result = real(descriptor);
    if (microseconds) usleep((useconds_t)atoi(microseconds));
    return result;
}

int fsync(int descriptor) { return delayed("fsync", descriptor); }
int fdatasync(int descriptor) { return delayed("fdatasync", descriptor); }
"""


def environ(folder: Path, milliseconds: float) -> dict[str, str] | None:
    """Return the variables that delay each sync of a process, or None without a C compiler.

    Args:
        folder: where the library is built.
        milliseconds: how much longer each sync takes.

    Raises:
        subprocess.CalledProcessError: the library cannot be built.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library, source = folder / "slow_sync.so", folder / "slow_sync.c"
    if not library.exists():
        source.write_text(_SOURCE, encoding="ascii")
        subprocess.run(  # noqa: S603 - a compiler found on the PATH
            [compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True, timeout=60
        )
    return {"LD_PRELOAD": str(library), "SYNC_MICROSECONDS": str(round(milliseconds * 1000))}
