"""What the tests of object stores have in common: one store of each kind for a process's tests.

Each test uses a prefix of its own.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.clouds import azurite as azurite_
from tests.clouds import emulators, java_library
from tests.clouds import google as google_
from tests.clouds.faulty import Faulty
from tests.clouds.lake import Lake, knowing_keys

REAL_CLOUDS = ("cloud_aws", "cloud_gcp", "cloud_azure")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the real clouds that nobody has named, unless ``-m`` asks for them."""
    asked = config.getoption("markexpr", "")
    unnamed = [
        name
        for name in REAL_CLOUDS
        if f"{name.upper()}_LOCATION" not in os.environ and name not in asked
    ]
    without = [item for item in items if any(item.get_closest_marker(name) for name in unnamed)]
    if without:
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]


@pytest.fixture(scope="session")
def s3() -> Iterator[emulators.S3]:
    """An S3 store with STS."""
    with emulators.s3("--bucket", "lake", "--bucket", "other") as store:
        yield store


@pytest.fixture
def lake(s3: emulators.S3, tmp_path: Path) -> Iterator[Lake]:
    """A catalog whose warehouse is in the S3 store, which nobody serves yet."""
    with knowing_keys(s3):
        yield Lake(tmp_path, s3)


@pytest.fixture(scope="session")
def gcs() -> Iterator[google_.Google]:
    """Google Cloud Storage that takes requests without a token, too."""
    with google_.google("lake", "other") as cloud:
        yield cloud


@pytest.fixture(scope="session")
def azurite() -> Iterator[azurite_.Azurite]:
    """A storage account."""
    with azurite_.azurite("lake", "other") as store:
        yield store


@pytest.fixture
def faulty(s3: emulators.S3) -> Iterator[Faulty]:
    """The S3 store, seen through a proxy that spoils requests when it is told to."""
    with closing(Faulty(s3.url)) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def jars() -> Path:
    """The folder of the jars of Iceberg's library for Java."""
    return java_library.jars()
