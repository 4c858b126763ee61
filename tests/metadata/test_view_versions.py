"""Versions of views: ids, reuse, dialects, the log and what is forgotten."""

from typing import Any

import pytest

from falcon_catalog.errors import BadRequestError
from tests.metadata import viewing as v


def refusal(base: v.JSON, *updates: v.JSON) -> str:
    with pytest.raises(BadRequestError) as error:
        v.apply(base, *updates)
    return error.value.message


class TestIds:
    def test_the_id_that_is_sent_is_only_what_the_client_expected(self) -> None:
        meta = v.create()
        for sql in ("select 2", "select 3"):
            meta = v.replaced(meta, sql, version_id=2)
        assert v.version_ids(meta) == [1, 2, 3]
        assert meta["current-version-id"] == 3
        assert v.logged(meta) == [1, 2, 3]

    def test_many_in_one_request_are_numbered_and_logged_once(self) -> None:
        added = [v.add_version(f"select {number}") for number in (2, 3, 2, 4)]
        meta = v.apply(v.create(), *added, v.set_version(4))
        assert v.version_ids(meta) == [1, 2, 3, 4]
        assert v.logged(meta) == [1, 4]

    def test_a_version_that_differs_in_time_and_id_only_is_reused(self) -> None:
        meta = v.replaced(v.create(), "select 2")
        again = v.version(timestamp_ms=v.NOW_MS, version_id=9)
        meta = v.apply(meta, {"action": "add-view-version", "view-version": again}, v.set_version())
        assert meta["current-version-id"] == 1
        assert v.version_ids(meta) == [1, 2]

    @pytest.mark.parametrize(
        "more",
        [
            {"summary": {}},
            {"default_catalog": "other"},
            {"default_namespace": ["other"]},
            {"representations": [v.query("select * from ns.tbl", "SPARK")]},
        ],
    )
    def test_any_other_difference_makes_a_new_one(self, more: dict[str, Any]) -> None:
        meta = v.replaced(v.create(), "select * from ns.tbl", **more)
        assert meta["current-version-id"] == 2

    def test_minus_one_is_the_schema_last_added(self) -> None:
        base = v.create()
        added = v.add_version("select y", schema_id=-1)
        new = v.apply(base, v.add_schema("y"), added, v.set_version())
        assert new["versions"][1]["schema-id"] == 1
        assert refusal(base, added) == "Cannot set last added schema: no schema has been added"

    def test_minus_one_is_the_version_last_added(self) -> None:
        text = "Cannot set last version id: no current version id has been set"
        assert refusal(v.create(), v.set_version()) == text

    def test_unknown_ids_are_refused(self) -> None:
        assert (
            refusal(v.create(), v.set_version(23))
            == "Cannot set current version to unknown version: 23"
        )
        assert (
            refusal(v.create(), v.add_version(schema_id=23))
            == "Cannot add version with unknown schema: 23"
        )


class TestLog:
    def test_a_new_version_brings_its_time(self) -> None:
        meta = v.replaced(v.create(), "select 2", timestamp_ms=v.CREATED_MS + 7)
        assert meta["version-log"][1]["timestamp-ms"] == v.CREATED_MS + 7

    def test_an_old_one_returns_now(self) -> None:
        meta = v.apply(v.replaced(v.create(), "select 2"), v.set_version(1))
        assert meta["version-log"][2] == {"timestamp-ms": v.NOW_MS, "version-id": 1}
        assert v.version_ids(meta) == [1, 2]


class TestDialects:
    LOSS = (
        "Cannot replace view due to loss of view dialects "
        "(replace.drop-dialect.allowed=false):\n"
        "Previous dialects: [spark, trino]\nNew dialects: [spark]"
    )

    def both(self, **properties: str) -> v.JSON:
        queries = [v.query("select 1", "Trino"), v.query("select 1", "spark")]
        named = v.set_properties(**properties)["updates"]
        return v.create(view_version=v.version(representations=queries), properties=named)

    def test_losing_one_is_refused(self) -> None:
        assert refusal(self.both(), v.add_version("select 2"), v.set_version()) == self.LOSS

    def test_losing_one_may_be_allowed_before_or_with_the_replacement(self) -> None:
        allowed = {"replace__drop_dialect__allowed": "TRUE"}
        assert v.replaced(self.both(**allowed), "select 2")["current-version-id"] == 2
        new = v.apply(
            self.both(), v.add_version("select 2"), v.set_version(), v.set_properties(**allowed)
        )
        assert new["current-version-id"] == 2

    def test_case_makes_no_dialect(self) -> None:
        queries = [v.query("select 2", name) for name in ("TRINO", "SPARK", "duckdb")]
        new = v.replaced(self.both(), "", representations=queries)
        assert new["versions"][1]["representations"] == queries

    def test_a_version_that_is_not_current_may_lack_one(self) -> None:
        assert v.version_ids(v.apply(self.both(), v.add_version("select 2"))) == [1, 2]

    def test_dropping_and_appending_exclude_each_other(self) -> None:
        both = v.set_properties(
            replace__drop_dialect__allowed="true", replace__append_dialect__allowed="true"
        )
        assert refusal(self.both(), both) == (
            "Cannot set both replace.drop-dialect.allowed and replace.append-dialect.allowed"
            " to true"
        )


class TestForgetting:
    def history(self, size: int, count: int) -> v.JSON:
        meta = v.create(properties={"version.history.num-entries": str(size)})
        for number in range(2, count + 1):
            meta = v.replaced(meta, f"select {number}")
        return meta

    def test_ten_are_kept_unless_asked_otherwise(self) -> None:
        meta = v.create()
        for number in range(2, 15):
            meta = v.replaced(meta, f"select {number}")
        assert v.version_ids(meta) == v.logged(meta) == list(range(5, 15))

    def test_the_oldest_go_with_the_log_up_to_them(self) -> None:
        assert v.version_ids(self.history(2, 4)) == [3, 4]
        meta = v.apply(self.history(3, 3), v.set_version(1))
        assert v.logged(meta) == [1, 2, 3, 1]
        meta = v.replaced(meta, "select 4")
        assert v.version_ids(meta) == [2, 3, 4]
        assert v.logged(meta) == [4]

    def test_the_current_one_stays_though_it_is_the_oldest(self) -> None:
        meta = v.apply(self.history(3, 3), v.set_version(1))
        meta = v.apply(meta, v.add_version("select 4"))
        assert v.version_ids(meta) == [1, 3, 4]
        meta = v.apply(meta, v.set_properties(version__history__num_entries="1"))
        assert v.version_ids(meta) == [1]
        assert v.logged(meta) == [1]

    def test_what_a_request_adds_stays_until_the_next(self) -> None:
        added = [v.add_version(f"select {number}") for number in (2, 3, 4)]
        meta = v.apply(self.history(1, 1), *added, v.set_version())
        assert v.version_ids(meta) == [2, 3, 4]
        assert v.version_ids(v.apply(meta, v.set_properties(a="b"))) == [4]
