"""The sample in docs/ is a report as this code makes it."""

import re

from jobs.report.build import SECTIONS
from jobs.report.page import PARTS
from tests.report.sample import PAGE, PICTURE
from tests.report.story import DAY


def test_the_sample_has_the_sections_of_today() -> None:
    page = PAGE.read_text()
    titles = dict(re.findall(r'<h2 id="([^"]+)-title">([^<]+)</h2>', page))
    left_out = titles.pop("absent")
    assert left_out
    assert titles.items() <= {name: title for name, title, _ in SECTIONS}.items()
    for name, title, _ in SECTIONS:
        assert name in titles or f">{title}</td>" in page
    assert list(titles) == [name for _, names in PARTS for name in names if name in titles]


def test_the_sample_is_whole() -> None:
    page = PAGE.read_text()
    assert f"{DAY:%B} {DAY:%Y}" in page
    assert "This catalog does not hold" not in page
    assert PAGE.stat().st_size < 1_500_000


def test_the_picture_is_a_small_png() -> None:
    picture = PICTURE.read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 300_000
