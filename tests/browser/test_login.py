"""Logins in a real browser, which decides when it sends cookies and Origin."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from falcon_catalog.web import paths
from tests.browser.conftest import DESKTOP, PHONE, Open
from tests.browser.test_pages import violations
from tests.web.conftest import Served
from tests.web.test_sessions import added, run


@pytest.fixture(scope="module")
def guarded(serve: Callable[..., Served]) -> Served:
    """A catalog that requires a login."""
    return serve(CATALOG_AUTH_REQUIRED="true")


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_login_page(
    guarded: Served, viewport: dict[str, int], visit: Open, axe: str, screenshots: Path
) -> None:
    link = run(guarded, "login", "--link", f"--uri={guarded.url}")
    page = visit(guarded.url, viewport=viewport).open(link.removeprefix(guarded.url))
    page.screenshot(path=screenshots / f"login-{viewport['width']}.png", full_page=True)
    assert violations(page, axe) == []


def test_a_link_logs_in_and_a_form_changes_something(guarded: Served, visit: Open) -> None:
    link = run(guarded, "login", "--link", f"--uri={guarded.url}")
    page = visit(guarded.url).open(link.removeprefix(guarded.url))
    page.get_by_role("button", name="Log in", exact=True).first.click()
    page.get_by_role("link", name="Administration").click()
    page.get_by_label("Name").fill("etl")
    page.get_by_role("button", name="Add").first.click()
    assert page.locator("#credential").inner_text().startswith("etl:")
    page.get_by_role("button", name="Log out").click()
    assert page.url == f"{guarded.url}{paths.LOGIN}"
    page.goto(guarded.url)
    assert page.url == f"{guarded.url}{paths.LOGIN}?next=%2F"


def test_a_link_of_another_site_finds_the_session(guarded: Served, visit: Open) -> None:
    page = visit(guarded.url).open(paths.SETTINGS)
    page.get_by_role("textbox").fill(added(guarded, "ann", "--owner"))
    page.get_by_role("button", name="Log in").last.click()
    assert page.url == f"{guarded.url}{paths.SETTINGS}"
    target = f"{guarded.url}{paths.ACTIVITY}?since=24h"
    with elsewhere(f'<a href="{target}">The catalog</a>') as other:
        again = visit(guarded.url)
        again.page.context.add_cookies(page.context.cookies())  # type: ignore[arg-type]
        again.page.goto(other)
        again.problems.clear()  # the request to another server was ours
        again.page.get_by_role("link").click()
        again.page.wait_for_url(target)
        again.page.get_by_role("heading", level=1, name="Activity").wait_for()


def test_a_form_of_another_site_is_rejected(guarded: Served, visit: Open) -> None:
    form = f'<form method="post" action="{guarded.url}{paths.LOGIN}"><button>Go</button></form>'
    with elsewhere(form) as other:
        here = visit(guarded.url)
        here.page.goto(other)
        here.page.get_by_role("button").click()
        here.page.wait_for_url(f"{guarded.url}{paths.LOGIN}")
        assert "may not call this server" in here.page.inner_text("main")
        here.problems.clear()  # the request to another server, and the 403


@contextlib.contextmanager
def elsewhere(content: str) -> Iterator[str]:
    """Serve a page as another site; return its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f"<!doctype html><title>x</title>{content}".encode())

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://localhost:{server.server_address[1]}/"
        server.shutdown()
        thread.join()
