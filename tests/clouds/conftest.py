"""What the tests of object stores have in common."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clouds import emulators
from tests.clouds.lake import Lake, knowing_keys


@pytest.fixture(scope="session")
def s3() -> Iterator[emulators.S3]:
    """One S3 store for all tests of a process: each uses a prefix of its own."""
    with emulators.s3("--bucket", "lake", "--bucket", "other") as store:
        yield store


@pytest.fixture
def lake(s3: emulators.S3, tmp_path: Path) -> Iterator[Lake]:
    """A catalog whose warehouse is in the S3 store, which nobody serves yet."""
    with knowing_keys(s3):
        yield Lake(tmp_path, s3)
