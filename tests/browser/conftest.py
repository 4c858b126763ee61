"""Chromium, driven by Playwright, and what a page must not do there.

Pytest reads this in every run, also where the extra ``browser`` is not installed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from falcon_catalog.app import create_app
from falcon_catalog.catalog.identity import Realm
from falcon_catalog.settings import load, prepare
from falcon_catalog.web import application
from falcon_catalog.web.site import Site
from tests import npm
from tests.browser import lakehouse
from tests.processes import DEADLINE
from tests.web.conftest import Served, serve

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Request

__all__ = ["serve"]
AXE = "4.14.1"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next(filter(None, map(shutil.which, _NAMES)), None)
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Chromium as the machine has it: package indexes have no builds of Playwright's."""
    if PROGRAM is None:
        pytest.skip("no Chromium to open the pages with: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api")
    api.expect.set_options(timeout=1000 * DEADLINE)
    with api.sync_playwright() as playwright:
        flags = ["--no-sandbox"] if os.getuid() == 0 else []
        yield playwright.chromium.launch(executable_path=PROGRAM, args=flags)


@pytest.fixture(scope="session")
def axe() -> str:
    """The program that finds what a screen reader or a keyboard cannot use."""
    folder = npm.install("axe-core", AXE)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def lake(serve: Callable[..., Served]) -> Served:
    """A catalog with a lakehouse in which every page has something to show."""
    catalog = serve(CATALOG_WEB_SQL="true")
    lakehouse.fill(catalog)
    return catalog


@dataclass
class Visit:
    """A page in a browser, and what went wrong in it."""

    page: Page
    url: str
    problems: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Open a page, and wait until it has everything."""
        self.page.goto(self.url + path)
        self.page.wait_for_load_state("networkidle")
        return self.page


Open = Callable[..., Visit]


@pytest.fixture
def visit(chromium: Browser, lake: Served) -> Iterator[Open]:
    """Return a function that opens a browser; at the end no page of it may have had a problem."""
    contexts: list[BrowserContext] = []
    visits: list[Visit] = []

    def begin(url: str = lake.url, **options: Any) -> Visit:
        context = chromium.new_context(**{"viewport": DESKTOP, "locale": "en-GB", **options})
        contexts.append(context)
        visit = Visit(context.new_page(), url)
        visits.append(visit)
        _watch(visit)
        return visit

    yield begin
    for context in contexts:
        context.close()
    assert [problem for each in visits for problem in each.problems] == []


def _watch(visit: Visit) -> None:
    """Note errors on the console, failed scripts, and requests to anywhere else."""
    note = visit.problems.append

    def requested(request: Request) -> None:
        if not request.url.startswith((visit.url, "data:", "about:")):
            note(f"request to {request.url}")

    visit.page.on(
        "console",
        lambda message: note(f"console: {message.text}") if message.type == "error" else None,
    )
    visit.page.on("pageerror", lambda error: note(f"script: {error}"))
    visit.page.on("request", requested)


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for screenshots: SCREENSHOTS, or one that ends with the tests."""
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        return Path(folder)
    return tmp_path_factory.mktemp("screenshots")


@pytest.fixture(scope="session")
def routes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The pages' routes, as the application adds them."""
    folder = tmp_path_factory.mktemp("routes")
    places = {"store.url": f"{folder}/catalog.db", "warehouse.location": f"{folder}/tables"}
    settings = load(None, {}, places)
    prepare(settings)
    app = create_app(settings)
    try:
        site = Site(
            tuple(app.warehouses),
            Realm.of(app.warehouses[0].store, 60, 60),
            settings,
            app.metrics,
            app.serving,
        )
        return dict(application.routes(site))
    finally:
        app.close()
