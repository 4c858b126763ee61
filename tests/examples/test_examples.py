"""Each example runs on an empty catalog, shows what it says and leaves nothing behind."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog

from tests.catalog.serving import Server, serving

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
SAYS = {
    "schema_evolution": [
        "another shape, the same files: 2 rows\n   KEWR 1 20.5 None\n",
        "new rows have the new column: 4 rows\n",
        "   2 KJFK 18.5\nthe first snapshot's columns: station, day, temperature_c\n",
        "files written: 2\n",
    ],
    "time_travel": [
        "as it was, by snapshot: 2 rows\n   KEWR 1 20.5\n   KJFK 1 99.9\n",
        "as of its time it is the same: True\n",
        "append why: broken sensor\n",
        "rolled back: 2 rows\n   KEWR 1 20.5\n   KJFK 1 99.9\n",
    ],
    "branches_and_tags": [
        "main: 4 rows\n",
        "tag end-of-june: 2 rows\n",
        "branch experiment: 6 rows\n",
        "refs: end-of-june, main\n",
    ],
    "write_audit_publish": [
        "published\nnot published: 1 temperatures out of range\n",
        "out of range\nnot published: 1 rows twice\nwhat readers see: 4 rows\n",
    ],
    "table_maintenance": [
        "rewrite-manifests: manifests of data files 24 -> 1",
        "compact: data files 24 -> 1",
        "expire-snapshots: snapshots 26 -> 1 (deleted 74 files)",
        "rows before and after: 72 72\n",
    ],
    "row_level_changes": [
        "PyIceberg reads: 5 rows\n   KEWR 1 20.5\n   KJFK 1 21.0\n   KEWR 2 22.5\n",
        "   KJFK 2 18.0\n   KJFK 3 17.5\n",
        "DuckDB counts: 5 99.5\n",
        "with deletes: True\n",
    ],
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as one:
        yield one


def test_every_example_is_run_and_listed() -> None:
    scripts = {path.stem for path in EXAMPLES.glob("*.py")} - {"common"}
    assert scripts == set(SAYS)
    listed = (EXAMPLES / "README.md").read_text()
    assert all(f"[{name}.py]({name}.py)" in listed for name in scripts)


def run_example(name: str, url: str, folder: Path) -> None:
    """Run an example on a catalog; fail unless it shows what it should."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), "--catalog-uri", url],
        cwd=folder,
        env={"PYTHONPATH": str(REPOSITORY), "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for words in SAYS[name]:
        assert words in done.stdout, done.stdout


@pytest.mark.parametrize("name", SAYS)
def test_it_shows_what_it_says(server: Server, tmp_path: Path, name: str) -> None:
    run_example(name, server.url, tmp_path)
    assert server.ok("GET", "/v1/namespaces")["namespaces"] == []
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < 80


@pytest.fixture
def publishing(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example of write, audit, publish as a module."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    path = EXAMPLES / "write_audit_publish.py"
    spec = importlib.util.spec_from_file_location("write_audit_publish", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("when", ["before the check", "before publishing"])
def test_publishing_loses_no_other_writers_rows(
    server: Server, publishing: ModuleType, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = RestCatalog("x", uri=server.url, warehouse="default")
    catalog.create_namespace("ns")
    schema = publishing.weather(0).schema
    catalog.create_table("ns.t", schema).append(publishing.weather(1, 20.0))
    table = catalog.load_table("ns.t")
    audit, append = publishing.audit, table.append

    def others() -> None:
        catalog.load_table("ns.t").append(publishing.weather(9, 9.0))

    def audit_late(rows: pa.Table) -> list[str]:
        others()
        return list(audit(rows))

    def append_late(rows: pa.Table, branch: str) -> None:
        others()
        append(rows, branch=branch)

    if when == "before publishing":
        monkeypatch.setattr(publishing, "audit", audit_late)
        with pytest.raises(Exception, match="main has changed"):
            publishing.load(table, publishing.weather(2, 21.0))
    else:
        monkeypatch.setattr(table, "append", append_late)
        publishing.load(table, publishing.weather(2, 21.0))
    days = catalog.load_table("ns.t").scan().to_arrow().column("day").to_pylist()
    assert sorted(days) == [1, 9]
    catalog.close()
