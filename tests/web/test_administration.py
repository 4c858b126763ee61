"""The pages of administrators and of the audit log: each action, and who may take it."""

import re
from collections.abc import Callable

import pytest
import requests
from click.testing import CliRunner

from falcon_catalog import __version__
from falcon_catalog.cli import main
from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.web import paths
from tests.processes import DEADLINE, wait_for
from tests.web.browser import Browser
from tests.web.conftest import WARM, Served
from tests.web.test_sessions import added, logged_in, run

TABLE = TableIdentifier(Namespace(("weather",)), "observations")
GRANTS = paths.to_table("default", TABLE, "grants")
ADMIN_PAGES = (
    paths.ADMINISTRATION,
    paths.ROLES,
    paths.GRANTS,
    paths.SETTINGS,
    paths.STORAGE,
    paths.BACKUPS,
)


@pytest.fixture(scope="module")
def guarded(serve: Callable[..., Served]) -> Served:
    """A catalog with a table, which requires a login."""
    served = serve(CATALOG_AUTH_REQUIRED="true")
    owner = added(served, "owner", "--owner")
    lake = served.lake_of(owner)
    lake.create_namespace("weather")
    lake.create_table("weather.observations", WARM.schema)
    return served


@pytest.fixture(scope="module")
def admin(guarded: Served) -> Browser:
    """An administrator, who is logged in."""
    return logged_in(guarded, added(guarded, "root", "--admin"))


def act(browser: Browser, path: str, **fields: str) -> requests.Response:
    """Open a page and send the form that has these fields."""
    browser.open(path)
    token = browser.forms["/ui/logout"]["form-token"]
    return browser.post(path, {"form-token": token, **fields})


def token_status(served: Served, credential: str) -> int:
    name, _, secret = credential.partition(":")
    form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
    return requests.post(f"{served.url}/v1/oauth/tokens", form, timeout=DEADLINE).status_code


def credential(page: requests.Response) -> str:
    found = re.search(r'<pre id="credential"[^>]*>([^<]+)</pre>', page.text)
    assert found is not None, page.text
    return found[1]


def test_a_principal_from_its_first_secret_to_its_end(guarded: Served, admin: Browser) -> None:
    page = act(admin, paths.ADMINISTRATION, action="add", name="etl")
    first = credential(page)
    assert page.headers["Cache-Control"] == "no-store"
    assert token_status(guarded, first) == 200
    assert "credential" not in admin.open(paths.ADMINISTRATION).text
    second = credential(act(admin, paths.ADMINISTRATION, action="rotate", name="etl"))
    assert [token_status(guarded, each) for each in (first, second)] == [200, 200]
    act(admin, paths.ADMINISTRATION, action="disable", name="etl")
    assert token_status(guarded, second) == 401
    act(admin, paths.ADMINISTRATION, action="enable", name="etl")
    assert token_status(guarded, second) == 200
    assert 'scope="row">etl<' in act(admin, paths.ADMINISTRATION, action="x", name="etl").text
    page = act(admin, paths.ADMINISTRATION, action="remove", name="etl")
    assert 'scope="row">etl<' not in page.text
    assert token_status(guarded, second) == 401


@pytest.mark.parametrize(
    ("fields", "status", "problem"),
    [
        ({"action": "add", "name": "a:b"}, 400, "Invalid principal name"),
        ({"action": "add", "name": "root"}, 409, "Principal already exists: root"),
        ({"action": "remove", "name": "nobody"}, 404, "Principal does not exist: nobody"),
        ({"action": "destroy", "name": "root"}, 400, "Invalid action"),
        ({}, 400, "Invalid action"),
    ],
)
def test_what_cannot_be_done_is_explained_beside_the_form(
    admin: Browser, fields: dict[str, str], status: int, problem: str
) -> None:
    page = act(admin, paths.ADMINISTRATION, **fields)
    assert page.status_code == status
    assert problem in page.text
    assert "Add a service" in page.text


