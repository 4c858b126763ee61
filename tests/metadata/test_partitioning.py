from typing import Any

import pytest

from falcon_catalog.errors import BadRequestError


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
        (
            [("3", "day", "d"), ("3", "hour", "h")],
            "Cannot add redundant partition: 1000: d: day(3) conflicts with 1001: h: hour(3)",
        ),
        (
            [("2", "identity", "p"), ("2", "identity", "q")],
            (
                "Cannot add redundant partition: 1000: p: identity(2) "
                "conflicts with 1001: q: identity(2)"
            ),
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
