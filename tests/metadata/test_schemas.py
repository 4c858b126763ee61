from typing import Any

import pytest

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import schemas


def refusal(make: Any, base: Any, *updates: dict[str, Any]) -> str:
    with pytest.raises(BadRequestError) as error:
        make.apply(base, *updates)
    return error.value.message


def test_an_identical_schema_is_reused_whatever_id_it_is_sent_with(make: Any) -> None:
    base = make.table()
    same = {**base["schemas"][0], "schema-id": 12, "identifier-field-ids": []}
    assert make.apply(base, {"action": "add-schema", "schema": same}) is base


def test_a_new_schema_gets_the_next_id_and_minus_one_finds_it(make: Any) -> None:
    base = make.table()
    added = make.column(6, "extra", "string", doc="more")
    new = make.apply(
        base,
        {"action": "add-schema", "schema": make.schema(*make.events()["fields"], added)},
        make.set_schema(-1),
    )
    assert [schema["schema-id"] for schema in new["schemas"]] == [0, 1]
    assert new["schemas"][1]["fields"][-1] == added
    assert (new["current-schema-id"], new["last-column-id"]) == (1, 6)


def test_minus_one_finds_a_reused_schema_too(make: Any) -> None:
    base = make.table()
    changed = make.apply(base, make.add_schema(make.column(1, "id")), make.set_schema(-1))
    back = make.apply(
        changed, {"action": "add-schema", "schema": make.events()}, make.set_schema(-1)
    )
    assert back["current-schema-id"] == 0
    assert len(back["schemas"]) == 2


def test_last_column_id_never_falls(make: Any) -> None:
    base = make.table()
    new = make.apply(base, make.add_schema(make.column(1, "id")))
    assert new["last-column-id"] == base["last-column-id"] == 5


def test_another_doc_or_identifier_is_another_schema(make: Any) -> None:
    base = make.table()
    fields = base["schemas"][0]["fields"]
    documented = [{**fields[0], "doc": "key"}, *fields[1:]]
    new = make.apply(
        base,
        make.add_schema(*documented),
        make.add_schema(*fields, identifier_field_ids=[1]),
    )
    assert [schema["schema-id"] for schema in new["schemas"]] == [0, 1, 2]


def test_unknown_keys_and_nulls_are_not_stored(make: Any) -> None:
    column = make.column(1, "id") | {"doc": None, "initial-default": None, "comment": "x"}
    new = make.apply(make.table(), make.add_schema(column))
    assert new["schemas"][1]["fields"] == [make.column(1, "id")]


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        ("decimal(9,2)", "decimal(9, 2)"),
        ("fixed[ 16 ]", "fixed[16]"),
        ("LONG", "long"),
        ("geometry(EPSG:4326)", "geometry(EPSG:4326)"),
        ("geography", "geography"),
        ("timestamptz_ns", "timestamptz_ns"),
        ("variant", "variant"),
        ("unknown", "unknown"),
    ],
)
def test_types_are_stored_in_one_spelling(make: Any, kind: str, stored: str) -> None:
    new = make.apply(make.table(3), make.add_schema(make.column(1, "c", kind)))
    assert new["schemas"][1]["fields"][0]["type"] == stored


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("strnig", "Cannot parse type string to primitive: strnig"),
        ("decimal(39, 2)", "Decimals with precision larger than 38 are not supported: 39"),
        ({"type": "tuple"}, "Cannot parse type from json: 'tuple' is not a nested type"),
        ({"type": "list", "element": "int"}, "missing field element-id"),
        ({"type": "map", "key-id": 3}, "key: must be a type, got null"),
        ({"type": "struct"}, "missing field fields"),
        (7, "must be a type, got 7"),
    ],
)
def test_what_is_no_type_is_refused(make: Any, kind: Any, text: str) -> None:
    assert text in refusal(make, make.table(), make.add_schema(make.column(1, "c", kind)))


@pytest.mark.parametrize("outer", ["list", "map", "struct"])
def test_a_type_nested_without_end_is_refused(make: Any, outer: str) -> None:
    kind: Any = "int"
    for number in range(10, 300):
        kind = {
            "list": {"element-id": number, "element": kind, "element-required": True},
            "map": {
                "key-id": number,
                "key": "int",
                "value-id": number + 1000,
                "value": kind,
                "value-required": True,
            },
            "struct": {"fields": [make.column(number, "c", kind)]},
        }[outer] | {"type": outer}
    text = refusal(make, make.table(), make.add_schema(make.column(1, "c", kind)))
    assert text.endswith("nested deeper than 80 levels")


