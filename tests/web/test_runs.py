"""Pages of a pipeline's runs, from the summaries of snapshots that it wrote."""

import re

from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.web import paths
from tests.web.conftest import WARM, Served
from tests.web.test_tables import shown

LOADED = Namespace(("loaded",))


def test_a_run_leads_to_the_tables_that_it_wrote(served: Served) -> None:
    lake = served.lake
    lake.create_namespace("loaded")
    for name in ("observations", "alerts"):
        table = lake.create_table(f"loaded.{name}", WARM.schema)
        for period in ("2013-07-02T14", "2013-07-03"):
            load_id = f"loaded.{name}/{period}/0a1b"
            table.append(WARM, snapshot_properties={"weather.load-id": load_id})
        table.append(WARM)  # by another writer
    runs = served.get(paths.to_namespace("default", LOADED, "runs")).text
    assert runs.count('<tr><th scope="row">') == 2
    path = paths.to_namespace("default", LOADED)
    assert f'href="{path}/runs"' in served.get(path).text
    hour = paths.to_run("default", LOADED, "2013-07-02T14")
    assert f'href="{hour}"' in runs
    for page in (served.get(hour), served.get(paths.to_run("default", LOADED, "2013-07-02"))):
        assert page.status_code == 200
        for name in ("observations", "alerts"):
            table = TableIdentifier(LOADED, name)
            assert f'href="{paths.to_table("default", table)}"' in page.text
            first = lake.load_table(f"loaded.{name}").history()[0].snapshot_id
            assert f"{paths.to_table('default', table, 'rows')}?at={first}" in page.text
        assert "2013-07-03" not in page.text


def test_runs_are_named_by_their_periods(served: Served) -> None:
    namespace, lake = Namespace(("kinds",)), served.lake
    lake.create_namespace("kinds")
    rows, runs = (lake.create_table(f"kinds.{name}", WARM.schema) for name in ("rows", "runs"))
    for table, rest in (
        (rows, "2013-07-02/0a1b"),
        (rows, "2013-07-02T14/0a1b"),
        (runs, "Maintenance/2013-07-02/2013-07-03T01:00:00+00:00"),
        (runs, "Ingestion/2013-07-02T14/0a1b"),
        (runs, "0f8fad5b-d9cb-469f-a165-70867728950e"),
        (rows, "backfill/0a1b"),
    ):
        table.append(WARM, snapshot_properties={"weather.load-id": f"kinds.x/{rest}"})
    page = served.get(paths.to_namespace("default", namespace, "runs")).text
    periods, _, others = page.partition("Other loads")
    found = {
        part: [shown(row).split() for row in re.findall(r"<tr><th scope=\"row\">.*?</tr>", part)]
        for part in (periods, others)
    }
    assert [row[:4] for row in found[periods]] == [
        ["2013-07-02T14", "hour", "2", "Ingestion"],
        ["2013-07-02", "day", "2", "Maintenance"],
    ]
    names = [row[0] for row in found[others]]
    assert names == ["backfill", "0f8fad5b-d9cb-469f-a165-70867728950e"]
    day = shown(served.get(paths.to_run("default", namespace, "2013-07-02")).text)
    assert "record of Maintenance" in day
    assert served.get(paths.to_run("default", namespace, "backfill")).status_code == 200


def test_a_run_of_which_nothing_is_there(served: Served) -> None:
    weather = Namespace(("weather",))
    page = served.get(paths.to_run("default", weather, "2013-07-02"))
    assert page.status_code == 404
    assert "run 2013-07-02" in page.text
    runs = served.get(paths.to_namespace("default", weather, "runs"))
    assert "No table here has a snapshot" in runs.text
