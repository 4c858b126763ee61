"""``store copy``: between stores of each kind, nothing lost."""

import itertools
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from falcon_catalog.cli import main
from falcon_catalog.settings import StoreSettings
from falcon_catalog.store import (
    grants,
    open_database,
    orphans,
    principals,
    reading,
    reservations,
    warehouses,
    web_sessions,
)
from falcon_catalog.store.schema import COLUMNS, TABLES
from tests.catalog.serving import SCHEMA, Server, serving
from tests.catalog.test_functions import ADD_ONE
from tests.postgres import stores

T = "/v1/namespaces/ns/tables"
PAIRS = list(itertools.product(stores.KINDS, stores.KINDS))


def copy(*words: str) -> Result:
    return CliRunner().invoke(main, ["store", "copy", *words])


def rows(url: str) -> dict[str, list[tuple[object, ...]]]:
    with reading(StoreSettings(url=url)) as tx:
        return {
            table: sorted(tx.all(f"SELECT {', '.join(columns)} FROM {table}"), key=repr)
            for table, columns in COLUMNS.items()
        }


def fill(server: Server, url: str) -> None:
    """Leave rows in every table, with every kind of value."""
    server.namespace("ns")
    server.ok(
        "POST", "/v1/namespaces", {"namespace": ["ns", "ä\U0001f600"], "properties": {"a": "b"}}
    )
    for name in ("t", "dropped", "'quoted' %s ?"):
        properties = {"write.data.path": f"file://{server.warehouse}/aside"}
        server.ok("POST", T, {"name": name, "schema": SCHEMA, "properties": properties})
    server.ok(
        "DELETE",
        f"{T}/dropped",
        headers={"Idempotency-Key": "0190b5a4-0000-7000-8000-000000000000"},
    )
    managed = "/management/v1/warehouses/default/namespaces/ns/functions/f"
    server.ok("PUT", managed, ADD_ONE)
    report = {
        "report-type": "commit-report",
        "table-name": "t",
        "snapshot-id": 1,
        "sequence-number": 1,
        "operation": "append",
        "metrics": {},
    }
    server.ok("POST", f"{T}/t/metrics", report)
    plan = server.ok("POST", f"{T}/t/plan", {})
    assert plan["status"] == "completed"
    store = open_database(url)
    with store.write() as tx:
        orphans.insert(tx, 1, "file:///somewhere", grace_ms=60_000)
        analyst = principals.insert(tx, "analyst", "", kind="role")
        member = principals.insert(tx, "gone", "hash")
        assert analyst
        assert member
        grants.set_bits(tx, grants.SERVER, member, 384, by="test")
        grants.set_bits(tx, grants.Entity("namespace", 1), analyst, 3, by="gone")
        tx.change("INSERT INTO role_members (role_id, member_id) VALUES (?, ?)", (analyst, member))
        tx.change(
            "INSERT INTO group_roles (issuer, value, role_id) VALUES ('idp', 'ä', ?)", (analyst,)
        )
        tx.change("INSERT INTO revoked_tokens (jti, expires_at) VALUES ('j', 5)")
        tx.change(
            "INSERT INTO refusals (at_ms, outcome, actor, via) VALUES (1, 'denied', 'ä', 'token')"
        )
        of = {"via": "token", "groups": frozenset({("idp", "ä")}), "token": "", "expires_at": 9**12}
        web_sessions.insert(tx, "hash", member, **of)
        web_sessions.insert_code(tx, "code", 1000, expires_at=9**12)
        reservations.add(tx, member, ["/staged/"], namespace_id=1, lifetime_ms=9**12)
        principals.insert(tx, "last", "hash")
        principals.delete(tx, "last")
    store.close()


@pytest.mark.parametrize(("kind", "other"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_a_copy_serves_as_the_source_did(kind: str, other: str, tmp_path: Path) -> None:
    source, target = stores.url(kind, tmp_path), stores.url(other, tmp_path)
    with serving(tmp_path, processes=1, store__url=source) as server:
        fill(server, source)
        before = server.ok("GET", f"{T}/t")
    done = copy(source, target)
    assert done.exit_code == 0, done.output
    assert "verified" in done.output
    held = rows(source)
    assert all(held[table] for table in TABLES), held
    assert rows(target) == held
    with serving(tmp_path, processes=1, store__url=target) as server:
        assert server.ok("GET", f"{T}/t") == before
        server.ok("POST", T, {"name": "new", "schema": SCHEMA})
        server.namespace("another")
    store = open_database(target)
    with store.write() as tx:
        principals.insert(tx, "new", "hash")
        found = {one.name: one.id for one in principals.all_(tx)}
    store.close()
    assert found["new"] > found["gone"] + 1  # the id of the one that was removed, too, is used up


def test_more_rows_than_one_page(tmp_path: Path) -> None:
    source, target = stores.url("sqlite", tmp_path), stores.url("postgres", tmp_path)
    store = open_database(source)
    with store.write() as tx:
        for number in range(1001):
            warehouses.ensure(tx, f"w{number}")
    store.close()
    done = copy(source, target, "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["tables"]["warehouses"]["rows"] == 1001
    assert rows(target) == rows(source)


@pytest.mark.parametrize("kind", stores.KINDS)
def test_a_store_that_is_not_empty_is_refused(kind: str, tmp_path: Path) -> None:
    source, target = stores.url("sqlite", tmp_path), stores.url(kind, tmp_path)
    for url, name in ((source, "a"), (target, "b")):
        store = open_database(url)
        with store.write() as tx:
            warehouses.ensure(tx, name)
        store.close()
    before = rows(target)
    done = copy(source, target)
    assert done.exit_code == 2
    assert done.output == (
        f"Error: store {target} is not empty: it has rows in warehouses (1). Nothing was copied\n"
    )
    assert rows(target) == before


@pytest.mark.parametrize("kind", stores.KINDS)
def test_what_is_wrong_is_said_in_one_line(kind: str, tmp_path: Path) -> None:
    source, nowhere = stores.url(kind, tmp_path), "postgresql://127.0.0.1:1/none"
    assert "there is no store at" in copy(source, f"{tmp_path}/x.db").output
    assert not (tmp_path / "x.db").exists()
    store = open_database(source)
    store.close()
    for words, text in (
        ((source, source), "are the same store"),
        ((source, nowhere), "Connection refused"),
        ((source, "postgresql://a:secret@h/d"), "must not contain a password"),
        ((source, "mysql://h/d"), "TO = 'mysql://h/d'"),
    ):
        done = copy(*words)
        assert done.exit_code == 2, done.output
        assert text in done.output
        assert "secret" not in done.output
        (line,) = done.output.splitlines()
        assert line.startswith("Error: ")


def test_a_copy_that_fails_leaves_the_target_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = stores.url("sqlite", tmp_path), stores.url("postgres", tmp_path)
    store = open_database(source)
    with store.write() as tx:
        warehouses.ensure(tx, "a")
    store.close()
    with monkeypatch.context() as patch:
        patch.setitem(COLUMNS, "store_identity", ("id", "no_such_column"))
        assert copy(source, target).exit_code != 0
    assert rows(target)["warehouses"] == []
    assert copy(source, target).exit_code == 0
