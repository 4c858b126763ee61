from typing import Any

import pytest

from falcon_catalog.errors import BadRequestError


def refusal(make: Any, base: Any, *updates: dict[str, Any]) -> str:
    with pytest.raises(BadRequestError) as error:
        make.apply(base, *updates)
    return error.value.message


def test_a_new_order_gets_the_next_id(make: Any) -> None:
    new = make.apply(
        make.table(), make.add_order(make.sort(1)), make.add_order(make.sort(2)), make.set_order(-1)
    )
    assert [order["order-id"] for order in new["sort-orders"]] == [0, 1, 2]
    assert new["default-sort-order-id"] == 2


def test_an_identical_order_is_reused(make: Any) -> None:
    base = make.table(write_order={"fields": [make.sort(1)]})
    shouted = make.sort(1, direction="ASC", null_order="NULLS-FIRST")
    assert make.apply(base, make.add_order(shouted), make.set_order(-1)) is base


def test_another_direction_is_another_order(make: Any) -> None:
    base = make.table(write_order={"fields": [make.sort(1)]})
    new = make.apply(base, make.add_order(make.sort(1, direction="desc")))
    assert [order["order-id"] for order in new["sort-orders"]] == [1, 2]


def test_no_fields_is_always_order_zero(make: Any) -> None:
    base = make.table(write_order={"fields": [make.sort(1)]})
    new = make.apply(base, make.add_order(), make.set_order(-1))
    assert new["sort-orders"][-1] == {"order-id": 0, "fields": []}
    assert new["default-sort-order-id"] == 0
    assert len(make.apply(new, make.add_order(make.sort(2)))["sort-orders"]) == 3


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ({"source-id": 9}, "Cannot find source column for sort field: identity(9) ASC NULLS FIRST"),
        ({"source-id": 4}, "Cannot sort by non-primitive source field: struct<5: city: optional"),
        ({"source-id": 2, "transform": "day"}, "Invalid source type string for transform: day"),
        ({"direction": "up"}, "field direction: must be one of asc, desc, got 'up'"),
        ({"null-order": "last"}, "field null-order: must be one of nulls-first, nulls-last"),
        ({"transform": "zorder"}, "unknown transform 'zorder'"),
    ],
)
def test_fields_must_fit(make: Any, field: dict[str, Any], text: str) -> None:
    assert text in refusal(make, make.table(), make.add_order(make.sort(1) | field))


def test_unknown_orders_cannot_be_the_default(make: Any) -> None:
    base = make.table()
    assert refusal(make, base, make.set_order(4)) == (
        "Cannot set default sort order to unknown sort order: 4"
    )
    assert refusal(make, base, make.set_order(-1)) == (
        "Cannot set last added sort order: no sort order has been added"
    )
    assert make.apply(base, make.set_order(0)) is base
