"""Builds the report section by section; what has nothing to show is named at its end."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from jobs.lake import rest
from jobs.report import (
    alerts,
    extremes,
    headline,
    health,
    heatmaps,
    history,
    meteogram,
    places,
    story,
    wind,
)
from jobs.report.blocks import Block, Day, Section, Table, Words
from jobs.report.lake import MISSING, Lake
from jobs.report.page import render

log = logging.getLogger("luigi-interface.weather")

# In the order of the page: name, title, and the function that returns the blocks.
SECTIONS: tuple[tuple[str, str, Callable[[Lake, Day], list[Block]]], ...] = (
    ("glance", "The day at a glance", headline.section),
    ("map", "Stations on the map", places.section),
    ("meteograms", "Meteograms", meteogram.section),
    ("extremes", "Extremes of the day", extremes.section),
    ("records", "Records set", extremes.records),
    ("alerts", "Alerts", alerts.section),
    ("alerts-by-area", "Alerts by area", alerts.by_area),
    ("calendar", "A year of days", heatmaps.calendar),
    ("wind", "Where the wind came from", wind.section),
    ("history", "This day as we knew it then", history.section),
    ("coverage", "Coverage", heatmaps.coverage),
    ("freshness", "Freshness", health.freshness),
    ("quarantine", "Quarantine", health.quarantine),
    ("runs", "Runs", health.runs),
    ("loads", "Loads", health.loads),
    ("drift", "Schema drift", health.drift),
)


_ZONES = """
    select local_time_zone as zone, state, count(*) as stations from lake.marts.dim_stations
    group by all order by stations, zone, state
"""


def build(lake: Lake, day: Day, pages: str = "") -> str:
    """Return the report of a day as HTML, on the extremes' stations if none are chosen.

    ``pages`` is the URL at which people open the catalog's pages; empty: the lake's.
    """
    if not day.stations:
        day = replace(day, stations=lake.held(lambda: headline.closer(lake, day)) or ())
    day = lake.held(lambda: _in_local_time(lake, day)) or day
    uri = pages or lake.uri
    run = rest.run_page(uri, lake.warehouse, day.date.isoformat())
    return render(day, story.story(lake, day), sections(lake, day), uri, run)


def _in_local_time(lake: Lake, day: Day) -> Day:
    """Return the day in the zone of most stations, and each state's zone."""
    rows = lake.ask(_ZONES)
    zones: Counter[str] = Counter()
    for row in rows:
        zones[row["zone"]] += row["stations"]
    if not zones:
        return day
    # Fewest stations come first: the last zone of a state is its most common one.
    state_zones = {row["state"]: row["zone"] for row in rows}
    return replace(day, zone=zones.most_common(1)[0][0], state_zones=state_zones)


def sections(lake: Lake, day: Day) -> list[Section]:
    """Return every section that has something to show, and a last one that names the others."""
    found, absent = [], []
    for name, title, make in SECTIONS:
        try:
            blocks = make(lake, day)
        except MISSING as error:
            reason = str(error).splitlines()[0].partition(": ")[2]
            log.warning("report: section %r is left out: %s", title, reason)
            words = f"This catalog does not hold what it is made of: {reason.rstrip('!.')}."
            blocks = [Words(words, "empty")]
        if all(isinstance(block, Words) and block.kind == "empty" for block in blocks):
            words = " ".join(block.text for block in blocks if isinstance(block, Words))
            absent.append((title, words))
        else:
            found.append(Section(name, title, blocks))
    if absent:
        found.append(
            Section(
                "absent",
                "Nothing to show",
                [Table("Sections left out", ("Section", "Why"), absent)],
            )
        )
    return found
