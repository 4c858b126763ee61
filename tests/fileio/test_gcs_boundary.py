"""Access boundaries mean what they should, by an evaluator of our own."""

import pytest

from falcon_catalog.errors import BadRequestError
from falcon_catalog.fileio.delegation import Permission, Scope
from falcon_catalog.fileio.gcs_boundary import access_boundary, literal
from tests.clouds import cel

BUCKET = "projects/_/buckets/lake"
TABLE = "gs://lake/wh/orders"
HOSTILE = [
    "it's",
    'a"b',
    "') || true || ('",
    "')||resource.name.startsWith('",
    "' && api.getAttribute('x','').startsWith('",
    "ü ö %2F {} $ * ?",
    "a`b",
]


def rules(*locations: str, permission: Permission = "write") -> list[dict[str, object]]:
    boundary = access_boundary(Scope(locations, permission))
    found: list[dict[str, object]] = boundary["accessBoundary"]["accessBoundaryRules"]
    return found


def condition(*locations: str) -> cel.Condition:
    (rule,) = rules(*locations)
    return cel.parse(rule["availabilityCondition"]["expression"])  # type: ignore[index]


def opens(location: str, name: str) -> bool:
    return cel.holds(condition(location), f"{BUCKET}/objects/{name}", {})


def lists(location: str, prefix: str) -> bool:
    return cel.holds(condition(location), BUCKET, {cel.LIST_PREFIX: prefix})


def test_the_document_is_as_google_documents_it() -> None:
    assert access_boundary(Scope((TABLE,), "read")) == {
        "accessBoundary": {
            "accessBoundaryRules": [
                {
                    "availableResource": "//storage.googleapis.com/projects/_/buckets/lake",
                    "availablePermissions": ["inRole:roles/storage.objectViewer"],
                    "availabilityCondition": {
                        "expression": "resource.name.startsWith("
                        "'projects/_/buckets/lake/objects/wh/orders/')"
                        " || resource.name.startsWith("
                        "'projects/_/buckets/lake/folders/wh/orders/')"
                        " || api.getAttribute('storage.googleapis.com/objectListPrefix', '')"
                        ".startsWith('wh/orders/')"
                    },
                }
            ]
        }
    }


def test_a_writer_has_the_role_that_writes() -> None:
    (rule,) = rules(TABLE)
    assert rule["availablePermissions"] == ["inRole:roles/storage.objectUser"]


def test_what_is_in_the_table_is_open() -> None:
    assert opens(TABLE, "wh/orders/metadata/00000-a.metadata.json")
    assert opens(f"{TABLE}/", "wh/orders/data/x")
    assert lists(TABLE, "wh/orders/")
    assert lists(TABLE, "wh/orders/data/")


@pytest.mark.fault(number=6)
@pytest.mark.parametrize("sibling", ["orders2", "orders-old", "orders.", "order", "Orders", ""])
def test_case_4_siblings_are_closed(sibling: str) -> None:
    assert not opens(TABLE, f"wh/{sibling}/x")
    assert not opens(TABLE, f"wh/{sibling}")
    assert not lists(TABLE, f"wh/{sibling}")
    assert not lists(TABLE, "wh/orders")  # without the slash it shows siblings
    assert not cel.holds(condition(TABLE), BUCKET, {})


def test_case_4_a_table_does_not_open_what_is_around_it() -> None:
    inner = f"{TABLE}/x"
    assert opens(inner, "wh/orders/x/data")
    assert not opens(inner, "wh/orders/data")


@pytest.mark.fault(number=3)
@pytest.mark.parametrize("name", HOSTILE)
def test_case_5_a_hostile_name_is_a_name(name: str) -> None:
    name = name.replace("?", "").strip()
    assert condition(f"gs://lake/{name}/t") == [
        [cel.Term("resource.name", f"{BUCKET}/objects/{name}/t/")],
        [cel.Term("resource.name", f"{BUCKET}/folders/{name}/t/")],
        [cel.Term(cel.LIST_PREFIX, f"{name}/t/")],
    ]


@pytest.mark.fault(number=3)
@pytest.mark.parametrize(
    "text", [*HOSTILE, "\\", "\\'", "a\nb", "a\r\n\t\x00\x7f", "\u2028\U000e0001"]
)
def test_case_5_a_literal_is_the_text(text: str) -> None:
    (((term,),)) = cel.parse(f"resource.name.startsWith({literal(text)})")
    assert term.text == text


@pytest.mark.parametrize(
    "location",
    [
        "gs://lake",
        "gs://lake/",
        "gs://lake/a\\b",
        "gs://lake/a\nb",
        "gs://lake/../x",
        "gs://lake/a//b",
        "gs://lake/a?b",
        "gs://lake/a#b",
        "gs://Lake/a",
        "gs://lake:80/a",
        "gs://user@lake/a",
        "s3://lake/a",
        "gs://lake/" + "a" * 1024 + "/b",
        "gs://lake/" + "/".join(["a" * 200] * 4),  # three times that is too long for Google
    ],
)
def test_case_10_what_no_condition_can_hold_is_refused(location: str) -> None:
    with pytest.raises(BadRequestError, match=r"gs://|Invalid location"):
        access_boundary(Scope((location,), "read"))


def test_several_locations_are_several_rules() -> None:
    several = rules(TABLE, "gs://other/data", f"{TABLE}/data", f"{TABLE}/")
    assert [rule["availableResource"] for rule in several] == [
        "//storage.googleapis.com/projects/_/buckets/lake",
        "//storage.googleapis.com/projects/_/buckets/other",
    ]


def test_there_are_ten_rules_at_most() -> None:
    ten = [f"gs://lake/t{number}" for number in range(10)]
    assert len(rules(*ten)) == 10
    with pytest.raises(BadRequestError, match="11 locations, at most for 10"):
        rules(*ten, "gs://lake/t10")
