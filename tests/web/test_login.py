"""Attacks on logins and forms, and logins at an identity provider."""

import re
from collections.abc import Callable, Iterator
from html import unescape
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests

from falcon_catalog.web.login import local_target
from tests.auth.issuer import write_config
from tests.identity.providers import OidcProvider, oidc_provider, visit
from tests.processes import DEADLINE
from tests.web.browser import Browser
from tests.web.conftest import Served
from tests.web.test_sessions import added, logged_in, run, sql

TARGET = re.compile(r'http-equiv="refresh" content="0; url=([^"]*)"')
NAVIGATION = {
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}


@pytest.fixture(scope="module")
def guarded(serve: Callable[..., Served]) -> Served:
    """A catalog that requires a login."""
    return serve(CATALOG_AUTH_REQUIRED="true", CATALOG_CORS_ORIGINS="https://app.example.com")


def target(page: requests.Response) -> str:
    """Return where a page sends the browser on."""
    found = TARGET.search(page.text)
    assert found is not None, page.text
    return unescape(found[1])


@pytest.mark.parametrize(
    "origin",
    [None, "null", "https://evil.example", "http://127.0.0.1:1", "https://app.example.com"],
)
def test_no_page_of_others_can_log_a_browser_in(guarded: Served, origin: str | None) -> None:
    names = {None: "a1", "null": "a2", "https://evil.example": "a3", "http://127.0.0.1:1": "a4"}
    form = {"credential": added(guarded, names.get(origin, "a5"))}
    for path in ("/ui/login", "/ui/login/issuer/corp"):
        answer = requests.post(
            guarded.url + path,
            form,
            headers={} if origin is None else {"Origin": origin},
            timeout=DEADLINE,
            allow_redirects=False,
        )
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers


def test_a_form_of_another_session_has_no_effect(guarded: Served) -> None:
    first, second = (logged_in(guarded, added(guarded, name)) for name in ("bea", "ben"))
    stolen = first.forms["/ui/logout"]["form-token"]
    for form in ({"form-token": stolen}, {"form-token": ""}, {}):
        assert second.post("/ui/logout", form).status_code == 403
    assert second.open("/").status_code == 200
    own = Browser(guarded.url)
    own.session.cookies.update(second.session.cookies)
    token = second.forms["/ui/logout"]["form-token"]
    assert own.post("/ui/logout", {}, **{"X-Form-Token": token}).url.endswith("/ui/login")


def test_a_form_needs_the_own_origin_even_where_no_login_is_needed(
    serve: Callable[..., Served],
) -> None:
    served = serve()
    statuses = {}
    for origin in (None, "https://evil.example", served.url):
        answer = requests.post(
            f"{served.url}/ui/login",
            {"credential": "x"},
            headers={} if origin is None else {"Origin": origin},
            timeout=DEADLINE,
            allow_redirects=False,
        )
        statuses[origin] = answer.status_code
    assert statuses == {None: 403, "https://evil.example": 403, served.url: 303}
    assert Browser(served.url).open("/ui/login").url == f"{served.url}/"


@pytest.mark.parametrize(
    "wanted",
    [
        *("https://evil.example/", "//evil.example", "/\\evil.example", "\\/evil.example"),
        *("/ui/\r\nSet-Cookie: a=b", "javascript:alert(1)", "/v1/config", "ui/login", "", "/ui/ü"),
        *("/ui/\tx", "http:/ui/", "///ui/", f"/ui/{'x' * 3000}", "/ui/x\x00"),
    ],
)
def test_a_login_opens_no_page_of_others(guarded: Served, wanted: str) -> None:
    assert local_target(wanted) == "/"
    browser = Browser(guarded.url)
    browser.open(f"/ui/login?next={quote(wanted)}")
    assert browser.forms["/ui/login"]["next"] == "/"


@pytest.mark.parametrize("wanted", ["/", "/ui/warehouses/a?page=2", "/ui/x%2Fy#part"])
def test_a_login_opens_pages_of_this_server(wanted: str) -> None:
    assert local_target(wanted) == wanted


def test_the_link_of_another_site_opens_the_page_with_the_session(guarded: Served) -> None:
    browser = logged_in(guarded, added(guarded, "cat"))
    without = requests.get(
        f"{guarded.url}/ui/warehouses/default?page=2",
        headers=NAVIGATION,  # browsers keep the cookie back
        timeout=DEADLINE,
        allow_redirects=False,
    )
    assert without.status_code == 200
    assert target(without) == "/ui/warehouses/default?page=2"
    same = {**NAVIGATION, "Sec-Fetch-Site": "same-origin"}
    assert browser.open(target(without), **same).status_code in (200, 404)
    assert browser.open("/", **{**NAVIGATION, "Sec-Fetch-Dest": "iframe"}).status_code == 403
    assert browser.open("/v1/config", **NAVIGATION).status_code == 403
    reading = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    assert browser.open("/", **reading).status_code == 403


