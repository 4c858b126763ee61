from typing import Any

import pytest

from falcon_catalog.errors import BadRequestError, CommitFailedError
from falcon_catalog.metadata.table import check_requirements


def conflict(base: Any, *requirements: dict[str, Any]) -> str:
    with pytest.raises(CommitFailedError) as error:
        check_requirements(base, requirements)
    return error.value.message


def test_requirements_that_hold_pass(make: Any) -> None:
    base = make.history(2)
    check_requirements(
        base,
        [
            {"type": "assert-table-uuid", "uuid": make.uuid.upper()},
            {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 2},
            {"type": "assert-ref-snapshot-id", "ref": "audit", "snapshot-id": None},
            {"type": "assert-last-assigned-field-id", "last-assigned-field-id": 5},
            {"type": "assert-current-schema-id", "current-schema-id": 0},
            {"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 999},
            {"type": "assert-default-spec-id", "default-spec-id": 0},
            {"type": "assert-default-sort-order-id", "default-sort-order-id": 0},
        ],
    )
    check_requirements(base, [])
    check_requirements(None, [{"type": "assert-create"}])


@pytest.mark.parametrize(
    ("requirement", "text"),
    [
        ({"type": "assert-create"}, "table already exists"),
        (
            {"type": "assert-table-uuid", "uuid": "00000000-0000-0000-0000-000000000001"},
            (
                "UUID does not match: expected 9c12d441-03fe-4693-9a96-a0705ddf69c1 "
                "!= 00000000-0000-0000-0000-000000000001"
            ),
        ),
        (
            {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 1},
            "branch main has changed: expected id 1 != 2",
        ),
        (
            {"type": "assert-ref-snapshot-id", "ref": "v1", "snapshot-id": 2},
            "tag v1 has changed: expected id 2 != 1",
        ),
        (
            {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": None},
            "branch main was created concurrently",
        ),
        (
            {"type": "assert-ref-snapshot-id", "ref": "v1"},
            "tag v1 was created concurrently",
        ),
        (
            {"type": "assert-ref-snapshot-id", "ref": "audit", "snapshot-id": 4},
            "branch or tag audit is missing, expected 4",
        ),
        (
            {"type": "assert-last-assigned-field-id", "last-assigned-field-id": 4},
            "last assigned field id changed: expected id 4 != 5",
        ),
        (
            {"type": "assert-current-schema-id", "current-schema-id": 1},
            "current schema changed: expected id 1 != 0",
        ),
        (
            {"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 1000},
            "last assigned partition id changed: expected id 1000 != 999",
        ),
        (
            {"type": "assert-default-spec-id", "default-spec-id": 3},
            "default partition spec changed: expected id 3 != 0",
        ),
        (
            {"type": "assert-default-sort-order-id", "default-sort-order-id": 3},
            "default sort order changed: expected id 3 != 0",
        ),
    ],
)
def test_requirements_that_fail_say_so_in_javas_words(
    make: Any, requirement: dict[str, Any], text: str
) -> None:
    base = make.apply(make.history(2), make.set_ref("v1", 1, "tag"))
    assert conflict(base, requirement) == f"Requirement failed: {text}"


@pytest.mark.parametrize(
    ("requirement", "text"),
    [
        ({}, "Invalid requirement: missing field type"),
        ({"type": "assert-magic"}, "Unknown requirement type: 'assert-magic'"),
        ({"type": "assert-view-uuid", "uuid": "x"}, "Unknown requirement type: 'assert-view-uuid'"),
        (
            {"type": "assert-table-uuid"},
            "Invalid assert-table-uuid requirement: missing field uuid",
        ),
        (
            {"type": "assert-default-spec-id", "default-spec-id": "0"},
            (
                "Invalid assert-default-spec-id requirement, field default-spec-id: "
                "must be an integer, got '0'"
            ),
        ),
        (
            {"type": "assert-ref-snapshot-id", "snapshot-id": 3},
            "Invalid assert-ref-snapshot-id requirement: missing field ref",
        ),
        (
            {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": "3"},
            (
                "Invalid assert-ref-snapshot-id requirement, field snapshot-id: "
                "must be an integer, got '3'"
            ),
        ),
    ],
)
def test_unknown_and_malformed_requirements_are_refused(
    make: Any, requirement: dict[str, Any], text: str
) -> None:
    with pytest.raises(BadRequestError) as refusal:
        check_requirements(make.history(1), [requirement])
    assert refusal.value.message == text


def test_what_is_no_list_of_objects_is_refused(make: Any) -> None:
    with pytest.raises(BadRequestError, match="Invalid requirements: must be an array, got null"):
        check_requirements(make.table(), None)  # type: ignore[arg-type]
    with pytest.raises(BadRequestError, match=r"Invalid requirements\[0\]: must be an object"):
        check_requirements(make.table(), ["x"])  # type: ignore[list-item]


def test_assert_create_stands_alone(make: Any) -> None:
    for base in (None, make.table()):
        with pytest.raises(BadRequestError) as refusal:
            check_requirements(
                base,
                [{"type": "assert-create"}, {"type": "assert-table-uuid", "uuid": make.uuid}],
            )
        assert refusal.value.message == "Invalid create requirements: [assert-table-uuid]"


def test_a_table_that_does_not_exist_meets_no_other_requirement() -> None:
    with pytest.raises(BadRequestError, match="of a table that does not exist"):
        check_requirements(None, [{"type": "assert-current-schema-id", "current-schema-id": 0}])
