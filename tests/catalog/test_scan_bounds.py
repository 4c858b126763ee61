"""Bounds of partitions, metrics and literals, compared with PyIceberg's transforms and bytes."""

import datetime as dt
import math
import uuid
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg import types as theirs
from pyiceberg.conversions import to_bytes
from pyiceberg.transforms import parse_transform

from falcon_catalog.catalog.scan_planning import literals, statistics, transforms, values
from falcon_catalog.catalog.scan_planning.bounds import ONLY_NULLS, Bounds, Check, Match
from falcon_catalog.catalog.scan_planning.iceberg import bucket_function
from falcon_catalog.catalog.scan_planning.manifests import ContentFile, Spec
from falcon_catalog.errors import BadRequestError

pytestmark = pytest.mark.serverless

SMALL = st.integers(-50, 50)
DAY = 86_400 * 10**6
TEXT = st.text("ab\U0001f600\U0010ffff\ud7ff", max_size=4)
KINDS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "int": (theirs.IntegerType(), SMALL),
    "long": (theirs.LongType(), SMALL | st.integers(-(2**63), 2**63 - 1)),
    "date": (theirs.DateType(), st.integers(-800, 800)),
    "time": (theirs.TimeType(), st.integers(0, DAY - 1)),
    "timestamp": (theirs.TimestampType(), st.integers(-800 * DAY, 800 * DAY)),
    "timestamptz": (theirs.TimestamptzType(), st.integers(-800 * DAY, 800 * DAY)),
    "timestamp_ns": (theirs.TimestampNanoType(), st.integers(-800 * DAY * 1000, 800 * DAY * 1000)),
    "decimal(38, 2)": (
        theirs.DecimalType(38, 2),
        (SMALL | st.integers(-(10**37), 10**37)).map(lambda n: values.decimal_of(n, 2)),
    ),
    "string": (theirs.StringType(), TEXT),
    "binary": (theirs.BinaryType(), st.binary(max_size=3) | st.just(b"\xff\xff")),
    "uuid": (theirs.UUIDType(), st.uuids().map(lambda u: u.bytes)),
}
TAKEN = {
    "identity": list(KINDS),
    "bucket[5]": list(KINDS),
    "truncate[3]": ["int", "long", "decimal(38, 2)"],
    "truncate[2]": ["string", "binary"],
    "year": ["date", "timestamp", "timestamptz", "timestamp_ns"],
    "month": ["date", "timestamp", "timestamptz", "timestamp_ns"],
    "day": ["date", "timestamp", "timestamptz", "timestamp_ns"],
    "hour": ["timestamp", "timestamptz", "timestamp_ns"],
}
CASES = [(transform, kind) for transform, kinds in TAKEN.items() for kind in kinds]


def truth(operation: str, value: Any, listed: tuple[Any, ...]) -> bool:
    """Evaluate a test of a single value, in the plainest way."""
    one = listed[0]
    return bool(
        {
            "eq": lambda: value == one,
            "in": lambda: value in listed,
            "lt": lambda: value < one,
            "lt-eq": lambda: value <= one,
            "gt": lambda: value > one,
            "gt-eq": lambda: value >= one,
            "starts-with": lambda: value.startswith(one),
        }[operation]()
    )


def held_against(bounds: Bounds, kind: str, value: Any, check: Check) -> None:
    """Assert that the match of many rows fits one of them."""
    match = check.evaluate(bounds, bucket_function(kind))
    passes = truth(check.operation, value, check.literals) is not check.inverted
    assert match != (Match.NEVER if passes else Match.ALWAYS), (bounds, check, value)


@st.composite
def one_test(draw: st.DrawFn, of: st.SearchStrategy[Any], kind: str) -> Check:
    operations = ["eq", "in", "lt", "lt-eq", "gt", "gt-eq"]
    operation = draw(st.sampled_from(operations + ["starts-with"] * (kind == "string")))
    listed = draw(st.lists(of, min_size=1, max_size=3 if operation == "in" else 1, unique=True))
    return Check(operation, tuple(sorted(listed)), draw(st.booleans()))


def apply(transform: str, kind: str, value: Any) -> Any:
    found = parse_transform(transform).transform(KINDS[kind][0])(value)
    return found.bytes if isinstance(found, uuid.UUID) else found


@pytest.mark.parametrize(("transform", "kind"), CASES)
@given(data=st.data())
@settings(max_examples=60)
def test_a_partition_tells_no_lie_of_its_rows(
    transform: str, kind: str, data: st.DataObject
) -> None:
    _, some = KINDS[kind]
    value, test = data.draw(some), data.draw(one_test(some, kind))
    partition = apply(transform, kind, value)
    bounds = transforms.source_of_value(transform, kind, partition)
    held_against(bounds, kind, value, test)
    # The same of a manifest, whose bounds reach over several partitions.
    other = apply(transform, kind, data.draw(some))
    low, high = sorted([partition, other])
    held_against(transforms.source_of_range(transform, kind, low, high), kind, value, test)