def test_large_forms_are_rejected_by_their_head(guarded: Served) -> None:
    headers = {
        "Origin": guarded.url,
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": str(65 * 1024),
        "Expect": "100-continue",
    }
    answer = requests.request(
        "POST", f"{guarded.url}/ui/login", headers=headers, data=b"", timeout=DEADLINE
    )
    assert answer.status_code == 413


@pytest.fixture(scope="module")
def idp() -> Iterator[OidcProvider]:
    with oidc_provider() as made:
        yield made


@pytest.fixture(scope="module")
def corp(
    idp: OidcProvider, serve: Callable[..., Served], tmp_path_factory: pytest.TempPathFactory
) -> Served:
    """A catalog with an identity provider."""
    config = write_config(tmp_path_factory.mktemp("config"), {"corp": idp.settings()})
    return serve(CATALOG_AUTH_REQUIRED="true", CATALOG_CONFIG=str(config))


def begun(served: Served, wanted: str = "/") -> tuple[Browser, str]:
    """Begin a login; return the browser, and the page of the provider."""
    browser = Browser(served.url)
    browser.open(wanted)
    return browser, target(browser.submit("/ui/login/issuer/corp"))


def come_back(browser: Browser, page: str, name: str = "alice") -> requests.Response:
    """Do the login in the provider's pages; return what the catalog says to that."""
    browser.page = visit(browser.session, page, name)
    assert urlsplit(browser.page.url).path == "/ui/login/callback"
    return browser.page


def test_a_person_logs_in_at_the_provider(corp: Served) -> None:
    browser, page = begun(corp, "/ui/warehouses/default")
    query = parse_qs(urlsplit(page).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == [f"{corp.url}/ui/login/callback"]
    assert "offline_access" not in query["scope"][0]
    assert "client_secret" not in query
    answer = come_back(browser, page)
    assert target(answer) == "/ui/warehouses/default"
    assert browser.open("/").status_code == 200
    assert browser.visitor == "corp~alice"
    own = [name for name in browser.cookies if name.startswith("falcon")]
    assert own == [f"falcon-{corp.url.rpartition(':')[2]}"]  # that of the login has gone
    ((groups,),) = sql(corp, "SELECT member_of FROM web_sessions WHERE via = 'oidc:corp'")
    assert groups == '[["corp", "data"]]'
    run(corp, "principals", "disable", "corp~alice")
    browser.open("/")
    assert browser.visitor == ""
    run(corp, "principals", "enable", "corp~alice")


def test_what_a_login_brings_back_is_good_for_one_browser_and_once(corp: Served) -> None:
    _, page = begun(corp)
    answered = _code(page)
    # Login CSRF: the victim's browser is sent to the callback with the attacker's code.
    victim = Browser(corp.url)
    assert victim.open(f"/ui/login/callback?{answered}", **NAVIGATION).status_code == 401
    assert not victim.cookies
    victim, _ = begun(corp)  # even if it has begun a login itself
    assert victim.open(f"/ui/login/callback?{answered}", **NAVIGATION).status_code == 401
    victim.open("/")
    assert victim.visitor == ""
    browser, page = begun(corp)
    come_back(browser, page)
    ended = browser.page.url
    assert browser.open("/").status_code == 200
    assert browser.open(ended).status_code == 401  # the login's cookie has gone


def _code(page: str) -> str:
    """Log in as an attacker does, who does not let the browser come back; return the query."""
    with requests.Session() as session:
        found = visit(session, page, "mallory")
        return urlsplit(found.url).query


@pytest.mark.parametrize("change", ["state", "code", "cookie"])
def test_a_callback_that_was_changed_is_refused(corp: Served, change: str) -> None:
    browser, page = begun(corp)
    query = {name: values[0] for name, values in parse_qs(_code(page)).items()}
    if change == "cookie":
        name = f"falcon-login-{corp.url.rpartition(':')[2]}"
        head, _, signature = browser.cookies[name].rpartition(".")
        browser.set_cookie(name, f"{head}.{signature[::-1]}")
    else:
        query[change] = query[change][::-1]
    pairs = "&".join(f"{name}={quote(value)}" for name, value in query.items())
    answer = browser.open(f"/ui/login/callback?{pairs}")
    assert answer.status_code == 401
    assert browser.visitor == ""
    assert "The login was refused" in answer.text


def test_the_provider_refuses(corp: Served) -> None:
    browser, page = begun(corp)
    state = parse_qs(urlsplit(page).query)["state"][0]
    answer = browser.open(f"/ui/login/callback?error=access_denied&state={state}")
    assert answer.status_code == 401
    assert "access_denied" in answer.text
    assert browser.open("/ui/login/issuer/nothing").status_code == 405
    browser.open("/ui/login")
    assert browser.post("/ui/login/issuer/nothing", {}).status_code == 404
