"""The report's sections, made from the lake; a section names the data that it lacks."""

import contextlib
import logging
from collections.abc import Callable, Sequence

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
from jobs.report.blocks import Day, Section, Words
from jobs.report.lake import Lake
from jobs.report.page import render

log = logging.getLogger("luigi-interface.weather")

# In the order of the page: name, title for when the data is missing, and function.
SECTIONS: tuple[tuple[str, str, Callable[[Lake, Day], Section]], ...] = (
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
    """Write the report of a day as HTML; without chosen stations, those that stand out."""
    if not day.stations:
        with contextlib.suppress(duckdb.CatalogException, duckdb.BinderException):
            day = Day(day.date, headline.closer(lake, day))
    return render(day, sections(lake, day), lake.uri)


def sections(lake: Lake, day: Day) -> Sequence[Section]:
    """Make every section."""
    return [_section(lake, day, *known) for known in SECTIONS]


def _section(
    lake: Lake, day: Day, name: str, title: str, make: Callable[[Lake, Day], Section]
) -> Section:
    try:
        return make(lake, day)
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        reason = str(error).splitlines()[0].partition(": ")[2]
        log.warning("report: section %r is left out: %s", title, reason)
        words = (
            f"This catalog does not hold what this part is made of: {reason.rstrip('!.')}."
            " It appears once the pipeline has built it."
        )
        return Section(name, title, [Words(words, "missing")])
