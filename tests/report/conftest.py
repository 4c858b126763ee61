"""A browser, and a lake with a past, made by the real pipeline once."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from tests.report.browser import PROGRAM, Page, chromium
from tests.report.story import DAY, tell, weather
from tests.tasks.conftest import CatalogServer, Pipeline, make_catalog, port, records  # noqa: F401  # fixtures

HOSTILE = (
    "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
)


@dataclass(frozen=True)
class Made:
    """A report, and what it was made from."""

    path: Path
    pipeline: Pipeline

    @property
    def html(self) -> str:
        return self.path.read_text()


def warn(catalog: CatalogServer) -> None:
    """Add an alert whose texts are written by an enemy, as the service might pass it on."""
    table = catalog.connect().load_table("weather.alerts")
    noon = dt.datetime.combine(DAY, dt.time(12), dt.UTC)
    alert = {
        "alert_id": "urn:oid:hostile",
        "status": "Actual",
        "message_type": "Alert",
        "event": f"Heat {HOSTILE}",
        "severity": "Extreme",
        "headline": HOSTILE,
        "area_desc": HOSTILE,
        "sent": noon,
        "effective": noon,
        "onset": noon,
        "expires": noon + dt.timedelta(hours=6),
        "ends": noon + dt.timedelta(hours=6),
        "zones": ["NYZ072", "NJZ006"],
        "states": ["NY", "NJ"],
        "fetched_at": noon,
    }
    schema = table.schema().as_arrow()
    table.append(pa.Table.from_pylist([alert], schema=schema))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Run the pipeline on five weeks of real records, and report on the last."""
    folder = tmp_path_factory.mktemp("report")
    catalog = CatalogServer(folder / "catalog")
    catalog.start()
    try:
        with weather() as url:
            pipeline = tell(catalog, url, folder / "weather")
            warn(catalog)
            pipeline.ok("Report", "--date", f"{DAY}", "--days", "35")
        yield Made(pipeline.folder(f"{DAY}") / "report.html", pipeline)
    finally:
        catalog.stop()


@pytest.fixture(scope="session")
def new_page() -> Iterator[Callable[[], Page]]:
    """Open pages in headless Chromium."""
    if PROGRAM is None:
        pytest.skip("no Chromium to open the report with: apt-get install chromium")
    with chromium() as new:
        yield new
