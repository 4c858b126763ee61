from typing import Any

import pytest

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import table


def refusal(make: Any, base: Any, *updates: dict[str, Any]) -> str:
    with pytest.raises(BadRequestError) as error:
        make.apply(base, *updates)
    return error.value.message


def test_a_new_spec_gets_the_next_id_and_its_fields_theirs(make: Any) -> None:
    new = make.apply(
        make.table(),
        make.add_spec(make.partition(3, "day", "at_day"), make.partition(1, "bucket[8]", "b")),
        make.set_spec(-1),
    )
    assert new["default-spec-id"] == 1
    assert [field["field-id"] for field in new["partition-specs"][1]["fields"]] == [1000, 1001]
    assert new["last-partition-id"] == 1001


def test_the_same_fields_are_the_same_spec_whatever_their_ids(make: Any) -> None:
    base = make.table(partition_spec={"fields": [make.partition(3, "day", "at_day")]})
    again = make.add_spec(make.partition(3, "day", "at_day", field_id=1044))
    assert make.apply(base, again) is base
    assert make.apply(base, again, make.set_spec(-1)) is base


def test_another_name_is_another_spec(make: Any) -> None:
    base = make.table(partition_spec={"fields": [make.partition(3, "day", "at_day")]})
    new = make.apply(base, make.add_spec(make.partition(3, "day", "day_of")))
    assert new["partition-specs"][1] == {
        "spec-id": 1,
        "fields": [make.partition(3, "day", "day_of", field_id=1000)],
    }


def test_a_field_without_id_keeps_the_one_it_had(make: Any) -> None:
    base = make.table(partition_spec={"fields": [make.partition(3, "day", "at_day")]})
    new = make.apply(
        base,
        make.add_spec(make.partition(1, "identity", "id"), make.partition(3, "day", "at_day")),
    )
    assert [field["field-id"] for field in new["partition-specs"][1]["fields"]] == [1001, 1000]


def test_ids_a_client_chose_are_kept_and_counted_on(make: Any) -> None:
    new = make.apply(
        make.table(),
        make.add_spec(
            make.partition(3, "day", "at_day", field_id=1010), make.partition(1, "identity", "id")
        ),
    )
    assert [field["field-id"] for field in new["partition-specs"][1]["fields"]] == [1010, 1011]
    assert new["last-partition-id"] == 1011


def test_v1_numbers_by_position_only(make: Any) -> None:
    base = make.table(1, partition_spec={"fields": [make.partition(3, "day", "at_day")]})
    new = make.apply(
        base,
        make.add_spec(
            make.partition(3, "void", "at_day", field_id=1000), make.partition(1, "identity", "id")
        ),
        make.set_spec(-1),
    )
    assert new["partition-spec"] == new["partition-specs"][1]["fields"]
    assert [field["field-id"] for field in new["partition-spec"]] == [1000, 1001]
    text = refusal(make, base, make.add_spec(make.partition(1, "identity", "id", field_id=1001)))
    assert text == (
        "Spec does not use sequential IDs that are required in v1: [1001: id: identity(1)]"
    )


@pytest.mark.parametrize(
    ("source_id", "transform", "text"),
    [
        (9, "identity", "Cannot find source column for partition field: 1000: f: identity(9)"),
        (4, "identity", "Cannot partition by non-primitive source field: struct<5: city: optional"),
        (2, "day", "Invalid source type string for transform: day"),
        (1, "hour", "Invalid source type long for transform: hour"),
        (3, "truncate[4]", "Invalid source type timestamptz for transform: truncate[4]"),
        (1, "bucket[0]", "Invalid number of buckets: 0 (must be > 0)"),
        (1, "truncate[0]", "Invalid truncate width: 0 (must be > 0)"),
        (1, "zorder", "unknown transform 'zorder'"),
        (1, "bucket[99999999999]", "unknown transform"),
    ],
)
def test_sources_and_transforms_must_fit(
    make: Any, source_id: int, transform: str, text: str
) -> None:
    assert text in refusal(
        make, make.table(), make.add_spec(make.partition(source_id, transform, "f"))
    )


