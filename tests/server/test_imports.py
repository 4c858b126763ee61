"""What a server with SQLite and local warehouses imports: nothing that it does not use."""

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import requests

from falcon_catalog.store import open_database
from tests.server.conftest import Start

SCHEMA = {"type": "struct", "fields": [{"id": 1, "name": "a", "type": "long", "required": False}]}
# ``serve`` in a process that at its end prints what it has imported.
SERVE = (
    "import atexit, json, sys; from falcon_catalog.cli import main;"
    " atexit.register(lambda: print(json.dumps(sorted(sys.modules))));"
    " main(['serve', '--listen', '127.0.0.1:0', *sys.argv[1:]])"
)
UNUSED = {
    # Object stores and their identities
    *("obstore", "boto3", "botocore", "falcon_catalog.fileio.object_store"),
    *("falcon_catalog.fileio.s3", "falcon_catalog.fileio.gcs", "falcon_catalog.fileio.adls"),
    "falcon_catalog.catalog.storage_check.check",
    # PostgreSQL, and migrations
    *("psycopg", "psycopg_pool", "falcon_catalog.store.postgres", "sqlite_utils"),
    # Traces
    *("opentelemetry", "falcon_catalog.api.tracing", "falcon_catalog.catalog.tracing"),
    # Tokens
    *("jwt", "cryptography"),
    # Scans, purges
    *("pyarrow", "pandas", "numpy", "pyiceberg", "fastavro", "duckdb", "pydantic"),
    *("falcon_catalog.catalog.scan_planning.plan", "falcon_catalog.catalog.manifests"),
    # Other commands, and clients
    *("falcon_catalog.backup", "falcon_catalog.doctor", "falcon_catalog.conformance"),
    *("falcon_catalog.installation", "falcon_catalog.engines", "requests", "jinja2"),
    *("falcon_catalog.console", "rich"),
}


def test_a_server_imports_nothing_that_it_does_not_use(start: Start, tmp_path: Path) -> None:
    imported = serve(start, tmp_path, use)
    assert "falcon_catalog.server.loop" in imported
    assert imported & UNUSED == set()


def test_what_reads_tokens_is_there_before_the_first_request(start: Start, tmp_path: Path) -> None:
    required = {"CATALOG_AUTH_REQUIRED": "true"}
    assert "jwt" in serve(start, tmp_path, lambda _: None, environ=required)


def serve(
    start: Start, folder: Path, work: Callable[[str], None], environ: dict[str, str] | None = None
) -> set[str]:
    """Return what a server has imported after some work, done at its URL."""
    folders = [
        "--store",
        f"sqlite:///{folder}/catalog.db",
        "--warehouse",
        f"file://{folder}/tables",
    ]
    open_database(f"sqlite:///{folder}/catalog.db").close()  # which needs more than opening it
    server = start(sys.executable, "-c", SERVE, *folders, environ=environ)
    work(server.url())
    server.signal(signal.SIGTERM)
    imported = set(json.loads(server.line() or "[]"))
    assert server.status() == 0
    return imported


def use(url: str) -> None:
    """Create a table, commit to it and load it."""
    table = f"{url}/v1/namespaces/ns/tables/t"
    update = {"action": "set-properties", "updates": {"a": "b"}}
    for path, body in (
        (f"{url}/v1/namespaces", {"namespace": ["ns"]}),
        (f"{url}/v1/namespaces/ns/tables", {"name": "t", "schema": SCHEMA}),
        (table, {"requirements": [], "updates": [update]}),
    ):
        requests.post(path, json=body, timeout=60).raise_for_status()
    requests.get(table, timeout=60).raise_for_status()
