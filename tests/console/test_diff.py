"""``falcon-catalog diff``."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.table import Table
from pyiceberg.types import IntegerType

from tests.console.conftest import SCHEMA, Console, rows

T = "weather.observations"


def test_files_and_rows_of_an_append(console: Console, observations: Table) -> None:
    first, second = (each.snapshot_id for each in observations.snapshots())
    found = console.json("diff", f"{T}@v1..main", "--rows")
    assert (found["old"], found["new"]) == (first, second)
    assert found["changes"] == []
    assert found["files-removed"] == []
    assert [file["rows"] for file in found["files-added"]] == [12]
    assert found["rows-removed"] == []
    assert sorted(row["temperature"] for row in found["rows-added"]) == list(range(12))
    assert found == console.json("diff", f"{T}@v1", f"{T}@audit", "--rows")
    assert found == console.json("diff", f"{T}@-1", "--rows")
    back = console.json("diff", f"{T}@main..v1", "--rows")
    assert back["rows-removed"] == found["rows-added"]


def test_rewritten_rows_are_left_out(console: Console, observations: Table) -> None:
    observations.delete("station = 'K003'")
    found = console.json("diff", f"{T}@previous", "--rows")
    assert len(found["files-removed"]) == 2
    assert {row["station"] for row in found["rows-removed"]} == {"K003"}
    assert (len(found["rows-removed"]), found["rows-added"]) == (8, [])
    text = console.ok("diff", f"{T}@previous", "--rows", "--files", "-n", "3")
    assert "Rows: 8 removed, 0 added" in text
    assert "5 more: -n shows them" in text


def test_changes_of_columns_and_properties(console: Console, observations: Table) -> None:
    with observations.update_schema() as change:
        change.add_column("pressure", IntegerType(), "hPa")
        change.rename_column("temperature", "celsius")
        change.delete_column("layers")
        change.update_column("station", doc="of the airport")
    with observations.transaction() as transaction:
        transaction.set_properties({"owner": "ann"})
    found = console.json("diff", f"{T}@v1..")
    changed = {change["what"]: (change["old"], change["new"]) for change in found["changes"]}
    assert found["metadata-compared"] is True
    assert changed == {
        "column layers": ("list optional", None),
        "column layers.element": ("string optional", None),
        "column station: doc": ("of the service", "of the airport"),
        "column celsius: name": ("temperature", "celsius"),
        "column pressure": (None, "int optional"),
        "property owner": (None, "ann"),
    }


def test_without_its_metadata_file_properties_are_not_compared(
    console: Console, observations: Table
) -> None:
    for entry in observations.metadata.metadata_log:
        Path(urlsplit(entry.metadata_file).path).unlink()
    assert console.json("diff", f"{T}@v1")["metadata-compared"] is False
    assert "properties were not compared" in console.ok("diff", f"{T}@v1")


@pytest.mark.usefixtures("observations")
def test_the_exit_status_shows_differences(console: Console) -> None:
    assert console.ok("diff", f"{T}@audit..main", "--exit-code")
    done = console.run("diff", f"{T}@v1..main", "--exit-code", "--uri", console.url)
    assert done.exit_code == 3
    assert console.run("diff", f"{T}@v1..main", "--uri", console.url).exit_code == 0


@pytest.mark.usefixtures("observations")
@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ((T,), 2, f"name a snapshot: {T}@-1, {T}@v1..main"),
        ((f"{T}@v1", "weather.other@v1"), 2, "are not the same table"),
        ((f"{T}@v1..audt",), 4, "has no branch or tag audt (did you mean audit?)"),
    ],
)
def test_wrong_sides(console: Console, words: tuple[str, ...], status: int, message: str) -> None:
    assert (console.fails("diff", *words)[0], message in console.fails("diff", *words)[1]) == (
        status,
        True,
    )


def test_the_rows_that_are_read_are_bounded(
    console: Console, catalog: RestCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.create_namespace("ns")
    made = catalog.create_table("ns.t", SCHEMA)
    for day in (1, 2):
        made.append(rows(4, day, made.schema()))
    monkeypatch.setattr("falcon_catalog.console.row_changes.MOST_ROWS", 3)
    status, line = console.fails("diff", "ns.t@-1", "--rows")
    assert status == 1
    assert "the files that differ have 4 rows, more than 3" in line
