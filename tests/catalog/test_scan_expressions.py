"""Filters in both JSON forms: their evaluation, their residuals, and invalid ones."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falcon_catalog.catalog.scan_planning.bounds import ONLY_NULLS, Bounds, Match
from falcon_catalog.catalog.scan_planning.expressions import Fields, evaluate, residual
from falcon_catalog.catalog.scan_planning.parsing import parse
from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import columns
from falcon_catalog.metadata.columns import Column

pytestmark = pytest.mark.serverless


def column(field_id: int, name: str, kind: Any) -> dict[str, Any]:
    return {"id": field_id, "name": name, "type": kind, "required": False}


PLACE = {"type": "struct", "fields": [column(11, "city", "string")]}
TAGS = {"type": "list", "element-id": 12, "element": "long", "element-required": False}
BY_ID = columns.index(
    {
        "fields": [
            column(1, "id", "long"),
            column(2, "s", "string"),
            column(3, "f", "float"),
            column(4, "t", "timestamp"),
            column(5, "place", PLACE),
            column(6, "tags", TAGS),
            column(7, "S", "long"),
            column(8, "g", "geometry"),
            column(9, "b", "boolean"),
        ]
    }
)
FIELDS = Fields(list(BY_ID.values()), case_sensitive=True)
ID: dict[str, Any] = {"type": "reference", "name": "id"}


def statistics(**bounds: Bounds) -> Any:
    """Return the statistics of some columns, by name."""

    def of(asked: Column) -> Bounds:
        return bounds.get(asked.name, Bounds())

    return of


def between(low: Any, high: Any) -> Bounds:
    return Bounds(nulls=False, nans=False, lower=low, upper=high)


def evaluated(predicate: Any, **bounds: Bounds) -> str:
    return evaluate(parse(predicate, FIELDS), statistics(**bounds)).name


def left_of(predicate: Any, **bounds: Bounds) -> Any:
    return residual(parse(predicate, FIELDS), statistics(**bounds))


@pytest.mark.parametrize(
    "predicate",
    [
        {"type": "lt", "term": "id", "value": 5},
        {"type": "LT", "term": "id", "value": 5},
        {"type": "lt", "term": {"type": "reference", "term": "id"}, "value": 5},
        {"type": "lt", "left": ID, "right": 5},
        {"type": "lt", "left": {"type": "reference", "id": 1}, "right": 5},
        {"type": "gt", "left": 5, "right": ID},
        {"type": "lt", "left": ID, "right": {"type": "literal", "value": 5}},
        {
            "type": "lt",
            "left": ID,
            "right": {"type": "literal", "value": 5.0, "data-type": "double"},
        },
        {"type": "not", "child": {"type": "gt-eq", "term": "id", "value": 5}},
        {"type": "in", "term": "id", "values": [1, 2, 3]},
        {"type": "in", "child": ID, "values": [{"type": "literal", "value": 2}, 1]},
        {
            "type": "in",
            "child": ID,
            "values": {"type": "literals", "values": [1, 2], "data-type": "int"},
        },
        {"type": "not", "child": {"type": "not-in", "term": "id", "values": [2, 3]}},
        {
            "type": "lt",
            "term": {"type": "transform", "transform": "identity", "term": "id"},
            "value": 5,
        },
        {
            "type": "lt-eq",
            "left": {"type": "apply", "function": ["truncate"], "arguments": [10, ID]},
            "right": 0,
        },
        {
            "type": "lt-eq",
            "left": {"type": "apply", "function": "truncate[10]", "arguments": [ID]},
            "right": 0,
        },
    ],
)
def test_a_predicate_may_be_written_in_many_ways(predicate: Any) -> None:
    assert evaluated(predicate, id=between(10, 20)) == "NEVER"
    assert evaluated(predicate, id=between(1, 2)) in ("ALWAYS", "SOMETIMES")
    assert left_of(predicate, id=Bounds()) == predicate


@pytest.mark.parametrize(
    ("predicate", "meaning"),
    [
        (True, True),
        (False, False),
        ({"type": "true"}, True),
        ({"type": "false"}, False),
        ({"type": "literal", "value": True}, True),
        ({"type": "not", "child": True}, False),
        ({"type": "not", "child": {"type": "false"}}, True),
        ({"type": "in", "term": "id", "values": []}, False),
        ({"type": "and", "left": True, "right": {"type": "not-null", "term": "id"}}, True),
        ({"type": "or", "left": {"type": "is-null", "term": "id"}, "right": False}, False),
    ],
)
def test_what_is_settled_is_true_or_false(predicate: Any, meaning: bool) -> None:
    assert left_of(predicate, id=between(1, 2)) is meaning


def test_what_is_left_is_as_the_client_wrote_it() -> None:
    old = {"type": "eq", "term": "s", "value": "x"}
    new = {"type": "gt", "left": {"type": "reference", "id": 7}, "right": 3}
    both = {"type": "and", "left": old, "right": {"type": "or", "left": new, "right": old}}
    assert left_of(both) == both
    assert left_of(both, S=between(5, 6)) == old
    assert left_of(both, S=between(1, 2)) == {"type": "and", "left": old, "right": old}
    assert left_of({"type": "not", "child": both}, S=between(1, 2)) == {
        "type": "or",
        "left": {"type": "not", "child": old},
        "right": {"type": "not", "child": old},
    }
    assert left_of({"type": "not", "child": {"type": "not", "child": old}}) == old


def test_chains_come_back_flat_enough_to_be_written() -> None:
    chain: Any = {"type": "eq", "term": "id", "value": 0}
    for number in range(450):
        chain = {
            "type": "or",
            "left": chain,
            "right": {"type": "eq", "term": "id", "value": number},
        }

    def depth(node: Any) -> int:
        return 1 + max(depth(node["left"]), depth(node["right"])) if "left" in node else 1

    assert depth(left_of(chain)) <= 11


def test_a_32_bit_float_is_compared_both_ways() -> None:
    rounded = 0.10000000149011612  # 0.1 as a float holds it
    equal = {"type": "eq", "term": "f", "value": 0.1}
    greater = {"type": "gt", "term": "f", "value": 0.1}
    assert evaluated(equal, f=between(rounded, rounded)) == "SOMETIMES"
    assert evaluated(greater, f=between(rounded, rounded)) == "SOMETIMES"
    assert evaluated(greater, f=between(0.0, 0.05)) == "NEVER"
    assert evaluated({"type": "eq", "term": "f", "value": 0.5}, f=between(0.5, 0.5)) == "ALWAYS"


@pytest.mark.parametrize(
    "predicate",
    [
        {"type": "eq", "left": ID, "right": {"type": "reference", "name": "S"}},
        {"type": "eq", "left": 1, "right": 2},
        {"type": "is-null", "term": "place"},
        {"type": "eq", "term": "tags.element", "value": 5},
        {"type": "eq", "term": "g", "value": "POINT (1 2)"},
        {
            "type": "eq",
            "left": {"type": "apply", "function": ["db", "f"], "arguments": [ID, True]},
            "right": 1,
        },
        {
            "type": "eq",
            "left": {
                "type": "apply",
                "function": {"catalog": "sql_functions", "identifier": ["abs"]},
                "arguments": [{"type": "lt", "left": ID, "right": 5}],
            },
            "right": 1,
        },
        {
            "type": "not-eq",
            "left": {
                "type": "apply",
                "function": {"catalog": "iceberg_functions", "identifier": ["if_else"]},
                "arguments": [True, ID, 1],
            },
            "right": 1,
        },
    ],
)
def test_what_planning_cannot_evaluate_is_left_to_the_reader(predicate: Any) -> None:
    for bounds in (Bounds(), ONLY_NULLS, between(5, 5)):
        asked = parse(predicate, FIELDS)
        assert evaluate(asked, lambda _column, bounds=bounds: bounds) == Match.SOMETIMES
        assert residual(asked, lambda _column, bounds=bounds: bounds) == predicate


def test_nested_columns_are_named_in_full() -> None:
    predicate = {"type": "eq", "term": "place.city", "value": "x"}
    assert evaluated(predicate, city=between("a", "b")) == "NEVER"


def test_case_matters_unless_it_must_not() -> None:
    any_case = Fields(list(BY_ID.values()), case_sensitive=False)
    with pytest.raises(BadRequestError, match="cannot find column 'ID'"):
        parse({"type": "is-null", "term": "ID"}, FIELDS)
    parse({"type": "is-null", "term": "ID"}, any_case)
    parse({"type": "is-null", "term": "PLACE.City"}, any_case)
    with pytest.raises(BadRequestError, match="column 's' is ambiguous"):
        parse({"type": "is-null", "term": "s"}, any_case)


@pytest.mark.parametrize(
    ("predicate", "told"),
    [
        (None, "null is not a predicate"),
        (1, "1 is not a predicate"),
        ("true", "'true' is not a predicate"),
        ({}, "type must be a string, got null"),
        ({"type": "like", "term": "s", "value": "x"}, "unknown type 'like'"),
        ({"type": "and", "left": True}, "and needs right"),
        ({"type": "not"}, "not needs child"),
        ({"type": "is-null"}, "is-null needs child"),
        ({"type": "in", "term": "id"}, "in needs values"),
        ({"type": "in", "term": "id", "values": 5}, "values is not a list of literals"),
        ({"type": "in", "term": "id", "values": [None]}, "null is no literal"),
        ({"type": "in", "term": "id", "values": {"type": "literals"}}, "not a list of literals"),
        ({"type": "eq", "term": "id"}, "eq needs right"),
        ({"type": "eq", "term": "no", "value": 1}, "cannot find column 'no'"),
        ({"type": "eq", "term": 5, "value": 1}, "a column's name must be a string"),
        ({"type": "eq", "left": {"type": "reference", "id": 99}, "right": 1}, "with id 99"),
        ({"type": "eq", "left": {"type": "reference", "id": True}, "right": 1}, "with id true"),
        ({"type": "eq", "left": {"type": "column"}, "right": 1}, "unknown value of type 'column'"),
        ({"type": "eq", "term": "id", "value": "5"}, "filter on id: '5' is not a long"),
        ({"type": "eq", "term": "id", "value": None}, "null is no literal"),
        ({"type": "lt", "term": "place", "value": 1}, "a struct cannot be compared"),
        ({"type": "starts-with", "term": "id", "value": "5"}, "a long has no prefix"),
        ({"type": "is-nan", "term": "id"}, "only float and double can be NaN"),
        (
            {"type": "eq", "left": ID, "right": {"type": "literal"}},
            "a literal has type literal, and a value",
        ),
        (
            {
                "type": "eq",
                "left": ID,
                "right": {"type": "literal", "value": "x", "data-type": "string"},
            },
            "a string cannot be compared with a long",
        ),
        (
            {
                "type": "eq",
                "left": ID,
                "right": {"type": "literal", "value": 1, "data-type": "number"},
            },
            "Cannot parse type string to primitive: number",
        ),
        (
            {"type": "eq", "term": {"type": "transform", "transform": "day", "term": "id"}},
            "day cannot be applied to id, a long",
        ),
        (
            {"type": "eq", "term": {"type": "transform", "transform": "cube", "term": "id"}},
            "unknown transform 'cube'",
        ),
        (
            {
                "type": "eq",
                "left": {"type": "apply", "function": "bucket", "arguments": [ID]},
                "right": 1,
            },
            "wrong arguments of bucket",
        ),
        (
            {
                "type": "eq",
                "left": {"type": "apply", "function": "bucket", "arguments": [0, ID]},
                "right": 1,
            },
            "Invalid number of buckets: 0",
        ),
        (
            {
                "type": "eq",
                "left": {"type": "apply", "function": {"catalog": "c"}, "arguments": []},
                "right": 1,
            },
            "does not name a function",
        ),
    ],
)
def test_what_is_wrong_is_named(predicate: Any, told: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse(predicate, FIELDS)
    assert told in caught.value.message


def test_endless_nesting_is_refused() -> None:
    nested: Any = True
    for _ in range(200):
        nested = {"type": "not", "child": nested}
    with pytest.raises(BadRequestError, match="nested deeper than"):
        parse(nested, FIELDS)
    term: Any = "id"
    for _ in range(200):
        term = {"type": "transform", "transform": "identity", "term": term}
    with pytest.raises(BadRequestError, match="nested deeper than"):
        parse({"type": "is-null", "term": term}, FIELDS)


WORDS = st.sampled_from(
    [
        "type",
        "term",
        "child",
        "left",
        "right",
        "value",
        "values",
        "and",
        "not",
        "eq",
        "in",
        "reference",
        "id",
        "name",
        "literal",
        "data-type",
        "apply",
        "function",
        "arguments",
        "transform",
        "bucket[4]",
        "is-null",
        "lt",
        "s",
        "f",
        "t",
        "starts-with",
        "place",
    ]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=15,
)


@given(value=ANYTHING)
@settings(max_examples=400)
def test_nothing_but_a_400_comes_of_damage(value: Any) -> None:
    try:
        parsed = parse(value, FIELDS)
    except BadRequestError as error:
        assert error.message  # noqa: PT017 - any message will do
        return
    residual(parsed, statistics())
