"""What an operator watches: the store's size, the room on its disks, what was dropped."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from falcon_catalog.catalog.purge import purge_expired
from falcon_catalog.store import open_database
from falcon_catalog.store.sqlite.connection import LOG_BYTES
from tests.catalog.serving import Server, serving, store_url

T = "/v1/namespaces/ns/tables/t"
PREFIX = "falcon_catalog_"


def metrics(server: Server) -> dict[tuple[str, str], float]:
    """Return each gauge of the store: its name and warehouse, with its value."""
    text = requests.get(f"{server.url}/metrics", timeout=30).text
    return {
        (sample.name.removeprefix(PREFIX), sample.labels.get("warehouse", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "warehouse").mkdir()
    more = (f"archive=file://{tmp_path}/archive",)
    with serving(tmp_path, warehouse__more=more) as server:
        server.namespace("ns")
        yield server


@pytest.mark.sqlite
def test_the_stores_size_is_that_of_its_files(ns: Server) -> None:
    ns.table("t")
    seen = metrics(ns)
    assert seen["store_bytes", ""] == (ns.folder / "catalog.db").stat().st_size
    assert seen["store_wal_bytes", ""] == (ns.folder / "catalog.db-wal").stat().st_size > 0


@pytest.mark.sqlite
def test_the_room_on_each_disk_is_told(two: Server) -> None:
    seen = metrics(two)
    while ("warehouse_free_bytes", "default") not in seen:  # a thread measures them
        seen = metrics(two)
    status = os.statvfs(two.folder)
    total = status.f_blocks * status.f_frsize
    for warehouse in ("default", "archive"):
        assert 0 < seen["warehouse_free_bytes", warehouse] < total
    assert 0 < seen["store_free_bytes", ""] < total


def test_what_was_dropped_is_counted_with_its_age_and_trouble(two: Server) -> None:
    seen = metrics(two)
    for warehouse in ("default", "archive"):
        for name in ("dropped", "dropped_oldest_seconds", "purges_troubled"):
            assert seen[name, warehouse] == 0
    two.table("t")
    two.ok("DELETE", T)
    two.table("t")
    two.ok("DELETE", f"{T}?purgeRequested=true")
    with two.catalog.store.write() as tx:
        tx.change("UPDATE dropped_tabulars SET dropped_at = dropped_at - 5000000 WHERE purge = 0")
    seen = metrics(two)
    assert seen["dropped", "default"] == 2
    assert seen["dropped", "archive"] == 0
    assert 5000 <= seen["dropped_oldest_seconds", "default"] < 6000
    assert seen["purges_troubled", "default"] == 0


def test_a_purge_that_fails_is_counted(two: Server, inside: pytest.MonkeyPatch) -> None:
    two.table("t")
    two.ok("DELETE", f"{T}?purgeRequested=true")
    catalog = two.app.warehouses[0]

    def refuse(_locations: object) -> None:
        raise PermissionError("not yours")

    inside.setattr(catalog.files, "delete_all", refuse)
    for attempt in (1, 2):
        with catalog.store.write() as tx:
            tx.change("UPDATE dropped_tabulars SET expires_at = ?, leased_until = NULL", (tx.now,))
        assert "not purged yet" in purge_expired(catalog)[0]
        seen = metrics(two)
        assert seen["purge_failures_total", ""] == attempt
        assert seen["purges_troubled", "default"] == 1
    inside.undo()
    with catalog.store.write() as tx:
        tx.change("UPDATE dropped_tabulars SET leased_until = NULL")
    assert "purged" in purge_expired(catalog)[0]
    seen = metrics(two)
    assert (seen["purges_troubled", "default"], seen["purge_failures_total", ""]) == (0, 2)


@pytest.mark.sqlite
def test_several_processes_tell_the_store_once(tmp_path: Path) -> None:
    with serving(tmp_path, processes=3) as server:
        server.namespace("ns")
        server.table("t")
        server.ok("DELETE", T)
        for _ in range(10):  # whichever answers
            seen = metrics(server)
            assert seen["dropped", "default"] == 1
            assert seen["store_bytes", ""] == (tmp_path / "catalog.db").stat().st_size


@pytest.mark.sqlite
def test_the_log_shrinks_after_a_burst(tmp_path: Path) -> None:
    log = tmp_path / "catalog.db-wal"
    with closing(open_database(store_url(tmp_path))) as database:
        with database.write() as tx:
            tx.change("CREATE TABLE burst (content BLOB)")
        with database.read() as reading:  # keeps the log from being folded
            reading.one("SELECT count(*) FROM burst")
            for _ in range(2 * LOG_BYTES >> 20):
                with database.write() as tx:
                    tx.change("INSERT INTO burst VALUES (zeroblob(1 << 20))")
            assert log.stat().st_size > 2 * LOG_BYTES
        for number in range(3):
            with database.write() as tx:
                tx.change("UPDATE burst SET content = ? WHERE rowid = 1", (number,))
        assert log.stat().st_size <= LOG_BYTES
        with database.read() as tx:
            assert tx.one("SELECT count(*) FROM burst") == (2 * LOG_BYTES >> 20,)
