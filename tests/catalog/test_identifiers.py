import pytest
from hypothesis import given
from hypothesis import strategies as st

from falcon_catalog.decimals import read_decimal
from falcon_catalog.errors import BadRequestError
from falcon_catalog.identifiers import (
    Namespace,
    TableIdentifier,
    check_name,
    read_page_token,
    write_page_token,
)

pytestmark = pytest.mark.serverless

names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)


@given(st.lists(names, min_size=1, max_size=5))
def test_a_namespace_comes_back_from_its_path(levels: list[str]) -> None:
    namespace = Namespace.of(levels)
    assert Namespace.from_path(namespace.path) == namespace


@pytest.mark.parametrize("bad", ["", "a\x1fb", "a\x00", "line\nbreak", "x" * 256, 7, None, ["a"]])
def test_a_bad_name_is_refused_and_named(bad: object) -> None:
    with pytest.raises(BadRequestError, match="Invalid table name"):
        check_name(bad, "table")


@pytest.mark.parametrize("bad", [None, "a", [], [1], ["a", ""], ["a"] * 65, {"a": 1}])
def test_a_bad_namespace_is_refused(bad: object) -> None:
    with pytest.raises(BadRequestError, match="Invalid namespace"):
        Namespace.of(bad)


def test_an_identifier_reads_what_it_writes() -> None:
    identifier = TableIdentifier(Namespace(("a", "b.c")), "t/1")
    assert TableIdentifier.of(identifier.as_json()) == identifier


@given(names)
def test_a_page_token_is_opaque_and_comes_back(name: str) -> None:
    token = write_page_token("a list", name)
    assert token.isascii()
    assert read_page_token("a list", token) == name
    with pytest.raises(BadRequestError, match="belongs to another list"):
        read_page_token("another list", token)


@given(st.text(max_size=20))
def test_a_page_token_of_somebody_else_is_refused_or_read(token: str) -> None:
    try:
        read_page_token("a list", token)
    except BadRequestError as error:
        assert "pageToken" in error.message  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("007", 7), ("1000", 1000), ("1001", 1000), ("9" * 5000, 1000), ("0" * 5000, 0)],
)
def test_a_number_may_have_any_number_of_digits(text: str, number: int) -> None:
    assert read_decimal(text, most=1000) == number


@pytest.mark.parametrize("text", ["", "-1", "+1", " 1", "1_0", "1.0", "\u0661", "²", "ten"])
def test_other_text_is_no_number(text: str) -> None:
    assert read_decimal(text, most=1000) is None
