"""Pages as a browser requests them: what is in them, their headers and their errors."""

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

import falcon_catalog
from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.web import paths
from tests.processes import DEADLINE, Running
from tests.web.conftest import WARM, Served

WEATHER = Namespace(("weather",))


def test_the_printed_address_leads_from_the_warehouse_to_a_table(served: Served) -> None:
    page = served.get("/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    steps = [paths.to_warehouse("default"), paths.to_namespace("default", WEATHER)]
    steps.append(paths.to_table("default", TableIdentifier(WEATHER, "observations")))
    for step in steps:
        assert f'href="{step}"' in page.text
        page = served.get(step)
        assert page.status_code == 200
    assert "<h1>observations</h1>" in page.text


def test_names_are_text_whatever_they_contain(served: Served) -> None:
    hostile = "<script>alert(1)</script>\"'&/%1F?#"
    served.lake.create_namespace((hostile,))
    served.lake.create_table((hostile, hostile), WARM.schema)
    namespace = Namespace((hostile,))
    for path in (
        paths.to_warehouse("default"),
        paths.to_namespace("default", namespace),
        paths.to_table("default", TableIdentifier(namespace, hostile)),
    ):
        page = served.get(path)
        assert page.status_code == 200, path
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text


def test_a_page_loads_nothing_from_elsewhere_and_runs_no_inline_script(served: Served) -> None:
    page = served.get("/")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    linked = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert all(each.startswith(("/", "#")) for each in linked)
    assert re.findall(r"<script(?![^>]*src=)|\son[a-z]+=|\sstyle=", page.text) == []
    for path in {each for each in linked if each.startswith("/ui/static/")}:
        file = served.get(path)
        assert file.status_code == 200
        assert "immutable" in file.headers["Cache-Control"]


def test_htmx_gets_the_part_without_the_layout(served: Served) -> None:
    part = served.get("/", **{"HX-Request": "true"}).text
    assert "<h1>" in part
    assert "<html" not in part


def test_an_error_is_a_page_in_the_words_of_the_api(served: Served) -> None:
    page = served.get(paths.to_namespace("default", Namespace(("nothing",))))
    assert page.status_code == 404
    assert "Namespace does not exist: nothing" in page.text
    assert served.get("/ui/nothing").status_code == 404
    assert served.get("/v1/nothing").headers["Content-Type"] == "application/json"


def test_pages_can_be_turned_off(serve: Callable[..., Served]) -> None:
    page = serve(CATALOG_WEB_ENABLED="false").get("/")
    assert (page.status_code, page.json()["error"]["type"]) == (404, "NoSuchRouteException")


def test_where_a_token_is_required_a_page_leads_to_the_login(
    serve: Callable[..., Served],
) -> None:
    catalog = serve(CATALOG_AUTH_REQUIRED="true")
    page = catalog.get("/ui/warehouses/default?page=2")
    assert page.status_code == 303
    assert page.headers["Location"] == "/ui/login?next=%2Fui%2Fwarehouses%2Fdefault%3Fpage%3D2"
    part = catalog.get("/", **{"HX-Request": "true"})
    assert part.headers["HX-Redirect"].startswith("/ui/login")


@pytest.mark.sqlite
def test_pages_are_served_when_the_installation_has_gone(tmp_path: Path) -> None:
    """As when pip installs another one beside a running server."""
    package = tmp_path / "site" / "falcon_catalog"
    shutil.copytree(Path(falcon_catalog.__file__).parent, package)
    command = "from falcon_catalog.cli import main; main()"
    flags = ("--listen=127.0.0.1:0", f"--store=sqlite:///{tmp_path}/store.db")
    server = Running(
        [sys.executable, "-c", command, "serve", *flags, f"--warehouse={tmp_path}/tables"],
        {"PYTHONPATH": str(package.parent)},
        cwd=tmp_path,
    )
    try:
        url = server.url()
        first = requests.get(url, timeout=DEADLINE)
        assert first.status_code == 200
        shutil.rmtree(package)
        linked = set(re.findall(r'(?:src|href)="(/[^"]*)"', first.text))
        assert any(each.startswith("/ui/static/") for each in linked)
        linked |= {paths.SETTINGS, paths.GRANTS, "/management/v1/openapi.json"}
        statuses = {each: requests.get(url + each, timeout=DEADLINE).status_code for each in linked}
        assert set(statuses.values()) == {200}, statuses
        missing = requests.get(f"{url}/ui/nothing", timeout=DEADLINE)
        assert (missing.status_code, "There is no page" in missing.text) == (404, True)
    finally:
        server.kill()
