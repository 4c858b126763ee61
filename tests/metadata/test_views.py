"""Views: create, and every update but those of versions, in Java's words."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from falcon_catalog.errors import BadRequestError, CommitFailedError
from falcon_catalog.metadata import view
from tests.metadata import viewing as v


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(BadRequestError) as error:
        call()
    return error.value.message


class TestCreate:
    def test_ids_are_the_server_s_and_columns_keep_theirs(self) -> None:
        sent = v.version(version_id=7, schema_id=5)
        meta = v.create(view_version=sent, properties={"k": "v", "uuid": "mine"})
        assert meta == {
            "view-uuid": v.UUID,
            "format-version": 1,
            "location": "file:/warehouse/view",
            "current-version-id": 1,
            "versions": [{**sent, "version-id": 1, "schema-id": 0}],
            "version-log": [{"timestamp-ms": v.CREATED_MS, "version-id": 1}],
            "schemas": [v.schema("x")],
            "properties": {"k": "v", "uuid": "mine"},
        }
        assert view.validate(meta) is meta

    def test_absent_properties_and_nulls_are_left_out(self) -> None:
        meta = v.create(properties=None, view_version=v.version(default_catalog=None, extra=1))
        assert meta["properties"] == {}
        assert meta["versions"][0] == v.version()

    def test_the_default_catalog_is_kept(self) -> None:
        meta = v.create(view_version=v.version(default_catalog="prod"))
        assert meta["versions"][0]["default-catalog"] == "prod"

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ({"schema": None}, "Invalid create view request, field schema: must be an object"),
            (
                {"view_version": None},
                "Invalid create view request, field view-version: must be an object, got null",
            ),
            (
                {"view_version": {**v.version(), "representations": []}},
                "Invalid view version: Cannot add a version without a query",
            ),
            (
                {"view_version": v.version(representations=[{"type": "plan"}])},
                "field representations[0]: found unsupported view representation: 'plan'",
            ),
            (
                {"view_version": v.version(default_namespace="ns")},
                "field view-version, field default-namespace: must be an array, got 'ns'",
            ),
            ({"properties": {"a": 1}}, "field properties, value of 'a': must be a string, got 1"),
            (
                {"properties": {"version.history.num-entries": "0"}},
                "version.history.num-entries must be positive but was 0",
            ),
            (
                {"properties": {"version.history.num-entries": "many"}},
                "Invalid property version.history.num-entries: 'many' is not an integer",
            ),
        ],
    )
    def test_a_bad_request_is_explained(self, more: dict[str, Any], said: str) -> None:
        assert said in refusal(lambda: v.create(**more))

    @pytest.mark.parametrize(
        "field",
        ["version-id", "timestamp-ms", "schema-id", "summary", "default-namespace"],
    )
    def test_a_missing_field_is_named(self, field: str) -> None:
        partial = {key: value for key, value in v.version().items() if key != field}
        assert refusal(lambda: v.create(view_version=partial)).endswith(f"missing field {field}")

    @pytest.mark.parametrize("second", ["trino", "TRINO"])
    def test_a_dialect_has_one_query(self, second: str) -> None:
        queries = [v.query("select 1", "trino"), v.query("select 2", second)]
        assert (
            refusal(lambda: v.create(view_version=v.version(representations=queries)))
            == "Invalid view version: Cannot add multiple queries for dialect trino"
        )


class TestUpdates:
    def test_the_base_stays_as_it_was(self) -> None:
        base = v.create()
        before = copy.deepcopy(base)
        v.apply(base, v.set_properties(a="b"), v.add_schema("y"), v.add_version(), v.set_version())
        assert base == before

    @pytest.mark.parametrize(
        "updates",
        [
            [],
            [{"action": "assign-uuid", "uuid": v.UUID}],
            [{"action": "assign-uuid", "uuid": v.UUID.upper()}],
            [{"action": "upgrade-format-version", "format-version": 1}],
            [{"action": "set-location", "location": "file:/warehouse/view"}],
            [v.set_properties()],
            [{"action": "remove-properties", "removals": []}],
            [v.add_schema("x", schema_id=9)],
            [v.add_version("select * from ns.tbl"), v.set_version()],
            [v.add_schema("x"), v.add_version("select * from ns.tbl", schema_id=-1)],
            [v.set_version(1)],
        ],
    )
    def test_without_a_change_the_very_base_comes_back(self, updates: list[Any]) -> None:
        base = v.create()
        assert v.apply(base, *updates) is base

    def test_properties_come_and_go_and_the_history_stays(self) -> None:
        base = v.create(properties={"a": "1", "b": "1"})
        new = v.apply(
            base,
            v.set_properties(a="2", c="3"),
            {"action": "remove-properties", "removals": ["b", "non-existing"]},
        )
        assert new == {**base, "properties": {"a": "2", "c": "3"}}

    def test_a_location_is_set(self) -> None:
        base = v.create()
        new = v.apply(base, {"action": "set-location", "location": "file:/elsewhere/"})
        assert new == {**base, "location": "file:/elsewhere"}

    def test_schemas_get_the_next_id_and_identical_ones_are_reused(self) -> None:
        base = v.create()
        new = v.apply(base, *(v.add_schema(name, schema_id=9) for name in "yzxy"))
        assert new["schemas"] == [v.schema(name, schema_id=i) for i, name in enumerate("xyz")]

    @pytest.mark.parametrize(
        ("update", "said"),
        [
            ({"action": "assign-uuid", "uuid": v.UUID[::-1]}, "is no UUID"),
            (
                {"action": "assign-uuid", "uuid": "00000000-0000-0000-0000-000000000000"},
                "Cannot reassign uuid",
            ),
            (
                {"action": "upgrade-format-version", "format-version": 0},
                "Cannot downgrade v1 view to v0",
            ),
            (
                {"action": "upgrade-format-version", "format-version": 23},
                "Unsupported format version: 23",
            ),
            ({"action": "add-spec", "spec": {}}, "Unknown update action: 'add-spec'"),
            ({}, "Invalid update: missing field action"),
            ({"action": "add-schema"}, "Invalid add-schema update: missing field schema"),
            (
                {"action": "add-view-version"},
                "Invalid add-view-version update: missing field view-version",
            ),
            (
                {"action": "set-current-view-version", "view-version-id": "1"},
                "field view-version-id: must be an integer, got '1'",
            ),
            (
                {"action": "set-location", "location": ""},
                "Invalid set-location update, field location: must not be empty",
            ),
        ],
    )
    def test_a_bad_update_is_explained(self, update: dict[str, Any], said: str) -> None:
        assert said in refusal(lambda: v.apply(v.create(), update))


class TestRequirements:
    def test_the_same_uuid_in_any_case_holds(self) -> None:
        requirement = {"type": "assert-view-uuid", "uuid": v.UUID.upper()}
        view.check_requirements(v.create(), [requirement])
        view.check_requirements(v.create(), [])

    def test_another_uuid_is_a_conflict(self) -> None:
        other = "00000000-0000-0000-0000-000000000001"
        with pytest.raises(CommitFailedError) as error:
            view.check_requirements(v.create(), [{"type": "assert-view-uuid", "uuid": other}])
        assert (
            error.value.message
            == f"Requirement failed: view UUID does not match: expected {v.UUID} != {other}"
        )

    @pytest.mark.parametrize(
        ("requirement", "said"),
        [
            ({}, "Invalid requirement: missing field type"),
            ({"type": "assert-create"}, "Unknown requirement type of a view: 'assert-create'"),
            (
                {"type": "assert-view-uuid"},
                "Invalid assert-view-uuid requirement: missing field uuid",
            ),
        ],
    )
    def test_a_bad_requirement_is_judged_before_a_failed_one(
        self, requirement: dict[str, Any], said: str
    ) -> None:
        wrong = {"type": "assert-view-uuid", "uuid": "x"}
        assert refusal(lambda: view.check_requirements(v.create(), [wrong, requirement])) == said


def with_default(value: object) -> dict[str, Any]:
    """Return a schema whose column has a default of type double."""
    column = {"id": 1, "name": "d", "type": "double", "required": False, "initial-default": value}
    return {"type": "struct", "schema-id": 5, "fields": [column]}


def test_views_have_defaults_that_java_can_parse() -> None:
    stored = v.create(schema=with_default(1))
    assert repr(stored["schemas"][0]["fields"][0]["initial-default"]) == "1.0"
    added = {"action": "add-schema", "schema": with_default(2)}
    new = v.apply(stored, added, v.add_version(schema_id=-1))
    assert repr(new["schemas"][1]["fields"][0]["initial-default"]) == "2.0"
    view.check_readable(new)
    with pytest.raises(BadRequestError, match="column 'd', field initial-default: must be a num"):
        v.create(schema=with_default("1"))
    broken = {**stored, "schemas": [with_default(1) | {"schema-id": 0}]}
    with pytest.raises(BadRequestError, match=r"1 must be written 1\.0"):
        view.check_readable(view.validate(broken))
    assert v.apply(broken, {"action": "set-properties", "updates": {"k": "v"}})  # can be changed