@pytest.mark.parametrize(("transform", "kind"), CASES)
@given(data=st.data())
@settings(max_examples=40)
def test_bounds_tell_no_lie_of_a_transform(transform: str, kind: str, data: st.DataObject) -> None:
    _, some = KINDS[kind]
    value, other = data.draw(some), data.draw(some)
    low, high = sorted([value, other])
    bounds = Bounds(nulls=False, nans=False, lower=low, upper=high)
    of_term = transforms.transformed(transform, kind, bounds)
    result = str(transforms.result_type(transform, kind))
    given_ = apply(transform, kind, data.draw(some))
    test = Check(data.draw(st.sampled_from(["eq", "lt", "gt-eq"])), (given_,))
    held_against(of_term, result, apply(transform, kind, value), test)


def test_a_partition_says_what_its_transform_keeps() -> None:
    def range_of(transform: str, kind: str, value: Any) -> tuple[Any, Any]:
        found = transforms.source_of_value(transform, kind, value)
        assert (found.nulls, found.nans, found.values) == (False, False, True)
        return found.lower, found.upper

    assert range_of("identity", "long", 5) == (5, 5)
    assert range_of("truncate[10]", "int", -10) == (-10, -1)
    assert range_of("truncate[3]", "string", "ab") == ("ab", "ab")  # shorter: nothing was cut
    assert range_of("truncate[2]", "string", "ab") == ("ab", "ac")
    assert range_of("truncate[1]", "string", "\U0010ffff") == ("\U0010ffff", None)
    assert range_of("day", "date", 3) == (3, 3)
    assert range_of("month", "date", 1) == (31, 58)
    assert range_of("year", "timestamp", 1) == (365 * DAY, 730 * DAY - 1)
    # What old writers put into 0 may lie before 1970.
    assert range_of("day", "timestamp", 0) == (-DAY, DAY - 1)
    assert transforms.source_of_value("bucket[4]", "long", 3).buckets == ((4, 3),)
    assert transforms.source_of_value("void", "long", None) == Bounds()
    assert transforms.source_of_value("bucket[4]", "long", None) == ONLY_NULLS


def matches(bounds: Bounds, *operations: str) -> str:
    listed = {"is-null": (), "is-nan": ()}
    return "".join(
        Check(name.removeprefix("!"), listed.get(name.removeprefix("!"), (5,)), "!" in name)
        .evaluate(bounds, lambda _count, _value: None)
        .name[0]
        for name in operations
    )


def test_nulls_and_nans_are_evaluated_separately() -> None:
    every = ("is-null", "!is-null", "is-nan", "!is-nan", "eq", "!eq", "lt", "!lt", "gt", "!gt")
    assert matches(ONLY_NULLS, *every) == "ANNSNSNSNS"
    nans = Bounds(nulls=False, nans=True, values=False)
    assert matches(nans, *every) == "NAANNANSSS"
    values_ = Bounds(nulls=False, nans=False, lower=6, upper=9)
    assert matches(values_, *every) == "NANANANAAN"
    uncounted = Bounds(nulls=False, nans=None, lower=1, upper=4)
    assert matches(uncounted, *every) == "NASSNASSNS"
    nobody = Bounds(nulls=False, nans=False, values=False)
    assert matches(nobody, *every) == "N" * 10
    assert matches(Bounds(), *every) == "S" * 10


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=60)
def test_values_come_back_from_bytes_and_json(kind: str, data: st.DataObject) -> None:
    their, some = KINDS[kind]
    value = data.draw(some)
    assert values.from_bytes(kind, to_bytes(their, value)) == value
    shown = values.to_json(kind, value)
    assert literals.parse(kind, shown, "here") == value


@given(st.integers(-(10**7), 10**7))
def test_dates_beyond_the_year_9999_are_shown_as_others_are(days: int) -> None:
    shown = values.to_json("date", days)
    assert literals.parse("date", shown, "here") == days
    if abs(days) < 600_000:
        assert shown == (dt.date(1970, 1, 1) + dt.timedelta(days)).isoformat()


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("long", b"\x05\0\0\0", 5),
        ("double", b"\0\0\x80?", 1.0),
        ("timestamp", b"\x02\0\0\0", 2 * DAY),
        ("int", b"\x05", None),
        ("string", b"\xff", None),
        ("geometry", b"12345678", None),
        ("boolean", b"\x01", True),
    ],
)
def test_bounds_of_before_a_promotion_or_of_nothing(kind: str, raw: bytes, value: Any) -> None:
    assert values.from_bytes(kind, raw) == value


