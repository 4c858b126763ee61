"""A small Debian system with systemd and everything that falcon-catalog depends on, cached.

debootstrap makes it, pip installs the dependencies inside it. Both are kept in the cache folder,
the second under a checksum of what it depends on.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "falcon-catalog/boot"
PREFIX = "/opt/falcon-catalog/venv"
SUITE = "bookworm"
_PACKAGES = "systemd,dbus,python3,python3-venv,curl,ca-certificates"
_UNUSED_SECONDS = 7 * 24 * 60 * 60  # after which an image is deleted
_EXTRAS = ("jobs", "demo")
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_CLIENT = "duckdb-cli==1.5.5"  # of the version that the extensions in constraints.txt are for


class ImageError(Exception):
    """The image cannot be made here."""


def missing_programs() -> list[str]:
    """Return what is missing for the boot test, with the Debian package that has it."""
    needed = {
        "debootstrap": "debootstrap",
        "systemd-nspawn": "systemd-container",
        "nsenter": "util-linux",
        "git": "git",
    }
    absent = [f"{name} (package {of})" for name, of in needed.items() if not shutil.which(name)]
    if os.geteuid() != 0:
        absent.append("the rights of root")
    return absent


def image() -> Path:
    """Return the folder of the image, made if it is not in the cache. It must not be changed."""
    CACHE.mkdir(parents=True, exist_ok=True)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [project["optional-dependencies"][extra] for extra in _EXTRAS]
    wishes = repr([project["dependencies"], *extras, _CLIENT, _PACKAGES])
    parts = (REPOSITORY / "constraints.txt").read_bytes() + wishes.encode()
    wanted = CACHE / f"image-{hashlib.sha256(parts).hexdigest()[:16]}"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other checkouts have the same cache
        if not wanted.is_dir():
            new = CACHE / "new"
            shutil.rmtree(new, ignore_errors=True)
            _copy(_base(), new)
            _install_dependencies(new)
            new.rename(wanted)
        os.utime(wanted)
        for older in CACHE.glob("image-*"):
            if older.stat().st_mtime < time.time() - _UNUSED_SECONDS:
                shutil.rmtree(older)
    return wanted


@contextlib.contextmanager
def writable(source: Path, folder: Path) -> Iterator[Path]:
    """Yield a system that may be changed: layered over another one, or else a copy of it."""
    root = folder / "root"
    for name in ("root", "changes", "work"):
        (folder / name).mkdir()
    layers = f"lowerdir={source},upperdir={folder}/changes,workdir={folder}/work"
    mount = ["mount", "-t", "overlay", "overlay", "-o", layers, str(root)]
    is_mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    if not is_mounted:
        root.rmdir()
        _copy(source, root)
    try:
        yield root
    finally:
        if is_mounted:
            _run("umount", "--lazy", str(root))
        for name in ("root", "changes", "work"):
            shutil.rmtree(folder / name)


def wheel(tree: Path, into: Path) -> Path:
    """Build the wheel of a source tree, which is written to."""
    _run(sys.executable, "-m", "build", "--wheel", "--outdir", str(into), str(tree))
    (built,) = into.glob("*.whl")
    return built


def _copy(source: Path, target: Path) -> None:
    """Copy a system, with owners and modes."""
    _run("cp", "--archive", "--reflink=auto", str(source), str(target))


def _base() -> Path:
    base = CACHE / f"base-{SUITE}"
    if not base.is_dir():
        new = CACHE / "new-base"
        shutil.rmtree(new, ignore_errors=True)
        _run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", SUITE, str(new))
        new.rename(base)
    return base


def _install_dependencies(root: Path) -> None:
    """Install what falcon-catalog depends on, without itself, into a virtual environment."""
    # As this machine reaches the package index.
    for name in ("/etc/resolv.conf", _CERTIFICATES):
        if Path(name).exists():
            shutil.copy(name, root / name.lstrip("/"))
    tree = root / "tmp/tree"
    shutil.copytree(REPOSITORY / "falcon_catalog", tree / "falcon_catalog")
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE", "constraints.txt"):
        shutil.copy(REPOSITORY / name, tree)
    pip = ["chroot", str(root), f"{PREFIX}/bin/pip"]
    _run("chroot", str(root), "python3", "-m", "venv", PREFIX)
    constraints = ["--constraint", "/tmp/tree/constraints.txt"]
    _run(*pip, "install", "--quiet", *constraints, "setuptools", "wheel")
    _run(*pip, "install", "--quiet", *constraints, f"/tmp/tree[{','.join(_EXTRAS)}]")
    _run(*pip, "install", "--quiet", _CLIENT)
    _run(*pip, "uninstall", "--quiet", "--yes", "falcon-catalog")
    shutil.rmtree(tree)


def _run(*command: str) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "PIP_FIND_LINKS"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    if result.returncode != 0:
        raise ImageError(f"{' '.join(command)}: {(result.stdout + result.stderr)[-2000:]}")
