"""Results of queries: how much of them is sent, and as which file."""

import csv
from collections.abc import Sequence

import falcon
import pytest

from falcon_catalog.catalog.queries import Rows
from falcon_catalog.query.values import MAX_CELLS, MAX_CHARACTERS, rows_as_text
from falcon_catalog.web.results import send_csv


def sent(
    names: Sequence[str], rows: Sequence[Sequence[str | None]], kind: str = "string", name: str = ""
) -> falcon.Response:
    columns = [{"name": name, "type": kind} for name in names]
    resp = falcon.Response()
    send_csv(resp, Rows(columns, rows, False, 0.0, 0), name)
    return resp


def lines(resp: falcon.Response) -> list[list[str]]:
    return list(csv.reader((resp.text or "").splitlines(keepends=True)))


def test_null_and_an_empty_text_differ_in_csv() -> None:
    resp = sent(["a", "b"], [["", None], ['x"y', "1,2\r\n"]])
    assert resp.text == 'a,b\r\n"",\r\n"x""y","1,2\r\n"\r\n'
    assert lines(resp)[2] == ['x"y', "1,2\r\n"]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1-1|cmd", "-2+3+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "=\n1"]
)
def test_a_text_is_no_formula_of_a_spreadsheet(text: str) -> None:
    assert lines(sent([text], [[text]])) == [[f"'{text}"], [f"'{text}"]]


@pytest.mark.parametrize("text", ["-1", "+2.50", "-1e+300", "a=1", "'=1", "2026-11-30"])
def test_other_texts_are_sent_as_they_are(text: str) -> None:
    assert lines(sent(["x", "y"], [["", text]]))[1] == ["", text]


@pytest.mark.parametrize("text", ["-inf", "-1.5", "-170141183460469231731687303715884105728"])
def test_numbers_are_sent_as_they_are(text: str) -> None:
    assert lines(sent(["x"], [[text]], "double"))[1] == [text]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ('x"; filename="run.exe', 'attachment; filename="x__ filename=_run.exe.csv"'),
        ("../a\\b%22", 'attachment; filename=".._a_b_22.csv"'),
        ("sales 2026", 'attachment; filename="sales 2026.csv"'),
    ],
)
def test_a_name_of_a_table_gives_the_file_no_other_name(name: str, expected: str) -> None:
    assert sent(["x"], [], name=name).get_header("Content-Disposition") == expected


def test_characters_that_turn_text_around_are_in_no_file_name() -> None:
    header = sent(["x"], [], name="\u202eexe.a\u0085ü").get_header("Content-Disposition") or ""
    assert header.endswith("filename*=UTF-8''_exe.a_%C3%BC.csv")


def test_only_as_many_values_are_sent_as_a_page_can_show() -> None:
    many, more = rows_as_text([(None,) * 1000] * 1000, 1000)
    assert more
    assert len(many) * 1000 == MAX_CELLS
    large, more = rows_as_text([("x" * 20_000,) * 4] * 1000, 1000)
    assert more
    assert len(large) > 1
    assert sum(len(value or "") for row in large for value in row) <= MAX_CHARACTERS
    few, more = rows_as_text([(1,), (2,), (3,)], 2)
    assert (few, more) == ([["1"], ["2"]], True)
    assert rows_as_text([(1,), (2,)], 2) == ([["1"], ["2"]], False)


def test_the_values_of_a_wide_row_are_shortened() -> None:
    rows, more = rows_as_text([("x" * 20_000,) * 1000], 1000)
    assert not more
    assert sum(len(value or "") for row in rows for value in row) < 1.01 * MAX_CHARACTERS
    assert (rows[0][0] or "").endswith("… (20000 characters)")
