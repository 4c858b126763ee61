"""What these tests tell when they pass: seeds, and how much was tried."""

from collections.abc import Callable

import pytest

_TOLD = "what was tried"


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return a function that puts a line under the name of the test into the summary."""
    told = request.node.user_properties
    return lambda line: told.append((_TOLD, f"{request.node.name}: {line}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = [
        line
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, line in report.user_properties
        if name == _TOLD
    ]
    if lines:
        terminalreporter.section(_TOLD)
    for line in sorted(lines):
        terminalreporter.line(line)
