"""DuckDB with a catalog attached as ``lake``; its extensions come from their wheels."""

import contextlib
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from falcon_catalog.console.connection import Client
from falcon_catalog.console.failures import ConsoleError
from falcon_catalog.engines import ENGINES, Address
from falcon_catalog.terminal import printable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_EXTENSIONS = ("httpfs", "avro", "iceberg")
_OPTIONAL = "azure"  # in wheels of its own


@contextlib.contextmanager
def attached(client: Client) -> Iterator["DuckDBPyConnection"]:
    """Yield a connection to DuckDB that has the catalog attached; errors of DuckDB are messages.

    Raises:
        ConsoleError: DuckDB or its extensions are not installed, or DuckDB fails.
    """
    if find_spec("duckdb") is None or find_spec("duckdb_extensions") is None:
        raise ConsoleError(
            "sql needs DuckDB and its extension for Iceberg: install falcon-catalog[jobs]"
        )
    import duckdb

    folder = _extensions_folder()
    config: dict[str, str | bool | int | float | list[str]] = {
        "extension_directory": str(folder),
        "autoinstall_known_extensions": "false",
    }
    with sql_errors(), duckdb.connect(config=config) as connection:
        _load_extensions(connection)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(_attach(client))
        yield connection


class SQLError(click.ClickException):
    """DuckDB rejects a statement: exit status 1. Its lines are kept: one points at the place."""

    def __init__(self, error: object) -> None:
        lines = (line.rstrip() for line in printable(str(error)).splitlines())
        super().__init__("\n".join(line for line in lines if line))


@contextlib.contextmanager
def sql_errors() -> Iterator[None]:
    """Turn errors of DuckDB into messages."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise SQLError(error) from None


def _load_extensions(connection: "DuckDBPyConnection") -> None:
    """Load the extension for Iceberg, and unpack all from their wheels where it is missing.

    DuckDB loads the others when it needs them.
    """
    import duckdb
    from duckdb_extensions import import_extension

    with contextlib.suppress(duckdb.IOException):
        connection.execute(f"LOAD {_EXTENSIONS[-1]}")
        return
    optional = [_OPTIONAL] if find_spec(f"duckdb_extension_{_OPTIONAL}") else []
    for name in (*optional, *_EXTENSIONS):
        import_extension(name, con=connection)
    connection.execute(f"LOAD {_EXTENSIONS[-1]}")


def _extensions_folder() -> Path:
    """Return the folder that DuckDB loads extensions from: in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(cache) if cache.startswith("/") else Path.home() / ".cache"
    folder = base / "falcon-catalog" / "duckdb"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _attach(client: Client) -> str:
    """Return the statements that attach the catalog, with the identity that the client has."""
    properties = client.address.properties
    if "auth" in properties:
        raise ConsoleError("sql identifies itself with a token or a credential, not with auth.*")
    prefix = client.catalog.properties.get("prefix", "")
    at = Address(
        client.address.uri.rstrip("/"),
        str(properties.get("warehouse") or prefix),
        token=properties.get("token"),
        credential=properties.get("credential"),
    )
    duckdb = ENGINES["duckdb"]
    tokens_uri = properties.get("oauth2-server-uri", at.tokens_uri)
    return duckdb.access(at).replace(duckdb.quote(at.tokens_uri), duckdb.quote(tokens_uri))
