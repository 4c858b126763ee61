"""What the report says, against the records it was made from, counted here."""

import datetime as dt
import html
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pyiceberg.table.snapshots import ancestors_of

from jobs.report.build import SECTIONS
from tests.report.browser import DRAWN, Page
from tests.report.conftest import Made
from tests.report.story import DAY
from tests.tasks.conftest import CatalogServer

pytestmark = pytest.mark.slow  # the report is of five weeks, which the pipeline loads first
NEW_YORK = ZoneInfo("America/New_York")


def section(page: str, name: str) -> str:
    """Give a section's text, tags taken out."""
    found = re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)
    assert found, name
    words = html.unescape(re.sub(r"<[^>]+>", " ", found[0])).replace("\N{NO-BREAK SPACE}", " ")
    return " ".join(words.split())


def report(catalog: CatalogServer, output: Path, extensions: Path, *more: str) -> str:
    """Make a report by the command."""
    command = [sys.executable, "-m", "jobs.report", "--date", f"{DAY}", "--output", str(output)]
    command += ["--catalog-uri", catalog.uri, "--extensions", str(extensions), *more]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return output.read_text()


@pytest.fixture(scope="module")
def of_the_day(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        record for record in records if record["observed_at"].astimezone(NEW_YORK).date() == DAY
    ]


def test_sections_without_content_are_left_out_and_named(made: Made) -> None:
    found = set(re.findall(r'<section id="([^"]+)"', made.html)) - {"absent"}
    absent = section(made.html, "absent")
    assert {name for name, title, _ in SECTIONS if title not in absent} == found
    assert "Schema drift The weather service sent nothing unknown." in absent
    assert "This catalog does not hold" not in made.html
    for name in found:
        whole = re.search(rf'<section id="{name}".*?</section>', made.html, re.DOTALL)
        assert whole
        assert re.search(r"<table|<dl|data-chart", whole[0]), name


def test_times_are_those_of_the_stations(made: Made) -> None:
    assert "2013-07-18 08:00 EDT 2013-07-18 14:00 EDT" in section(made.html, "alerts")
    for name in re.findall(r'<section id="([^"]+)"', made.html):
        assert not re.search(r"\d UTC", section(made.html, name)), name


def test_the_headline_figures_are_those_of_the_records(
    made: Made, of_the_day: list[dict[str, Any]]
) -> None:
    glance = section(made.html, "glance")
    assert f"Observations {len(of_the_day)} " in glance
    warmest = max(of_the_day, key=lambda record: record["temperature_c"])
    coldest = min(of_the_day, key=lambda record: record["temperature_c"])
    for kind, record in (("Warmest", warmest), ("Coldest", coldest)):
        value = record["temperature_c"]
        assert f"{kind} {value:.1f} °C ({value * 9 / 5 + 32:.0f} °F)" in glance, glance
    assert f"Warmest {warmest['temperature_c']:.1f} °C" in glance
    assert f"{warmest['station_id']} ·" in glance


def test_an_earlier_snapshot_is_what_the_table_was(made: Made) -> None:
    table = made.pipeline.catalog.connect().load_table("weather.observations")
    history = section(made.html, "history")
    stated = {
        int(snapshot): int(rows)
        for snapshot, rows in re.findall(r"E[DS]T (\d{12,}) (\d+) ", history)
    }
    assert len(stated) >= 5
    start = dt.datetime.combine(DAY, dt.time(), NEW_YORK).astimezone(dt.UTC)
    scope = (
        f"observed_at >= '{start.isoformat()}'"
        f" and observed_at < '{(start + dt.timedelta(days=1)).isoformat()}'"
    )
    for snapshot, rows in stated.items():
        scan = table.scan(snapshot_id=snapshot, row_filter=scope, selected_fields=("station_id",))
        assert scan.to_arrow().num_rows == rows
    newest = next(ancestors_of(table.current_snapshot(), table.metadata))
    assert table.scan(snapshot_id=newest.snapshot_id, row_filter=scope).to_arrow().num_rows == max(
        stated.values()
    )


def test_corrections_are_counted(made: Made) -> None:
    found = re.search(
        r"(\d+) rows? came, (\d+) got other values and 0 went", section(made.html, "history")
    )
    assert found
    assert int(found[1]) > 30
    assert int(found[2]) >= 1


def test_health_tells_of_quarantine_runs_and_loads(made: Made) -> None:
    assert re.search(r"observation no timestamp \d+ ", section(made.html, "quarantine"))
    assert f"Transform {DAY} success" in section(made.html, "runs")
    assert f"{DAY}T23/" in section(made.html, "loads")


def test_a_second_run_does_nothing(made: Made) -> None:
    before = made.path.stat()
    output = made.pipeline.ok("Report", "--date", f"{DAY}", "--days", "35")
    assert "* 1 complete ones were encountered" in output
    assert made.path.stat().st_mtime_ns == before.st_mtime_ns


def test_stations_that_were_asked_for_are_looked_at(made: Made, tmp_path: Path) -> None:
    extensions = made.pipeline.data / "duckdb-extensions"
    page = report(made.pipeline.catalog, tmp_path / "r.html", extensions, "--stations", "kjfk,KXYZ")
    meteograms = section(page, "meteograms")
    assert "KJFK · New York, Kennedy International Airport" in meteograms
    assert "KXYZ: no report in these three days." in meteograms
    assert "KEWR" not in meteograms


def test_a_lake_without_tables_is_told_in_words(
    made: Made,
    make_catalog: Callable[[], CatalogServer],
    new_page: Callable[[], Page],
    tmp_path: Path,
) -> None:
    output = tmp_path / "empty.html"
    page = report(make_catalog(), output, made.pipeline.data / "duckdb-extensions")
    assert re.findall(r'<section id="([^"]+)"', page) == ["absent"]
    absent = section(page, "absent")
    for _, title, _ in SECTIONS:
        assert title in absent
    assert "The day at a glance This catalog does not hold what it is made of: Table" in absent
    assert "Loads Nothing has been loaded yet." in absent
    opened = new_page()
    opened.emulate(360)
    opened.open(output)
    opened.wait(DRAWN)
    assert opened.complaints() == []
    assert opened.evaluate("document.scrollingElement.scrollWidth") <= 360


def test_a_catalog_that_is_not_there_is_one_line(port: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "jobs.report", "--date", f"{DAY}"]
    command += ["--catalog-uri", f"http://127.0.0.1:{port}", "--output", str(tmp_path / "r.html")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert f"Error: no report from http://127.0.0.1:{port}: " in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "r.html").exists()
