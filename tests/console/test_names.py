"""Names as people type them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falcon_catalog.console.names import InvalidNameError, Name, dotted, parse

PARTS = st.lists(st.text(min_size=1), min_size=1, max_size=4).map(tuple)


@pytest.mark.parametrize(
    ("text", "parts", "at"),
    [
        ("weather", ("weather",), None),
        ("weather.observations", ("weather", "observations"), None),
        ("weather.observations@main", ("weather", "observations"), "main"),
        ("a.b.c@8214735025316923456", ("a", "b", "c"), "8214735025316923456"),
        ("t@2026-11-01T12:00", ("t",), "2026-11-01T12:00"),
        ("t@a@b.c", ("t",), "a@b.c"),
        ('"a.b".c', ("a.b", "c"), None),
        ('"a@b"@v1', ("a@b",), "v1"),
        ('a."say ""hi"""', ("a", 'say "hi"'), None),
        ("in words.ü", ("in words", "ü"), None),
    ],
)
def test_names_are_read(text: str, parts: tuple[str, ...], at: str | None) -> None:
    assert parse(text) == Name(parts, at)


@given(PARTS, st.none() | st.text(min_size=1))
def test_a_written_name_is_read_again(parts: tuple[str, ...], at: str | None) -> None:
    name = Name(parts, at)
    assert parse(str(name)) == name


@given(st.text())
def test_any_text_is_a_name_or_rejected(text: str) -> None:
    with contextlib.suppress(InvalidNameError):
        name = parse(text)
        assert parse(str(name)) == name


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a part is empty"),
        (".a", "a part is empty"),
        ("a..b", "a part is empty"),
        ("a.", "a part is empty"),
        ('""', "a part is empty"),
        ("@main", "a part is empty"),
        ("a@", "follows @"),
        ('"a', "no closing quote"),
        ('a."b', "no closing quote"),
        ('a"b"', "a quote within a part needs quotes"),
        ('"a"b', "only . or @ follow a quoted part"),
    ],
)
def test_what_is_no_name_is_explained(text: str, why: str) -> None:
    with pytest.raises(InvalidNameError, match=why):
        parse(text)


def test_plain_names_are_not_quoted() -> None:
    assert dotted(("weather", "observations-2", "Größe")) == "weather.observations-2.Größe"
