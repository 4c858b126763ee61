"""Builds the report section by section; a section without its tables says which are missing."""

import contextlib
import logging
from collections.abc import Callable

import duckdb

from jobs.report import (
    alerts,
    extremes,
    headline,
    health,
    heatmaps,
    history,
    meteogram,
    places,
    wind,
)
from jobs.report.blocks import Block, Day, Section, Words
from jobs.report.lake import Lake
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


def build(lake: Lake, day: Day) -> str:
    """Return the report of a day as HTML, on the extremes' stations if none are chosen."""
    if not day.stations:
        with contextlib.suppress(duckdb.CatalogException, duckdb.BinderException):
            day = Day(day.date, headline.closer(lake, day))
    return render(day, sections(lake, day), lake.uri)


def sections(lake: Lake, day: Day) -> list[Section]:
    """Return every section."""
    found = []
    for name, title, make in SECTIONS:
        try:
            blocks = make(lake, day)
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            reason = str(error).splitlines()[0].partition(": ")[2]
            log.warning("report: section %r is left out: %s", title, reason)
            words = (
                f"This catalog does not hold what this part is made of: {reason.rstrip('!.')}."
                " It appears once the pipeline has built it."
            )
            blocks = [Words(words, "missing")]
        found.append(Section(name, title, blocks))
    return found