@pytest.mark.parametrize(
    ("kind", "transform", "fits"),
    [
        ("date", "month", True),
        ("date", "hour", False),
        ("timestamp_ns", "hour", True),
        ("decimal(9, 2)", "truncate[2]", True),
        ("decimal(9, 2)", "bucket[2]", True),
        ("double", "bucket[2]", False),
        ("double", "identity", True),
        ("boolean", "bucket[2]", False),
        ("uuid", "bucket[2]", True),
        ("fixed[4]", "truncate[2]", False),
        ("binary", "truncate[2]", True),
        ("unknown", "identity", True),
        ("variant", "identity", False),
        ("geometry", "identity", False),
        ("geography(OGC:CRS84)", "bucket[2]", False),
    ],
)
def test_each_transform_takes_the_types_of_the_specification(
    make: Any, kind: str, transform: str, fits: bool
) -> None:
    base = make.create(
        make.request(make.schema(make.column(1, "c", kind)), properties={"format-version": "3"})
    )
    add = make.add_spec(make.partition(1, transform, "f"))
    if fits:
        assert len(make.apply(base, add)["partition-specs"]) == 2
    else:
        refusal(make, base, add)


def test_a_void_field_needs_no_column(make: Any) -> None:
    new = make.apply(make.table(), make.add_spec(make.partition(99, "void", "gone")))
    assert new["partition-specs"][1]["fields"][0]["transform"] == "void"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            [("1", "identity", "name")],
            "Cannot create identity partition sourced from different field in schema: name",
        ),
        (
            [("2", "truncate[2]", "name")],
            "Cannot create partition from name that exists in schema: name",
        ),
        ([("2", "identity", "")], "Cannot use empty partition name: "),
        (
            [("2", "identity", "p"), ("1", "identity", "p")],
            "Cannot use partition name more than once: p",
        ),
    ],
)
def test_names_and_fields_do_not_clash(make: Any, fields: list[Any], text: str) -> None:
    spec = make.add_spec(*(make.partition(int(source), *rest) for source, *rest in fields))
    assert refusal(make, make.table(), spec) == text


def test_field_ids_do_not_clash(make: Any) -> None:
    spec = make.add_spec(
        make.partition(1, "identity", "id", field_id=1000),
        make.partition(2, "identity", "name", field_id=1000),
    )
    text = refusal(make, make.table(), spec)
    assert text == "Cannot use partition field id more than once: 1000"


@pytest.mark.parametrize(
    ("source", "first", "second"),
    [
        (3, "year", "month"),
        (3, "day", "hour"),
        (3, "day", "day"),
        (2, "identity", "identity"),
        (2, "truncate[2]", "truncate[4]"),
        (2, "void", "void"),
    ],
)
def test_a_column_may_be_partitioned_by_twice(
    make: Any, source: int, first: str, second: str
) -> None:
    """Only the fluent builder of Java's clients refuses it."""
    fields = [make.partition(source, first, "p"), make.partition(source, second, "q")]
    created = make.table(partition_spec={"fields": fields})
    (spec,) = created["partition-specs"]
    assert [field["field-id"] for field in spec["fields"]] == [1000, 1001]
    evolved = make.apply(make.table(), make.add_spec(*fields), make.set_spec(-1))
    assert evolved["partition-specs"][1]["fields"] == spec["fields"]
    assert table.validate(evolved) is evolved
    again = make.apply(evolved, make.add_spec(), make.add_spec(*fields))
    assert again is evolved


def test_fields_that_transform_alike_keep_the_ids_of_their_names(make: Any) -> None:
    p, q = (make.partition(3, "day", name) for name in "pq")
    base = make.table(partition_spec={"fields": [p, q]})
    new = make.apply(base, make.add_spec(make.partition(3, "day", "r"), q, p))
    fields = new["partition-specs"][1]["fields"]
    assert [(field["name"], field["field-id"]) for field in fields] == [
        ("r", 1002),
        ("q", 1001),
        ("p", 1000),
    ]


