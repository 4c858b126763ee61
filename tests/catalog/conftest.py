"""A catalog on a real socket."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.catalog.serving import Server, serving

Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a catalog with settings, all in the test's one folder."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(serving(tmp_path, **settings))


@pytest.fixture
def server(start: Start) -> Server:
    return start()


@pytest.fixture
def ns(server: Server) -> Server:
    """A catalog with one namespace, ``ns``."""
    server.namespace("ns")
    return server
