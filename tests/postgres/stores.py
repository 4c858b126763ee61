"""Stores of each kind, for one contract."""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from falcon_catalog.store import open_database
from falcon_catalog.store.database import Database
from tests.postgres import cluster

KINDS = ("sqlite", "postgres")


def url(kind: str, folder: Path) -> str:
    """Return the URL of a new store."""
    if kind == "sqlite":
        return f"sqlite:///{folder}/{uuid.uuid4().hex}.db"
    return cluster.store_url(f"s{uuid.uuid4().hex}")


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with contextlib.closing(open_database(url(request.param, tmp_path))) as store:
        yield store
