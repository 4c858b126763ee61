"""Pages of a pipeline's runs, from the summaries of snapshots that it wrote."""

from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.web import paths
from tests.web.conftest import WARM, Served

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


def test_a_run_of_which_nothing_is_there(served: Served) -> None:
    weather = Namespace(("weather",))
    page = served.get(paths.to_run("default", weather, "2013-07-02"))
    assert page.status_code == 404
    assert "run 2013-07-02" in page.text
    runs = served.get(paths.to_namespace("default", weather, "runs"))
    assert "No table here has a snapshot" in runs.text
