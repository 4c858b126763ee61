"""The home page, views, functions and dropped tables, after changes by clients."""

import html
import re
from collections.abc import Callable

import pytest
import requests

from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.web import paths
from tests.processes import DEADLINE
from tests.web.browser import Browser
from tests.web.conftest import WARM, Served
from tests.web.test_administration import act
from tests.web.test_sessions import added, logged_in
from tests.web.test_tables import shown

WEATHER = Namespace(("weather",))
DROPPED = paths.to_warehouse("default", "dropped")
SCHEMA = {
    "type": "struct",
    "schema-id": 0,
    "fields": [{"id": 1, "name": "s", "type": "string", "required": False, "doc": "<b>"}],
}


def view_page(name: str, part: str = "") -> str:
    return paths.to_view("default", TableIdentifier(WEATHER, name), part)


def create_view(served: Served, name: str, sql: str) -> None:
    version = {
        "version-id": 1,
        "schema-id": 0,
        "timestamp-ms": 1,
        "summary": {},
        "representations": [{"type": "sql", "sql": sql, "dialect": "spark"}],
        "default-namespace": ["weather"],
    }
    body = {"name": name, "schema": SCHEMA, "view-version": version, "properties": {"k": "<v>"}}
    url = f"{served.url}/v1/default/namespaces/weather/views"
    assert requests.post(url, json=body, timeout=DEADLINE).status_code == 200


def test_the_home_page_has_numbers_sizes_and_commits(served: Served) -> None:
    page = shown(served.get("/").text)
    assert "2 namespaces" in page
    assert f"{served.folder}/tables" in page
    assert "weather.observations" in page
    assert "appended rows anonymous" in page
    assert "created anonymous" in page
    table = served.lake.load_table("weather.observations")
    total = table.current_snapshot().summary["total-files-size"]  # type: ignore[union-attr,index]
    size = served.get(paths.to_warehouse("default", "size")).text
    assert f'title="{int(total):,} bytes"' in size
    assert "4 rows" in shown(size).replace("in ", "")


def test_the_home_page_has_settings_of_engines_for_its_own_address(served: Served) -> None:
    page = html.unescape(served.get("/").text)
    assert f'load_catalog("lake", type="rest", uri="{served.url}", warehouse="default")' in page
    assert f"TYPE iceberg, ENDPOINT '{served.url}'" in page
    assert f"ENGINE = DataLakeCatalog('{served.url}/v1')" in page


def test_an_empty_catalog_shows_first_steps(serve: Callable[..., Served]) -> None:
    catalog = serve()
    assert "First steps" in catalog.get("/").text
    catalog.lake.create_namespace("n")
    catalog.lake.create_table("n.t", WARM.schema)
    assert "First steps" not in catalog.get("/").text


def test_a_view_is_shown_renamed_and_dropped(served: Served) -> None:
    create_view(served, "warm", "SELECT '<i>' AS s")
    page = served.get(view_page("warm")).text
    assert "SELECT &#39;&lt;i&gt;&#39; AS s" in page
    assert "<code>&lt;v&gt;</code>" in page
    assert served.get(view_page("warm") + "?version=9").status_code == 400
    browser = Browser(served.url)
    browser.open(view_page("warm"))
    assert browser.submit(view_page("warm", "rename"), name="observations").status_code == 409
    served.lake.create_namespace_if_not_exists("sales")
    moved = browser.submit(view_page("warm", "rename"), namespace="sales").url
    there = paths.to_view("default", TableIdentifier(Namespace(("sales",)), "warm"))
    assert moved.endswith(f"{there}?done=view-renamed")
    back = {"namespace": "weather", "name": "hot"}
    path = paths.to_view("default", TableIdentifier(Namespace(("sales",)), "warm"), "rename")
    assert "SELECT" in browser.submit(path, **back).text
    assert served.get(view_page("warm")).status_code == 404
    refused = browser.post(view_page("hot", "drop"), {})
    assert refused.status_code == 400
    assert "Check the box" in refused.text
    assert "Drop weather.hot</label>" in browser.open(view_page("hot")).text
    dropped = browser.post(view_page("hot", "drop"), {"confirmed": "yes"}).text
    assert (dropped.count("was dropped"), "The view was dropped." in dropped) == (1, True)
    assert served.get(view_page("hot")).status_code == 404


