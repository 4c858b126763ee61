"""A catalog on a real socket, and a proxy before it that can cut."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.catalog.conftest import ns, server, start
from tests.catalog.serving import Server
from tests.scenarios.cutting import Proxy, cutting
from tests.scenarios.processes import Processes

__all__ = ["ns", "server", "start"]


@pytest.fixture
def proxy(ns: Server) -> Iterator[Proxy]:
    with cutting(ns.url) as one:
        yield one


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Start catalogs in processes of their own, which faults may hit."""
    processes = Processes(tmp_path)
    yield processes
    processes.kill()
