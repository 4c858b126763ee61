"""What all tests have in common."""

import pytest

from tests.several import PROCESSES


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Patch the server itself, where it is in this process."""
    if PROCESSES > 1:
        pytest.skip("changes the server, which is in processes of its own here")
    return monkeypatch
