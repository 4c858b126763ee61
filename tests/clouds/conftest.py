"""What the tests of object stores have in common."""

from collections.abc import Iterator

import pytest

from tests.clouds import emulators


@pytest.fixture(scope="session")
def s3() -> Iterator[emulators.S3]:
    """One S3 store for all tests of a process: each uses a prefix of its own."""
    with emulators.s3("--bucket", "lake", "--bucket", "other") as store:
        yield store
