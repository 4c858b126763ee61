"""The contract of FileIO on S3, and what object stores have that folders have not.

Those of Google and Azure are in test_gcs.py and test_adls.py.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from falcon_catalog.errors import BadRequestError, ForbiddenError, ObjectStoreError
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.fileio.object_store import ObjectStoreFileIO
from tests.clouds import faulty
from tests.clouds.emulators import S3
from tests.clouds.s3proxy import KEYS, REGION, S3Proxy, s3proxy
from tests.clouds.stores import Store, s3_store
from tests.fileio.contract import Contract


@pytest.fixture
def files(s3: S3, tmp_path: Path) -> ObjectStoreFileIO:
    return s3_store(s3).files(tmp_path)


@pytest.fixture
def folder() -> str:
    """A prefix of keys."""
    return str(uuid.uuid4())


@pytest.fixture
def root(folder: str) -> str:
    return f"s3://lake/{folder}"


@pytest.fixture
def client(s3: S3) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=s3.url,
        region_name=s3.region,
        aws_access_key_id=s3.access_key_id,
        aws_secret_access_key=s3.secret_access_key,
    )


class TestS3(Contract):
    # moto takes the query as it was sent for the one that was signed, in which they are encoded
    # otherwise; s3proxy, which does as Amazon, lists them.
    unlistable = frozenset({"a b", "a*b"})

    @pytest.fixture
    def files(self, files: ObjectStoreFileIO) -> FileIO:
        return files


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Proxy]:
    with s3proxy(tmp_path_factory.mktemp("s3proxy")) as served:
        yield served


class TestS3Proxy(Contract):
    """S3 in the words of others: signatures, conditions, lists and encodings."""

    @pytest.fixture
    def files(self, served: S3Proxy, tmp_path: Path) -> FileIO:
        settings = {
            "region": REGION,
            "path_style": True,
            "access": "signed",
        }
        keys = {"access_key_id": KEYS[0], "secret_access_key": KEYS[1]}
        return Store(f"http://{served.address}", "s3://lake/wh", settings, keys).files(tmp_path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("00000-x.metadata.json", "application/json"),
        ("00000-x.gz.metadata.json", "application/json"),
        ("snap-1.avro", "binary/octet-stream"),
    ],
)
def test_what_an_object_says_of_its_content(
    *, files: FileIO, root: str, folder: str, client: Any, name: str, kind: str
) -> None:
    files.write(f"{root}/{name}", b"\x1f\x8bcontent")
    found = client.head_object(Bucket="lake", Key=f"{folder}/{name}")
    assert found["ContentType"] == kind
    assert not found.get("ContentEncoding")


def test_several_buckets_are_one_warehouse(files: FileIO, root: str, folder: str) -> None:
    confined = files.within([root, f"s3://other/{folder}/in"])
    confined.write(f"s3://other/{folder}/in/x", b"1")
    assert confined.read(f"s3://other/{folder}/in/x") == b"1"
    assert not confined.exists(f"{root}/in/x")
    for location in (f"s3://other/{folder}/x", f"s3://other/{folder}/inner/x", "s3://third/x"):
        with pytest.raises(ForbiddenError):
            confined.read(location)


def test_a_bucket_that_is_not_there_is_no_missing_file(files: FileIO) -> None:
    for act in (files.read, files.write, files.list):
        with pytest.raises(ObjectStoreError, match=r"has no such bucket \(NoSuchBucket\)") as said:
            act("s3://nobody-made-this/x")
        assert said.value.reason == "no-bucket"


def test_a_bucket_is_no_file(files: FileIO) -> None:
    for act in (files.read, files.write, files.delete, files.exists):
        with pytest.raises(BadRequestError, match="it names no file"):
            act("s3://lake")
    assert {"file", "folder"} >= {entry.kind for entry in files.list("s3://lake/")}


def test_aliases_are_taken_where_the_settings_allow_them(
    s3: S3, files: FileIO, root: str, tmp_path: Path
) -> None:
    lenient = s3_store(s3).files(tmp_path, allow_aliases=True)
    lenient.write(f"{root.replace('s3', 's3a', 1)}/x", b"1")
    assert [e.location for e in lenient.list(root.replace("s3", "s3n", 1))] == [
        f"{root.replace('s3', 's3n', 1)}/x"
    ]
    assert lenient.resolve(f"{root.replace('s3', 's3a', 1)}/x") == f"{root}/x/"
    with pytest.raises(BadRequestError, match=r"use s3$"):
        files.read(f"{root.replace('s3', 's3a', 1)}/x")
    within = lenient.within([root])
    assert within.read(f"{root.replace('s3', 's3a', 1)}/x") == b"1"
    with pytest.raises(ForbiddenError):
        within.read("s3a://lake/elsewhere/x")


def test_an_empty_object_that_marks_a_folder_is_not_in_it(
    files: FileIO, root: str, folder: str, client: Any
) -> None:
    client.put_object(Bucket="lake", Key=f"{folder}/t/", Body=b"")
    files.write(f"{root}/t/x", b"1")
    assert [(e.name, e.kind) for e in files.list(f"{root}/t")] == [("x", "file")]
    assert [(e.name, e.kind) for e in files.list(root)] == [("t", "folder")]


def test_one_file_is_deleted_by_one_plain_request(
    files: FileIO, root: str, s3: S3, tmp_path: Path
) -> None:
    # Some stores do not have DeleteObjects.
    files.write(f"{root}/x", b"1")
    with faulty.before(s3.url) as proxy:
        s3_store(s3).files(tmp_path, proxy.url).delete(f"{root}/x")
        assert [method for method, _ in proxy.requests] == ["DELETE"]
    assert not files.exists(f"{root}/x")


def test_nothing_is_asked_before_it_is_needed(tmp_path: Path, s3: S3) -> None:
    files = s3_store(s3).files(tmp_path, "http://127.0.0.1:1", timeout=1)
    confined = files.within(["s3://lake/wh"])
    confined.prepare_table("s3://lake/wh/t")
    confined.abandon_table("s3://lake/wh/t")
    assert confined.resolve("s3://lake/wh/t") == "s3://lake/wh/t/"
    with pytest.raises(ObjectStoreError, match="cannot be reached: cannot read a file"):
        confined.read("s3://lake/wh/t/x")
    assert files.failures == {"unreachable": 1}
