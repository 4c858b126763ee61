"""What all tests have in common."""

import pytest

from tests.several import PROCESSES


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what changes the server from inside, where it is in processes of its own."""
    if PROCESSES > 1:
        skip = pytest.mark.skip(reason="changes the server, which is in processes of its own here")
        for item in items:
            if "monkeypatch" in getattr(item, "fixturenames", ()):
                item.add_marker(skip)