def test_a_function_is_shown(served: Served) -> None:
    metadata = {
        "format-version": 1,
        "definitions": [
            {
                "definition-id": "int",
                "parameters": [{"name": "x", "type": "int"}],
                "return-type": "int",
                "function-type": "udf",
                "current-version-id": 1,
                "versions": [
                    {
                        "version-id": 1,
                        "representations": [{"type": "sql", "dialect": "spark", "sql": "x + <1>"}],
                        "timestamp-ms": 1,
                    }
                ],
            }
        ],
        "definition-log": [
            {
                "timestamp-ms": 1,
                "definition-versions": [{"definition-id": "int", "version-id": 1}],
            }
        ],
    }
    url = f"{served.url}/management/v1/warehouses/default/namespaces/weather/functions/plus"
    answer = requests.put(url, json=metadata, timeout=DEADLINE)
    assert answer.status_code == 200, answer.text
    path = paths.to_function("default", TableIdentifier(WEATHER, "plus"))
    assert f'href="{path}"' in served.get(paths.to_namespace("default", WEATHER)).text
    assert "x + &lt;1&gt;" in served.get(path).text
    grants = paths.to_function("default", TableIdentifier(WEATHER, "plus"), "grants")
    assert f'href="{grants}"' in served.get(path).text
    page = served.get(grants)
    assert page.status_code == 200
    assert "There is no grant on function weather.plus itself." in page.text
    assert f'href="{path}"' in page.text


def dropped_id(page: str, name: str) -> str:
    found = re.search(rf'dropped/(\d+)/undrop"[^/]*?value="{name}"', page)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def keeping(serve: Callable[..., Served]) -> Served:
    """A catalog whose dropped tables can be undropped."""
    catalog = serve()
    catalog.lake.create_namespace("n")
    for name in ("a", "b", "c"):
        catalog.lake.create_table(f"n.{name}", WARM.schema).append(WARM)
    return catalog


def test_undrop_under_another_name_and_purge(keeping: Served) -> None:
    lake, browser = keeping.lake, Browser(keeping.url)
    assert "no dropped table" in browser.open(DROPPED).text
    lake.drop_table("n.a")
    lake.drop_table("n.b")
    page = browser.open(DROPPED).text
    first, second = dropped_id(page, "a"), dropped_id(page, "b")
    taken = browser.post(f"{DROPPED}/{first}/undrop", {"name": "c"})
    assert taken.status_code == 409
    assert "already exists" in taken.text
    assert browser.post(f"{DROPPED}/{first}/undrop", {"name": "again"}).status_code == 200
    assert lake.load_table("n.again").scan().to_arrow().num_rows == 2
    assert browser.post(f"{DROPPED}/{second}/purge", {}).status_code == 400
    assert browser.post(f"{DROPPED}/{second}/purge", {"confirmed": "yes"}).status_code == 200
    assert "no dropped table" in browser.open(DROPPED).text


def test_another_site_cannot_undrop(keeping: Served) -> None:
    keeping.lake.drop_table("n.c")
    page = keeping.get(DROPPED).text
    path = f"{keeping.url}{DROPPED}/{dropped_id(page, 'c')}/undrop"
    for headers in ({}, {"Origin": "http://elsewhere.example"}):
        sent = requests.post(path, {"name": "c"}, headers=headers, timeout=DEADLINE)
        assert sent.status_code == 403


def test_what_a_visitor_may_not_list_is_nowhere(serve: Callable[..., Served]) -> None:
    guarded = serve(CATALOG_AUTH_REQUIRED="true")
    owner = added(guarded, "root", "--owner")
    lake = guarded.lake_of(owner)
    for name in ("open", "closed"):
        lake.create_namespace(name)
        for table in ("hush", "shared"):
            lake.create_table(f"{name}.{name}_{table}", WARM.schema)
    lake.create_table("open.open_gone_hush", WARM.schema)
    lake.drop_table("open.open_gone_hush")
    visitor = logged_in(guarded, added(guarded, "bea"))
    shared = TableIdentifier(Namespace(("open",)), "open_shared")
    grants = paths.to_table("default", shared, "grants")
    act(logged_in(guarded, owner), grants, action="grant", principal="bea", list="on")
    namespace = paths.to_namespace("default", shared.namespace)
    for path in ("/", paths.to_warehouse("default"), namespace, "/ui/search?q=e", DROPPED):
        page = visitor.open(path)
        assert page.status_code == 200, path
        for hidden in ("closed", "hush"):
            assert hidden not in page.text, path
    assert "open_shared" in visitor.open("/ui/search?q=SHARED").text
    home = shown(visitor.open("/").text)
    assert "open.open_shared" in home
    assert "4 tables" not in home
    assert "Numbers are shown to those with list" in home
    assert visitor.open(paths.to_namespace("default", Namespace(("closed",)))).status_code == 404
    assert visitor.open(paths.to_warehouse("default", "size")).status_code == 403
    assert "4 tables" in shown(logged_in(guarded, owner).open("/").text)
