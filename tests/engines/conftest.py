"""A running catalog for programs in other languages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.catalog.serving import Server, serving


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Server]:
    """A catalog that is told ``CATALOG_URI`` by its tests to the programs they start."""
    with serving(tmp_path) as server:
        yield server