def test_repeated_names_and_ids_are_refused(make: Any) -> None:
    base = make.table()
    assert (
        refusal(make, base, make.add_schema(make.column(1, "a"), make.column(2, "a")))
        == "Invalid schema: multiple fields for name a: 1 and 2"
    )
    assert (
        refusal(make, base, make.add_schema(make.column(1, "a"), make.column(1, "b")))
        == "Invalid schema: multiple fields for id 1: a and b"
    )
    nested = make.column(1, "a", {"type": "struct", "fields": [make.column(2, "b")]})
    assert (
        refusal(make, base, make.add_schema(nested, make.column(3, "a.b")))
        == "Invalid schema: multiple fields for name a.b: 2 and 3"
    )


@pytest.mark.parametrize(
    ("identifier", "text"),
    [
        (99, "Cannot add fieldId 99 as an identifier field: field does not exist"),
        (2, "Cannot add field name as an identifier field: not a required field"),
        (3, "Cannot add field d as an identifier field: must not be float or double field"),
        (4, "Cannot add field place as an identifier field: not a primitive type field"),
        (
            5,
            (
                "Cannot add field city as an identifier field: must not be nested in an optional "
                "field 4: place: optional struct<5: city: required string>"
            ),
        ),
        (
            7,
            (
                "Cannot add field element as an identifier field: must not be nested in "
                "6: tags: required list<string>"
            ),
        ),
    ],
)
def test_identifier_fields_are_required_primitives(make: Any, identifier: int, text: str) -> None:
    city = make.column(5, "city", "string", required=True)
    tags = {"type": "list", "element-id": 7, "element": "string", "element-required": True}
    schema = make.add_schema(
        make.column(2, "name", "string"),
        make.column(3, "d", "double", required=True),
        make.column(4, "place", {"type": "struct", "fields": [city]}),
        make.column(6, "tags", tags, required=True),
        identifier_field_ids=[identifier],
    )
    assert refusal(make, make.table(), schema) == text


@pytest.mark.parametrize(
    "kind", ["variant", "unknown", "timestamp_ns", "timestamptz_ns", "geometry", "geography"]
)
@pytest.mark.parametrize("version", [1, 2])
def test_newer_types_wait_for_v3(make: Any, kind: str, version: int) -> None:
    nested = {"type": "list", "element-id": 2, "element": kind, "element-required": False}
    schema = make.add_schema(make.column(1, "arr", nested), make.column(3, "top", kind))
    assert refusal(make, make.table(version), schema) == (
        f"Invalid schema for v{version}:\n"
        f"- Invalid type for arr.element: {kind} is not supported until v3\n"
        f"- Invalid type for top: {kind} is not supported until v3"
    )
    assert len(make.apply(make.table(3), schema)["schemas"]) == 2


def test_initial_defaults_wait_for_v3(make: Any) -> None:
    schema = make.add_schema(make.column(1, "a", "string", initial_default="--"))
    assert refusal(make, make.table(2), schema) == (
        "Invalid schema for v2:\n- Invalid initial default for a: "
        "non-null default (--) is not supported until v3"
    )
    assert make.apply(make.table(3), schema)["schemas"][1]["fields"][0]["initial-default"] == "--"


def test_newer_types_are_refused_at_creation(make: Any) -> None:
    with pytest.raises(
        BadRequestError, match="Invalid type for v: variant is not supported until v3"
    ):
        make.create(make.request(make.schema(make.column(1, "v", "variant"))))


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("boolean", True, 1),
        ("int", 5, 2**31),
        ("long", 2**62, 1.5),
        ("double", 1.5, "1.5"),
        ("decimal(9, 2)", "14.20", "14.205"),
        ("decimal(9, 0)", "-14", "x"),
        ("date", "2007-12-03", "03.12.2007"),
        ("time", "22:31:08.123456", "22h"),
        ("timestamp", "2007-12-03T10:15:30", "2007-12-03"),
        ("timestamptz", "2007-12-03T10:15:30+00:00", "2007-12-03T10:15:30"),
        ("string", "any\nthing", 4),
        ("uuid", "eb26bdb1-a1d8-4aa6-990e-da940875492c", "eb26bdb1"),
        ("fixed[2]", "00ff", "00ff00"),
        ("binary", "00ff", "0"),
        ("variant", None, {}),
        ({"type": "struct", "fields": []}, {}, {"1": 2}),
    ],
)
def test_defaults_have_their_type(make: Any, kind: Any, good: Any, bad: Any) -> None:
    base = make.table(3)
    schema = make.add_schema(make.column(1, "c", kind, initial_default=good, write_default=good))
    stored = make.apply(base, schema)["schemas"][1]["fields"][0]
    assert stored.get("initial-default") == stored.get("write-default") == good
    text = refusal(make, base, make.add_schema(make.column(1, "c", kind, write_default=bad)))
    assert "field write-default" in text


