"""What these tests tell when they pass: seeds, and how much was tried."""

from collections.abc import Callable

import pytest

_TOLD = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TOLD] = []


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return a function that puts a line under the name of the test into the summary."""
    name = request.node.name
    return lambda line: request.config.stash[_TOLD].append(f"{name}: {line}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told = terminalreporter.config.stash[_TOLD]
    if told:
        terminalreporter.section("what was tried")
    for line in told:
        terminalreporter.line(line)
