"""Tables that come after one another in a folder or a name, and files that are whose they are."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import NoSuchTableError, TableAlreadyExistsError

from falcon_catalog.catalog import marker
from falcon_catalog.cli import main
from tests.catalog.conftest import Start
from tests.catalog.serving import Server, serving, sql
from tests.scenarios.processes import needs_strace, run
from tests.scenarios.steps import (
    ARROW,
    TABLES,
    T,
    append,
    client_of,
    files_below,
    flags,
    ids_in,
    path_of,
    rows,
)

REGISTER = "/v1/namespaces/ns/register"


@pytest.fixture
def client(ns: Server) -> RestCatalog:
    return client_of(ns.url)


def filled(client: RestCatalog, name: str, *ids: int, **options: Any) -> Path:
    """Make a table with rows; return its folder."""
    table = client.create_table(name, ARROW, **options)
    table.append(rows(*ids))
    return path_of(table.location())


def maintain(folder: Path) -> str:
    """Let go of what was dropped, its retention over."""
    sql(folder, "UPDATE dropped_tabulars SET expires_at = 0, leased_until = NULL")
    done = CliRunner().invoke(main, ["maintain", *flags(folder)])
    assert done.exit_code == 0, done.output
    return done.output


class TestNames:
    def test_13_a_renamed_table_and_its_namesake_share_no_folder(
        self, ns: Server, client: RestCatalog
    ) -> None:
        old = filled(client, "ns.a", 1)
        client.rename_table("ns.a", "ns.b")
        new = filled(client, "ns.a", 2)
        assert new != old
        assert new not in old.parents
        assert old not in new.parents
        client.purge_table("ns.a")
        assert "ns.a: purged" in maintain(ns.folder)
        assert files_below(new) == set()
        assert ids_in(ns.url, "ns.b") == [1]

    @pytest.mark.slow
    def test_14_a_hundred_swaps_as_dbt_makes_them_lose_no_row(
        self, start: Start, tmp_path: Path
    ) -> None:
        server = start(warehouse__drop_retention=0)
        server.namespace("ns")
        client = client_of(server.url)
        filled(client, "ns.t", 0)
        for number in range(1, 101):
            filled(client, "ns.t__dbt_tmp", number)
            client.rename_table("ns.t", "ns.t__dbt_backup")
            client.rename_table("ns.t__dbt_tmp", "ns.t")
            client.purge_table("ns.t__dbt_backup")
            if number % 10 == 0:
                assert maintain(tmp_path).count("purged") == 10
                assert ids_in(server.url) == [number]
        [(_, name)] = client.list_tables("ns")
        assert name == "t"
        whole = files_below(path_of(client.load_table("ns.t").location()))
        assert files_below(server.warehouse) == whole | {server.warehouse / marker.NAME}

    def test_16_a_name_used_again_reads_no_old_row(self, ns: Server, client: RestCatalog) -> None:
        first = filled(client, "ns.t", 1)
        client.drop_table("ns.t")
        second = filled(client, "ns.t", 2)
        assert ids_in(ns.url) == [2]
        client.purge_table("ns.t")
        maintain(ns.folder)
        third = filled(client, "ns.t", 3)
        assert ids_in(ns.url) == [3]
        assert len({first, second, third}) == 3


class TestPurges:
    def test_15_a_purge_spares_the_files_of_another_in_the_same_folder(self, start: Start) -> None:
        server = start(warehouse__allow_overlap=True)
        server.namespace("ns")
        client = client_of(server.url)
        location = f"file://{server.warehouse}/shared"
        filled(client, "ns.a", 1, location=location)
        filled(client, "ns.b", 2, location=location)
        client.purge_table("ns.a")
        assert "ns.a: purged, 0 files deleted" in maintain(server.folder)
        assert ids_in(server.url, "ns.b") == [2]

    @needs_strace
    @pytest.mark.parametrize("nth", [1, 2, 3])
    def test_17_a_purge_that_is_killed_leaves_no_half_table_and_goes_on(
        self, ns: Server, client: RestCatalog, nth: int
    ) -> None:
        folder = filled(client, "ns.t", 1)
        metadata = path_of(ns.ok("GET", T)["metadata-location"])
        client.purge_table("ns.t")
        sql(ns.folder, "UPDATE dropped_tabulars SET expires_at = 0")
        killed = run("maintain", folder=ns.folder, inject=f"unlinkat:signal=SIGKILL:when={nth}")
        assert killed.returncode != 0
        assert metadata.is_file()  # what leads to the others goes last
        assert ns.fails("GET", T)[0] == 404  # it was no table any more before a file went
        filled(client, "ns.t", 2)  # and its name is free
        assert "ns.t: purged" in maintain(ns.folder)
        assert files_below(folder) == set()
        assert ids_in(ns.url) == [2]

    def test_17_a_table_without_its_metadata_can_be_dropped_and_its_purge_given_up(
        self, ns: Server, client: RestCatalog
    ) -> None:
        """A metadata file that is missing does not say that the others are: that is for people."""
        shutil.rmtree(filled(client, "ns.t", 1))
        client.purge_table("ns.t")
        told = maintain(ns.folder)
        assert "ns.t: not purged yet: its metadata file" in told
        [repair] = re.findall("forget-drop=[0-9]+", told)
        filled(client, "ns.t", 2)
        assert ids_in(ns.url) == [2]
        done = CliRunner().invoke(main, ["doctor", "--repair", repair, *flags(ns.folder)])
        assert done.exit_code == 0, done.output
        assert maintain(ns.folder) == "Nothing to do.\n"
        assert ids_in(ns.url) == [2]

    @pytest.mark.parametrize("drop", ["DELETE", "unregister"])
    def test_18_what_was_not_to_be_purged_keeps_every_file(
        self, ns: Server, client: RestCatalog, drop: str
    ) -> None:
        folder = filled(client, "ns.t", 1)
        before = files_below(folder)
        known = ns.ok("GET", T)["metadata-location"]
        if drop == "DELETE":
            ns.ok("DELETE", T)
        else:
            ns.ok("POST", f"{T}/unregister")
        assert "purged" not in maintain(ns.folder)
        assert files_below(folder) == before
        ns.ok("POST", REGISTER, {"name": "t", "metadata-location": known})
        assert ids_in(ns.url) == [1]

    def test_19_a_failed_register_touches_no_file(self, ns: Server, client: RestCatalog) -> None:
        folder = filled(client, "ns.t", 1)
        known = path_of(ns.ok("GET", T)["metadata-location"])
        ns.table("taken")
        bad = known.with_name("00009-x.metadata.json")
        bad.write_bytes(known.read_bytes()[:-20])
        before = {path: path.read_bytes() for path in files_below(folder)}
        for name, path, status in (
            ("taken", known, 409),
            ("u", known, 403),
            ("u", bad, 400),
            ("", known, 400),
        ):
            body = {"name": name, "metadata-location": f"file://{path}"}
            assert ns.fails("POST", REGISTER, body)[0] == status
        assert (
            ns.fails(
                "POST",
                "/v1/namespaces/none/register",
                {"name": "u", "metadata-location": f"file://{known}"},
            )[0]
            == 404
        )
        assert {path: path.read_bytes() for path in files_below(folder)} == before

    SPELLINGS: tuple[Callable[[Path], str], ...] = (
        lambda path: f"file://{path}",
        lambda path: f"file:{path}",
        str,
        lambda path: f"file://localhost{path}/",
        lambda path: f"FILE://{path}",
        lambda path: f"file:///{path}//",
        lambda path: f"file://{path.parent}/./{path.name}",
    )

    @pytest.mark.parametrize("spelling", SPELLINGS, ids=[s(Path("/x")) for s in SPELLINGS])
    def test_21_a_purge_knows_a_living_table_however_its_place_is_spelled(
        self, start: Start, spelling: Callable[[Path], str]
    ) -> None:
        server = start(warehouse__allow_overlap=True)
        server.namespace("ns")
        client = client_of(server.url)
        folder = server.warehouse / "shared"
        filled(client, "ns.gone", 1, location=f"file://{folder}")
        filled(client, "ns.alive", 2, location=f"file://{folder}/inner")
        alive = client.load_table("ns.alive")
        # The table to be purged names a file of the living one, and so does its own folder.
        named = spelling(path_of(alive.metadata_location))
        statistics = {
            "snapshot-id": (gone := client.load_table("ns.gone")).current_snapshot().snapshot_id,
            "statistics-path": named.rstrip("/"),
            "file-size-in-bytes": 1,
            "file-footer-size-in-bytes": 1,
            "blob-metadata": [],
        }
        update = {
            "action": "set-statistics",
            "snapshot-id": statistics["snapshot-id"],
            "statistics": statistics,
        }
        moved = {"action": "set-location", "location": spelling(folder / "inner")}
        server.ok("POST", f"{TABLES}/gone", {"updates": [update]})
        server.ok("POST", f"{TABLES}/alive", {"updates": [moved]})
        assert gone.location() != alive.location()
        client.purge_table("ns.gone")
        assert ", 1 kept" in maintain(server.folder)
        assert ids_in(server.url, "ns.alive") == [2]

    def test_22_a_purge_keeps_what_other_tables_reach_and_goes_on(
        self, ns: Server, client: RestCatalog
    ) -> None:
        filled(client, "ns.u", 2)
        folder = filled(client, "ns.t", 1)
        table = client.load_table("ns.t")
        for number, location in enumerate(
            (client.load_table("ns.u").metadata_location, "s3://bucket/elsewhere", "file:///../x")
        ):
            manifest_list = append(number + 5, parent=None)
            snapshot = manifest_list["updates"][0]["snapshot"]
            snapshot |= {"manifest-list": location, "sequence-number": number + 5}
            change = {"updates": manifest_list["updates"][:1]}
            if number == 0:
                ns.ok("POST", T, change)
            else:
                assert ns.fails("POST", T, change)[0] == 400
        client.purge_table("ns.t")
        assert ", 1 kept" in maintain(ns.folder)
        assert files_below(folder) == set()
        assert table.metadata.snapshots
        assert ids_in(ns.url, "ns.u") == [2]


class TestBesideWriters:
    def test_20_what_a_running_write_has_made_is_not_cleaned_up(
        self, ns: Server, client: RestCatalog
    ) -> None:
        folder = filled(client, "ns.t", 1)
        table = client.load_table("ns.t")
        with table.transaction() as writing:
            writing.append(rows(2))
            files = files_below(folder)
            ns.table("other")
            client.purge_table("ns.other")
            maintain(ns.folder)
            assert files_below(folder) >= files
        assert ids_in(ns.url) == [1, 2]

    def test_20_what_was_written_for_a_table_that_comes_back_is_there(
        self, ns: Server, client: RestCatalog
    ) -> None:
        """A purge that is not due touches nothing, and one that was called off never will."""
        filled(client, "ns.t", 1)
        client.purge_table("ns.t")
        done = CliRunner().invoke(main, ["maintain", *flags(ns.folder)])
        assert done.output == "Nothing to do.\n"
        CliRunner().invoke(main, ["undrop", "1", *flags(ns.folder)])
        assert maintain(ns.folder) == "Nothing to do.\n"
        assert ids_in(ns.url) == [1]


class TestMissingFiles:
    def test_28_missing_metadata_is_told_the_same_each_time_and_blocks_nothing(
        self, ns: Server, client: RestCatalog
    ) -> None:
        filled(client, "ns.t", 1)
        filled(client, "ns.u", 2)
        location = ns.ok("GET", T)["metadata-location"]
        path_of(location).rename(ns.folder / "away")
        with serving(ns.folder) as other:  # which does not have it in memory
            told = {other.fails("GET", T) for _ in range(3)}
            told.add(other.fails("POST", T, append(1, parent=None)))
            told.add(other.fails("POST", f"{T}/unregister"))
            message = (
                f"Failed to open input stream for file: {location}. This is the current metadata"
                " file of table ns.t, which exists: falcon-catalog doctor names the repair"
            )
            assert told == {(404, "NotFoundException", message)}
            assert other.fails("POST", f"{T}/plan", {})[:2] == (404, "NotFoundException")
            assert len(client.list_tables("ns")) == 2
            assert other.call("HEAD", T).status_code == 204
            # A client that takes it for "no such table" cannot make another one.
            again = RestCatalog("again", uri=other.url)
            with pytest.raises(NoSuchTableError):
                again.load_table("ns.t")
            with pytest.raises(TableAlreadyExistsError):
                again.create_table("ns.t", ARROW)
            with pytest.raises(NoSuchTableError):
                again.create_table_if_not_exists("ns.t", ARROW)
            with pytest.raises(TableAlreadyExistsError):
                again.create_table_transaction("ns.t", ARROW)
            assert ids_in(other.url, "ns.u") == [2]
            old, new = ({"namespace": ["ns"], "name": name} for name in ("t", "broken"))
            other.ok("POST", "/v1/tables/rename", {"source": old, "destination": new})
        (ns.folder / "away").rename(path_of(location))
        assert ids_in(ns.url, "ns.broken") == [1]
