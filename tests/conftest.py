"""What all tests have in common."""

import sys
from collections.abc import Iterator

import pytest

from tests.several import PROCESSES


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
