"""The program that runs: its virtual environment, and the units and settings shipped with it."""

import os
import stat
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_UNITS_NAME = "/opt/falcon-catalog/venv"
"""The virtual environment that the shipped units name."""
_SHARED = "share/falcon-catalog"
_PROTECTED = {
    "/home": "ProtectHome=",
    "/root": "ProtectHome=",
    "/run/user": "ProtectHome=",
    "/tmp": "PrivateTmp=",  # noqa: S108 - named to be refused
    "/var/tmp": "PrivateTmp=",  # noqa: S108
}
_NEEDS_QUOTING = frozenset(" \t\n\"'\\%$")
_ADVICE = (
    "Install into a folder that every user can read: python3 -m venv /opt/falcon-catalog/venv,"
    " then /opt/falcon-catalog/venv/bin/pip install from the clone"
)
_ANYBODY_ENTERS = stat.S_IXOTH
_ANYBODY_LISTS = stat.S_IXOTH | stat.S_IROTH


@dataclass(frozen=True, slots=True)
class Program:
    """A virtual environment with falcon-catalog."""

    prefix: Path
    python: Path
    """The interpreter that ``prefix/bin/python`` leads to."""
    package: Path
    shared: Path
    """The folder with ``systemd``, ``conf`` and ``dbt``: a checkout, or what a wheel installed."""

    @classmethod
    def running(cls) -> "Program":
        """Return the program that runs now."""
        package = Path(__file__).parents[1]
        checkout = package.parent
        is_checkout = (checkout / "systemd/catalog.service").is_file()
        shared = checkout if is_checkout else Path(sysconfig.get_path("data")) / _SHARED
        return cls(Path(sys.prefix), Path(sys.executable).resolve(), package, shared)

    @property
    def has_units(self) -> bool:
        """Whether the shipped files are there."""
        return (self.shared / "systemd/catalog.service").is_file()

    def read(self, name: str) -> str:
        """Return a shipped file, with the paths of this installation instead of those in ``/opt``.

        Raises:
            OSError: it cannot be read.
        """
        text = (self.shared / name).read_text(encoding="utf-8")
        text = text.replace(f"{_UNITS_NAME}/{_SHARED}", str(self.shared))
        return text.replace(_UNITS_NAME, str(self.prefix))

    def problems(self, *, pipeline: bool) -> Iterator[str]:
        """Yield why a service could not run this program, each with the remedy."""
        for name in ("falcon-catalog", "python"):
            if not os.access(self.prefix / "bin" / name, os.X_OK):
                yield f"there is no program {self.prefix}/bin/{name}. {_ADVICE}"
                return
        if not self.has_units:
            yield f"there are no units in {self.shared}/systemd: install the wheel again"
        if _NEEDS_QUOTING & set(f"{self.prefix}{self.shared}"):
            yield f"{str(self.prefix)!r} has characters that need quoting in units. {_ADVICE}"
        for what, path in (
            ("the virtual environment", self.prefix),
            ("its Python", self.python),
            ("its code", self.package),
            ("its data", self.shared),
        ):
            if why := hidden(path):
                yield f"{what} {path} {why}. {_ADVICE}"
                return
        if pipeline and not all(find_spec(each) for each in ("luigi", "dbt", "duckdb")):
            yield (
                f"the pipeline's libraries are missing in {self.prefix}: install them from the"
                f" clone, {self.prefix}/bin/pip install --constraint constraints.txt '.[jobs]'"
            )


def hidden(path: Path) -> str | None:
    """Return why the user of a hardened unit cannot read a file or folder; None if it can."""
    if why := protected(path):
        return why
    real = path.resolve()
    for each in (*reversed(real.parents), real):
        needed = _ANYBODY_LISTS if each == real else _ANYBODY_ENTERS
        if each.stat().st_mode & needed != needed:
            return f"can be read by root only ({each} has mode {each.stat().st_mode & 0o7777:04o})"
    return None


def protected(path: Path) -> str | None:
    """Return why a hardened unit does not see a file or folder; None if it does."""
    for folder, by in _PROTECTED.items():
        if path.resolve().is_relative_to(folder):
            return f"is in {folder}, which {by} hides from services"
    return None
