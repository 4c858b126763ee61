"""Machines with this version's wheel, or none where they cannot be booted."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot import image
from tests.boot.machine import BootError, Machine


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of the working tree, as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=image.REPOSITORY, capture_output=True, check=True)
    for name in names.stdout.decode().split("\0"):
        source = image.REPOSITORY / name
        if name and source.is_file():
            target = folder / "tree" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return image.wheel(folder / "tree", folder)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Return a machine that is not booted, for the tests of one module, which build on another."""
    if missing := image.missing_programs():
        pytest.skip(f"no machine was booted, for want of {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("machine")
    try:
        made = image.image()
    except image.ImageError as error:
        pytest.skip(f"no machine was booted: the image cannot be made: {error}")
    with image.writable(made, folder) as root:
        one = Machine(root, folder / "console.log")
        yield one
        one.stop()


@pytest.fixture(scope="module")
def machine(system: Machine) -> Machine:
    """Boot the machine."""
    try:
        system.boot()
    except BootError as error:
        system.stop()
        pytest.skip(f"no machine was booted: systemd-nspawn does not start one: {error}")
    return system


@pytest.fixture(autouse=True)
def _in_order(request: pytest.FixtureRequest) -> None:
    """Skip what builds on a test that failed."""
    if request.module in request.config.stash.get(_FAILED, set()):
        pytest.skip("builds on a test that failed")


_FAILED = pytest.StashKey[set[object]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Iterator[None]:
    report = yield
    if report.failed:
        item.config.stash.setdefault(_FAILED, set()).add(item.module)
    return report
