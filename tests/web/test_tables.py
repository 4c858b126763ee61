"""The pages of a table, after changes that PyIceberg made."""

import re
from urllib.parse import quote

import pyarrow as pa
import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import DoubleType, ListType, NestedField, StringType, StructType

from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.web import paths
from tests.web.conftest import WARM, Served

WEATHER = Namespace(("weather",))


def page_of(name: str, part: str = "") -> str:
    return paths.to_table("default", TableIdentifier(WEATHER, name), part)


def shown(text: str) -> str:
    """Return the text of a page without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))


@pytest.fixture(scope="module")
def history(served: Served) -> Served:
    """The table history: three appends, a branch, a tag, a deleted row, and a second schema."""
    table = served.lake.create_table("weather.history", WARM.schema)
    for _ in range(3):
        table.append(WARM, snapshot_properties={"engine-name": "tests", "engine-version": "7"})
    first, second, _ = table.history()
    with table.manage_snapshots() as manage:
        manage.create_tag(first.snapshot_id, "v1").create_branch(second.snapshot_id, "audit")
    table.append(WARM, branch="audit")
    table.delete("station == 'KJFK'")
    with table.update_schema() as update:
        update.add_column("humidity", DoubleType(), "Percent")
        update.rename_column("temperature", "air_temperature")
    table.append(
        pa.table({"station": ["KEWR"], "air_temperature": [1.5], "humidity": [40.0]}), branch="main"
    )
    return served


def test_the_overview_has_the_numbers_of_the_current_snapshot(history: Served) -> None:
    table = history.lake.load_table("weather.history")
    summary = table.current_snapshot().summary  # type: ignore[union-attr]
    text = shown(history.get(page_of("history")).text)
    for title, key in (("Rows", "total-records"), ("Data files", "total-data-files")):
        assert f"{title} {summary[key]} " in text  # type: ignore[index]
    assert table.metadata_location in text
    assert str(table.metadata.table_uuid) in text
    assert "by anonymous" in text


def test_a_schema_is_a_tree_with_ids_and_descriptions(served: Served) -> None:
    area = StructType(
        NestedField(4, "name", StringType(), required=True, doc="In <English>"),
        NestedField(5, "codes", ListType(6, StringType(), False), required=False),
    )
    place = StructType(NestedField(3, "area", area, required=False))
    schema = Schema(NestedField(1, "place", place, required=False, doc="Where"))
    table = served.lake.create_table("weather.nested", schema)
    page = served.get(page_of("nested")).text
    rows = re.findall(r'<tr>\s*<td class="num">(\d+)</td>(.*?)</tr>', page, re.DOTALL)
    found = [(int(number), row.count("indent"), shown(row).strip()) for number, row in rows]
    ids = {table.schema().find_column_name(number): number for number, _, _ in found}
    assert [(number, depth) for number, depth, _ in found] == [
        (ids["place"], 0),
        (ids["place.area"], 1),
        (ids["place.area.name"], 2),
        (ids["place.area.codes"], 2),
        (ids["place.area.codes.element"], 3),
    ]
    assert found[0][2] == "place struct Where"
    assert found[2][2] == "name string required In &lt;English&gt;"
    assert found[3][2] == "codes list&lt;string&gt;"


def test_older_schemas_can_be_selected(history: Served) -> None:
    assert ">air_temperature</span>" in history.get(page_of("history")).text
    older = history.get(page_of("history") + "?schema=0").text
    assert ">temperature</span>" in older
    assert "Schema 0, an older one" in shown(older)
    missing = history.get(page_of("history") + "?schema=9")
    assert missing.status_code == 400
    assert "Schema does not exist: " in missing.text


def test_the_history_has_each_snapshot_with_its_refs_and_numbers(history: Served) -> None:
    table = history.lake.load_table("weather.history")
    page = history.get(page_of("history", "history")).text
    rows = re.findall(r"<tr>(.*?)</tr>", page.partition('class="timeline"')[2], re.DOTALL)[1:]
    snapshots = sorted(table.metadata.snapshots, key=lambda each: each.sequence_number or 0)
    found = {re.search(r"<code>(\d+)</code>", row)[1]: shown(row) for row in rows}  # type: ignore[index]
    assert list(found) == [str(each.snapshot_id) for each in snapshots[::-1]]
    for snapshot in snapshots:
        text = found[str(snapshot.snapshot_id)]
        summary = snapshot.summary
        assert summary is not None
        assert summary.operation.value in text
        if added := summary["added-records"]:
            assert f"+ {added} " in text
        if removed := summary["deleted-records"]:
            assert f"&minus; {removed} " in text
        assert "anonymous" in text
    for name, ref in table.metadata.refs.items():
        assert f" {name} " in found[str(ref.snapshot_id)]
    on_audit = found[str(table.metadata.refs["audit"].snapshot_id)]
    assert "on branch audit" in on_audit
    assert f"follows {snapshots[1].snapshot_id}" in on_audit
    assert "tests 7" in found[str(snapshots[0].snapshot_id)]
    assert page.count("<svg") == 3


def test_a_time_on_the_page_is_one_that_its_fields_take(history: Served) -> None:
    table = history.lake.load_table("weather.history")
    page = history.get(page_of("history", "history")).text
    for entry in table.history():
        row = rf">([^<>]* UTC)</time>(?:(?!</div>).)*</div>\s*<code>{entry.snapshot_id}<"
        time = re.search(row, page, re.DOTALL)
        assert time is not None
        compared = history.get(page_of("history", "diff") + f"?to={quote(time[1])}").text
        assert f"to <code>{entry.snapshot_id}</code>" in compared


@pytest.mark.parametrize("part", ["", "history"])
def test_an_open_page_learns_of_a_commit(served: Served, part: str) -> None:
    name = f"live{part}"
    table = served.lake.create_table(f"weather.{name}", WARM.schema)
    table.append(WARM)
    table.append(WARM)
    page = served.get(page_of(name, part)).text
    again = re.search(r'id="live" data-refresh hx-get="([^"]+)"', page)
    assert again is not None
    assert served.get(again[1]).status_code == 204
    first, second = (each.snapshot_id for each in table.history())
    table.append(WARM)
    changed = served.get(f"{again[1]}&from={first}&to={second}").text
    assert 'id="live"' in changed
    assert again[1] not in changed
    if part:
        selected = re.findall(r'name="(\w+)" id="[^"]*" value="(\d+)"[^>]* checked', changed)
        assert sorted(selected) == [("from", str(first)), ("to", str(second))]
    else:
        assert "Rows 6 " in shown(changed)


def test_what_follows_an_expired_snapshot_says_so(served: Served) -> None:
    table = served.lake.create_table("weather.expired", WARM.schema)
    table.append(WARM)
    table.append(WARM)
    table.maintenance.expire_snapshots().by_id(table.history()[0].snapshot_id).commit()
    page = shown(served.get(page_of("expired", "history")).text)
    assert "its parent was expired" in page
    assert "Changes" not in page


def test_a_long_history_is_paged(served: Served) -> None:
    table = served.lake.create_table("weather.long", WARM.schema)
    for _ in range(52):
        table.append(WARM)
    ids = [str(each.snapshot_id) for each in table.metadata.snapshots][::-1]
    newest = served.get(page_of("long", "history")).text
    older = re.search(r'href="(\?before=\d+)"', newest)
    assert older is not None
    oldest = served.get(page_of("long", "history") + older[1]).text
    found = [re.findall(r'name="to"[^>]* value="(\d+)"', page) for page in (newest, oldest)]
    assert found == [ids[:50], ids[50:]]
    assert "before=" not in oldest


def test_the_metadata_file_is_shown_and_downloaded(history: Served) -> None:
    table = history.lake.load_table("weather.history")
    page = history.get(page_of("history", "metadata"))
    assert table.metadata_location in page.text
    assert f"&#34;table-uuid&#34;: &#34;{table.metadata.table_uuid}&#34;" in page.text
    file = history.get(page_of("history", "metadata") + "?download=true")
    assert file.headers["Content-Type"] == "application/json"
    assert file.json()["current-snapshot-id"] == table.metadata.current_snapshot_id


def test_properties_and_the_metadata_log_are_listed(served: Served) -> None:
    table = served.lake.create_table(
        "weather.described", WARM.schema, properties={"owner": "<b>me</b>"}
    )
    before = table.metadata_location
    table.append(WARM)
    page = shown(served.get(page_of("described", "properties")).text)
    assert "owner &lt;b&gt;me&lt;/b&gt;" in page
    assert before in page
    assert "There are no statistics files" in page


def test_a_table_without_a_snapshot_has_pages(served: Served) -> None:
    served.lake.create_table("weather.empty", WARM.schema)
    for part in ("", "history", "properties", "metadata"):
        assert served.get(page_of("empty", part)).status_code == 200
    assert "no snapshot yet" in served.get(page_of("empty", "history")).text
