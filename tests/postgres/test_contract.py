"""What every store does, on each of them."""

import threading
from pathlib import Path

import pytest

from falcon_catalog.identifiers import UNLIMITED, Namespace, Page, TableIdentifier
from falcon_catalog.settings import StoreSettings
from falcon_catalog.store import (
    dropped,
    exists,
    functions,
    idempotency,
    listing,
    metrics,
    namespaces,
    open_database,
    orphans,
    plans,
    principals,
    reading,
    survey,
    tabulars,
    warehouses,
    web_sessions,
)
from falcon_catalog.store.database import Database, StoreError, Transaction
from falcon_catalog.store.idempotency import Receipt
from falcon_catalog.store.principals import SigningKey
from falcon_catalog.store.schema import COLUMNS, TABLES
from tests.postgres import stores

NS = Namespace(("ns",))
ALL = Page(None, UNLIMITED)


def known(tx: Transaction) -> int:
    """Return the id of the warehouse, which is there already."""
    row = warehouses.find(tx, "w")
    assert row is not None
    return row.id


def namespace(tx: Transaction, *levels: str) -> int:
    """Add a namespace and those around it; return its id."""
    warehouse, parent = warehouses.ensure(tx, "w"), None
    for depth in range(1, len(levels) + 1):
        here = Namespace(levels[:depth])
        namespaces.insert(tx, warehouse, here, parent_id=parent, properties={})
        row = namespaces.find(tx, warehouse, here)
        assert row is not None
        parent = row.id
    assert parent is not None
    return parent


def table(tx: Transaction, name: str, *, kind: tabulars.Kind = "table", at: str = "") -> int:
    """Add a table in ``ns``; return its id."""
    own = namespace(tx, "ns")
    location = at or f"file:///w/{name}/"
    added = tabulars.insert(
        tx,
        own,
        name,
        kind=kind,
        uuid=f"uuid-{name}",
        metadata_location=f"{location}1.json",
        location_key=location,
    )
    assert added
    row = find(tx, name)
    assert row is not None
    return row.id


def find(tx: Transaction, name: str) -> tabulars.TabularRow | None:
    return tabulars.find(tx, warehouses.ensure(tx, "w"), TableIdentifier(NS, name))


def swap(tx: Transaction, name: str, row_id: int, old: str, new: str) -> bool:
    identifier = TableIdentifier(NS, name)
    places = {"old": f"file:///w/{name}/{old}.json", "new": f"file:///w/{name}/{new}.json"}
    warehouse = warehouses.ensure(tx, "w")
    return tabulars.swap(
        tx, warehouse, identifier, row_id, **places, location_key=None, uuid="uuid"
    )


def test_an_exception_undoes_everything(database: Database) -> None:
    with pytest.raises(KeyError), database.write() as tx:  # noqa: PT012
        warehouses.ensure(tx, "a")
        raise KeyError
    assert database.autocommit().one("SELECT count(*) FROM warehouses") == (0,)


def test_a_read_sees_one_moment(database: Database) -> None:
    with database.read() as tx:
        assert tx.one("SELECT count(*) FROM warehouses") == (0,)
        with database.write() as other:
            warehouses.ensure(other, "a")
        assert tx.one("SELECT count(*) FROM warehouses") == (0,)
        with database.fresh_read() as fresh:
            assert fresh.one("SELECT count(*) FROM warehouses") == (1,)
    assert database.autocommit().one("SELECT count(*) FROM warehouses") == (1,)


def test_no_change_is_lost_between_threads(database: Database) -> None:
    with database.write() as tx:
        warehouses.ensure(tx, "a")
        tx.change("UPDATE warehouses SET created_at = 0")

    def count() -> None:
        for _ in range(20):
            with database.write() as tx:
                tx.change("UPDATE warehouses SET created_at = created_at + 1")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.autocommit().one("SELECT created_at FROM warehouses") == (160,)


@pytest.mark.parametrize("kind", stores.KINDS)
def test_it_exists_once_it_was_opened_and_keeps_its_id(kind: str, tmp_path: Path) -> None:
    settings = StoreSettings(url=stores.url(kind, tmp_path))
    assert not exists(settings)
    with pytest.raises(StoreError), reading(settings):
        pass
    store = open_database(settings)
    known = warehouses.store_id(store.autocommit())
    store.close()
    assert exists(settings)
    again = open_database(settings)
    assert warehouses.store_id(again.autocommit()) == known
    again.close()
    with reading(settings) as tx:
        assert warehouses.store_id(tx) == known


