"""Commands that change a catalog: each is checked with PyIceberg, or over HTTP."""

import json

import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from tests.catalog.serving import Server
from tests.console.conftest import Console, rows

TABLE = "weather.observations"
VIEW = {
    "name": "latest",
    "schema": {"type": "struct", "fields": []},
    "view-version": {
        "version-id": 1,
        "timestamp-ms": 1_793_000_000_000,
        "schema-id": 0,
        "summary": {},
        "default-namespace": ["weather"],
        "representations": [{"type": "sql", "dialect": "duckdb", "sql": "SELECT 1"}],
    },
    "properties": {},
}


@pytest.fixture
def view(server: Server, observations: Table) -> str:  # noqa: ARG001 - in its namespace
    server.ok("POST", "/v1/namespaces/weather/views", VIEW)
    return "weather.latest"


class TestRename:
    def test_within_the_namespace_and_to_another(
        self, console: Console, catalog: RestCatalog, observations: Table
    ) -> None:
        assert (
            console.ok("rename", TABLE, "obs") == "table weather.observations is now weather.obs\n"
        )
        catalog.create_namespace("archive")
        assert console.ok("rename", "weather.obs", "archive.obs", "-q") == "archive.obs\n"
        assert catalog.load_table("archive.obs").metadata.table_uuid == (
            observations.metadata.table_uuid
        )

    def test_a_view(self, console: Console, catalog: RestCatalog, view: str) -> None:
        console.ok("rename", view, "newest")
        assert catalog.view_exists("weather.newest")
        assert not catalog.view_exists(view)

    def test_a_name_that_is_taken(
        self, console: Console, catalog: RestCatalog, observations: Table
    ) -> None:
        catalog.create_table("weather.other", observations.schema())
        assert console.fails("rename", TABLE, "other") == (
            1,
            "Error: Cannot rename weather.observations to weather.other. Table already exists",
        )
        assert catalog.table_exists(TABLE)

    def test_a_namespace_that_does_not_exist(
        self, console: Console, catalog: RestCatalog, view: str
    ) -> None:
        catalog.create_namespace("archive")
        for name in (TABLE, view):
            assert console.fails("rename", name, "arch.x") == (
                4,
                "Error: There is no namespace arch (did you mean archive?)",
            )


class TestDrop:
    @pytest.mark.usefixtures("observations")
    def test_a_table_comes_back_with_its_rows(self, console: Console, catalog: RestCatalog) -> None:
        assert console.ok("drop", TABLE, "--yes") == "table weather.observations is dropped\n"
        with pytest.raises(NoSuchTableError):
            catalog.load_table(TABLE)
        assert console.ok("undrop", TABLE) == "table weather.observations is back\n"
        assert len(catalog.load_table(TABLE).scan().to_arrow()) == 42

    @pytest.mark.usefixtures("observations")
    def test_a_purge_and_another_name(self, console: Console, catalog: RestCatalog) -> None:
        console.ok("drop", TABLE, "--purge", "-y")
        catalog.create_namespace("archive")
        document = json.loads(console.ok("undrop", TABLE, "--as", "archive.kept", "--json"))
        assert document["restored-as"] == {"namespace": ["archive"], "name": "kept"}
        assert catalog.table_exists("archive.kept")

    def test_the_one_dropped_last_comes_back(
        self, console: Console, catalog: RestCatalog, observations: Table
    ) -> None:
        console.ok("drop", TABLE, "-y")
        newer = catalog.create_table(TABLE, observations.schema())
        console.ok("drop", TABLE, "-y")
        console.ok("undrop", TABLE)
        assert catalog.load_table(TABLE).metadata.table_uuid == newer.metadata.table_uuid

    @pytest.mark.usefixtures("observations")
    def test_nothing_is_dropped_without_an_answer(
        self, console: Console, catalog: RestCatalog
    ) -> None:
        status, line = console.fails("drop", TABLE, input="")
        assert (status, line) == (
            1,
            "Error: Drop table weather.observations? Give --yes where nobody can be asked",
        )
        assert catalog.table_exists(TABLE)

    def test_a_view_and_an_empty_namespace(
        self, console: Console, catalog: RestCatalog, view: str
    ) -> None:
        assert console.fails("drop", view, "--purge", "-y")[0] == 2
        console.ok("drop", view, "-y")
        assert not catalog.view_exists(view)
        status, line = console.fails("drop", "weather", "-y")
        assert (status, "Namespace weather is not empty" in line) == (1, True)
        console.ok("drop", TABLE, "-y")
        assert console.json("drop", "weather", "-y") == {
            "name": "weather",
            "parts": ["weather"],
            "kind": "namespace",
        }
        assert catalog.list_namespaces() == []

    @pytest.mark.usefixtures("observations")
    def test_a_name_that_was_not_dropped(self, console: Console) -> None:
        console.ok("drop", TABLE, "-y")
        status, line = console.fails("undrop", "weather.observation")
        assert (status, "(did you mean weather.observations?)" in line) == (4, True)


