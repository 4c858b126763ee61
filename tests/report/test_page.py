"""The report in a browser: every figure drawn, nothing fetched, nothing cut off or covered."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.report.browser import DRAWN, Page
from tests.report.conftest import HOSTILE, Made

pytestmark = pytest.mark.slow
NewPage = Callable[[], Page]

# How many marks each chart shows, legends and axes left out.
MARKS = """
    Object.fromEntries([...document.querySelectorAll("[data-chart]")].map((place) => [
        place.dataset.chart,
        place.querySelectorAll("svg .role-mark path[d]:not([d='']), svg .role-mark text").length,
    ]))
"""
CHARTS = {
    "map-temperature",
    "map-age",
    "meteogram-KEWR",
    "meteogram-KJFK",
    "meteogram-KLGA",
    "alerts-by-area",
    "calendar",
    "wind-KEWR",
    "wind-KJFK",
    "wind-KLGA",
    "history",
    "coverage",
    "freshness",
}


def shown(new_page: NewPage, path: Path, width: int = 1200, *, dark: bool = False) -> Page:
    page = new_page()
    page.emulate(width, dark=dark)
    page.open(path)
    page.wait(DRAWN)
    return page


@pytest.fixture(scope="module")
def page(made: Made, new_page: NewPage) -> Page:
    return shown(new_page, made.path)


def test_every_chart_is_drawn_with_its_marks(page: Page) -> None:
    marks = page.evaluate(MARKS)
    assert set(marks) == CHARTS
    assert all(count >= 1 for count in marks.values()), marks
    # 35 UTC days are 36 of New York, the first in part; 3 stations over 30 days; 3 dots with names
    # on the outlines.
    assert marks["calendar"] == 36
    assert marks["coverage"] == 90
    assert marks["map-temperature"] > 6


def test_nothing_is_fetched_and_the_console_stays_silent(made: Made, page: Page) -> None:
    assert page.requests() == [made.path.resolve().as_uri()]
    assert page.complaints() == []


def test_the_page_forbids_itself_the_network_and_scripts(made: Made, new_page: NewPage) -> None:
    page = shown(new_page, made.path)
    page.evaluate(
        "document.addEventListener('securitypolicyviolation',"
        " (event) => { window.refused = event.effectiveDirective; });"
        " fetch('http://127.0.0.1:9/').catch(() => {}); undefined"
    )
    assert page.wait("window.refused") == "connect-src"
    page.evaluate(
        "window.refused = ''; const script = document.createElement('script');"
        " script.textContent = 'window.ran = true'; document.body.append(script); undefined"
    )
    assert page.wait("window.refused") == "script-src-elem"
    assert not page.evaluate("window.ran")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(
    made: Made, new_page: NewPage, dark: bool
) -> None:
    page = shown(new_page, made.path, 360, dark=dark)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
    wide = "[...document.querySelectorAll('svg')].map((svg) => svg.getBoundingClientRect().right)"
    assert max(page.evaluate(wide)) <= 360
    assert page.complaints() == []


def test_charts_are_drawn_anew_for_another_width_and_for_the_dark(
    made: Made, new_page: NewPage
) -> None:
    page = shown(new_page, made.path)
    width = "document.querySelector('[data-chart=calendar] svg').getBoundingClientRect().width"
    label = "getComputedStyle(document.querySelector('.role-axis-label text')).fill"
    before, light = page.evaluate(width), page.evaluate(label)
    page.emulate(360)
    page.wait(f"{width} < {before / 2}")
    page.emulate(360, dark=True)
    page.wait(f"{label} !== {json.dumps(light)}")


def test_texts_of_others_are_shown_and_never_run(made: Made, page: Page) -> None:
    assert HOSTILE not in made.html
    title = "Weather of Thursday 18 July 2013: Newark and New York"
    assert page.evaluate("document.title") == title
    table = page.evaluate("document.querySelector('#alerts').textContent")
    assert HOSTILE in table
    assert page.evaluate("document.querySelectorAll('main img, main script').length") == 0


def test_another_station_shows_another_year(page: Page) -> None:
    color = "[...document.querySelectorAll('[data-chart=calendar] .role-mark path')]"
    color += ".map((path) => path.getAttribute('fill')).join()"
    before = page.evaluate(color)
    page.evaluate(
        "(() => { const select = document.querySelector('[data-chart=calendar] select');"
        " select.value = 'KJFK';"
        " for (const kind of ['input', 'change']) select.dispatchEvent(new Event(kind)); })()"
    )
    page.wait(f"{color} !== {json.dumps(before)}")


def test_keys_alone_lead_through_it(made: Made, new_page: NewPage) -> None:
    page = shown(new_page, made.path)
    key = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
    stops = []
    for _ in range(60):
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, **key)
        stops.append(
            page.evaluate(
                "(document.activeElement.textContent || '').trim().slice(0, 40) + '|'"
                " + document.activeElement.tagName"
            )
        )
    assert stops[0] == "Skip to the report|A"
    assert [stop for stop in stops if stop.endswith("|A")][1:7] == [
        "The day|A",
        "Alerts|A",
        "Hour by hour|A",
        "The year|A",
        "Time travel|A",
        "The data|A",
    ]
    assert any(stop.endswith("|SELECT") for stop in stops)
    assert sum(stop.endswith("|DIV") for stop in stops) >= 5, "tables that scroll can be reached"


def test_what_is_seen_is_also_said(page: Page) -> None:
    unnamed = """
        [...document.querySelectorAll("[data-chart]")].map((place) => place.ariaLabel || "")
            .filter((label) => label.length < 30)
    """
    assert page.evaluate(unnamed) == []
    headings = page.evaluate("[...document.querySelectorAll('h1, h2')].map((h) => h.tagName)")
    sections = page.evaluate("document.querySelectorAll('section').length")
    assert headings == ["H1", *["H2"] * sections]


def test_it_is_small_enough_to_send(made: Made) -> None:
    assert made.path.stat().st_size < 1_500_000


# Texts of a chart that lie over one another or over a dot of the map, in pixels of the screen.
COVERED = """
    [...document.querySelectorAll("[data-chart]")].flatMap((place) => {
        const dots = place.dataset.chart.startsWith("map") ? ".mark-symbol.role-mark path" : "none";
        const visible = (text) => getComputedStyle(text).opacity > 0 && text.textContent.trim();
        const texts = [...place.querySelectorAll("svg text")].filter(visible);
        const boxes = [...texts, ...place.querySelectorAll(dots)]
            .map((mark) => [mark.textContent || "dot", mark.getBoundingClientRect()]);
        const over = ([, a], [, b]) => a.left + 1 < b.right && b.left + 1 < a.right
            && a.top + 3 < b.bottom && b.top + 3 < a.bottom;
        return boxes.flatMap((one, at) => boxes.slice(at + 1)
            .filter((other) => (one[0] !== "dot" || other[0] !== "dot") && over(one, other))
            .map((other) => `${place.dataset.chart}: ${one[0]} / ${other[0]}`));
    })