@pytest.mark.parametrize("kind", stores.KINDS)
def test_many_may_open_a_new_one_at_once(kind: str, tmp_path: Path) -> None:
    url, opened = stores.url(kind, tmp_path), list[Database]()
    threads = [threading.Thread(target=lambda: opened.append(open_database(url))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({warehouses.store_id(store.autocommit()) for store in opened}) == 1
    assert len(opened) == 6
    for store in opened:
        store.close()


def test_orphans_are_due_after_a_while(database: Database) -> None:
    with database.write() as tx:
        here, other = warehouses.ensure(tx, "w"), warehouses.ensure(tx, "v")
        for place in ("s3://b/1", "s3://b/2", "s3://b/1", "s3://b/3"):
            orphans.insert(tx, here, place, grace_ms=0)
        orphans.insert(tx, here, "s3://b/later", grace_ms=60_000)
        orphans.insert(tx, other, "s3://v/1", grace_ms=0)
        found = orphans.due(tx, here, 10)
        assert [each.location for each in found] == ["s3://b/1", "s3://b/2", "s3://b/3"]
        assert orphans.due(tx, here, 1) == found[:1]
        orphans.postpone(tx, found[0].id, delay_ms=1000)
        orphans.delete(tx, found[1].id)
        assert orphans.forget(tx, "s3://b/3")
        assert orphans.due(tx, here, 10) == []
    assert [each.location for each in orphans.due(database.autocommit(), other, 10)] == ["s3://v/1"]
    with database.read() as tx:
        assert survey.counts(tx)["orphans"] == 3


def test_an_orphan_that_is_being_deleted_is_not_forgotten(database: Database) -> None:
    with database.write() as tx:
        here = warehouses.ensure(tx, "w")
        for place in ("s3://b/1", "s3://b/2"):
            orphans.insert(tx, here, place, grace_ms=0)
        claimed, other = orphans.due(tx, here, 2)
    with database.write() as tx:
        assert orphans.claim(tx, claimed.id)
        assert orphans.claim(tx, claimed.id)  # a process that was killed has left it so
        assert not orphans.forget(tx, claimed.location)
        assert orphans.forget(tx, other.location)
        assert not orphans.claim(tx, other.id)
        assert orphans.due(tx, here, 2) == [claimed]
        orphans.postpone(tx, claimed.id, delay_ms=1000)
        assert not orphans.forget(tx, claimed.location)
        orphans.delete(tx, claimed.id)
        assert orphans.forget(tx, claimed.location)


@pytest.mark.parametrize("kind", stores.KINDS)
def test_one_of_a_newer_version_is_refused(kind: str, tmp_path: Path) -> None:
    url = stores.url(kind, tmp_path)
    store = open_database(url)
    names = {"sqlite": "_sqlite_migrations", "postgres": "schema_migrations"}
    with store.write() as tx:
        tx.change(f"UPDATE {names[kind]} SET name = '9999_future' WHERE name LIKE '0008%'")
    store.close()
    with pytest.raises(StoreError, match="9999_future"):
        open_database(url)
    with pytest.raises(StoreError, match="9999_future"), reading(StoreSettings(url=url)):
        pass


def test_names_are_ordered_byte_by_byte(database: Database) -> None:
    names = ["B", "a", "Z", "ä", "é", "_", "10", "9", "a b", "a-b", "\U0001f600", "\uffee"]
    with database.write() as tx:
        for name in names:
            table(tx, name)
            namespace(tx, name)
    expected = sorted(names, key=str.encode)
    with database.read() as tx:
        own, warehouse = namespace_id(tx, NS), known(tx)
        assert tabulars.names(tx, own, "table", ALL) == expected
        listed = [one.levels[0] for one in namespaces.children(tx, warehouse, None, ALL)]
        assert listed == sorted([*names, "ns"], key=str.encode)
        after = tabulars.names(tx, own, "table", Page(expected[3], 2))
        assert after == expected[4:6]


def namespace_id(tx: Transaction, path: Namespace) -> int:
    row = namespaces.find(tx, known(tx), path)
    assert row is not None
    return row.id


def test_namespaces_and_what_they_hold(database: Database) -> None:
    with database.write() as tx:
        outer, inner = namespace(tx, "a"), namespace(tx, "a", "b")
        assert inner != outer
        warehouse = warehouses.ensure(tx, "w")
        again = Namespace(("a",))
        assert not namespaces.insert(tx, warehouse, again, parent_id=None, properties={})
        own = namespace(tx, "ns")
        table(tx, "t")
        table(tx, "v", kind="view")
        assert functions.put(tx, own, "f", uuid="u", metadata="{}")
        assert not functions.put(tx, own, "f", uuid="other", metadata="{}")
        namespaces.set_properties(tx, own, {"a": "ü\\u0000%s?"})
    with database.read() as tx:
        assert namespaces.content(tx, outer) == {"namespaces": 1}
        assert namespaces.content(tx, own) == {"tables": 1, "views": 1, "functions": 1}
        row = namespaces.find(tx, warehouse, NS)
        assert row is not None
        assert row.properties == {"a": "ü\\u0000%s?"}
        assert [one.levels for one in namespaces.children(tx, warehouse, outer, ALL)] == [
            ("a", "b")
        ]
        assert survey.misplaced_namespaces(tx) == []
        assert len(survey.documents(tx)) == 4


def test_a_swap_compares_the_pointer(database: Database) -> None:
    with database.write() as tx:
        row_id = table(tx, "t")
        assert not swap(tx, "t", row_id, "0", "2")
        assert swap(tx, "t", row_id, "1", "2")
        assert not swap(tx, "t", row_id, "1", "3")
        assert not swap(tx, "other", row_id, "2", "3")
    with database.read() as tx:
        row = find_known(tx, "t")
        assert row is not None
        assert row.metadata_location.endswith("2.json")


def find_known(tx: Transaction, name: str) -> tabulars.TabularRow | None:
    return tabulars.find(tx, known(tx), TableIdentifier(NS, name))


def test_locations_overlap_at_around_and_inside(database: Database) -> None:
    with database.write() as tx:
        row_id = table(tx, "t", at="file:///w/a/b/")
        for other in ("file:///w/a/b/", "file:///w/a/", "file:///w/a/b/c/d/", "file:///w/"):
            assert tabulars.overlapping(tx, other, besides=None) == "file:///w/a/b/"
            assert tabulars.overlapping(tx, other, besides=row_id) is None
            assert tabulars.overlapping(tx, other, besides=None, kind="view") is None
        for other in ("file:///w/a/bc/", "file:///w/a/b-/", "file:///w/b/"):
            assert tabulars.overlapping(tx, other, besides=None) is None
        assert tabulars.enclosing(tx, "file:///w/a/b/c/") == "file:///w/a/b/"
        assert tabulars.enclosing(tx, "file:///w/a/") is None


def test_idempotency_keys_expire_and_are_replaced(database: Database) -> None:
    with database.write() as tx:
        warehouse = warehouses.ensure(tx, "w")
        assert idempotency.insert(tx, warehouse, "k", Receipt("r", "1"), lifetime_ms=-1)
        assert idempotency.find(tx, warehouse, "k") is None
        assert idempotency.insert(tx, warehouse, "k", Receipt("r", "2"), lifetime_ms=60_000)
        assert not idempotency.insert(tx, warehouse, "k", Receipt("r", "3"), lifetime_ms=60_000)
        assert idempotency.find(tx, warehouse, "k") == Receipt("r", "2")


def test_drops_are_leased_once(database: Database) -> None:
    identifier = TableIdentifier(NS, "t")
    with database.write() as tx:
        warehouse = warehouses.ensure(tx, "w")
        table(tx, "t")
        row = find(tx, "t")
        assert row is not None
        tabulars.delete(tx, row.id)
        dropped.insert(tx, warehouse, identifier, row, purge=True, retention_ms=0)
    with database.write() as tx:
        due = dropped.take_due(tx, warehouse, lease_ms=60_000)
        assert due is not None
        assert due.identifier == identifier
        assert dropped.take_due(tx, warehouse, lease_ms=60_000) is None
        assert dropped.take(tx, due.id, lease_ms=1) is None
        dropped.postpone(tx, due.id, delay_ms=-1, trouble="x")
        assert dropped.take(tx, due.id, lease_ms=-1) is not None
        assert dropped.is_being_purged(tx, "uuid-t")
        dropped.note_emptied(tx, due.id)
        assert dropped.sums(tx, warehouse).troubled == 1
    with database.read() as tx:
        assert [one.id for one in dropped.list_(tx, warehouse, ALL)] == [due.id]
        assert survey.pointers(tx, "dropped")[0].purging
        assert dropped.any_inside(tx, "file:///w/", besides=0)


def test_plans_and_their_pages(database: Database) -> None:
    with database.write() as tx:
        row_id = table(tx, "t")
        times = {"lease_until": tx.now, "expires_at": tx.now + 60_000}
        plans.insert(
            tx, "p", row_id, status="submitted", metadata_location="m", request=b"\0{}", **times
        )
        plans.insert(
            tx,
            "old",
            row_id,
            status="submitted",
            metadata_location="m",
            request=b"",
            lease_until=0,
            expires_at=0,
        )
    with database.write() as tx:
        claimed = plans.claim(tx, "p", "worker", **{**times, "lease_until": tx.now + 60_000})
        assert claimed is not None
        assert claimed.request == b"\0{}"
        assert plans.claim(tx, "p", "other", **times) is None
        plans.add_page(tx, "p", 0, "token", b"\x00\xff")
        plans.add_page(tx, "p", 1, "next", b"1")
        assert plans.finish(
            tx, "p", "worker", status="completed", error=None, expires_at=tx.now + 9
        )
        page = plans.first_page(tx, "p")
        assert page is not None
        assert page.content == b"\x00\xff"
        assert plans.later_tokens(tx, "p") == ["next"]
        assert plans.find_page(tx, "next", row_id) is not None
        tabulars.delete(tx, row_id)
        assert plans.first_page(tx, "p") is None


def test_reports_beyond_the_limit_go(database: Database) -> None:
    with database.write() as tx:
        warehouse = warehouses.ensure(tx, "w")
        for number in range(5):
            metrics.insert(
                tx,
                warehouse,
                TableIdentifier(NS, "t"),
                table_uuid="u",
                report=str(number),
                keep=3,
            )
        found = metrics.newest(tx, warehouse, namespace=NS, table="t", before=None, size=UNLIMITED)
        assert [one.report for one in found] == ["4", "3", "2"]


def test_principals_and_rotation(database: Database) -> None:
    with database.write() as tx:
        assert principals.insert(tx, "p", "one")
        assert not principals.insert(tx, "p", "two")
        assert principals.replace_secret(tx, "p", "two", overlap_ms=60_000)
        row = principals.find(tx, "p")
        assert row is not None
        assert (row.secret_hash, row.previous_secret_hash) == ("two", "one")
        principals.replace_secret(tx, "p", "three", overlap_ms=0)
        row = principals.find(tx, "p")
        assert row is not None
        assert row.previous_secret_hash is None
        principals.ensure_signing_key(tx, SigningKey("a", b"\0a"))
        principals.ensure_signing_key(tx, SigningKey("b", b"b"))
        assert principals.signing_key(tx) == SigningKey("a", b"\0a")
        principals.replace_signing_key(tx, SigningKey("c", b"c"), overlap_ms=60_000)
        assert principals.verifying_key(tx, "a") == b"\0a"
        assert principals.verifying_key(tx, "c") == b"c"
        principals.replace_signing_key(tx, SigningKey("d", b"d"), overlap_ms=0)
        assert principals.verifying_key(tx, "a") is None


def test_an_id_is_never_given_twice(database: Database) -> None:
    with database.write() as tx:
        principals.insert(tx, "p", "one")
        first = principals.find(tx, "p")
        principals.delete(tx, "p")
        principals.insert(tx, "p", "one")
        second = principals.find(tx, "p")
    assert first is not None
    assert second is not None
    assert second.id > first.id


def test_sessions_of_web_pages(database: Database) -> None:
    groups = frozenset({("corp", "data"), ("corp", "ä")})
    with database.write() as tx:
        added = [principals.insert(tx, name, "hash") for name in ("a", "b")]
        for name, row_id in zip("ab", added, strict=True):
            assert row_id is not None
            end = tx.now + 60_000
            of = {"via": "oidc:corp", "groups": groups, "token": f"jti-{name}", "expires_at": end}
            web_sessions.insert(tx, f"hash-{name}", row_id, **of)
        now = tx.now

    def find(name: str, *, later: int = 0, idle: int = 60_000) -> str | None:
        with database.read() as tx:
            at = now + later
            row = web_sessions.find(tx, f"hash-{name}", now=at, seen_after=at - idle)
        assert row is None or (row.via, row.groups) == ("oidc:corp", groups)
        return None if row is None else row.name

    assert (find("a"), find("b"), find("c")) == ("a", "b", None)
    assert find("a", later=59_000) == "a"
    assert find("a", later=60_000, idle=120_000) is None
    assert find("a", later=30_000, idle=30_000) is None
    with database.write() as tx:
        principals.revoke_token(tx, "jti-a", expires_at=tx.now // 1000 + 60)
        principals.set_disabled(tx, added[1], disabled=True)
    assert (find("a"), find("b")) == (None, None)
    with database.write() as tx:
        principals.set_disabled(tx, added[1], disabled=False)
        principals.revoke_sessions(tx, "b")
        of = {"via": "oidc:corp", "groups": groups, "token": "", "expires_at": now + 60_000}
        web_sessions.insert(tx, "hash-new", added[1], **of)
    assert (find("b"), find("new")) == (None, "b")
    with database.write() as tx:
        assert web_sessions.delete(tx, "hash-new") == (added[1], "b", "oidc:corp")
        assert web_sessions.delete(tx, "hash-new") is None
        principals.delete(tx, "b")
    assert database.autocommit().one("SELECT count(*) FROM web_sessions") == (1,)
    with database.write() as tx:
        assert web_sessions.has_ended(tx, now=tx.now + 61_000, seen_until=0)
        assert not web_sessions.has_ended(tx, now=tx.now, seen_until=0)
        web_sessions.delete_ended(tx, seen_until=tx.now)
    assert database.autocommit().one("SELECT count(*) FROM web_sessions") == (0,)


def test_a_login_link_is_taken_once_and_in_time(database: Database) -> None:
    with database.write() as tx:
        web_sessions.insert_code(tx, "late", 1000, expires_at=tx.now)
        web_sessions.insert_code(tx, "one", 1001, expires_at=tx.now + 60_000)
    with database.write() as tx:
        assert web_sessions.take_code(tx, "late") is None
        assert web_sessions.take_code(tx, "one") == 1001
        assert web_sessions.take_code(tx, "one") is None
        web_sessions.insert_code(tx, "two", 1001, expires_at=tx.now + 60_000)
        web_sessions.delete_all(tx)
        assert web_sessions.take_code(tx, "two") is None


def test_every_table_and_column_is_known(database: Database) -> None:
    """Or else ``store copy`` would leave it out."""
    with database.read() as tx:
        assert sorted(survey.counts(tx)) == sorted(TABLES)
        if database.path is not None:
            found = tx.all(
                "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c"
                " WHERE t.type = 'table' AND t.name NOT GLOB '*sqlite_*'"
            )
        else:
            found = tx.all(
                "SELECT table_name, column_name FROM information_schema.columns"
                " WHERE table_schema = current_schema()"
                " AND table_name NOT IN ('schema_migrations', 'outcomes')"
            )
    known = [(table, column) for table, columns in COLUMNS.items() for column in columns]
    assert sorted(known) == sorted(found)


def test_lists_are_read_in_parts_and_filtered(database: Database) -> None:
    names = ["A_b", "a%b", "b", "c", "d"]
    with database.write() as tx:
        ids = {name: table(tx, name) for name in names}
        table(tx, "v", kind="view")
        namespace(tx, "ns", "below")
        warehouse, top = known(tx), namespace(tx, "ns")
    with database.read() as tx:

        def found(part: listing.Part, only: list[int] | None = None) -> list[str]:
            rows = listing.entries(tx, "table", warehouse, top, part, only=only)
            return [row.name for row in rows]

        assert found(listing.Part(9)) == names
        assert found(listing.Part(2, after="a%b")) == ["b", "c"]
        assert found(listing.Part(2, before="d")) == ["b", "c"]
        assert found(listing.Part(9, "B")) == ["A_b", "a%b", "b"]
        assert found(listing.Part(9, "%")) == ["a%b"]
        assert found(listing.Part(9, "_")) == ["A_b"]
        assert found(listing.Part(9), only=[]) == []
        some = [ids["d"], ids["b"], 1_000_000]
        assert found(listing.Part(1), only=some) == ["b"]
        assert found(listing.Part(1, before="z"), only=some) == ["d"]
        assert listing.count(tx, "table", warehouse, top) == len(names)
        assert listing.count(tx, "table", warehouse, top, only=some) == 2
        assert listing.count(tx, "view", warehouse, top) == 1
        assert listing.count(tx, "function", warehouse, top) == 0
        nested = listing.entries(tx, "namespace", warehouse, top, listing.Part(9))
        assert [row.name for row in nested] == ["below"]
        assert listing.count(tx, "namespace", warehouse, None) == 1
        assert listing.totals(tx, warehouse) == (2, len(names), 1)
        first, *rest = listing.matches(tx, warehouse, "B", after_id=0, size=9)
        assert [each.name for each in (first, *rest)] == ["A_b", "a%b", "b"]
        assert listing.matches(tx, warehouse, "B", after_id=first.id, size=9) == rest
        assert len(listing.pointers(tx, warehouse, 9)) == len(names)
        assert listing.namespace_paths(tx, [top, 0], warehouse) == ["ns"]