class TestRefs:
    def test_a_tag_is_made_moved_listed_and_removed(
        self, console: Console, catalog: RestCatalog, observations: Table
    ) -> None:
        first, second = (each.snapshot_id for each in observations.snapshots())
        console.ok("tag", f"{TABLE}@previous", "before", "--keep", "30d")
        ref = catalog.load_table(TABLE).metadata.refs["before"]
        assert (ref.snapshot_id, ref.max_ref_age_ms) == (first, 30 * 86400 * 1000)
        status, line = console.fails("tag", TABLE, "before")
        assert status == 1
        assert f"already, at snapshot {first}: --replace moves it to {second}" in line
        console.ok("tag", TABLE, "before", "--replace")
        moved = catalog.load_table(TABLE).metadata.refs["before"]
        assert (moved.snapshot_id, moved.max_ref_age_ms) == (second, 30 * 86400 * 1000)
        assert console.ok("tag", TABLE, "-q").split() == ["before", "v1"]
        console.ok("tag", TABLE, "before", "--delete")
        assert "before" not in catalog.load_table(TABLE).metadata.refs

    def test_a_branch_begins_at_a_snapshot(
        self, console: Console, catalog: RestCatalog, observations: Table
    ) -> None:
        first = observations.snapshots()[0].snapshot_id
        assert console.json("branch", f"{TABLE}@v1", "retry") == {
            "name": TABLE,
            "branch": "retry",
            "snapshot-id": first,
        }
        assert catalog.load_table(TABLE).metadata.refs["retry"].snapshot_ref_type == "branch"
        assert console.ok("branch", TABLE, "-q").split() == ["audit", "main", "retry"]
        assert console.fails("branch", TABLE, "v1", "--replace")[0] == 1  # it is a tag
        assert console.fails("branch", TABLE, "main", "--delete")[0] == 1
        assert console.fails("branch", TABLE, "retri", "-d") == (
            4,
            "Error: the table has no branch retri (did you mean retry?)",
        )

    @pytest.mark.parametrize(
        "words",
        [
            ["tag", TABLE, "x", "--keep", "soon"],
            ["tag", TABLE, "--delete"],
            ["tag", f"{TABLE}@v1"],
            ["branch", TABLE, "x", "--delete", "--replace"],
            ["rollback", TABLE],
        ],
    )
    @pytest.mark.usefixtures("observations")
    def test_wrong_usage(self, console: Console, words: list[str]) -> None:
        assert console.fails(*words)[0] == 2


class TestRollback:
    def test_to_an_ancestor_and_forward_again(
        self, console: Console, catalog: RestCatalog, observations: Table
    ) -> None:
        first, second = (each.snapshot_id for each in observations.snapshots())
        dry = console.json("rollback", f"{TABLE}@previous", "--dry-run")
        assert (dry["before"], dry["after"], dry["dry-run"]) == (second, first, True)
        assert len(catalog.load_table(TABLE).scan().to_arrow()) == 42
        console.ok("rollback", f"{TABLE}@previous")
        assert len(catalog.load_table(TABLE).scan().to_arrow()) == 30
        status, line = console.fails("rollback", f"{TABLE}@{second}")
        assert (status, "is no ancestor of branch main" in line) == (1, True)
        console.ok("rollback", f"{TABLE}@{second}", "--any")
        assert len(catalog.load_table(TABLE).scan().to_arrow()) == 42

    def test_of_a_branch_leaves_main(
        self, console: Console, catalog: RestCatalog, observations: Table
    ) -> None:
        first = observations.snapshots()[0].snapshot_id
        console.ok("rollback", f"{TABLE}@v1", "--branch", "audit")
        refs = catalog.load_table(TABLE).metadata.refs
        assert refs["audit"].snapshot_id == first
        assert refs["main"].snapshot_id != first


