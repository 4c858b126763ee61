"""Attacks on logins and forms; logins at a provider are in ``identity/test_web_login.py``."""

import re
from collections.abc import Callable
from html import unescape
from urllib.parse import quote

import pytest
import requests

from falcon_catalog.web.login import local_target
from tests.processes import DEADLINE
from tests.web.browser import Browser
from tests.web.conftest import Served
from tests.web.test_sessions import added, logged_in

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
