import pytest

from falcon_catalog.errors import BadRequestError
from falcon_catalog.locations import ancestors, is_inside, join, key, local_path, safe_segment

pytestmark = pytest.mark.serverless


@pytest.mark.parametrize(
    "location",
    ["file:///a/b", "file:/a/b", "/a/b", "file://localhost/a/b", "FILE:///a//b/", "/a/./b"],
)
def test_one_place_has_one_key(location: str) -> None:
    assert local_path(location) == "/a/b"
    assert key(location) == "/a/b/"


@pytest.mark.parametrize(
    "location",
    ["", "a/b", "file:a/b", "s3://bucket/x", "file://host/a", "/a/../b", "/a\x00b", "file:///a/.."],
)
def test_what_is_no_local_place_is_refused_by_name(location: str) -> None:
    with pytest.raises(BadRequestError, match="Invalid location"):
        local_path(location)


def test_a_sibling_with_the_same_beginning_is_outside() -> None:
    assert is_inside("file:/db/table/x", "/db/table")
    assert is_inside("/db/table", "file:///db/table/")
    assert not is_inside("/db/table2", "/db/table")
    assert not is_inside("/db", "/db/table")


def test_percent_signs_are_taken_to_the_letter() -> None:
    assert not is_inside("/db/%2e%2e/x", "/db/..x")
    assert local_path("file:///a%20b") == "/a%20b"


def test_ancestors_are_the_keys_around() -> None:
    assert ancestors("/a/b/c/") == ["/", "/a/", "/a/b/"]


def test_joining_never_doubles_a_slash() -> None:
    assert join("file:///w/", "a", "b") == "file:///w/a/b"


@pytest.mark.parametrize("name", ["../../etc", "a/b", "a b", "é?#%", "*", "'", "." * 9])
def test_a_safe_segment_holds_no_surprise(name: str) -> None:
    assert set(safe_segment(name)) <= set("abcdefghijklmnopqrstuvwxyz_")