def test_the_last_administrator_stays(serve: Callable[..., Served]) -> None:
    served = serve(CATALOG_AUTH_REQUIRED="true")
    browser = logged_in(served, added(served, "only", "--admin"))
    page = act(browser, paths.ADMINISTRATION, action="disable", name="only")
    assert page.status_code == 403
    assert "no enabled principal would have admin" in page.text
    assert browser.open("/").status_code == 200


def test_a_role_its_members_and_groups(guarded: Served, admin: Browser) -> None:
    added(guarded, "ann")
    steps = [
        ({"action": "create", "name": "analysts"}, "Created the role analysts"),
        ({"action": "add-member", "name": "analysts", "member": "ann"}, "to ann"),
        ({"action": "add-group", "name": "analysts", "issuer": "corp", "group": "d"}, "corp~d"),
        ({"action": "rename", "name": "analysts", "new-name": "readers"}, "to readers"),
        ({"action": "remove-group", "name": "readers", "issuer": "corp", "group": "d"}, "corp~d"),
        ({"action": "remove-member", "name": "readers", "member": "ann"}, "from ann"),
        ({"action": "add-member", "name": "readers", "member": "nobody"}, "does not exist"),
        ({"action": "delete", "name": "readers"}, "Removed the role readers"),
    ]
    for fields, text in steps:
        assert text in act(admin, paths.ROLES, **fields).text, fields
    assert "readers" not in admin.open(paths.ROLES).text


def test_a_grant_and_why_on_the_page_of_a_table(guarded: Served, admin: Browser) -> None:
    reader = logged_in(guarded, added(guarded, "bea"))
    assert reader.open(GRANTS).status_code == 404  # hidden, as if it did not exist
    why = f"{GRANTS}?principal=bea&privilege=select"
    assert "does not have" in admin.open(why).text
    page = act(admin, GRANTS, action="grant", principal="bea", select="on", list="on")
    assert "Granted list, select on table weather.observations to bea" in page.text
    assert "<strong>bea</strong> has the privilege select" in admin.open(why).text
    reader.open(GRANTS)
    assert (reader.page.status_code, "Granted by" in reader.page.text) == (200, False)
    assert "<strong>protected</strong>: no" in reader.page.text
    assert ("Set protected" in reader.page.text, "Set protected" in admin.open(GRANTS).text) == (
        False,
        True,
    )
    assert "<strong>bea</strong> has the privilege select" in reader.open(why).text
    denied = act(reader, GRANTS, action="grant", principal="bea", write="on")
    assert denied.status_code == 403
    assert "needs the privilege grant" in denied.text
    act(admin, GRANTS, action="revoke", principal="bea", select="on", list="on")
    assert reader.open(GRANTS).status_code == 404


def test_a_refused_grant_keeps_what_was_entered(guarded: Served, admin: Browser) -> None:
    added(guarded, "eva")
    page = act(admin, GRANTS, action="grant", principal="eva")
    assert (page.status_code, "Choose at least one privilege" in page.text) == (400, True)
    assert re.search(r'name="principal"[^>]* value="eva"', page.text)
    page = act(admin, GRANTS, action="grant", principal="eve", select="on")
    assert (page.status_code, "Principal does not exist: eve" in page.text) == (404, True)
    assert re.search(r'name="principal"[^>]* value="eve"', page.text)
    assert re.findall(r'name="(\w+)" checked', page.text) == ["select"]
    page = act(admin, GRANTS, action="grant", principal="eva", select="on")
    assert re.findall(r'name="(\w+)" checked', page.text) == []
    act(admin, GRANTS, action="revoke", principal="eva", select="on")


