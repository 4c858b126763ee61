"""``falcon-catalog sql``."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.console.conftest import Console

FROM = "FROM lake.weather.observations"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extensions of DuckDB, unpacked once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _cached(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


@pytest.mark.usefixtures("observations")
def test_rows_in_every_form(console: Console, tmp_path: Path) -> None:
    query = f"SELECT station, max(time) AS newest, count(*) AS n {FROM} GROUP BY 1 ORDER BY 1"
    lines = console.ok("sql", query).splitlines()
    assert lines[0].split() == ["station", "newest", "n"]
    assert lines[1].split() == ["K000", "2026-11-02T10:00:00+00:00", "9"]
    assert len(lines) == 6
    assert console.json("sql", query)[0] == {
        "station": "K000",
        "newest": "2026-11-02T10:00:00+00:00",
        "n": 9,
    }
    assert console.ok("sql", query, "--format", "csv").splitlines()[:2] == [
        "station,newest,n",
        "K000,2026-11-02T10:00:00+00:00,9",
    ]
    file = tmp_path / "rows.parquet"
    assert console.ok("sql", query, "--format", "parquet", "-o", str(file)) == ""
    assert pq.read_table(file).column("n").to_pylist() == [9, 9, 8, 8, 8]
    file = tmp_path / "rows.csv"
    console.ok("sql", query, "--format", "csv", "-o", str(file))
    assert len(file.read_text(encoding="utf-8").splitlines()) == 6


@pytest.mark.usefixtures("observations")
def test_statements_from_a_file_and_from_stdin(console: Console, tmp_path: Path) -> None:
    script = tmp_path / "script.sql"
    script.write_text(
        f"CREATE TABLE lake.weather.warm AS SELECT station {FROM} WHERE temperature > 27;\n"
        "SELECT count(*) FROM lake.weather.warm;",
        encoding="utf-8",
    )
    assert console.ok("sql", "-f", str(script), "-q") == "2\n"
    assert "weather.warm" in console.ok("ls", "weather", "-q")
    assert console.ok("sql", "-q", input="SELECT 1 + 1") == "2\n"
    assert console.json("sql", "SELECT NULL AS a, [1] AS a, 'x' AS b") == [
        {"a": None, "a_1": [1], "b": "x"}
    ]


def test_wrong_usage(console: Console) -> None:
    assert console.fails("sql", "SELECT 1", "--format", "parquet")[0] == 2
    assert console.fails("sql", "SELECT 1", "-o", "x")[0] == 2
    assert console.fails("sql", ";")[0] == 2


def test_an_error_has_the_lines_of_duckdb(console: Console) -> None:
    done = console.run("sql", "SELECT 1,\n  nothing", "--uri", console.url)
    assert (done.exit_code, done.stdout) == (1, "")
    first, line, caret = done.stderr.splitlines()
    assert first.startswith('Error: Binder Error: Referenced column "nothing" ')
    assert line == "LINE 2:   nothing"
    assert caret == " " * line.index("nothing") + "^"
