from typing import Any

import pytest

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import schemas, table


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
        ({"type": "struct", "fields": []}, None, {}),
    ],
)
def test_defaults_have_their_type(make: Any, kind: Any, good: Any, bad: Any) -> None:
    base = make.table(3)
    schema = make.add_schema(make.column(1, "c", kind, initial_default=good, write_default=good))
    stored = make.apply(base, schema)["schemas"][1]["fields"][0]
    assert stored.get("initial-default") == stored.get("write-default") == good
    text = refusal(make, base, make.add_schema(make.column(1, "c", kind, write_default=bad)))
    assert "field write-default" in text


# Apache's server refuses them too, but for the decimal with too many digits for its type.
REFUSED = [
    ("double", 2**53 + 1),
    ("double", 10**400),
    ("float", 1e39),
    ("float", True),
    ("int", 1.0),
    ("long", 2**63),
    ("decimal(9, 2)", "14.205"),
    ("decimal(9, 2)", "12345678.90"),
    ("decimal(9, 2)", "1E+999"),
    ("decimal(9, 2)", 14.2),
    ("decimal(9, 0)", "14.5"),
    ("date", "2007-02-30"),
    ("date", "10000-01-01"),
    ("date", "+2007-12-03"),
    ("date", "-0000-01-01"),
    ("date", "+9999999-01-01"),
    ("time", "25:00:00"),
    ("time", "24:00:00"),
    ("time", "23:59:60"),
    ("time", "22:31:08Z"),
    ("timestamp", "2007-12-03T24:00:00"),
    ("timestamp", "2007-12-03T10:15:60"),
    ("timestamp", "2007-12-03 10:15:30"),
    ("timestamp", "2007-12-03T10:15:30Z"),
    ("timestamp", "2007-02-29T00:00:00"),
    ("timestamp", "+300000-01-01T00:00:00"),
    ("timestamptz", "2007-12-03T10:15:30+01:00"),
    ("timestamptz", "2007-12-03T10:15:30+0000"),
    ("timestamp_ns", "2500-01-01T00:00:00"),
    ("timestamptz_ns", "1600-01-01T00:00:00Z"),
    ("uuid", "eb26bdb1a1d84aa6990eda940875492c"),
    ("fixed[2]", "00f"),
    ("binary", "zz"),
    ("unknown", "x"),
    ("variant", {}),
    ("geometry", "00"),
    ("geography", "POINT(1 1)"),
    ({"type": "struct", "fields": []}, {}),
    ({"type": "list", "element-id": 5, "element": "int", "element-required": False}, []),
]
# Apache's server accepts them, and stores some in another spelling.
KEPT = [
    ("double", 1e300),
    ("double", -0.0),
    ("float", 0.1),
    ("decimal(9, 2)", "1420E-2"),
    ("decimal(9, 2)", "-1234567.89"),
    ("decimal(9, 0)", "14"),
    ("date", "0000-01-01"),
    ("date", "-0001-01-01"),
    ("date", "+10000-01-01"),
    ("date", "2008-02-29"),
    ("time", "22:31"),
    ("time", "23:59:59.999999"),
    ("timestamp", "2007-12-03T10:15"),
    ("timestamp", "+10000-01-01T00:00:00"),
    ("timestamp", "-2000-01-01T00:00:00.1"),
    ("timestamptz", "2007-12-03T10:15:30Z"),
    ("timestamptz", "2007-12-03T10:15:30-00:00"),
    ("timestamp_ns", "2007-12-03T10:15:30.123456789"),
    ("timestamptz_ns", "2007-12-03T10:15:30.123456789+00:00"),
    ("uuid", "EB26BDB1-A1D8-4AA6-990E-DA940875492C"),
    ("fixed[2]", "00FF"),
    ("fixed[0]", ""),
    ("binary", ""),
]
# Apache's server refuses them, but they mean one thing only.
REWRITTEN = [
    ("double", 1, 1.0),
    ("double", 2**70, 2.0**70),
    ("float", 0, 0.0),
    ("decimal(9, 2)", "14.2", "14.20"),
    ("decimal(9, 2)", "14", "14.00"),
    ("decimal(9, 2)", "-.5", "-0.50"),
    ("decimal(9, 2)", "1.42E1", "14.20"),
    ("decimal(9, 2)", "14.200", "14.20"),
    ("decimal(9, 2)", "-0", "0.00"),
    ("decimal(9, 0)", "14.0", "14"),
    ("decimal(2, 4)", "0.001", "0.0010"),
]


def defaulted(make: Any, kind: Any, value: Any, key: str = "write-default") -> dict[str, Any]:
    """Return the update that adds a column with a default, nested in a map, a list and a struct."""
    column = {**make.column(9, "c", kind), key: value}
    struct = {"type": "struct", "fields": [column]}
    listed = {"type": "list", "element-id": 8, "element": struct, "element-required": True}
    mapped = {
        "type": "map",
        "key-id": 6,
        "key": "string",
        "value-id": 7,
        "value": listed,
        "value-required": True,
    }
    return make.add_schema(make.column(1, "id"), make.column(2, "m", mapped))


