"""Catalogs on an S3 emulator, for what is measured on an object store."""

import contextlib
import importlib.util
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import servers
from benchmarks.processes import Server, python
from benchmarks.tables import open_namespace

MISSING = "" if importlib.util.find_spec("moto") else "moto is missing: pip install .[emulators]"
"""Why nothing can be measured, or nothing."""


@contextlib.contextmanager
def store() -> Iterator[dict[str, Any]]:
    """Run an S3 emulator, and yield how to reach it."""
    command = python("jobs.s3_emulator", "--bucket", "lake")
    # The benchmark's own arguments.
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603
        try:
            line = process.stdout.readline() if process.stdout else b""
            yield json.loads(line)
        finally:
            process.terminate()


@contextlib.contextmanager
def serving(place: Path, store: dict[str, Any], *, access: str, role: str) -> Iterator[Server]:
    """Serve a catalog with a warehouse of its own in an emulator's bucket."""
    settings = {
        "warehouse.access": access,
        "warehouse.credential": "env:BENCH",
        "warehouse.region": store["region"],
        "warehouse.endpoint": store["url"],
        "warehouse.path_style": "true",
        **({"warehouse.role_arn": role} if role else {}),
    }
    secrets = ("access_key_id", "secret_access_key")
    environ = {f"BENCH_{secret.upper()}": store[secret] for secret in secrets}
    with servers.ours(
        place, location=f"s3://lake/{place.name}", settings=settings, environ=environ
    ) as server:
        open_namespace(server)
        yield server
