"""The contract on a store in memory: what needs no emulator."""

import re
import uuid
from collections.abc import Iterator

import pytest
from obstore.store import MemoryStore, S3Store

from falcon_catalog.errors import ObjectStoreError
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.fileio.object_store import Connect, ObjectStoreFileIO, client_options
from falcon_catalog.settings import SettingsError, StorageSettings
from tests.clouds.answering import Answer, Asked, answering
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


DENIED = "<Error><Key>{0}</Key><Code>AccessDenied</Code><Message>x</Message></Error>"


@pytest.fixture
def asked() -> list[Asked]:
    """The requests that came to the store."""
    return []


@pytest.fixture
def bulk(asked: list[Asked]) -> Iterator[FileIO]:
    """A bucket that answers DeleteObjects as Amazon does: what has ``kept`` in its key is kept."""

    def rule(request: Asked) -> Answer:
        asked.append(request)
        keys = re.findall("<Key>(.*?)</Key>", request.body.decode())
        found = (
            DENIED.format(key) if "kept" in key else f"<Deleted><Key>{key}</Key></Deleted>"
            for key in keys
        )
        return Answer(200, f"<DeleteResult>{''.join(found)}</DeleteResult>".encode())

    with answering(rule) as url:
        yield ObjectStoreFileIO("lake", StorageSettings(location="s3://lake/wh"), s3_at(url))


def s3_at(url: str) -> Connect:
    return lambda bucket: S3Store(
        bucket,
        endpoint=url,
        region="us-east-1",
        access_key_id="key",
        secret_access_key="secret",  # noqa: S106 - of no store
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


def test_one_request_deletes_many_objects(bulk: FileIO, asked: list[Asked]) -> None:
    assert bulk.delete_all([f"s3://lake/wh/{number}" for number in range(2500)]) == {}
    assert [request.method for request in asked] == ["POST"] * 3
    counts = [request.body.decode().count("<Key>") for request in asked]
    assert sorted(counts) == [500, 1000, 1000]


def test_of_many_objects_only_those_that_the_store_keeps_are_left(
    bulk: FileIO, asked: list[Asked]
) -> None:
    failed = bulk.delete_all(["s3://lake/wh/a", "s3://lake/wh/kept", "s3://other/wh/b"])
    assert list(failed) == ["s3://lake/wh/kept"]
    assert failed["s3://lake/wh/kept"].message == (
        "The object store of warehouse lake refuses the server's own credentials (AccessDenied):"
        " cannot delete a file"
    )
    assert {"/lake?delete", "/other?delete"} == {request.path for request in asked}


def test_a_store_that_does_not_answer_is_not_asked_about_each_object() -> None:
    settings = StorageSettings(location="s3://lake/wh")
    files = ObjectStoreFileIO("lake", settings, s3_at("http://127.0.0.1:9"))
    with pytest.raises(ObjectStoreError, match="cannot be reached"):
        files.delete_all([f"s3://lake/wh/{number}" for number in range(10)])
    assert files.failures == {"unreachable": 1}
