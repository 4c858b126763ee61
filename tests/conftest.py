"""What all tests have in common."""

import re
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import linux_only, reference
from tests.several import IN_POSTGRES, PROCESSES

_TESTS = Path(__file__).parent
collect_ignore = [] if reference.SPECIFICATION.exists() else ["fuzz/test_document.py"]
if find_spec("moto") is None:  # of the extra emulators, which only tox -e clouds and engines have
    collect_ignore += ["clouds", "engines/test_trino_s3.py"]
_ONLY_SQLITE = {  # of the catalog's tests: files, locks and logs of SQLite
    "test_store.py",
    "test_writer.py",
    "test_process_lock.py",
}
if find_spec("hypothesis") is not None:  # which those that need no more than pytest lack
    from hypothesis import HealthCheck, settings

    # No example has a clock of its own: a machine may be busy.
    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")
_TOLD = "what was tried"
_SUITES = (
    *("boot", "browser", "clouds", "deploy", "docs", "durability", "engines", "identity"),
    *("postgres", "spark"),
)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave alone what ``-m "not (…)"`` leaves out: it imports what may not be installed."""
    parts = collection_path.relative_to(_TESTS).parts if _TESTS in collection_path.parents else ()
    left_out = re.search(r"not \((.*)\)", config.getoption("markexpr"))
    if len(parts) == 1 and parts[0] in _SUITES and left_out:
        return parts[0] in left_out[1].split(" or ") or None
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the suites that have environments of their own; leave out what needs reference files."""
    for item in items:
        suite = item.path.relative_to(_TESTS).parts[0]
        if suite in _SUITES:
            item.add_marker(suite)
        if sys.platform != "linux" and (why := linux_only.reason(item.nodeid)):
            item.add_marker(pytest.mark.skip(reason=f"needs Linux: {why}"))
        if IN_POSTGRES and (
            item.path.name in _ONLY_SQLITE or item.get_closest_marker("sqlite") is not None
        ):
            item.add_marker(pytest.mark.skip(reason="about SQLite's file, its locks or its log"))
    if not reference.FOLDER.is_dir():
        without = [item for item in items if not _is_about_reference(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in without])
        items[:] = without


def pytest_sessionfinish() -> None:
    """Remove the PostgreSQL cluster of this process; xdist's workers run no other hook at exit."""
    if cluster := sys.modules.get("tests.postgres.cluster"):
        cluster.remove_shared()


def _is_about_reference(item: pytest.Item) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    return "recorded_folder" in fixtures or item.get_closest_marker("reference") is not None


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
