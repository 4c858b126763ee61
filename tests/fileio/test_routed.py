"""The files of all warehouses by location. The stores are in memory."""

from pathlib import Path

import pytest
from obstore.store import MemoryStore

from falcon_catalog.errors import BadRequestError, ForbiddenError, NotFoundError
from falcon_catalog.fileio.local import LocalFileIO
from falcon_catalog.fileio.object_store import ObjectStoreFileIO
from falcon_catalog.fileio.routed import Route, RoutedFileIO, open_files
from falcon_catalog.settings import StorageSettings

pytestmark = pytest.mark.serverless


def store(location: str) -> ObjectStoreFileIO:
    buckets: dict[str, MemoryStore] = {}
    settings = StorageSettings(location=location, region="r", max_requests=4)
    return ObjectStoreFileIO("w", settings, lambda each: buckets.setdefault(each, MemoryStore()))


@pytest.fixture
def stores() -> dict[str, ObjectStoreFileIO]:
    roots = ("s3://lake/a", "s3://lake/a-b/c", "gs://lake/a", "s3://other")
    return {root: store(root) for root in roots}


@pytest.fixture
def files(stores: dict[str, ObjectStoreFileIO]) -> RoutedFileIO:
    routes = [Route(f"{root}/", each) for root, each in stores.items()]
    return RoutedFileIO(routes, LocalFileIO())


@pytest.mark.parametrize(
    ("location", "root"),
    [
        ("s3://lake/a/t/x", "s3://lake/a"),
        ("s3://lake/a-b/c/x", "s3://lake/a-b/c"),
        ("gs://lake/a/x", "gs://lake/a"),
        ("s3://other/x", "s3://other"),
        ("s3://lake/a-b/x", "s3://lake/a-b/c"),  # outside of all roots, in a bucket of one
    ],
)
def test_a_location_is_reached_as_the_root_around_it(
    files: RoutedFileIO, stores: dict[str, ObjectStoreFileIO], location: str, root: str
) -> None:
    files.write(location, b"content")
    assert stores[root].read(location) == files.read(location) == b"content"
    assert files.exists(location)
    assert files.size(location) == 7
    alike = {key: each for key, each in stores.items() if key[:2] == root[:2]}
    assert [key for key, each in alike.items() if each.exists(location)] == [root]
    assert not files.create(location, b"other")
    files.replace(location, b"new")
    assert files.version(location) == stores[root].version(location)
    assert [each.location for each in files.list(location.rpartition("/")[0])] == [location]
    files.delete(location)
    with pytest.raises(NotFoundError):
        files.read(location)


def test_a_local_file_is_reached_as_it_is(files: RoutedFileIO, tmp_path: Path) -> None:
    files.write(f"file://{tmp_path}/x", b"content")
    assert (tmp_path / "x").read_bytes() == b"content"
    (tmp_path / "link").symlink_to(tmp_path / "x")
    assert files.resolve(f"{tmp_path}/link") == f"{tmp_path.resolve()}/x/"
    assert files.resolve("s3://lake/a/x") == "s3://lake/a/x/"


@pytest.mark.parametrize("location", ["s3://elsewhere/x", "gs://other/x"])
def test_another_bucket_is_not_reached(files: RoutedFileIO, location: str) -> None:
    with pytest.raises(ForbiddenError, match="outside the locations of the settings"):
        files.read(location)
    assert files.resolve(location) == f"{location}/"
    with pytest.raises(BadRequestError):
        files.read("hdfs://host/x")


def test_it_can_be_confined(files: RoutedFileIO, tmp_path: Path) -> None:
    within = files.within(["s3://lake/a", "s3://other/b", "s3://elsewhere", f"{tmp_path}/in"])
    for inside in ("s3://lake/a/x", "s3://other/b/x", f"{tmp_path}/in/x"):
        within.write(inside, b"1")
        assert files.read(inside) == b"1"
    for outside in ("s3://lake/a-b/c/x", "s3://other/x", "gs://lake/a/x", f"{tmp_path}/x"):
        files.write(outside, b"1")
        with pytest.raises(ForbiddenError):
            within.read(outside)


def test_local_warehouses_need_no_routes(tmp_path: Path) -> None:
    storage = StorageSettings(location=f"file://{tmp_path}")
    assert isinstance(open_files({"default": storage}), LocalFileIO)
