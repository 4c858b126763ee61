"""Renaming and dropping tables on their pages, and what visitors with few privileges see."""

from collections.abc import Callable

import pytest
import requests

from falcon_catalog.identifiers import Namespace
from falcon_catalog.web import paths
from tests.processes import DEADLINE
from tests.web.browser import Browser
from tests.web.conftest import WARM, Served
from tests.web.test_sessions import added, logged_in, run
from tests.web.test_tables import page_of, shown

NAMESPACE = paths.to_namespace("default", Namespace(("weather",)))


@pytest.fixture
def browser(served: Served) -> Browser:
    """A browser on a catalog that needs no login."""
    return Browser(served.url)


def test_a_table_is_renamed(served: Served, browser: Browser) -> None:
    served.lake.create_table("weather.before", WARM.schema)
    browser.open(page_of("before"))
    page = browser.submit(page_of("before", "rename"), name="after/1")
    assert "The table was renamed." in page.text
    assert "<h1>after/1</h1>" in page.text
    assert served.lake.table_exists("weather.after/1")
    assert not served.lake.table_exists("weather.before")


def test_a_table_moves_to_another_namespace(served: Served, browser: Browser) -> None:
    served.lake.create_namespace("moved")
    served.lake.create_namespace(("moved", "here"))
    served.lake.create_table("weather.moving", WARM.schema)
    browser.open(page_of("moving"))
    for namespace, status, problem in (
        ("nowhere", 404, "Namespace does not exist: nowhere"),
        ("moved..here", 400, "Invalid namespace level name: it is empty"),
    ):
        page = browser.submit(page_of("moving", "rename"), namespace=namespace)
        assert (page.status_code, problem in page.text) == (status, True), namespace
        browser.open(page_of("moving"))
    page = browser.submit(page_of("moving", "rename"), namespace="moved.here", name="arrived")
    assert "The table was renamed." in page.text
    assert served.lake.table_exists(("moved", "here", "arrived"))
    assert not served.lake.table_exists("weather.moving")


@pytest.mark.parametrize(
    ("name", "status", "problem"),
    [("observations", 409, "already exists"), ("", 400, "it is empty"), ("x" * 256, 400, "256")],
)
def test_a_name_that_cannot_be_given_is_explained(
    served: Served, browser: Browser, name: str, status: int, problem: str
) -> None:
    if not served.lake.table_exists("weather.renamed"):
        served.lake.create_table("weather.renamed", WARM.schema)
    browser.open(page_of("renamed"))
    page = browser.submit(page_of("renamed", "rename"), name=name)
    assert page.status_code == status
    assert problem in page.text
    assert "<h1>renamed</h1>" in page.text
    assert served.lake.table_exists("weather.renamed")


def test_a_table_is_dropped_when_that_is_confirmed(served: Served, browser: Browser) -> None:
    served.lake.create_table("weather.unneeded", WARM.schema)
    path = page_of("unneeded", "drop")
    browser.open(page_of("unneeded"))
    refused = browser.post(path, {})
    assert refused.status_code == 400
    assert "Check the box to confirm" in refused.text
    assert served.lake.table_exists("weather.unneeded")
    page = browser.post(path, {"confirmed": "yes"})
    assert (page.text.count("was dropped"), "The table was dropped." in page.text) == (1, True)
    assert f'href="{paths.to_warehouse("default", "dropped")}">Undrop it' in page.text
    assert page.url.startswith(served.url + NAMESPACE)
    assert not served.lake.table_exists("weather.unneeded")


@pytest.fixture(scope="module")
def guarded(serve: Callable[..., Served]) -> Served:
    """A catalog that requires a login, with the table weather.hidden of one snapshot."""
    served = serve(CATALOG_AUTH_REQUIRED="true", CATALOG_WEB_SQL="true")
    lake = served.lake_of(added(served, "owner", "--owner"))
    lake.create_namespace("weather")
    lake.create_table("weather.hidden", WARM.schema).append(WARM)
    return served


@pytest.fixture(scope="module")
def admin(guarded: Served) -> Browser:
    """A browser of an owner of the server."""
    return logged_in(guarded, added(guarded, "root", "--owner"))


def visitor(served: Served, admin: Browser, name: str, *privileges: str) -> Browser:
    """Return the browser of a new principal that has privileges on the table."""
    credential = added(served, name)
    if privileges:
        path = page_of("hidden", "grants")
        admin.open(path)
        form = {"form-token": admin.forms["/ui/logout"]["form-token"], "action": "grant"}
        done = admin.post(path, {**form, "principal": name, **dict.fromkeys(privileges, "on")})
        assert done.status_code == 200, shown(done.text)
    return logged_in(served, credential)


PARTS = ("", "history", "diff", "files", "properties", "maintenance", "metadata")


def test_a_hidden_table_has_the_pages_of_one_that_does_not_exist(
    guarded: Served, admin: Browser
) -> None:
    stranger = visitor(guarded, admin, "stranger")
    for part in PARTS:
        page = stranger.open(page_of("hidden", part))
        missing = stranger.open(page_of("missing", part))
        assert (page.status_code, missing.status_code) == (404, 404)
        assert message_of(page).replace("hidden", "missing") == message_of(missing)
        assert "observations" not in page.text


