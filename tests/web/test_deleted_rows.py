"""Previews and SQL over rows that were deleted: by position, in deletion vectors, by equality."""

import re
from collections.abc import Callable, Iterator

import duckdb
import pytest
from pyiceberg.typedef import Record

from falcon_catalog.engines import ENGINES, Address
from falcon_catalog.web import paths
from tests.maintenance.lake import with_extensions
from tests.maintenance.test_deletes import delete_ids
from tests.web.conftest import WARM, Served
from tests.web.test_rows import as_csv, problem_of, rows_page
from tests.web.test_sql import answer, problem
from tests.web.test_tables import page_of, shown


@pytest.fixture(scope="module")
def catalog(serve: Callable[..., Served]) -> Served:
    """A catalog with the SQL page."""
    one = serve(CATALOG_WEB_SQL="true")
    one.lake.create_namespace("weather")
    return one


@pytest.fixture(scope="module")
def duck(
    catalog: Served, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB, which deletes rows without rewriting files."""
    config: dict[str, str | bool | int | float | list[str]] = {
        **with_extensions(tmp_path_factory.mktemp("extensions"))
    }
    with duckdb.connect(config=config) as connection:
        connection.execute(ENGINES["duckdb"].write(Address(catalog.url, "default")))
        yield connection


@pytest.mark.parametrize(("version", "format_"), [(2, "PARQUET"), (3, "PUFFIN")])
def test_deleted_rows_are_left_out(
    catalog: Served, duck: duckdb.DuckDBPyConnection, version: int, format_: str
) -> None:
    name = f"v{version}"
    duck.execute(
        f"CREATE TABLE lake.weather.{name} (id BIGINT) WITH ('format-version' = '{version}')"
    )
    duck.execute(f"INSERT INTO lake.weather.{name} SELECT range FROM range(6)")
    duck.execute(f"INSERT INTO lake.weather.{name} SELECT range FROM range(6, 9)")
    duck.execute(f"DELETE FROM lake.weather.{name} WHERE id % 3 = 0")
    duck.execute(f"DELETE FROM lake.weather.{name} WHERE id = 7")
    table = catalog.lake.load_table(f"weather.{name}")
    assert set(table.inspect.delete_files()["file_format"].to_pylist()) == {format_}
    left = ["1", "2", "4", "5", "8"]
    assert sorted(row[0] for row in as_csv(catalog, name)[1:]) == left
    assert sorted(row[0] for row in as_csv(catalog, name, filter="id > 4")[1:]) == ["5", "8"]
    query = f"SELECT id FROM weather.{name} ORDER BY id"
    assert [row[0] for row in answer(catalog, query)] == left
    second = table.history()[1].snapshot_id
    assert len(as_csv(catalog, name, at=second)) == 10
    assert answer(catalog, f'SELECT count(*) FROM weather."{name}@{second}"') == [["9"]]


def test_numbers_are_those_after_deletes(catalog: Served, duck: duckdb.DuckDBPyConnection) -> None:
    duck.execute("CREATE TABLE lake.weather.counted (id BIGINT)")
    duck.execute("INSERT INTO lake.weather.counted SELECT range FROM range(5)")
    duck.execute("DELETE FROM lake.weather.counted WHERE id < 3")
    duck.execute("UPDATE lake.weather.counted SET id = 9 WHERE id = 4")
    overview = shown(catalog.get(page_of("counted")).text)
    assert "Rows 2 Size" in overview
    page = catalog.get(page_of("counted", "history")).text
    assert rows_of(page) == ["+ 1 &minus; 1 2", "&minus; 3 2", "+ 5 5"]
    assert "Rows over time " in shown(page)
    update, delete, _ = newest_first(catalog, "counted")
    compared = catalog.get(page_of("counted", "diff") + f"?to={delete}").text
    assert "Rows 2 &minus; 3 " in shown(compared)
    assert update != delete


def test_compare_shows_the_rows_that_changed(
    catalog: Served, duck: duckdb.DuckDBPyConnection
) -> None:
    duck.execute("CREATE TABLE lake.weather.compared (id BIGINT, v VARCHAR)")
    duck.execute("INSERT INTO lake.weather.compared SELECT range, 'a' FROM range(5)")
    duck.execute("UPDATE lake.weather.compared SET v = 'b' WHERE id = 3")
    duck.execute("DELETE FROM lake.weather.compared WHERE id = 1")
    deleted, updated, first = newest_first(catalog, "compared")
    diff = page_of("compared", "diff")
    assert f"{diff}?from={updated}&amp;to={deleted}&amp;rows=true" in catalog.get(diff).text
    for query, expected in (
        (f"to={deleted}", [["\N{MINUS SIGN}", "1", "a"]]),
        (
            f"from={first}&to={updated}",
            [["\N{MINUS SIGN}", "3", "a"], ["+", "3", "b"]],
        ),
        (f"from={deleted}&to={updated}", [["+", "1", "a"]]),
    ):
        page = catalog.get(f"{diff}?{query}&rows=true").text
        table = page.partition('id="changed-rows"')[2].partition("</section>")[0]
        rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]
        assert [re.findall(r"<td[^>]*>\s*([^<]*)</td>", row) for row in rows] == expected


def test_rows_before_deletes_where_their_number_is_unknown(
    catalog: Served, duck: duckdb.DuckDBPyConnection
) -> None:
    duck.execute("CREATE TABLE lake.weather.vectors (id BIGINT) WITH ('format-version' = '3')")
    duck.execute("INSERT INTO lake.weather.vectors SELECT range FROM range(5)")
    for id_ in (1, 2):  # DuckDB counts the first one again
        duck.execute(f"DELETE FROM lake.weather.vectors WHERE id = {id_}")
    assert "Rows 5 before deletes Size" in shown(catalog.get(page_of("vectors")).text)
    page = catalog.get(page_of("vectors", "history")).text
    assert rows_of(page)[0] == "about &minus; 2 5 before deletes"
    assert "Rows over time, before deletes" in page


def test_a_size_that_nobody_counted_is_not_zero(
    catalog: Served, duck: duckdb.DuckDBPyConnection
) -> None:
    duck.execute("CREATE TABLE lake.weather.unsized (id BIGINT)")
    duck.execute("INSERT INTO lake.weather.unsized SELECT range FROM range(5)")
    size = catalog.get(paths.to_warehouse("default", "size")).text
    assert "Size unknown" in size
    assert "0 B" not in shown(size)
    catalog.lake.create_table("weather.sized", WARM.schema).append(WARM)
    assert re.search(
        r"B in \d+ rows; the size of \d+ tables? is unknown",
        shown(catalog.get(paths.to_warehouse("default", "size")).text),
    )
    catalog.lake.drop_table("weather.sized")


def rows_of(page: str) -> list[str]:
    """Return the numbers of rows in a page of the history, newest snapshot first."""
    table = page.partition('class="timeline"')[2]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]
    return [shown(re.findall(r"<td.*?</td>", row, re.DOTALL)[3]).strip() for row in rows]


def newest_first(catalog: Served, name: str) -> list[int]:
    """Return the ids of the snapshots of a table."""
    return [each.snapshot_id for each in catalog.lake.load_table(f"weather.{name}").history()][::-1]


def test_equality_deletes_are_not_passed_over(
    catalog: Served, duck: duckdb.DuckDBPyConnection
) -> None:
    duck.execute("CREATE TABLE lake.weather.equal (id BIGINT)")
    duck.execute("INSERT INTO lake.weather.equal SELECT range FROM range(6)")
    whole = catalog.lake.load_table("weather.equal").history()[-1].snapshot_id
    delete_ids(catalog.lake, "weather.equal", [1, 4], 0, Record())
    page = rows_page(catalog, "equal")
    assert page.status_code == 400
    assert "has equality deletes, which PyIceberg does not apply" in problem_of(page)
    assert '<td class="num">' not in page.text
    assert "has equality deletes" in problem(catalog, "SELECT * FROM weather.equal")
    assert len(as_csv(catalog, "equal", at=whole)) == 7
