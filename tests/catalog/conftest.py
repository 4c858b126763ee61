"""A catalog on a real socket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.catalog.serving import Server, serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as server:
        yield server


@pytest.fixture
def ns(server: Server) -> Server:
    """A catalog with one namespace, ``ns``."""
    server.namespace("ns")
    return server