def test_different_buckets_of_one_column_are_fine(make: Any) -> None:
    spec = make.add_spec(make.partition(1, "bucket[2]", "a"), make.partition(1, "bucket[4]", "b"))
    assert len(make.apply(make.table(), spec)["partition-specs"][1]["fields"]) == 2


def test_unknown_specs_cannot_be_the_default(make: Any) -> None:
    base = make.table()
    assert refusal(make, base, make.set_spec(4)) == (
        "Cannot set default partition spec to unknown spec: 4"
    )
    assert refusal(make, base, make.set_spec(-1)) == (
        "Cannot set last added spec: no spec has been added"
    )
    assert make.apply(base, make.set_spec(0)) is base


def test_specs_are_removed_but_never_the_default(make: Any) -> None:
    base = make.apply(make.table(), make.add_spec(make.partition(3, "day", "at_day")))
    new = make.apply(base, {"action": "remove-partition-specs", "spec-ids": [1, 9]})
    assert [spec["spec-id"] for spec in new["partition-specs"]] == [0]
    assert new["last-partition-id"] == 1000
    text = refusal(make, base, {"action": "remove-partition-specs", "spec-ids": [0]})
    assert text == "Cannot remove the default partition spec"
    assert make.apply(base, {"action": "remove-partition-specs", "spec-ids": [9]}) is base


def conflict(name: str) -> str:
    return f"Cannot create identity partition sourced from different field in schema: {name}"


def by_day(make: Any, transform: str = "day", name: str = "at_day", version: int = 2) -> Any:
    """Return a table partitioned by ``at``."""
    spec = {"fields": [make.partition(3, transform, name)]}
    return make.table(version, partition_spec=spec)


def renamed(make: Any, **names: str) -> list[Any]:
    """Return the updates that give columns of ``events`` other names."""
    columns = [
        {**column, "name": names.get(column["name"], column["name"])}
        for column in make.events()["fields"]
    ]
    return [make.add_schema(*columns), make.set_schema(-1)]


def with_column(make: Any, name: str, kind: Any = "string") -> list[Any]:
    """Return the updates that add a column to ``events``."""
    added = make.column(10, name, kind)
    return [make.add_schema(*make.events()["fields"], added), make.set_schema(-1)]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_column_cannot_take_a_partition_fields_name(make: Any, version: int) -> None:
    """Java's library could not load the table any more."""
    base = by_day(make, version=version)
    assert refusal(make, base, *with_column(make, "at_day")) == conflict("at_day")
    assert refusal(make, base, *renamed(make, name="at_day")) == conflict("at_day")
    assert make.apply(base, *with_column(make, "AT_DAY"))["current-schema-id"] == 1


def test_the_name_of_a_renamed_identity_column_is_not_free(make: Any) -> None:
    """apache/iceberg#11762"""
    base = make.table(partition_spec={"fields": [make.partition(2, "identity", "name")]})
    new = make.apply(base, *renamed(make, name="label"))
    assert new["current-schema-id"] == 1
    again = [*renamed(make, name="label")[0]["schema"]["fields"], make.column(10, "name")]
    assert refusal(make, new, make.add_schema(*again), make.set_schema(-1)) == conflict("name")
    assert make.apply(new, *renamed(make))["current-schema-id"] == 0


def test_a_schema_that_conflicts_may_exist_but_not_become_current(make: Any) -> None:
    add, _ = with_column(make, "at_day")
    base = make.apply(by_day(make), add)
    assert refusal(make, base, make.set_schema(1)) == conflict("at_day")
    assert make.apply(base, make.set_schema(1), make.set_schema(0))["current-schema-id"] == 0


def test_a_column_may_have_its_own_fields_name(make: Any) -> None:
    assert make.apply(by_day(make), *renamed(make, at="at_day"))["current-schema-id"] == 1


@pytest.mark.parametrize("transform", ["day", "void", "identity"])
def test_specs_that_are_not_the_default_keep_their_names(make: Any, transform: str) -> None:
    base = make.apply(by_day(make, transform), make.add_spec(), make.set_spec(-1))
    assert refusal(make, base, *with_column(make, "at_day")) == conflict("at_day")
    removal = {"action": "remove-partition-specs", "spec-ids": [0]}
    new = make.apply(base, *with_column(make, "at_day"), removal)
    assert new["current-schema-id"] == 1


