import pytest

from falcon_catalog.errors import BadRequestError
from falcon_catalog.locations import (
    ALIASES,
    OBJECT_STORES,
    ancestors,
    is_inside,
    join,
    key,
    key_or_none,
    local_path,
    nested,
    overlap,
    parse,
    safe_segment,
)

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
    [
        "",
        "a/b",
        "file:a/b",
        "s3://bucket/x",
        "file://host/a",
        "/a/../b",
        "/a\x00b",
        "file:///a/..",
        "/a/" + "é" * 128,
    ],
)
def test_what_is_no_local_place_is_refused_by_name(location: str) -> None:
    with pytest.raises(BadRequestError, match="Invalid location"):
        local_path(location)


@pytest.mark.fault(number=6)
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
    assert ancestors("/a/") == ["/"]


def test_joining_never_doubles_a_slash() -> None:
    assert join("file:///w/", "a", "b") == "file:///w/a/b"


@pytest.mark.parametrize("name", ["../../etc", "a/b", "a b", "é?#%", "*", "'", "." * 9])
def test_a_safe_segment_holds_no_surprise(name: str) -> None:
    assert set(safe_segment(name)) <= set("abcdefghijklmnopqrstuvwxyz_")


class TestObjectStores:
    """The grammar of locations in object stores."""

    ALL = OBJECT_STORES | set(ALIASES)

    @pytest.mark.parametrize(
        ("location", "parts", "location_key"),
        [
            ("s3://bucket/a/b", ("s3", "bucket", "a/b"), "s3://bucket/a/b/"),
            ("s3://my.bucket-1/a/b/", ("s3", "my.bucket-1", "a/b"), "s3://my.bucket-1/a/b/"),
            ("s3a://bucket/a", ("s3", "bucket", "a"), "s3://bucket/a/"),
            ("s3n://bucket/a", ("s3", "bucket", "a"), "s3://bucket/a/"),
            ("s3://bucket", ("s3", "bucket", ""), "s3://bucket/"),
            ("s3://bucket/", ("s3", "bucket", ""), "s3://bucket/"),
            (
                "gs://under_score/é/100%",
                ("gs", "under_score", "é/100%"),
                "gs://under_score/é/100%/",
            ),
            (
                "abfss://c-1@account.dfs.core.windows.net/a",
                ("abfss", "c-1@account.dfs.core.windows.net", "a"),
                "abfss://c-1@account.dfs.core.windows.net/a/",
            ),
        ],
    )
    def test_are_parsed(
        self, location: str, parts: tuple[str, str, str], location_key: str
    ) -> None:
        found = parse(location, self.ALL)
        assert (found.scheme, found.authority, found.path) == parts
        assert found.key == location_key

    @pytest.mark.parametrize("scheme", ["abfss", "abfs", "wasb", "wasbs"])
    @pytest.mark.parametrize("host", ["dfs", "blob"])
    def test_an_account_is_one_whatever_its_host(self, scheme: str, host: str) -> None:
        location = f"{scheme}://files@account.{host}.core.windows.net/a"
        assert parse(location, self.ALL) == parse(
            "abfss://files@account.dfs.core.windows.net/a", self.ALL
        )

    @pytest.mark.parametrize("alias", sorted(ALIASES))
    def test_an_alias_is_refused_unless_it_is_allowed(self, alias: str) -> None:
        location = f"{alias}://files@account.dfs.core.windows.net/a"
        with pytest.raises(BadRequestError, match=f"the scheme '{alias}' is not supported"):
            parse(location, OBJECT_STORES)

    @pytest.mark.parametrize("location", ["/a/b", "file:///a/b", "a/b"])
    def test_a_path_is_refused_where_only_they_are_allowed(self, location: str) -> None:
        with pytest.raises(BadRequestError, match="is not supported, use abfss or gs or s3"):
            parse(location, OBJECT_STORES)

    @pytest.mark.parametrize(
        "scheme_and_authority",
        [
            "S3://bucket",
            "s3:/bucket",
            "s3:bucket",
            "s3://",
            "s3://Bucket",
            "s3://bucket.",
            "s3://.bucket",
            "s3://bucket:9000",
            "s3://user@bucket",
            "s3://user:password@bucket",
            "s3://b",
            "s3://bück",
            "gs://Bucket",
            "gs://bucket:443",
            "abfss://account.dfs.core.windows.net",
            "abfss://files@account",
            "abfss://files@account.dfs.core.windows.net:443",
            "abfss://files@account.dfs.core.windows.net.",
            "abfss://files@account.file.core.windows.net",
            "abfss://files@Account.dfs.core.windows.net",
            "abfss://Files@account.dfs.core.windows.net",
            "abfss://user:password@files@account.dfs.core.windows.net",
        ],
    )
    def test_another_spelling_of_the_authority_is_refused(self, scheme_and_authority: str) -> None:
        with pytest.raises(BadRequestError, match="Invalid location"):
            parse(f"{scheme_and_authority}/a", self.ALL)

    @pytest.mark.parametrize(
        ("path", "why"),
        [
            ("a//b", "empty"),
            ("/a", "empty"),
            ("a//", "empty"),
            ("a/./b", "empty, '.'"),
            ("../b", "empty, '.' or '..'"),
            ("a/..", "empty, '.' or '..'"),
            ("a?b", r"contains '\?'"),
            ("a#b", "contains '#'"),
            ("a\\b", "contains"),
            ("a\nb", "control character"),
            ("a\x85b", "contains"),
            ("a\u200bb", "contains"),
            ("a\u202eb", "contains"),
            ("a\ud800b", "control character"),
            (" a/b", "begins or ends with a blank"),
            ("a /b", "begins or ends with a blank"),
            ("a/\u00a0b", "begins or ends with a blank"),
            ("e\u0301", "normal form C"),
            ("é" * 512 + "b", "more than 1024 bytes"),
        ],
    )
    @pytest.mark.parametrize("store", ["s3://bucket", "abfss://files@account.dfs.core.windows.net"])
    def test_a_key_that_may_be_misread_is_refused(self, store: str, path: str, why: str) -> None:
        with pytest.raises(BadRequestError, match=why):
            parse(f"{store}/{path}", self.ALL)

    def test_a_percent_sign_is_literal_but_for_azure(self) -> None:
        assert parse("s3://bucket/a%2Fb", self.ALL).path == "a%2Fb"
        with pytest.raises(BadRequestError, match="contains '%'"):
            parse("abfss://files@account.dfs.core.windows.net/a%2Fb", self.ALL)

    def test_a_key_of_1024_bytes_is_allowed(self) -> None:
        assert len(parse("s3://bucket/" + "é" * 512, self.ALL).path) == 512

    @pytest.mark.fault(number=6)
    def test_a_sibling_with_the_same_beginning_is_outside(self) -> None:
        table, inner, sibling, bucket, other = (
            parse(location, self.ALL)
            for location in (
                "s3://bucket/db/table",
                "s3a://bucket/db/table/x",
                "s3://bucket/db/table2",
                "s3://bucket",
                "gs://bucket/db/table",
            )
        )
        assert inner.inside(table)
        assert table.inside(table)
        assert table.inside(bucket)
        assert not table.inside(inner)
        assert not sibling.inside(table)
        assert not other.inside(bucket)
        assert table.overlaps(inner)
        assert inner.overlaps(table)
        assert not table.overlaps(sibling)
        assert not table.overlaps(other)

    def test_ancestors_end_at_the_bucket(self) -> None:
        assert ancestors("s3://bucket/a/b/") == ["s3://bucket/", "s3://bucket/a/"]
        assert ancestors("s3://bucket/") == []


def test_two_places_overlap_in_either_order() -> None:
    assert overlap("file:///db/table", "/db")
    assert overlap("/db", "file:///db/table")
    assert not overlap("/db/table", "/db/table2")


def test_what_is_no_location_has_no_key() -> None:
    assert key_or_none("file:/a") == "/a/"
    assert key_or_none("s3a://bucket/a") == "s3://bucket/a/"
    assert key_or_none("hdfs://host/a") is None
    assert key_or_none(7) is None


def test_nested_pairs_are_each_with_what_is_next_around_it() -> None:
    keys = [("/a/b/c/", 3), ("/a/", 1), ("/a/b/", 2), ("/ab/", 4), ("/ab/", 5)]
    assert nested(keys) == [(1, 2), (2, 3), (4, 5)]
