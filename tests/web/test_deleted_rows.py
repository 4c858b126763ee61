"""Previews and SQL over rows that were deleted: by position, in deletion vectors, by equality."""

from collections.abc import Callable, Iterator

import duckdb
import pytest
from pyiceberg.typedef import Record

from falcon_catalog.engines import ENGINES, Address
from tests.maintenance.lake import with_extensions
from tests.maintenance.test_deletes import delete_ids
from tests.web.conftest import Served
from tests.web.test_rows import as_csv, problem_of, rows_page
from tests.web.test_sql import answer, problem


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
