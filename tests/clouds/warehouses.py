"""Catalogs whose warehouses are on emulators."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from tests.catalog.serving import Server, serving
from tests.clouds.emulators import S3

VENDED = {"X-Iceberg-Access-Delegation": "vended-credentials"}


@contextlib.contextmanager
def on_s3(folder: Path, s3: S3, **settings: object) -> Iterator[Server]:
    """Serve a catalog with a warehouse of its own in the first bucket of a store."""
    named = {f"warehouse__{name}": value for name, value in s3.settings().items()}
    own: dict[str, object] = {
        "warehouse__location": f"s3://{s3.bucket}/{uuid.uuid4()}",
        "warehouse__allowed_locations": (),
        "warehouse__credential": "env:LAKE",
    }
    with (
        mock.patch.dict(os.environ, s3.environ("LAKE")),
        serving(folder, **{**named, **own, **settings}) as server,
    ):
        if server.call("HEAD", "/v1/namespaces/ns").status_code == 404:  # not started again
            server.namespace("ns")
        yield server
