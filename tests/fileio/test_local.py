from pathlib import Path

import pytest

from falcon_catalog.fileio.base import FileIO
from falcon_catalog.fileio.local import LocalFileIO
from tests.fileio.contract import Contract

pytestmark = pytest.mark.serverless


class TestLocal(Contract):
    @pytest.fixture
    def files(self) -> FileIO:
        return LocalFileIO(durable=False)

    @pytest.fixture
    def root(self, tmp_path: Path) -> str:
        return f"file://{tmp_path}/warehouse"
