"""Make docs/sample-report.html and its picture anew: ``python -m tests.report.sample``."""

import tempfile
from pathlib import Path

from tests.report.browser import DRAWN, chromium
from tests.report.story import DAY, tell, weather
from tests.tasks.conftest import CatalogServer

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "sample-report.html"
PICTURE = DOCS / "sample-report.png"


def main() -> None:
    """Run the pipeline on half a year of real records, and keep the report of its last day."""
    with tempfile.TemporaryDirectory() as folder, weather() as url:
        # A port that stands in the page: the same one every time.
        catalog = CatalogServer(Path(folder, "catalog"), port=8181)
        catalog.start()
        try:
            pipeline = tell(catalog, url, Path(folder, "weather"))
            pipeline.ok("Report", "--date", f"{DAY}", "--days", "199")
        finally:
            catalog.stop()
        page = pipeline.folder(f"{DAY}") / "report.html"
        PAGE.write_bytes(page.read_bytes())
    with chromium() as new:
        browser = new()
        browser.emulate(1100, height=1240)
        browser.open(PAGE)
        browser.wait(DRAWN)
        browser.screenshot(PICTURE, whole=False)
    for path in (PAGE, PICTURE):
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")  # noqa: T201 - a command


if __name__ == "__main__":
    main()
