"""Previews of rows: snapshots, filters, deletes, and what is no file of a table."""

import csv
import html
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from pyiceberg.types import StringType

from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.web import paths
from tests.processes import DEADLINE
from tests.web.conftest import WARM, Served


def rows_page(catalog: Served, table: str, **query: object) -> requests.Response:
    name = TableIdentifier(Namespace(("weather",)), table)
    path = paths.to_table("default", name, "rows")
    return requests.get(catalog.url + path, params=query, timeout=2 * DEADLINE)


def as_csv(catalog: Served, table: str, **query: object) -> list[list[str]]:
    page = rows_page(catalog, table, format="csv", **query)
    assert page.status_code == 200, page.text
    assert page.headers["Content-Type"].startswith("text/csv")
    return list(csv.reader(page.text.splitlines()))


def problem_of(page: requests.Response) -> str:
    found = re.search(r'class="problem"[^>]*>(.*?)</', page.text, re.DOTALL)
    assert found is not None, page.text
    return html.unescape(found[1])


def test_rows_of_a_snapshot_a_branch_and_a_time(served: Served) -> None:
    table = served.lake.load_table("weather.observations")
    first, _ = table.history()
    table.manage_snapshots().create_tag(first.snapshot_id, "begin").commit()
    page = rows_page(served, "observations")
    assert page.status_code == 200
    assert page.text.count("<td>KJFK</td>") == 2
    assert '<td class="num">20.5</td>' in page.text
    example = "temperature &gt; 30 and station = &#39;text&#39;"
    assert f'placeholder="{example}"' in page.text
    assert as_csv(served, "observations", filter=html.unescape(example)) == [
        ["station", "temperature"]
    ]
    for at in (first.snapshot_id, "begin"):
        assert rows_page(served, "observations", at=at).text.count("<td>KJFK</td>") == 1
    assert len(as_csv(served, "observations", time="2100-01-01")) == 5
    early = rows_page(served, "observations", time="2001-01-01")
    assert early.status_code == 400
    assert "had no snapshot at 2001-01-01T00:00:00Z; its history starts at 20" in problem_of(early)


def test_a_filter_columns_and_a_limit(served: Served) -> None:
    wanted = {"filter": "temperature > 20.7 and station = 'KLGA'", "column": "station"}
    assert as_csv(served, "observations", **wanted) == [["station"], ["KLGA"], ["KLGA"]]
    for query, said in (
        ({"filter": "temperature >"}, "The filter 'temperature >' is not a condition."),
        ({"filter": "temperatur > 1"}, "no column temperatur (did you mean temperature?)"),
        ({"column": ["station", "pressure"]}, "Invalid columns: there is no column pressure; the"),
        ({"limit": "7"}, "Invalid limit '7'"),
        ({"filter": "upper(station) = 'KJFK'"}, "but no functions"),
        ({"filter": "station like '%K'"}, "at the end"),
        ({"filter": "station = 5"}, "Cannot convert a long into string"),
        ({"time": "0001-01-01T00:00+09:00"}, "had no snapshot at 0001-01-01T00:00:00+09:00"),
        ({"at": "nothing"}, "nothing"),
    ):
        page = rows_page(served, "observations", **query)
        assert page.status_code == 400, query
        assert said in problem_of(page), query


def test_only_as_many_rows_as_requested_are_shown(served: Served) -> None:
    table = served.lake.create_table("weather.many", pa.schema([("n", pa.int64())]))
    table.append(pa.table({"n": range(300)}))
    page = rows_page(served, "many", limit=200)
    assert page.text.count('<td class="num">') == 200
    assert "there are more" in page.text
    assert len(as_csv(served, "many", limit=1000)) == 301


def test_deleted_rows_and_older_names_of_columns(served: Served) -> None:
    table = served.lake.create_table("weather.changed", WARM.schema)
    table.append(WARM)
    before = table.current_snapshot()
    assert before is not None
    table.delete("station = 'KJFK'")
    with table.update_schema() as update:
        update.rename_column("temperature", "celsius")
        update.add_column("wind", StringType())
    assert as_csv(served, "changed") == [["station", "celsius", "wind"], ["KLGA", "21.0", ""]]
    old = as_csv(served, "changed", at=before.snapshot_id, filter="temperature < 30")
    assert old == [["station", "temperature"], ["KJFK", "20.5"], ["KLGA", "21.0"]]


def test_values_are_text_whatever_they_contain(served: Served) -> None:
    values = pa.table(
        {
            "text": ["<script>alert(1)</script>", "x" * 30_000, None, ""],
            "bytes": [b"\x00\xff", None, b"", b"a"],
            "nested": [{"a": [1, None]}, None, {"a": []}, {"a": [2]}],
        }
    )
    served.lake.create_table("weather.values", values.schema).append(values)
    page = rows_page(served, "values")
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    assert "00ff" in page.text
    assert "{&#34;a&#34;: [1, null]}" in page.text
    assert "x" * 20_000 in page.text
    assert "x" * 20_001 not in page.text
    assert '<span class="none">null</span>' in page.text


def test_an_empty_table_has_no_rows(served: Served) -> None:
    served.lake.create_table("weather.empty", WARM.schema)
    assert "There are no rows" in rows_page(served, "empty").text


@pytest.mark.parametrize("place", ["outside", "tables"])
def test_no_file_is_read_but_those_of_the_table(served: Served, place: str) -> None:
    """A table may name any file as its own: ``add_files`` does it as an attacker would."""
    folder = served.folder / place
    folder.mkdir(exist_ok=True)
    secret = folder / "secret.parquet"
    pq.write_table(pa.table({"station": ["KSECRET"], "temperature": [1.0]}), secret)
    table = served.lake.create_table(f"weather.stolen_{place}", WARM.schema)
    table.add_files([f"file://{secret}"])
    page = rows_page(served, f"stolen_{place}")
    assert page.status_code == 400
    assert "outside" in problem_of(page)
    assert "KSECRET" not in page.text


def test_a_link_in_the_folder_of_a_table_leads_nowhere(served: Served) -> None:
    secret = served.folder / "linked.parquet"
    pq.write_table(pa.table({"station": ["KSECRET"], "temperature": [1.0]}), secret)
    table = served.lake.create_table("weather.linked", WARM.schema)
    link = Path(table.location().removeprefix("file://")) / "data" / "x.parquet"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(secret)
    table.add_files([f"file://{link}"])
    page = rows_page(served, "linked")
    assert page.status_code == 400
    assert "KSECRET" not in page.text


def test_the_sql_page_is_off_unless_it_is_turned_on(
    served: Served, serve: Callable[..., Served]
) -> None:
    page = served.get("/ui/sql?q=select+1")
    assert page.status_code == 404
    assert "web.sql = true" in page.text
    assert 'href="/ui/sql"' not in served.get("/").text
    assert 'href="/ui/sql"' in serve(CATALOG_WEB_SQL="true").get("/").text


def test_a_table_of_format_version_1(served: Served) -> None:
    table = served.lake.create_table(
        "weather.first_format", WARM.schema, properties={"format-version": "1"}
    )
    table.append(WARM)
    assert as_csv(served, "first_format")[1:] == [["KJFK", "20.5"], ["KLGA", "21.0"]]
