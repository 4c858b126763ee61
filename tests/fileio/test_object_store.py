"""The contract on a store in memory: what needs no emulator."""

import uuid

import pytest
from obstore.store import MemoryStore

from falcon_catalog.fileio.base import FileIO
from falcon_catalog.fileio.object_store import ObjectStoreFileIO, client_options
from falcon_catalog.settings import SettingsError, StorageSettings
from tests.fileio.contract import Contract

pytestmark = pytest.mark.serverless


@pytest.mark.parametrize(
    "warehouse", ["s3://lake/wh", "gs://lake/wh", "abfss://lake@account.dfs.core.windows.net/wh"]
)
class TestMemory(Contract):
    @pytest.fixture
    def files(self, warehouse: str) -> FileIO:
        stores: dict[str, MemoryStore] = {}
        settings = StorageSettings(location=warehouse)
        return ObjectStoreFileIO(
            "lake", settings, lambda bucket: stores.setdefault(bucket, MemoryStore())
        )

    @pytest.fixture
    def root(self, warehouse: str) -> str:
        return f"{warehouse}/{uuid.uuid4()}"


def test_a_certificate_that_cannot_be_read_is_named() -> None:
    settings = StorageSettings(location="s3://lake/wh", ca_file="/nowhere/ca.pem")
    with pytest.raises(SettingsError, match=r"ca_file /nowhere/ca\.pem: No such file"):
        client_options(settings)


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ({"endpoint": "http://store:9000"}, True),
        ({"endpoint": "https://store:9000"}, False),
        ({"endpoint": "https://store", "server_endpoint": "http://127.0.0.1:9000"}, True),
        ({}, False),
    ],
)
def test_only_a_store_with_an_http_url_is_reached_without_tls(
    given: dict[str, str], *, allowed: bool
) -> None:
    options = client_options(StorageSettings(location="s3://lake/wh", **given))
    assert options["allow_http"] is allowed
