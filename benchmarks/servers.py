"""The three servers that are compared."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.processes import Server, running
from falcon_catalog.settings import SETTINGS

_KNOWN = {setting.key: setting for setting in SETTINGS}


def knows(key: str) -> bool:
    """Tell whether the catalog has a setting."""
    return key in _KNOWN


def bare(folder: Path) -> AbstractContextManager[Server]:
    """Run a waitress that answers constant bytes."""
    return running("bare", "benchmarks.bare", (), folder, {})


def naive(folder: Path) -> AbstractContextManager[Server]:
    """Run the naive wrapper over a new catalog."""
    return running("naive", "benchmarks.naive", (str(folder),), folder, {})


def ours(
    folder: Path,
    *,
    name: str = "ours",
    module: str = "falcon_catalog",
    warehouse: Path | None = None,
    settings: Mapping[str, object] | None = None,
) -> AbstractContextManager[Server]:
    """Run the catalog as users do: with its access log, its metrics, and durable commits.

    Args:
        folder: for its database and its tables.
        name: what its log is called.
        module: what is run.
        warehouse: where its tables are, if not in ``folder``; it may hold files of others.
        settings: those that are not as by default, by key.
    """
    arguments = ["serve", "--listen", "127.0.0.1:0", "--store", store_url(folder)]
    arguments += ["--warehouse", f"file://{warehouse or folder / 'warehouse'}"]
    arguments += ["--adopt-warehouse"] if warehouse else []
    environ = {_KNOWN[key].variable: str(value) for key, value in (settings or {}).items()}
    return running(name, module, arguments, folder, environ)


def store_url(folder: Path) -> str:
    """Return where the catalog's database is."""
    return f"sqlite:///{folder}/catalog.db"
