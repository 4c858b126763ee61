"""The commands on another catalog: RESTCatalogServer, which Apache's clients are tested with."""

from collections.abc import Iterator

import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.table import Table

from benchmarks import apache, servers
from tests.console.conftest import DAYS, SCHEMA, Console, rows

pytestmark = pytest.mark.slow

MISSING = apache.missing_tools()
if MISSING:
    pytest.skip(MISSING, allow_module_level=True)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Apache's server, with a namespace."""
    folder = tmp_path_factory.mktemp("apache")
    with servers.apache(folder / "server", apache.fetch(folder)) as server:
        host, port = server.address
        address = f"http://{host}:{port}"
        with load_catalog("lake", type="rest", uri=address) as lake:
            lake.create_namespace("weather", {"owner": "ann"})
        yield address


@pytest.fixture
def console(url: str) -> Console:
    return Console(url)


@pytest.fixture
def lake(url: str) -> Iterator[RestCatalog]:
    with load_catalog("lake", type="rest", uri=url) as one:
        assert isinstance(one, RestCatalog)
        yield one


@pytest.fixture
def table(lake: RestCatalog) -> Iterator[Table]:
    """The table weather.observations, of two snapshots; the first one has the tag v1."""
    made = lake.create_table("weather.observations", SCHEMA, partition_spec=DAYS)
    made.append(rows(30, 1))
    made.append(rows(12, 2))
    with made.manage_snapshots() as change:
        change.create_tag(made.snapshots()[0].snapshot_id, "v1")
    yield made
    for name in lake.list_tables("weather"):
        lake.drop_table(name)


def ids(table: Table) -> list[int]:
    return [each.snapshot_id for each in table.refresh().snapshots()]


@pytest.mark.usefixtures("table")
def test_ls(console: Console) -> None:
    assert console.ok("ls", "-q").split() == ["weather"]
    assert console.ok("ls", "weather", "-q").split() == ["weather.observations"]
    found = console.json("ls", "weather", "-l")
    assert [each["rows"] for each in found] == [42]


@pytest.mark.usefixtures("table")
def test_show(console: Console) -> None:
    assert console.json("show", "weather")["properties"]["owner"] == "ann"
    shown = console.ok("show", "weather.observations@v1")
    assert "temperature" in shown
    assert "30" in shown


def test_log(console: Console, table: Table) -> None:
    found = console.json("log", "weather.observations")
    assert [each["snapshot-id"] for each in found] == ids(table)[::-1]


@pytest.mark.usefixtures("table")
def test_diff(console: Console) -> None:
    shown = console.ok("diff", "weather.observations@v1..main")
    assert [line.split()[:3] for line in shown.splitlines()[-2:]] == [
        ["removed", "0", "0"],
        ["added", "1", "12"],
    ]
    rows_ = console.ok("diff", "weather.observations@v1..main", "--rows")
    assert "2026-11-02" in rows_
    assert (
        console.run(
            "diff", "weather.observations@v1..v1", "--exit-code", "--uri", console.url
        ).exit_code
        == 0
    )


def test_files(console: Console, table: Table) -> None:
    listed = console.ok("files", "weather.observations", "-q").split()
    assert sorted(listed) == sorted(table.inspect.files()["file_path"].to_pylist())


@pytest.mark.usefixtures("table")
def test_sample(console: Console) -> None:
    found = console.json("sample", "weather.observations@v1", "-n", "3", "--columns", "station")
    assert found[0] == {"station": "K000"}
    assert len(found) == 3


@pytest.mark.usefixtures("table")
def test_sql(console: Console) -> None:
    query = "SELECT count(*) AS n FROM lake.weather.observations"
    assert console.json("sql", query) == [{"n": 42}]


@pytest.mark.usefixtures("table")
def test_rename(console: Console, lake: RestCatalog) -> None:
    console.ok("rename", "weather.observations", "observed")
    assert lake.list_tables("weather") == [("weather", "observed")]


@pytest.mark.usefixtures("table")
def test_drop(console: Console, lake: RestCatalog) -> None:
    console.ok("drop", "weather.observations", "--yes")
    assert lake.list_tables("weather") == []


def test_undrop(console: Console) -> None:
    status, problem = console.fails("undrop", "weather.observations")
    assert status == 1
    assert problem == f"Error: The catalog at {console.url} cannot undrop: only falcon-catalog can"


@pytest.mark.parametrize("command", ["tag", "branch"])
def test_tag_and_branch(console: Console, table: Table, command: str) -> None:
    console.ok(command, "weather.observations@v1", "october")
    refs = table.refresh().refs()
    assert (refs["october"].snapshot_id, refs["october"].snapshot_ref_type.value) == (
        ids(table)[0],
        command,
    )
    console.ok(command, "weather.observations", "october", "--delete")
    assert "october" not in table.refresh().refs()


def test_rollback(console: Console, table: Table) -> None:
    console.ok("rollback", "weather.observations@previous")
    current = table.refresh().current_snapshot()
    assert current is not None
    assert current.snapshot_id == ids(table)[0]
    assert table.scan().to_arrow().num_rows == 30


@pytest.mark.usefixtures("table")
def test_properties(console: Console, lake: RestCatalog, table: Table) -> None:
    console.ok("properties", "weather.observations", "comment=hourly", "x=1")
    console.ok("properties", "weather.observations", "--unset", "x")
    assert table.refresh().properties["comment"] == "hourly"
    assert "x" not in table.properties
    console.ok("properties", "weather", "contact=bea")
    assert lake.load_namespace_properties("weather")["contact"] == "bea"


def test_compact(console: Console, table: Table) -> None:
    before = sorted(table.scan().to_arrow().to_pylist(), key=str)
    console.ok("compact", "weather.observations", "--all")
    assert len(ids(table)) == 3
    assert sorted(table.scan().to_arrow().to_pylist(), key=str) == before


def test_expire(console: Console, table: Table) -> None:
    first, second = ids(table)
    with table.manage_snapshots() as change:
        change.remove_tag("v1")
    console.ok("expire", "weather.observations", "--older-than", "0s")
    assert ids(table) == [second]
    assert first != second