"""


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_labels_of_charts_do_not_overlap(made: Made, new_page: NewPage, width: int) -> None:
    page = shown(new_page, made.path, width)
    names = (
        "document.querySelectorAll('[data-chart=map-temperature] .mark-text.role-mark text').length"
    )
    assert page.evaluate(names) == 3
    assert page.evaluate(COVERED) == []


@pytest.mark.parametrize("width", [390, 768, 1060, 1280])
def test_no_table_is_cut_off(made: Made, new_page: NewPage, width: int) -> None:
    page = shown(new_page, made.path, width)
    cut_off = """
        [...document.querySelectorAll(".scroll")].filter((box) => box.scrollWidth > box.clientWidth)
            .map((box) => `${box.ariaLabel}: ${box.scrollWidth} > ${box.clientWidth}`)
    """
    assert page.evaluate("document.querySelectorAll('.scroll').length") > 5
    assert page.evaluate(cut_off) == []


def test_the_headline_has_the_place_and_the_alerts_first(page: Page) -> None:
    header = page.evaluate(
        "[...document.querySelectorAll('header .kicker, header h1, header strong, header .story')]"
        ".map((part) => part.textContent.trim())"
    )
    assert header[:3] == [
        "Weather report · Thursday 18 July 2013",
        "Newark and New York",
        f"Heat {HOSTILE}",
    ]
    assert header[-1].startswith("The highest temperature was 37.8")
    first = page.evaluate("document.querySelector('header .alert').className")
    assert first == "alert extreme"


def test_the_first_printed_page_is_a_summary(made: Made, new_page: NewPage) -> None:
    page = shown(new_page, made.path, 1280, dark=True)
    page.call(
        "Emulation.setEmulatedMedia",
        media="print",
        features=[{"name": "prefers-color-scheme", "value": "dark"}],
    )
    # A letter less its margins of 10 mm, in CSS pixels.
    letter = {"width": 740, "height": 980}
    page.call("Emulation.setDeviceMetricsOverride", **letter, deviceScaleFactor=1, mobile=False)
    page.wait("document.querySelector('[data-chart=calendar] svg').clientWidth < 740")
    bottom = page.evaluate(
        "document.querySelector('#extremes table').getBoundingClientRect().bottom"
    )
    assert bottom < letter["height"]
    after = "getComputedStyle(document.querySelector('#part-2')).breakBefore"
    assert page.evaluate(after) == "page"
    # Ink on paper is dark, even if the screen is.
    ink = "getComputedStyle(document.querySelector('.role-axis-label text')).fill"
    assert page.evaluate(ink) == "rgb(86, 98, 117)"
