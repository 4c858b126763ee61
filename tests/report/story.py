"""A lake with a past: a day read hour by hour, with late reports, then months at once."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.nws_simulator import Faults, airports, make_app, running
from tests.tasks.conftest import CatalogServer, Pipeline

# The hottest day of the year, in a heat wave.
DAY = dt.date(2013, 7, 18)
# The six hours up to each of these are read, so that what came late is met the next time.
HOURS = (
    "2013-07-18T08",
    "2013-07-18T11",
    "2013-07-18T14",
    "2013-07-18T17",
    "2013-07-18T20",
    "2013-07-18T23",
    "2013-07-19T03",
)
SETTINGS = {"WEATHER_ALERT_STATES": "NJ,NY"}


@contextmanager
def weather() -> Iterator[str]:
    """Serve the airports' year: some reports late, some corrected, some not to be read."""
    faults = Faults({"broken": 0.2, "throttle": 0.05}, seed=20130702, in_a_row=1)
    with running(make_app(airports(), faults, late=0.15)) as url:
        yield url


def tell(catalog: CatalogServer, url: str, data: Path) -> Pipeline:
    """Load the day every three hours, as it was known then; the rest comes with the report."""
    pipeline = Pipeline(catalog, url, data, SETTINGS)
    for hour in HOURS:
        pipeline.ok("WeatherIngestion", "--hour", hour)
    return pipeline