def test_unknown_schemas_cannot_be_current(make: Any) -> None:
    base = make.table()
    assert (
        refusal(make, base, make.set_schema(5)) == "Cannot set current schema to unknown schema: 5"
    )
    assert (
        refusal(make, base, make.set_schema(-1))
        == "Cannot set last added schema: no schema has been added"
    )
    assert make.apply(base, make.set_schema(0)) is base


def test_schemas_are_removed_but_never_the_current_one(make: Any) -> None:
    base = make.apply(make.table(), make.add_schema(make.column(1, "id")), make.set_schema(-1))
    removed = make.apply(base, {"action": "remove-schemas", "schema-ids": [0, 77]})
    assert [schema["schema-id"] for schema in removed["schemas"]] == [1]
    assert make.apply(base, {"action": "remove-schemas", "schema-ids": [77]}) is base
    text = refusal(make, base, {"action": "remove-schemas", "schema-ids": [1]})
    assert text == "Cannot remove the current schema"


def test_a_column_that_partitions_or_sorts_cannot_leave(make: Any) -> None:
    gone = [make.add_schema(make.column(1, "id")), make.set_schema(-1)]
    parted = make.table(partition_spec={"fields": [make.partition(3, "day", "at_day")]})
    assert refusal(make, parted, *gone) == (
        "Cannot find source column for partition field: 1000: at_day: day(3)"
    )
    ordered = make.table(write_order={"fields": [make.sort(2)]})
    assert refusal(make, ordered, *gone) == (
        "Cannot find source column for sort field: identity(2) ASC NULLS FIRST"
    )


def test_v1_shows_the_current_schema_at_the_top(make: Any) -> None:
    new = make.apply(make.table(1), make.add_schema(make.column(1, "id")), make.set_schema(-1))
    assert new["schema"] == new["schemas"][1]


def wide(make: Any, number: int, count: int = 50) -> dict[str, Any]:
    """Return an update that adds a schema which differs from others in its last column."""
    some = [make.column(n, f"column_{n}") for n in range(1, count)]
    return make.add_schema(*some, make.column(count, f"column_{count}", doc=f"{number}"))


def test_each_schema_of_a_commit_is_read_once(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparing each with each by reading both took a minute for 20 schemas of 9,000 columns."""
    base = make.apply(make.table(), *(wide(make, number) for number in range(10)))
    read: list[str] = []
    parse = schemas.parse

    def counted(value: object, where: str) -> Any:
        read.append(where)
        return parse(value, where)

    monkeypatch.setattr(schemas, "parse", counted)
    new = make.apply(base, *(wide(make, number) for number in range(20)))
    assert [schema["schema-id"] for schema in new["schemas"]] == list(range(21))
    assert read.count("known schema") == 10  # those of the file, which may be spelled otherwise
    assert len(read) <= 30


def test_a_commit_of_many_wide_schemas_reuses_those_that_are_known(make: Any) -> None:
    base = make.apply(make.table(), wide(make, 1), wide(make, 2))
    again = [wide(make, 2), make.set_schema(-1), wide(make, 3), wide(make, 1), wide(make, 3)]
    new = make.apply(base, *again)
    assert len(new["schemas"]) == 4
    assert new["current-schema-id"] == 2
    last = make.apply(new, wide(make, 3), make.set_schema(-1))
    assert last["current-schema-id"] == 3
    spelled = {**base, "schemas": [*base["schemas"]]}
    odd = [{**field, "type": "LONG"} for field in base["schemas"][1]["fields"]]
    spelled["schemas"][1] = {**base["schemas"][1], "fields": odd}
    assert make.apply(spelled, wide(make, 1)) is spelled
    removed = [{"action": "remove-schemas", "schema-ids": [2]}, wide(make, 2)]
    assert [one["schema-id"] for one in make.apply(base, *removed)["schemas"]] == [0, 1, 2]