def test_forms_offer_the_names_that_their_visitor_may_see(guarded: Served, admin: Browser) -> None:
    added(guarded, "lou")
    path = paths.to_warehouse("default", "grants")
    offered = re.compile(r'<option value="([^"]*)"></option>')
    assert {"lou", "root", "everyone"} <= set(offered.findall(admin.open(path).text))
    reader = logged_in(guarded, added(guarded, "mia"))
    run(guarded, "grant", "list", "on", "warehouse", "default", "to", "mia")
    assert offered.findall(reader.open(path).text) == ["mia"]


@pytest.mark.parametrize("path", [GRANTS, paths.GRANTS])
def test_the_access_page_has_the_tabs_of_what_it_is_about(
    admin: Browser, served: Served, path: str
) -> None:
    text = admin.open(path).text
    tabs = text.partition('<nav class="tabs"')[2].partition("</nav>")[0]
    assert f'<a href="{path}" aria-current="page">Access</a>' in tabs
    assert "Grants have no effect" not in text
    assert "Grants have no effect now" in served.get(path).text  # which requires no login


def test_grants_on_containers_are_shown_with_those_on_the_table(admin: Browser) -> None:
    act(admin, paths.to_warehouse("default", "grants"), action="grant", principal="root", drop="on")
    text = admin.open(GRANTS).text
    assert 'href="/ui/warehouses/default/grants">warehouse default<' in text
    assert 'href="/ui/admin/grants">the server<' in text


def test_a_protected_table_is_not_dropped_until_the_mark_is_ended(
    guarded: Served, admin: Browser
) -> None:
    lake = guarded.lake_of(run(guarded, "principals", "rotate", "owner"))
    lake.create_table("weather.marked", WARM.schema)
    path = paths.to_table("default", TableIdentifier(TABLE.namespace, "marked"), "grants")
    act(admin, path, action="mark", mark="protected", value="true")
    with pytest.raises(Exception, match="is protected"):
        lake.drop_table("weather.marked")
    act(admin, path, action="mark", mark="protected", value="false")
    lake.drop_table("weather.marked")
    assert act(admin, GRANTS, action="mark", mark="managed", value="true").status_code == 400


@pytest.mark.parametrize("path", ADMIN_PAGES)
def test_only_administrators_administer(guarded: Served, admin: Browser, path: str) -> None:
    assert admin.open(path).status_code == 200
    name = f"c-{path.rpartition('/')[2]}"
    browser = logged_in(guarded, added(guarded, name))
    shown = browser.open(path)
    if path == paths.GRANTS:
        assert "Granted by" not in shown.text
        assert act(browser, path, action="grant", principal=name, admin="on").status_code == 403
        return
    assert shown.status_code == 403
    token = logged_out_token(browser)
    assert browser.post(path, {"form-token": token, "action": "add", "name": "x"}).status_code in (
        403,
        405,
    )


def test_administration_is_linked_for_administrators_alone(
    guarded: Served, admin: Browser, served: Served
) -> None:
    link = f'href="{paths.ADMINISTRATION}"'
    assert link in admin.open("/").text
    assert link not in logged_in(guarded, added(guarded, "gus")).open("/").text
    assert link not in guarded.get("/ui/login").text
    assert link in served.get("/").text  # without logins everybody is one


@pytest.mark.sqlite
def test_backups_beside_the_store_are_listed(guarded: Served, admin: Browser) -> None:
    folder = guarded.folder / "backups"
    assert f"There is none in <code>{folder}</code>" in admin.open(paths.BACKUPS).text
    (folder / "broken").mkdir(parents=True)
    (folder / "broken" / "manifest.json").write_text("{}")
    store, warehouse = (
        f"--store={guarded.store}",
        f"--warehouse={guarded.folder}/tables",
    )
    done = CliRunner().invoke(main, ["backup", store, warehouse, str(folder / "monday")])
    assert done.exit_code == 0, done.output
    page = admin.open(paths.BACKUPS).text
    row = page.partition(f"<code>{folder}/monday</code>")[2].partition("</tr>")[0]
    tables = len(list(tables_of(guarded)))
    assert __version__ in row
    assert f'<data value="{tables}"' in row
    size = sum(each.stat().st_size for each in (folder / "monday").rglob("*") if each.is_file())
    size -= (folder / "monday" / "manifest.json").stat().st_size
    assert f'title="{size:,} bytes"' in row
    broken = page.partition(f"<code>{folder}/broken</code>")[2].partition("</tr>")[0]
    assert "is damaged" in broken


