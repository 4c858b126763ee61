"""What all tests have in common."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.several import PROCESSES

_TESTS = Path(__file__).parent
_SUITES = ("docs", "durability", "engines", "spark")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the folders that have environments of their own (tox.ini)."""
    for item in items:
        suite = item.path.relative_to(_TESTS).parts[0]
        if suite in _SUITES:
            item.add_marker(suite)


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Patch the server itself, where it is in this process."""
    if PROCESSES > 1:
        pytest.skip("changes the server, which is in processes of its own here")
    return monkeypatch


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    """Let each test's pipeline read its settings anew, where the pipeline is installed."""
    if config := sys.modules.get("jobs.config"):
        config.settings.cache_clear()
    yield
    if config := sys.modules.get("jobs.config"):
        config.settings.cache_clear()