def nested(meta: dict[str, Any]) -> dict[str, Any]:
    """Return the column with a default of the last schema."""
    return meta["schemas"][-1]["fields"][1]["type"]["value"]["element"]["fields"][0]


@pytest.mark.parametrize("key", ["initial-default", "write-default"])
@pytest.mark.parametrize(("kind", "value"), REFUSED)
def test_defaults_that_java_cannot_parse_are_refused(
    make: Any, key: str, kind: Any, value: Any
) -> None:
    message = refusal(make, make.table(3), defaulted(make, kind, value, key))
    assert f"column 'c', field {key}" in message


@pytest.mark.parametrize(("kind", "value"), KEPT)
def test_defaults_that_java_can_parse_are_kept_as_they_are(
    make: Any, kind: str, value: Any
) -> None:
    meta = make.apply(make.table(3), defaulted(make, kind, value))
    assert repr(nested(meta)["write-default"]) == repr(value)
    table.check_readable(meta)


@pytest.mark.parametrize("key", ["initial-default", "write-default"])
@pytest.mark.parametrize(("kind", "value", "stored"), REWRITTEN)
def test_defaults_of_one_meaning_are_rewritten(
    make: Any, key: str, kind: str, value: Any, stored: Any
) -> None:
    meta = make.apply(make.table(3), defaulted(make, kind, value, key))
    assert repr(nested(meta)[key]) == repr(stored)
    assert make.apply(meta, defaulted(make, kind, stored, key)) is meta


def test_a_created_table_has_defaults_that_java_can_parse(make: Any) -> None:
    schema = make.schema(make.column(1, "c", "double", initial_default=1))
    meta = make.create(make.request(schema, properties={"format-version": "3"}))
    assert repr(meta["schemas"][0]["fields"][0]["initial-default"]) == "1.0"


def test_a_schema_that_java_cannot_read_is_not_reused(make: Any) -> None:
    """It was stored by an earlier version; the right one is added."""
    base = make.apply(make.table(3), defaulted(make, "double", 1.0))
    for kind, stored, value in (("double", 1, 1.0), ("time", "25:00:00", "22:00:00")):
        old = defaulted(make, kind, stored)["schema"] | {"schema-id": 1}
        broken = {**base, "schemas": [base["schemas"][0], old]}
        with pytest.raises(BadRequestError, match="column 'c', field write-default"):
            table.check_readable(table.validate(broken))
        assert len(make.apply(broken, defaulted(make, kind, value))["schemas"]) == 3


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        ("geography(srid:4326,VINCENTY)", "geography(srid:4326, vincenty)"),
        ("geography( srid:4326 ,  thomas )", "geography(srid:4326, thomas)"),
        ("geography(srid:4326)", "geography(srid:4326)"),
        ("geometry( srid:4326 )", "geometry(srid:4326)"),
        ("geometry(a,b)", "geometry(a,b)"),
        ("Geometry (x)", "geometry(x)"),
    ],
)
def test_geometries_are_stored_as_java_writes_them(make: Any, kind: str, stored: str) -> None:
    element = {"type": "list", "element-id": 2, "element": kind, "element-required": False}
    columns = [make.column(1, "l", element), make.column(3, "c", kind)]
    meta = make.apply(make.table(3), make.add_schema(*columns))
    listed, plain = meta["schemas"][1]["fields"]
    assert listed["type"]["element"] == plain["type"] == stored


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("geography(srid:4326, nope)", "invalid edge interpolation algorithm: 'nope'"),
        ("geography(a, b, andoyer)", "invalid edge interpolation algorithm: 'b, andoyer'"),
        ("geography()", "invalid CRS: (empty string)"),
        ("geography(, spherical)", "invalid CRS: (empty string)"),
        ("geometry( )", "invalid CRS: (empty string)"),
    ],
)
def test_geometries_that_java_cannot_parse_are_refused(make: Any, kind: str, text: str) -> None:
    for nest in ("list", "map"):
        part = "element" if nest == "list" else "value"
        outer = {
            "type": nest,
            "key-id": 5,
            "key": "string",
            f"{part}-id": 6,
            part: kind,
            f"{part}-required": False,
        }
        assert text in refusal(make, make.table(3), make.add_schema(make.column(1, "c", outer)))
    assert text in refusal(make, make.table(3), make.add_schema(make.column(1, "c", kind)))


def test_unknown_columns_are_optional(make: Any) -> None:
    listed = {"type": "list", "element-id": 2, "element": "unknown", "element-required": True}
    mapped = {
        "type": "map",
        "key-id": 2,
        "key": "unknown",
        "value-id": 3,
        "value": "int",
        "value-required": False,
    }
    inner = {"type": "struct", "fields": [make.column(2, "u", "unknown", required=True)]}
    for column, name in (
        (make.column(1, "c", "unknown", required=True), "c"),
        (make.column(1, "c", listed), "element"),
        (make.column(1, "c", mapped), "key"),
        (make.column(1, "c", inner), "u"),
    ):
        text = refusal(make, make.table(3), make.add_schema(column))
        assert text.startswith(f"Cannot create required field with unknown type: {name} ")


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

    def counted(value: object, where: str, **options: bool) -> Any:
        read.append(where)
        return parse(value, where, **options)

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