def tables_of(served: Served) -> list[tuple[str, ...]]:
    lake = served.lake_of(run(served, "principals", "rotate", "owner"))
    return [table for space in lake.list_namespaces() for table in lake.list_tables(space)]


def logged_out_token(browser: Browser) -> str:
    browser.open("/")
    return browser.forms["/ui/logout"]["form-token"]


def test_settings_have_their_origin(admin: Browser) -> None:
    text = admin.open(paths.SETTINGS).text
    row = re.search(r"auth\.required</code></th><td><code>(\w+)</code></td>\s*<td>([^<]+)<", text)
    assert row is not None
    assert row.groups() == ("true", "environment CATALOG_AUTH_REQUIRED")
    assert re.search(r"<code>(True|False|None)</code>", text) is None


def test_a_storage_check_shows_its_steps(admin: Browser) -> None:
    page = act(admin, paths.STORAGE, warehouse="default")
    assert page.status_code == 200
    for step in ("settings", "create", "delete", "clean-up"):
        assert f'<th scope="row">{step}</th>' in page.text
    assert act(admin, paths.STORAGE, warehouse="nothing").status_code == 400


def test_the_audit_log_is_filtered(guarded: Served, admin: Browser) -> None:
    text = admin.open(paths.ACTIVITY).text
    assert "createTable" in text
    assert "createTable" not in admin.open(f"{paths.ACTIVITY}?operation=createNamespace").text
    of_table = f"{paths.ACTIVITY}?namespace=weather&table=observations"
    assert "createNamespace" not in admin.open(of_table).text
    refused = logged_in(guarded, added(guarded, "dan"))
    refused.open(paths.SETTINGS)
    page = wait_for_text(admin, f"{paths.ACTIVITY}?refused=on&principal=dan", "pageSettings")
    assert "denied" in page
    for query in ("since=1y", "table=x", "refused=on&namespace=a"):
        page = admin.open(f"{paths.ACTIVITY}?{query}")
        assert (page.status_code, 'role="alert"' in page.text) == (400, True)
        assert '<input name="namespace"' in page.text


def wait_for_text(browser: Browser, path: str, text: str) -> str:
    """Open a page until it has a text, and return it: a thread writes refusals."""
    wait_for(lambda: text in browser.open(path).text, text)
    return browser.page.text


def test_who_is_no_administrator_reads_the_log_of_what_it_may_grant(guarded: Served) -> None:
    browser = logged_in(guarded, added(guarded, "fay"))
    text = browser.open(paths.ACTIVITY).text
    assert "Requests" in text
    assert "Audit log" not in text
    path = paths.to_warehouse("default", "activity")
    assert browser.open(path).status_code == 404
    run(guarded, "grant", "grant", "on", "warehouse", "default", "to", "fay")
    assert "createTable" in browser.open(path).text
    assert f'href="{path}"' in browser.open(paths.ACTIVITY).text


def test_pages_older_than_the_first_one(guarded: Served, admin: Browser) -> None:
    lake = guarded.lake_of(run(guarded, "principals", "rotate", "owner"))
    for number in range(101):
        lake.create_namespace(f"n{number}")
    path = f"{paths.ACTIVITY}?operation=createNamespace"
    text = admin.open(path).text
    assert "namespace n100" in text
    older = re.search(r'href="([^"]+)">Older<', text)
    assert older is not None
    text = admin.open(older[1].replace("&amp;", "&")).text
    assert "namespace n0<" in text.replace("\n", "<")
    assert "namespace n100" not in text
