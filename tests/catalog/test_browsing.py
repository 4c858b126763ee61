"""What pages count of a warehouse."""

import pytest

from falcon_catalog.catalog import browsing
from falcon_catalog.catalog.call import Call
from tests.catalog.serving import VIEW, Server


def test_a_small_warehouse_is_counted_each_time(ns: Server) -> None:
    counter = browsing.Counter()
    assert counter.numbers(Call(ns.catalog)) == browsing.Numbers(1, 0, 0, 0)
    ns.table("t")
    ns.table("u")
    ns.ok("POST", "/v1/namespaces/ns/views", {"name": "v", **VIEW})
    ns.ok("DELETE", "/v1/namespaces/ns/tables/u")
    assert counter.numbers(Call(ns.catalog)) == browsing.Numbers(1, 1, 1, 1)


def test_a_large_one_is_counted_again_after_a_while(
    ns: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "_MANY", 1)
    now = [100.0]
    counter = browsing.Counter(lambda: now[0])
    ns.table("t")
    ns.table("u")
    assert counter.numbers(Call(ns.catalog)).tables == 2
    ns.table("v")
    assert counter.numbers(Call(ns.catalog)).tables == 2
    now[0] += 5
    assert counter.numbers(Call(ns.catalog)).tables == 3
