"""The servers that are compared."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.processes import Server, python, running
from falcon_catalog.settings import SETTINGS
from jobs.stack.processes import free_address

_KNOWN = {setting.key: setting for setting in SETTINGS}


def bare(folder: Path) -> AbstractContextManager[Server]:
    """Run a waitress that answers constant bytes."""
    return running("bare", python("benchmarks.bare"), folder, {})


def naive(
    folder: Path, *, location: str | None = None, environ: Mapping[str, str] | None = None
) -> AbstractContextManager[Server]:
    """Run the naive wrapper over a new catalog.

    Args:
        folder: for its database and its tables.
        location: where its tables are, if not in ``folder``.
        environ: more variables of its environment: PyIceberg's properties of its catalog.
    """
    command = python("benchmarks.naive", str(folder), location or f"file://{folder}/warehouse")
    return running("naive", command, folder, environ or {})


def apache(
    folder: Path,
    classpath: str,
    *,
    location: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> AbstractContextManager[Server]:
    """Run Apache's RESTCatalogServer; its JdbcCatalog has a SQLite file as its database.

    Args:
        folder: for its database and its tables.
        classpath: its jars.
        location: where its tables are, if not in ``folder``.
        environ: more variables of its environment: ``CATALOG_…``, the properties of its catalog.
    """
    environ = {
        "CATALOG_URI": f"jdbc:sqlite:{folder}/catalog.db",
        "CATALOG_WAREHOUSE": location or f"file://{folder}/warehouse",
        "CATALOG_REST_PORT": "0",
        **(environ or {}),
    }
    command = ["java", "-cp", classpath, "org.apache.iceberg.rest.Listening"]
    return running("apache", command, folder, environ)


def rustberg(folder: Path, program: str) -> AbstractContextManager[Server]:
    """Run rustberg on its embedded database, without authentication and without a rate limit."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "rustberg.toml"
    settings.write_text("[rate_limit]\nenabled = false\n")
    address = free_address()
    host, _, port = address.rpartition(":")
    command = [program, "--config", str(settings), "--host", host, "--port", port]
    command += ["--catalog-url", f"file://{folder}", "--warehouse", f"file://{folder}/warehouse"]
    command += ["--dev", "--no-auth", "--insecure-http"]  # it takes the second one with --dev only
    return running("rustberg", command, folder, {}, address=address)


def ours(
    folder: Path,
    *,
    name: str = "ours",
    module: str = "falcon_catalog",
    before: Sequence[str] = (),
    store: str | None = None,
    warehouse: Path | None = None,
    location: str | None = None,
    settings: Mapping[str, object] | None = None,
    processes: int = 1,
    environ: Mapping[str, str] | None = None,
) -> AbstractContextManager[Server]:
    """Run the catalog as users do: with its access log, its metrics, and durable commits.

    Args:
        folder: for its database and its tables.
        name: what its log is called.
        module: what is run.
        before: the module's arguments before those of the catalog.
        store: the URL of its database, if that is not in ``folder``.
        warehouse: where its tables are, if not in ``folder``; it may hold files of others.
        location: where its tables are, if that is no folder.
        settings: those that are not as by default, by key.
        processes: how many serve, on one socket if there are several.
        environ: more variables of its environment.
    """
    arguments = [*before, "serve", "--listen", "127.0.0.1:0"]
    arguments += ["--store", store or store_url(folder)]
    arguments += ["--warehouse", location or f"file://{warehouse or folder / 'warehouse'}"]
    arguments += ["--adopt-warehouse"] if warehouse else []
    variables = {_KNOWN[key].variable: str(value) for key, value in (settings or {}).items()}
    variables |= environ or {}
    command = python(module, *arguments)
    if processes > 1:
        command = python("benchmarks.instances", str(processes), "127.0.0.1:0", *command)
    return running(name, command, folder, variables)


def store_url(folder: Path) -> str:
    """Return where the catalog's database is."""
    return f"sqlite:///{folder}/catalog.db"
