"""The pages that compare snapshots, list files and advise, against what PyIceberg finds."""

import datetime as dt
import re
import shlex
import subprocess
import sys

import pyarrow as pa
import pytest
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform, IdentityTransform, MonthTransform
from pyiceberg.types import DoubleType, NestedField, StringType, TimestamptzType

from tests.processes import DEADLINE
from tests.several import PROCESSES
from tests.web.conftest import CLI, WARM, Served
from tests.web.test_tables import page_of, shown

MAINTENANCE = ["python", "-m", "jobs.maintenance"]
SCHEMA = Schema(
    NestedField(1, "station", StringType(), required=False),
    NestedField(2, "at", TimestamptzType(), required=False),
    NestedField(3, "temperature", DoubleType(), required=False),
)
SPEC = PartitionSpec(
    PartitionField(1, 1000, IdentityTransform(), "station"),
    PartitionField(2, 1001, DayTransform(), "at_day"),
)


def rows(*given: tuple[str, int]) -> pa.Table:
    found = [
        {"station": station, "at": dt.datetime(2026, 11, day, tzinfo=dt.UTC), "temperature": 1.0}
        for station, day in given
    ]
    return pa.Table.from_pylist(found, schema=SCHEMA.as_arrow())


@pytest.fixture(scope="module")
def partitioned(served: Served) -> Table:
    """A table of three partitions, one of which was deleted."""
    table = served.lake.create_table("weather.partitioned", SCHEMA, partition_spec=SPEC)
    table.append(rows(("KJFK", 1), ("KJFK", 1), ("KLGA", 2)))
    table.append(rows(("KJFK", 1), ("K/x", 3)))
    table.delete("station == 'KLGA'")
    return table


def compared(served: Served, name: str, older: object, newer: object) -> str:
    return served.get(page_of(name, "diff") + f"?from={older}&to={newer}&load=true").text


def files_at(table: Table, snapshot_id: int) -> set[str]:
    paths = table.inspect.files(snapshot_id=snapshot_id)["file_path"].to_pylist()
    return {path.rpartition("/")[2] for path in paths}


def test_changed_files_are_those_that_pyiceberg_finds(served: Served, partitioned: Table) -> None:
    ids = [entry.snapshot_id for entry in partitioned.history()]
    for older, newer in ((ids[0], ids[1]), (ids[0], ids[2]), (ids[2], ids[0])):
        page = compared(served, "partitioned", older, newer)
        before, after = files_at(partitioned, older), files_at(partitioned, newer)
        for sign, files in (("added", after - before), ("removed", before - after)):
            found = re.findall(rf'<td class="{sign}"><code title="[^"]*">([^<]*)</code>', page)
            assert set(found) == files
            assert len(found) == len(files)


def test_changes_are_counted_by_partition(served: Served, partitioned: Table) -> None:
    first, _, last = (entry.snapshot_id for entry in partitioned.history())
    page = compared(served, "partitioned", first, last)
    table = page.partition("Changes by partition")[2].partition("</table>")[0]
    found = [shown(row).split() for row in re.findall(r"<tr><th.*?</tr>", table)]
    changed = {row[0]: [row[1] + row[2], row[3] + row[4]] for row in found if row[1:3]}
    changed.pop("Partition", None)
    assert changed == {
        "station=K/x/at_day=2026-11-03": ["+1", "+1"],
        "station=KJFK/at_day=2026-11-01": ["+1", "+1"],
        "station=KLGA/at_day=2026-11-02": ["&minus;1", "&minus;1"],
    }


def test_a_rewritten_manifest_changes_no_file(served: Served) -> None:
    table = served.lake.create_table(
        "weather.merged",
        WARM.schema,
        properties={
            "commit.manifest-merge.enabled": "true",
            "commit.manifest.min-count-to-merge": "2",
        },
    )
    for _ in range(4):
        table.append(WARM)
    ids = [entry.snapshot_id for entry in table.history()]
    page = compared(served, "merged", ids[0], ids[3])
    assert len(table.inspect.manifests()) < 4
    assert "Added: 3" in shown(page)
    assert "Removed: 0" in shown(page)


def test_changed_columns_are_compared_by_id(served: Served) -> None:
    table = served.lake.create_table("weather.evolving", SCHEMA)
    table.append(rows(("KJFK", 1)))
    with table.update_schema() as update:
        update.rename_column("temperature", "air_temperature")
        update.delete_column("at")
        update.add_column("humidity", DoubleType())
    table.append(pa.table({"station": ["KJFK"], "air_temperature": [1.0], "humidity": [2.0]}))
    older, newer = (entry.snapshot_id for entry in table.history())
    section = shown(compared(served, "evolving", older, newer).partition('id="schema"')[2])
    changes = section.partition("Partitioning, sort")[0]
    assert "3 air_temperature renamed from temperature to air_temperature" in changes
    assert "2 at removed timestamptz" in changes
    assert "4 humidity added double" in changes
    assert "station" not in changes