class TestProperties:
    @pytest.mark.usefixtures("observations")
    def test_of_a_table(self, console: Console, catalog: RestCatalog) -> None:
        console.ok("properties", TABLE, "comment=Hourly, a=b", "owner=ann")
        before = catalog.load_table(TABLE).properties
        assert (before["comment"], before["owner"]) == ("Hourly, a=b", "ann")
        assert console.ok("properties", TABLE, "owner", "-q") == "ann\n"
        del before["owner"]
        assert console.json("properties", TABLE, "--unset", "owner") == before
        assert catalog.load_table(TABLE).properties == before

    @pytest.mark.usefixtures("observations")
    def test_of_a_namespace(self, console: Console, catalog: RestCatalog) -> None:
        console.ok("properties", "weather", "team=sky", "--unset", "owner")
        properties = catalog.load_namespace_properties("weather")
        assert properties["team"] == "sky"
        assert "owner" not in properties

    def test_of_a_view(self, console: Console, catalog: RestCatalog, view: str) -> None:
        console.ok("properties", view, "comment=The newest")
        assert catalog.load_view(view).properties == {"comment": "The newest"}

    @pytest.mark.usefixtures("observations")
    def test_a_key_that_is_not_there(self, console: Console) -> None:
        assert console.fails("properties", "weather", "ownr") == (
            4,
            "Error: weather has no property ownr (did you mean owner?)",
        )
        assert console.fails("properties", "weather", "--unset", "x", "owner=bob")[0] == 4
        assert console.ok("properties", "weather", "owner", "-q") == "ann\n"

    @pytest.mark.parametrize(
        "words", [["a=1", "--unset", "a"], ["owner", "a=1"], ["=1"]], ids=lambda words: words[0]
    )
    @pytest.mark.usefixtures("observations")
    def test_wrong_usage(self, console: Console, words: list[str]) -> None:
        assert console.fails("properties", "weather", *words)[0] == 2


class TestMaintenance:
    def test_compact_and_expire(
        self,
        console: Console,
        catalog: RestCatalog,
        observations: Table,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        for _ in range(3):
            observations.append(rows(6, 2))
        console.ok("compact", TABLE, "--all", "--json")
        (result,) = json.loads(capfd.readouterr().out)
        assert result["table"] == TABLE
        loaded = catalog.load_table(TABLE)
        assert loaded.current_snapshot().summary.operation.value == "replace"
        assert len(loaded.scan().to_arrow()) == 60
        console.ok("expire", TABLE, "--older-than", "0m", "--quiet")
        left = {each.snapshot_id for each in catalog.load_table(TABLE).snapshots()}
        assert left == {each.snapshot_id for each in loaded.metadata.refs.values()} | {
            loaded.current_snapshot().snapshot_id
        }

    @pytest.mark.usefixtures("observations")
    def test_what_does_not_exist(self, console: Console) -> None:
        assert console.fails("compact", TABLE, f"{TABLE}s") == (
            4,
            f"Error: There is no table, view or namespace {TABLE}s (did you mean {TABLE}?)",
        )
        assert console.fails("expire", "wether.*") == (
            4,
            "Error: There is no namespace wether (did you mean weather?)",
        )

    @pytest.mark.usefixtures("observations")
    def test_wrong_usage(self, console: Console, capfd: pytest.CaptureFixture[str]) -> None:
        assert console.fails("compact", f"{TABLE}@v1")[0] == 2
        done = console.run("expire", TABLE, "--older-than", "soon", "--uri", console.url)
        assert done.exit_code == 2
        assert capfd.readouterr().err == (
            "Error: Invalid value for '--older-than': 'soon': give a number and s, m, h, d or w,"
            " such as 5d\n"
        )

    @pytest.mark.usefixtures("observations")
    def test_what_stays_is_named_once(
        self, console: Console, capfd: pytest.CaptureFixture[str]
    ) -> None:
        console.ok("expire", TABLE)
        last = capfd.readouterr().out.splitlines()[-1]
        assert last == f"{TABLE}: unchanged: no snapshot is old enough and not needed"
