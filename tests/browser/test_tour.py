"""The first hour of a new user, in a browser, and the pictures of docs/tour.md.

SCREENSHOTS=docs/tour tox run -e web -- tests/browser/test_tour.py --basetemp=/srv/lake
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

pytest.importorskip("playwright", reason="the extra browser is not installed")

from playwright.sync_api import Page, expect

from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.web import paths
from tests.browser.conftest import Open
from tests.clients.conftest import Pool
from tests.web.conftest import Served

CITIES = TableIdentifier(Namespace(("demo",)), "cities")
Shoot = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def empty(serve: Callable[..., Served]) -> Served:
    return serve()


@pytest.fixture
def duck(empty: Served, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB, attached as the home page says."""
    pool = Pool(tmp_path)
    with pool.connection() as connection:
        connection.execute(
            "ATTACH 'default' AS lake"
            f" (TYPE iceberg, ENDPOINT '{empty.url}', AUTHORIZATION_TYPE 'none')"
        )
        yield connection
    pool.close()


@pytest.fixture
def shoot(screenshots: Path) -> Shoot:
    """Return a function that makes a picture of what is on the screen."""
    return lambda page, name: page.screenshot(path=screenshots / f"tour-{name}.png")


def test_a_new_user_finds_everything_without_a_manual(
    empty: Served, duck: duckdb.DuckDBPyConnection, visit: Open, shoot: Shoot
) -> None:
    page = visit(empty.url).open("/")
    expect(page.get_by_role("heading", name="First steps")).to_be_visible()
    shoot(page, "1-first-steps")

    # A table that DuckDB creates appears on the page that is open.
    duck.execute("CREATE SCHEMA lake.demo")
    page.get_by_role("link", name="default").first.click()
    page.get_by_role("link", name="demo").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("demo")
    duck.execute("CREATE TABLE lake.demo.cities (name VARCHAR, people BIGINT)")
    link = page.get_by_role("link", name="cities")
    expect(link).to_be_visible()
    shoot(page, "2-namespace")
    duck.execute("INSERT INTO lake.demo.cities VALUES ('Oslo', 717710), ('Bergen', 291940)")
    duck.execute("INSERT INTO lake.demo.cities VALUES ('Tromsø', 78745)")
    link.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("cities")
    expect(page.get_by_role("main")).to_contain_text("people")
    shoot(page, "3-table")

    # Its history, and what a snapshot changed.
    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("row")).to_have_count(3)
    shoot(page, "4-history")
    page.get_by_role("button", name="Compare the selected").click()
    expect(page.get_by_role("main")).to_contain_text("+1")
    expect(page.get_by_role("link", name="Compare the files")).to_have_count(0)
    shoot(page, "5-compare")

    # Dropped, and back.
    empty.lake.drop_table("demo.cities")
    page.goto(empty.url)
    page.get_by_role("link", name="1 dropped").click()
    shoot(page, "6-dropped")
    page.get_by_role("button", name="Undrop demo.cities").click()
    page.goto(empty.url + paths.to_table("default", CITIES))
    expect(page.get_by_role("main")).to_contain_text("people")

    # A role gets a grant.
    page.get_by_role("link", name="Administration").click()
    page.get_by_role("link", name="Roles").click()
    page.get_by_label("Name").first.fill("analysts")
    page.get_by_role("button", name="Create").first.click()
    page.goto(empty.url + paths.to_table("default", CITIES))
    page.get_by_role("link", name="Access").click()
    page.get_by_label("User, service or role").first.fill("analysts")
    page.get_by_label("select").first.check()
    page.get_by_role("button", name="Grant").click()
    expect(page.get_by_role("table").first).to_contain_text("analysts")
    shoot(page, "7-access")
    page.get_by_role("link", name="Activity").click()
    expect(page.get_by_role("main")).to_contain_text("demo.cities")
    shoot(page, "8-activity")