def test_settings_are_compared_as_they_were_at_each_snapshot(served: Served) -> None:
    table = served.lake.create_table("weather.settings", SCHEMA, properties={"owner": "old"})
    table.append(rows(("KJFK", 1)))
    with table.transaction() as change:
        change.set_properties({"owner": "new", "added": "yes"})
    with table.update_spec() as spec:
        spec.add_field("at", MonthTransform(), "at_month")
    table.append(rows(("KJFK", 2)))
    with table.transaction() as change:
        change.set_properties({"owner": "newest"})
    older, newer = (entry.snapshot_id for entry in table.history())
    text = shown(compared(served, "settings", older, newer))
    assert "Partition spec unpartitioned month(at) " in text
    assert "owner old new " in text
    assert " added yes " in text
    assert "newest" not in text
    assert "at_month=2026-11" in text


def test_snapshots_are_compared_by_ref_and_time(served: Served, partitioned: Table) -> None:
    first = partitioned.history()[0].snapshot_id
    partitioned.manage_snapshots().create_tag(first, "first").commit()
    by_ref = shown(compared(served, "partitioned", "first", "main"))
    assert f"From {first} " in by_ref
    assert "2 commits lie between them" in by_ref
    missing = served.get(page_of("partitioned", "diff") + "?from=nothing")
    assert missing.status_code == 400
    assert "is no branch or tag" in missing.text
    for part, query, field in (("diff", "from=nothing", "from"), ("files", "at=nothing", "at")):
        page = served.get(page_of("partitioned", part) + f"?{query}")
        assert page.status_code == 400
        assert "is no branch or tag" in page.text
        assert f'name="{field}" value="nothing"' in page.text


def test_a_table_is_compared_with_nothing_before_its_first_snapshot(served: Served) -> None:
    table = served.lake.create_table("weather.young", WARM.schema)
    assert "nothing to compare" in served.get(page_of("young", "diff")).text
    table.append(WARM)
    text = shown(served.get(page_of("young", "diff") + "?load=true").text)
    assert "From the empty table to" in text
    assert "Added: 1" in text


def test_files_are_those_of_the_snapshot(served: Served, partitioned: Table) -> None:
    for snapshot_id in (None, partitioned.history()[0].snapshot_id):
        page = served.get(
            page_of("partitioned", "files") + f"?at={snapshot_id or ''}&load=true"
        ).text
        expected = partitioned.inspect.files(snapshot_id=snapshot_id)
        names = [path.rpartition("/")[2] for path in expected["file_path"].to_pylist()]
        assert sorted(re.findall(r'<td><code title="[^"]*">([^<]*)</code>', page)) == sorted(names)
        text = shown(page)
        assert f"Data files {len(names)} " in text
        assert f"Rows {sum(expected['record_count'].to_pylist())} " in text
        assert f"{len(names)} of {len(names)} data files are small" in text
        assert "station=KJFK/at_day=2026-11-01" in text


def test_files_that_many_manifests_name_are_loaded_afterwards(served: Served) -> None:
    table = served.lake.create_table("weather.many", WARM.schema)
    for _ in range(40):
        table.append(WARM)
    page = served.get(page_of("many", "files")).text
    link = re.search(r'hx-get="([^"]*)"', page)
    assert link is not None
    assert "Median size" not in page
    for _ in range(PROCESSES):  # a balancer takes turns
        loaded = served.get(link[1].replace("&amp;", "&"), **{"HX-Request": "true"}).text
        assert '<section id="all-files">' in loaded
        assert "Data files 40 " in shown(loaded)
    assert "Median size" in served.get(page_of("many", "files")).text  # it is kept


def test_advice_names_what_the_table_needs(served: Served) -> None:
    table = served.lake.create_table(
        "weather.advised", WARM.schema, properties={"history.expire.max-snapshot-age-ms": "1"}
    )
    url = page_of("advised", "maintenance") + "?load=true"
    assert "needs no maintenance" in served.get(url).text
    for _ in range(5):
        table.append(WARM)
    page = served.get(url).text
    assert "5 data files are below 384 MiB" in page
    assert "4 of 5 snapshots are older" in page
    commands = re.findall(r"<pre[^>]*>([^<]*)</pre>", page)
    assert [shlex.split(command) for command in commands] == [
        ["falcon-catalog", "compact", "--uri", served.url, "weather.advised"],
        ["falcon-catalog", "expire", "--uri", served.url, "weather.advised"],
        [*MAINTENANCE, "--catalog-uri", served.url, "remove-orphans", "weather.advised"],
    ]
    for command in commands:
        words = shlex.split(command)
        program = CLI if words[0] == "falcon-catalog" else [sys.executable, *MAINTENANCE[1:]]
        rest = words[1:] if words[0] == "falcon-catalog" else words[3:]
        done = subprocess.run(
            [*program, *rest, *(["--dry-run"] if program is CLI else [])],
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE,
        )
        assert done.returncode == 0, done.stderr
    table.maintenance.expire_snapshots().by_id(table.history()[0].snapshot_id).commit()
    assert re.search(r"<li>.*by anonymous</li>", served.get(url).text)


@pytest.mark.usefixtures("partitioned")
def test_files_of_partitions_that_have_few_are_not_joined(served: Served) -> None:
    text = served.get(page_of("partitioned", "maintenance") + "?load=true").text
    assert "Compact small files" not in text