def test_a_spec_and_a_column_of_one_commit_conflict_in_either_order(make: Any) -> None:
    spec = make.add_spec(make.partition(3, "day", "at_day"))
    columns = with_column(make, "at_day")
    assert refusal(make, make.table(), spec, *columns) == conflict("at_day")
    assert "exists in schema: at_day" in refusal(make, make.table(), *columns, spec)


def test_a_dropped_column_frees_its_fields_names(make: Any) -> None:
    columns = [column for column in make.events()["fields"] if column["name"] != "at"]
    drop = [make.add_schema(*columns), make.set_schema(-1)]
    reuse = [make.add_schema(*columns, make.column(10, "at_day")), make.set_schema(-1)]
    base = make.apply(by_day(make), make.add_spec(), make.set_spec(-1), *drop)
    assert make.apply(base, *reuse)["current-schema-id"] == 2
    void = make.apply(by_day(make, "void", version=1), *drop, *reuse)
    fields = [make.partition(3, "void", "at_day"), make.partition(1, "identity", "id")]
    assert len(make.apply(void, make.add_spec(*fields))["partition-specs"]) == 2


NESTED = {"type": "struct", "fields": [{"id": 20, "name": "x", "type": "int", "required": False}]}
LIST = {"type": "list", "element-id": 21, "element": NESTED, "element-required": False}
MAP = {
    "type": "map",
    "key-id": 22,
    "key": "string",
    "value-id": 23,
    "value": NESTED,
    "value-required": False,
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (NESTED, "c.x"),
        (LIST, "c.element.x"),
        (LIST, "c.element"),
        (LIST, "c.x"),
        (MAP, "c.value.x"),
        (MAP, "c.key"),
        (MAP, "c.x"),
    ],
)
def test_nested_columns_have_names_too(make: Any, kind: Any, name: str) -> None:
    base = by_day(make, name=name)
    assert refusal(make, base, *with_column(make, "c", kind)) == conflict(name)
    assert make.apply(base, *with_column(make, "other", kind))["current-schema-id"] == 1


@pytest.mark.parametrize(
    ("source", "transform", "kind", "text"),
    [
        (3, "day", "string", "Invalid source type string for transform: day"),
        (1, "bucket[4]", "double", "Invalid source type double for transform: bucket[4]"),
    ],
)
def test_a_column_keeps_a_type_that_every_spec_can_take(
    make: Any, source: int, transform: str, kind: str, text: str
) -> None:
    spec = make.add_spec(make.partition(source, transform, "p"))
    columns = [
        {**column, "type": kind} if column["id"] == source else column
        for column in make.events()["fields"]
    ]
    change = [make.add_schema(*columns), make.set_schema(-1)]
    assert refusal(make, make.apply(make.table(), spec), *change) == text
    assert make.apply(make.table(), *change)["current-schema-id"] == 1


def test_a_field_of_an_unknown_transform_keeps_its_name_too(make: Any) -> None:
    base = make.table()
    fields = [make.partition(3, "zorder[2]", "at_day", field_id=1000)]
    base = {**base, "partition-specs": [*base["partition-specs"], {"spec-id": 1, "fields": fields}]}
    table.check_readable(table.validate(base))
    assert refusal(make, base, *with_column(make, "at_day")) == conflict("at_day")
    assert make.apply(base, *with_column(make, "other"))["current-schema-id"] == 1


def test_metadata_to_be_registered_must_bind_too(make: Any) -> None:
    base = by_day(make)
    table.check_readable(base)
    fields = [*make.events()["fields"], make.column(10, "at_day")]
    broken = {**base, "schemas": [{**base["schemas"][0], "fields": fields}]}
    with pytest.raises(BadRequestError) as error:
        table.check_readable(table.validate(broken))
    assert error.value.message == conflict("at_day")
