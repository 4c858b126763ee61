"""Logins of web pages at an identity provider."""

from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests

from tests.auth.issuer import write_config
from tests.identity.providers import OidcProvider, oidc_provider, visit
from tests.web.browser import Browser
from tests.web.conftest import Served
from tests.web.test_login import NAVIGATION, target
from tests.web.test_sessions import run, sql


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
