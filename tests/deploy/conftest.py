"""Images that several modules run."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.deploy.image import Builder


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    folder = tmp_path_factory.mktemp("images")
    yield Builder(folder)
    subprocess.run(["rm", "-rf", folder], check=True)  # gigabytes
