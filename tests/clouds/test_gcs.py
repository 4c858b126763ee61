"""Google Cloud Storage, by an emulator of our own: files, and clients with vended tokens."""

import uuid

import pytest

from falcon_catalog.fileio.base import FileIO
from falcon_catalog.fileio.opening import open_storage
from falcon_catalog.settings import StorageSettings
from tests.clouds.google import Google
from tests.fileio.contract import Contract


class TestFiles(Contract):
    @pytest.fixture
    def files(self, gcs: Google) -> FileIO:
        settings = StorageSettings(location="gs://lake/wh", endpoint=gcs.url)
        return open_storage("lake", settings).files

    @pytest.fixture
    def root(self) -> str:
        return f"gs://lake/{uuid.uuid4()}"
