"""Every page in Chromium: on a desktop and a phone, light and dark, for eyes and screen readers."""

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright", reason="the extra browser is not installed")

from playwright.sync_api import Page, expect

from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.web import paths
from tests.browser.conftest import DESKTOP, PHONE, Open
from tests.browser.lakehouse import observations
from tests.web.conftest import Served

WEATHER = Namespace(("weather",))
OBSERVATIONS = TableIdentifier(WEATHER, "observations")
PAGES: dict[str, str] = {
    "home": paths.HOME,
    "warehouse": paths.to_warehouse("default"),
    "namespace": paths.to_namespace("default", WEATHER),
    "search": f"{paths.SEARCH}?q=e",
    "size": paths.to_warehouse("default", "size"),
    "dropped": paths.to_warehouse("default", "dropped"),
    "view": paths.to_view("default", TableIdentifier(WEATHER, "warmest")),
    "function": paths.to_function("default", TableIdentifier(WEATHER, "fahrenheit")),
    "table": paths.to_table("default", OBSERVATIONS),
    "metadata": paths.to_table("default", OBSERVATIONS, "metadata"),
    "history": paths.to_table("default", OBSERVATIONS, "history"),
    "diff": paths.to_table("default", OBSERVATIONS, "diff?from=first-day&to=main&load=true"),
    "files": paths.to_table("default", OBSERVATIONS, "files?load=true"),
    "rows": paths.to_table("default", OBSERVATIONS, "rows"),
    "properties": paths.to_table("default", OBSERVATIONS, "properties"),
    "maintenance": paths.to_table("default", OBSERVATIONS, "maintenance"),
    "runs": paths.to_namespace("default", WEATHER, "runs"),
    "run": paths.to_namespace("default", WEATHER, "runs/2026-11-01"),
    "sql": f"{paths.SQL}?q=SELECT+count(*)+FROM+weather.observations",
    "grants": paths.to_table("default", OBSERVATIONS, "grants"),
    "grants-view": paths.to_view("default", TableIdentifier(WEATHER, "warmest"), "grants"),
    "grants-function": paths.to_function(
        "default", TableIdentifier(WEATHER, "fahrenheit"), "grants"
    ),
    "grants-namespace": paths.to_namespace("default", WEATHER, "grants"),
    "grants-warehouse": paths.to_warehouse("default", "grants"),
    "grants-server": paths.GRANTS,
    "activity": paths.ACTIVITY,
    "activity-warehouse": paths.to_warehouse("default", "activity"),
    "principals": paths.ADMINISTRATION,
    "roles": paths.ROLES,
    "settings": paths.SETTINGS,
    "storage": paths.STORAGE,
    "backups": paths.BACKUPS,
}
"""Every page, by the name of its screenshot."""
NO_PAGES = {"pageStatic", "pageLogin", "finishLogin"}
"""Operations that answer GET with something else than a page."""
SEEN = {
    "desktop-light": {"viewport": DESKTOP, "color_scheme": "light"},
    "desktop-dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone-light": {"viewport": PHONE, "color_scheme": "light", "has_touch": True},
    "phone-dark": {"viewport": PHONE, "color_scheme": "dark", "has_touch": True},
}


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_seen_read_and_used(
    name: str, seen: str, visit: Open, axe: str, screenshots: Path
) -> None:
    options: dict[str, Any] = SEEN[seen]
    page = visit(**options).open(PAGES[name])
    page.screenshot(path=screenshots / f"{name}-{seen}.png", full_page=True)
    assert page.locator("h1").count() == 1
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wider) <= 0, "the page must be scrolled sideways"
    assert violations(page, axe) == []


def violations(page: Page, axe: str) -> list[str]:
    """Return what axe finds wrong with a page."""
    page.evaluate(axe)  # the policy of the page forbids a script element
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [_violation(each) for each in found["violations"]]


def _violation(found: dict[str, Any]) -> str:
    places = [str(node["html"])[:200] for node in found["nodes"][:3]]
    return f"{found['id']}: {found['help']} at {places}"


def test_every_page_is_opened_here(routes: dict[str, Any]) -> None:
    patterns = {
        path: re.compile(re.sub(r"\{[^}]*\}", "[^/]+", path))
        for path, (_, verbs) in routes.items()
        if "GET" in verbs and verbs["GET"] not in NO_PAGES
    }
    opened = [path.partition("?")[0] for path in PAGES.values()]
    missing = {path for path, each in patterns.items() if not any(map(each.fullmatch, opened))}
    assert missing == set()


def test_a_page_is_whole_without_scripts(visit: Open) -> None:
    page = visit(java_script_enabled=False).open("/")
    page.get_by_role("link", name="default").first.click()
    page.get_by_role("link", name="weather").first.click()
    page.get_by_role("link", name="observations").first.click()
    assert page.get_by_role("heading", level=1).inner_text() == "observations"


def test_the_keyboard_skips_to_the_content(visit: Open) -> None:
    page = visit().open("/")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_times_are_those_of_the_visitor_with_utc_as_titles(visit: Open) -> None:
    path = PAGES["table"]
    shown: dict[str, str] = {}
    for locale in ("de-DE", "en-US"):
        time = visit(locale=locale, timezone_id="Asia/Kolkata").open(path).locator("time").first
        shown[locale] = time.inner_text()
        assert "+5:30" in shown[locale] or "IST" in shown[locale]
        assert " UTC, " in (time.get_attribute("title") or "")
    assert shown["de-DE"] != shown["en-US"]


def test_an_open_history_gains_a_commit_and_keeps_what_was_selected(
    visit: Open, lake: Served
) -> None:
    table = lake.lake.load_table("weather.observations")
    before = len(table.snapshots())
    page = visit().open(PAGES["history"])
    chosen = page.locator("input[name=from]").last
    chosen.check()
    snapshot = chosen.get_attribute("value")
    page.locator("figure summary").first.click()
    table.append(observations(40))
    expect(page.locator("input[name=from]")).to_have_count(before + 1)
    expect(page.locator("input[name=from]:checked")).to_have_value(snapshot or "")
    expect(page.locator("figure details").first).to_have_attribute("open", "")
