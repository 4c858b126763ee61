"""The pages of a table in an object store: its rows, files and advice."""

import csv

import pyarrow as pa
import requests
from pyiceberg.catalog.rest import RestCatalog

from tests.clouds.lake import Lake
from tests.processes import DEADLINE

PAGE = "/ui/warehouses/default/namespaces/weather/tables/observations"
WARM = pa.table({"station": ["KJFK", "KLGA"], "temperature": [20.5, 21.0]})


def test_rows_files_and_advice_of_a_table_in_s3(lake: Lake) -> None:
    with lake.serving(web__sql=True) as server:
        client = RestCatalog("lake", uri=server.url)
        client.create_namespace("weather")
        table = client.create_table("weather.observations", WARM.schema)
        table.append(WARM)
        table.append(WARM)
        table.delete("station = 'KJFK'")

        def get(path: str, **query: object) -> requests.Response:
            return requests.get(server.url + path, params=query, timeout=2 * DEADLINE)

        rows = get(f"{PAGE}/rows", format="csv")
        assert rows.status_code == 200, rows.text
        assert list(csv.reader(rows.text.splitlines()))[1:] == [["KLGA", "21.0"]] * 2
        first = table.history()[0].snapshot_id
        assert get(f"{PAGE}/rows", at=first).text.count("<td>KJFK</td>") == 1
        found = get("/ui/sql", q="SELECT count(*) FROM weather.observations", format="csv")
        assert found.text.splitlines()[1:] == ["2"]
        files = get(f"{PAGE}/files", load="true")
        assert files.status_code == 200
        names = table.inspect.files()["file_path"].to_pylist()
        assert all(name.rpartition("/")[2] in files.text for name in names)
        assert get(f"{PAGE}/maintenance", load="true").status_code == 200


def test_a_file_that_is_gone_from_s3_is_named(lake: Lake) -> None:
    with lake.serving() as server:
        client = RestCatalog("lake", uri=server.url)
        client.create_namespace("weather")
        table = client.create_table("weather.observations", WARM.schema)
        table.append(WARM)
        (path,) = table.inspect.files()["file_path"].to_pylist()
        lake.delete(path)
        page = requests.get(f"{server.url}{PAGE}/rows", timeout=2 * DEADLINE)
        assert page.status_code in (400, 404, 503)
        assert 'class="problem"' in page.text
        assert path.rpartition("/")[2] in page.text