def test_each_part_of_a_page_needs_its_privilege(guarded: Served, admin: Browser) -> None:
    reader = visitor(guarded, admin, "reader", "describe")
    assert reader.open(page_of("hidden", "files")).status_code == 403
    compared = shown(reader.open(page_of("hidden", "diff") + "?load=true").text)
    assert "is shown to those with select" in compared
    assert ".parquet" not in compared
    for part in ("", "history"):
        text = shown(reader.open(page_of("hidden", part)).text)
        assert "is shown to those with grant" in text
        assert "owner" not in text
    assert "Rename or move this table" not in reader.open(page_of("hidden")).text
    refused = reader.post(page_of("hidden", "drop"), {"confirmed": "yes", **_token(reader)})
    assert refused.status_code == 403
    selecting = visitor(guarded, admin, "selecting", "select")
    assert ".parquet" in selecting.open(page_of("hidden", "files") + "?load=true").text
    assert ".parquet" in selecting.open(page_of("hidden", "diff") + "?load=true").text
    assert "owner" in shown(admin.open(page_of("hidden", "history")).text)


def test_deleting_the_files_needs_more_than_dropping(guarded: Served, admin: Browser) -> None:
    dropping = visitor(guarded, admin, "dropping", "describe", "drop")
    page = dropping.open(page_of("hidden")).text
    assert "Drop this table" in page
    assert 'name="purge"' not in page
    form = {"confirmed": "yes", "purge": "on", **_token(dropping)}
    refused = dropping.post(page_of("hidden", "drop"), form)
    assert refused.status_code == 403
    assert "write" in refused.text
    assert dropping.open(page_of("hidden")).status_code == 200


def test_a_table_moves_only_where_its_mover_may_create(guarded: Served, admin: Browser) -> None:
    lake = guarded.lake_of(run(guarded, "principals", "rotate", "owner"))
    lake.create_namespace("closed")
    lake.create_table("weather.kept", WARM.schema)
    mover = visitor(guarded, admin, "mover", "describe")
    run(guarded, "grant", "drop,grant", "on", "table", "weather.kept", "to", "mover")
    form = {"name": "kept", "namespace": "closed", **_token(mover)}
    refused = mover.post(page_of("kept", "rename"), form)
    assert refused.status_code == 404
    assert "Namespace does not exist: closed" in refused.text
    run(guarded, "grant", "list", "on", "namespace", "closed", "to", "mover")
    refused = mover.post(page_of("kept", "rename"), form)
    assert refused.status_code == 403
    assert "needs create on namespace closed" in refused.text
    run(guarded, "grant", "create", "on", "namespace", "closed", "to", "mover")
    assert "The table was renamed." in mover.post(page_of("kept", "rename"), form).text


def test_rows_are_shown_to_nobody_without_select(guarded: Served, admin: Browser) -> None:
    """Nothing of the rows or files of a table is on the pages that refuse it."""
    assert "KJFK" in admin.open(page_of("hidden", "rows")).text
    stranger = visitor(guarded, admin, "sightless")
    describing = visitor(guarded, admin, "describing", "describe")
    for query in ("", "?format=csv", "?filter=station+%3D+%27KJFK%27", "?at=1"):
        page, missing = (
            stranger.open(page_of(name, "rows") + query) for name in ("hidden", "missing")
        )
        assert (page.status_code, missing.status_code) == (404, 404)
        assert message_of(page).replace("hidden", "missing") == message_of(missing)
        refused = describing.open(page_of("hidden", "rows") + query)
        assert refused.status_code == 403
        assert "needs select on table weather.hidden" in refused.text
        for each in (page, refused):
            for secret in ("KJFK", "20.5", "temperature", ".parquet", "file:"):
                assert secret not in each.text, secret


def message_of(page: requests.Response) -> str:
    return shown(page.text.split('role="alert">')[1].split("</p>")[0])


def _token(browser: Browser) -> dict[str, str]:
    browser.open(page_of("hidden"))
    return {"form-token": browser.forms["/ui/logout"]["form-token"]}


def test_nothing_that_a_login_shows_is_kept_by_caches(guarded: Served, admin: Browser) -> None:
    for path in (
        "/",
        f"/?state={'1' * 9}",
        "/ui/nothing",
        page_of("hidden"),
        page_of("hidden", "metadata") + "?download=true",
    ):
        page = admin.session.get(guarded.url + path, timeout=DEADLINE)
        assert page.headers["Cache-Control"] == "no-store", path
        assert "default-src 'none'" in page.headers["Content-Security-Policy"], path
    stranger = guarded.get(page_of("hidden"))
    assert (stranger.status_code, stranger.headers["Cache-Control"]) == (303, "no-store")


@pytest.mark.parametrize("host", ["localhost:99999", "localhost:", "localhost:000080", "[::1]:80"])
def test_a_strange_port_is_asked_to_log_in(guarded: Served, host: str) -> None:
    assert guarded.get("/", Host=host).status_code == 303