def test_numbers_that_json_lacks_are_words() -> None:
    shown = [values.to_json("double", x) for x in (math.nan, math.inf, -math.inf, 1.5)]
    assert shown == ["NaN", "Infinity", "-Infinity", 1.5]


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        ("int", 5, 5),
        ("int", 5.5, 5.5),
        ("double", 1, 1.0),
        ("decimal(9, 2)", "1.20", Decimal("1.20")),
        ("decimal(9, 2)", 1.25, Decimal("1.25")),
        ("date", 3, 3),
        ("time", "01:02:03.5", 3_723_500_000),
        ("time", "01:02", 3_720_000_000),
        ("timestamp", 7, 7),
        ("timestamp", "1970-01-02T00:00:00", DAY),
        ("timestamptz", "1970-01-02T00:00:00", DAY),  # PyIceberg leaves the zone out
        ("timestamptz", "1970-01-02T01:00:00+01:00", DAY),
        ("timestamptz", "1970-01-02T00:00:00Z", DAY),
        ("timestamp", "1970-01-02T00:00:00.1234567", None),  # finer than the column
        ("timestamp_ns", "1970-01-01T00:00:00.000000001", 1),
        ("timestamp_ns", 7, None),  # of which unit?
        ("binary", "0aFF", b"\x0a\xff"),
        ("geometry", "anything", None),
    ],
)
def test_literals(kind: str, value: Any, read: Any) -> None:
    assert literals.parse(kind, value, "here") == read


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", "5"),
        ("int", True),
        ("int", None),
        ("int", [1]),
        ("boolean", 1),
        ("boolean", "true"),
        ("double", "NaN"),
        ("decimal(9, 2)", "one"),
        ("decimal(9, 2)", "NaN"),
        ("decimal(9, 2)", "1e999999999999999999999"),
        ("date", "2020-02-30"),
        ("date", "2020-13-01"),
        ("date", 2**64),
        ("date", "2020-01-01T00:00:00"),
        ("timestamp", "2020-01-01"),
        ("timestamp", "2020-01-01T00:00:00+00:00"),
        ("timestamp", "2020-01-01T25:00:00"),
        ("time", "1:2"),
        ("string", 5),
        ("uuid", "no"),
        ("binary", "xyz"),
        ({"type": "struct", "fields": []}, 1),
    ],
)
def test_what_is_no_literal_is_named(kind: Any, value: Any) -> None:
    with pytest.raises(BadRequestError, match="Invalid here: "):
        literals.parse(kind, value, "here")


def test_decimals_of_any_size_are_planned_with_at_once() -> None:
    tiny = literals.parse("decimal(9, 2)", "1e-99999999999", "here")
    assert bucket_function("decimal(9, 2)")(4, tiny) is None
    raw = b"\x7f" * 3000
    sign, digits, exponent = values.from_bytes("decimal(9, 2)", raw).as_tuple()
    assert exponent == -2
    assert Decimal((sign, digits, 0)) == int.from_bytes(raw)


def test_buckets_are_those_of_the_specification() -> None:
    hashes: list[tuple[str, Any, int]] = [  # appendix B of the table specification
        ("int", 34, 2017239379),
        ("long", 34, 2017239379),
        ("decimal(9, 2)", Decimal("14.20"), -500754589),
        ("decimal(9, 2)", Decimal("14.2"), -500754589),
        ("date", 17486, -653330422),
        ("time", 81_068_000_000, -662762989),
        ("timestamp", 1_510_871_468_000_000, -2047944441),
        ("timestamp_ns", 1_510_871_468_000_000_001, -2047944441),
        ("string", "iceberg", 1210000089),
        ("uuid", uuid.UUID("f79c3e09-677c-4bbd-a479-3f349cb785e7").bytes, 1488055340),
        ("binary", b"\0\1\2\3", -188683207),
    ]
    for kind, value, hashed in hashes:
        assert bucket_function(kind)(16, value) == (hashed & (2**31 - 1)) % 16
    bucket: Callable[[int, Any], int | None] = bucket_function("decimal(9, 2)")
    assert bucket(16, Decimal("1.205")) is None
    assert bucket_function("int")(16, 1.5) is None


@pytest.mark.parametrize("kind", ["float", "double", "long"])
@pytest.mark.parametrize("nans", [None, 0])
def test_a_file_of_nulls_alone_is_skipped_whether_nans_were_counted_or_not(
    kind: str, nans: int | None
) -> None:
    raw: dict[int, Any] = {109: {1: 5}, 110: {1: 5}, 125: None, 128: None}
    raw[137] = None if nans is None else {1: nans}
    file = ContentFile(raw, Spec(0, ()), (), 1, 1, is_added=True, first_row_id=None)
    bounds = statistics.of_metrics(file, 1, kind)
    bucket = bucket_function(kind)
    never = [Check("is-null", inverted=True), Check("is-nan"), Check("eq", (1,))]
    never += [Check(operation, (1,)) for operation in ("lt", "lt-eq", "gt", "gt-eq")]
    assert {check.evaluate(bounds, bucket) for check in never} == {Match.NEVER}
    assert Check("is-null").evaluate(bounds, bucket) == Match.ALWAYS
    mixed = statistics.of_metrics(replace(file, raw={**raw, 110: {1: 4}}), 1, kind)
    assert Check("is-null", inverted=True).evaluate(mixed, bucket) == Match.SOMETIMES
