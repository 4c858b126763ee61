"""Pages of warehouses and namespaces, and the search, after changes by clients."""

import re
from collections.abc import Callable

import pytest

from falcon_catalog.identifiers import Namespace
from falcon_catalog.web import paths
from tests.web.conftest import WARM, Served

MANY = Namespace(("many",))


def names(text: str) -> list[str]:
    """Return the tables that a page links to."""
    return re.findall(r'href="/ui/warehouses/[^"]*/tables/([^"/]*)"', text)


def page_of(namespace: Namespace, query: str = "") -> str:
    return paths.to_namespace("default", namespace) + query


@pytest.fixture(scope="module")
def many(served: Served) -> Served:
    """The namespace many, with 106 tables."""
    served.lake.create_namespace("many", {"owner": "<b>me</b>"})
    for number in range(105):
        served.lake.create_table(f"many.t{number:03}", WARM.schema)
    served.lake.create_table("many.Odd_100%", WARM.schema)
    return served


def test_a_long_list_has_pages_in_both_directions(many: Served) -> None:
    first = many.get(page_of(MANY)).text
    expected = ["Odd_100%25", *(f"t{number:03}" for number in range(105))]
    assert names(first) == expected[:100]
    assert "Previous" not in first
    following = re.search(r'href="(\?table-after=[^"]*)" rel="next"', first)
    assert following is not None
    second = many.get(page_of(MANY, following[1])).text
    assert names(second) == expected[100:]
    back = re.search(r'href="(\?table-before=[^"]*)" rel="prev"', second)
    assert back is not None
    assert names(many.get(page_of(MANY, back[1])).text) == expected[:100]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("T10", ["t100", "t101", "t102", "t103", "t104"]),
        ("odd", ["Odd_100%25"]),
        ("%25", ["Odd_100%25"]),
        ("_", ["Odd_100%25"]),
        ("!", []),
        ("'", []),
    ],
)
def test_names_are_filtered_by_a_text_they_contain(
    many: Served, query: str, expected: list[str]
) -> None:
    page = many.get(page_of(MANY, f"?q={query}")).text
    assert names(page) == expected
    assert ("None of these names contains" in page) == (not expected)


def test_a_page_learns_of_a_new_table_and_of_nothing_when_nothing_changed(served: Served) -> None:
    served.lake.create_namespace("fresh")
    page = served.get(page_of(Namespace(("fresh",)))).text
    assert "There is nothing in this namespace" in page
    refresh = re.search(r'hx-get="([^"]*\?state=[^"]*)"', page)
    assert refresh is not None
    assert served.get(refresh[1]).status_code == 204
    served.lake.create_table("fresh.arrived", WARM.schema)
    part = served.get(refresh[1], **{"HX-Request": "true"})
    assert part.status_code == 200
    assert names(part.text) == ["arrived"]


def test_properties_are_shown(many: Served) -> None:
    page = many.get(page_of(MANY)).text
    assert "<code>&lt;b&gt;me&lt;/b&gt;</code>" in page


def test_nested_namespaces_are_linked(served: Served) -> None:
    served.lake.create_namespace(("a.b",))
    served.lake.create_namespace(("a.b", "c"))
    path = page_of(Namespace(("a.b", "c")))
    assert f'href="{path}"' in served.get(page_of(Namespace(("a.b",)))).text
    assert served.get(path).status_code == 200


def test_the_search_finds_tables_of_all_namespaces(many: Served) -> None:
    page = many.get("/ui/search?q=OBS").text
    assert names(page) == ["observations"]
    assert "many" not in names(page)
    assert len(names(many.get("/ui/search?q=t").text)) == 100
    assert "There is no table or view" in many.get("/ui/search?q=nothing").text
    assert many.get("/ui/search").status_code == 200
    assert many.get(f"/ui/search?q={'x' * 256}").status_code == 400


def test_a_filter_longer_than_a_name_is_refused(served: Served) -> None:
    page = served.get(page_of(Namespace(("weather",)), f"?q={'x' * 256}"))
    assert page.status_code == 400
    assert "256 characters" in page.text


def test_pages_of_an_empty_warehouse(serve: Callable[..., Served]) -> None:
    assert "no namespace" in serve().get(paths.to_warehouse("default")).text
