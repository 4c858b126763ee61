"""Attacks on the catalog that once worked: what was gained by ids, uuids, names and places."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from falcon_catalog.catalog import access, signing
from falcon_catalog.catalog.call import Call
from falcon_catalog.errors import ForbiddenError
from falcon_catalog.fileio.delegation import SignedRequest
from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.settings import load
from tests.catalog.serving import SCHEMA, creation
from tests.catalog.test_functions import ADD_ONE
from tests.permissions import world as serving_world
from tests.permissions.cases import FORBIDDEN, W
from tests.permissions.test_matrix import outcome
from tests.permissions.world import World, world

Z = f"/v1/{W}/namespaces/z"
MANAGED = f"/management/v1/warehouses/{W}"
NO_DROP = (404, "NotFoundException")


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("attacks")
    with world(folder, apps=1) as made:
        yield made


def table(attacked: World, name: str, who: str = "root", base: str = Z, **more: Any) -> Any:
    answer = attacked.ask(who, "POST", f"{base}/tables", {"name": name, "schema": SCHEMA, **more})
    assert answer.status_code == 200, answer.text
    return answer.json


def audited(attacked: World, namespace: str, name: str) -> list[str]:
    target = f"{MANAGED}/audit?namespace={namespace}&table={name}"
    answer = attacked.ask("ann", "GET", target)
    assert answer.status_code == 200, answer.text
    return [f"{each['actor']['name']} {each['operation']}" for each in answer.json["events"]]


def test_a_new_namespace_gives_nothing_on_what_was_dropped_from_an_older_one(
    attacked: World,
) -> None:
    attacked.ok("POST", f"/v1/{W}/namespaces", {"namespace": ["reborn"]})
    base = f"/v1/{W}/namespaces/reborn"
    table(attacked, "secret", base=base)
    attacked.ok("DELETE", f"{base}/tables/secret")
    attacked.ok("DELETE", base)
    number = max(each["id"] for each in attacked.ok("GET", f"{MANAGED}/dropped")["dropped"])
    attacked.grant_only([(f"{W}/a.s", "list"), (W, "create")])
    created = attacked.ask("ann", "POST", f"/v1/{W}/namespaces", {"namespace": ["reborn"]})
    assert created.status_code == 200
    # create on the warehouse lets ann list the drop, and no more.
    entity = {"type": "dropped", "warehouse": W, "id": number}
    query = f"type=dropped&warehouse={W}&id={number}"
    body = {"grant": [{"privileges": ["own"], "entity": entity, "principal": "ann"}]}
    mark = {"entity": entity, "protected": True}

    def tries() -> set[Any]:
        return {
            outcome(attacked.ask("ann", "GET", f"/management/v1/grants?{query}")),
            outcome(attacked.ask("ann", "GET", f"/management/v1/entities?{query}")),
            outcome(attacked.ask("ann", "POST", "/management/v1/grants", body)),
            outcome(attacked.ask("ann", "POST", "/management/v1/entities", mark)),
            outcome(attacked.ask("ann", "POST", f"{MANAGED}/dropped/{number}/undrop")),
        }

    assert tries() == {FORBIDDEN}
    attacked.grant_only([(f"{W}/reborn", "own")])
    assert tries() == {NO_DROP}


def test_list_alone_shows_no_files_of_what_was_dropped(attacked: World) -> None:
    for name in ("seen", "back"):
        table(attacked, name)
        attacked.ok("DELETE", f"{Z}/tables/{name}")
    drops = attacked.ok("GET", f"{MANAGED}/dropped")["dropped"]
    number = next(each["id"] for each in drops if each["identifier"]["name"] == "back")
    with attacked.store.write() as tx:
        tx.change("UPDATE dropped_tabulars SET trouble = 'file:///secret' WHERE id = ?", (number,))

    def shown() -> set[tuple[bool, bool]]:
        found = attacked.ask("ann", "GET", f"{MANAGED}/dropped").json["dropped"]
        mine = [each for each in found if each["identifier"]["name"] in ("seen", "back")]
        assert len(mine) == 2
        return {("metadata-location" in each, "trouble" in each) for each in mine}

    for where in (W, f"{W}/z"):
        attacked.grant_only([(where, "list")])
        assert shown() == {(False, False)}
        attacked.grant_only([(where, "describe")])
        assert shown() == {(True, False), (True, True)}
    attacked.grant_only([(f"{W}/z", "drop"), (f"{W}/z", "create")])
    key = {"Idempotency_Key": str(uuid.uuid4())}
    for _ in range(2):  # the second one is replayed
        answer = attacked.ask("ann", "POST", f"{MANAGED}/dropped/{number}/undrop", **key)
        assert answer.status_code == 200, answer.text
        assert not answer.json.keys() & {"metadata-location", "trouble"}


def test_an_explanation_shows_no_grants_that_its_caller_may_not_list(attacked: World) -> None:
    def explained(who: str) -> Any:
        query = f"type=table&warehouse={W}&namespace=z&name=t&principal={who}&privilege=write"
        answer = attacked.ask("ann", "GET", f"/management/v1/access?{query}")
        assert answer.status_code == 200, answer.text
        return answer.json

    attacked.grant_only([(f"{W}/z/t", "list")])
    assert explained("ann")["grants"][0]["principal"] == "ann"
    assert (explained("ann")["could-grant"], explained("ann")["partial"]) == ([], True)
    attacked.grant_only([(f"{W}/z/t", "grant")])
    of_root = explained("root")
    assert of_root["allowed"]
    assert of_root["partial"]
    assert [each["entity"]["type"] for each in of_root["grants"]] == ["table"]
    attacked.grant_only([("server", "admin")])
    of_root = explained("root")
    assert [each["entity"]["type"] for each in of_root["grants"]] == [
        *("server", "namespace", "table")
    ]
    assert not of_root["partial"]


def test_a_location_tells_no_name_of_what_lies_inside(attacked: World) -> None:
    attacked.grant_only([(f"{W}/a.s", "create")])
    for around in ("z", "a/b"):
        location = f"file://{attacked.folder}/{W}/{around}"
        body = {"name": "probe", "schema": SCHEMA, "location": location}
        answer = attacked.ask("ann", "POST", f"/v1/{W}/namespaces/a%1Fs/tables", body)
        assert outcome(answer) == FORBIDDEN
        assert answer.json["error"]["message"].endswith("overlaps another table's location")


def test_who_has_a_function_reads_no_rows_of_the_table_of_its_name(attacked: World) -> None:
    table(attacked, "twin")
    attacked.ok("PUT", f"{MANAGED}/namespaces/z/functions/twin", ADD_ONE)
    attacked.grant_only([(f"{W}/z/f", "own")])
    assert audited(attacked, "z", "f") == ["root putFunction"]
    tx = attacked.store.autocommit()
    row = tx.one("SELECT max(id) FROM functions WHERE name = 'twin'")
    assert row is not None
    with attacked.store.write() as change:
        change.change(
            "INSERT INTO grants (function_id, principal_id, bits, granted_by, granted_at)"
            " VALUES (?, ?, 128, 'test', 1)",
            (row[0], attacked.ids["ann"]),
        )
        change.change("UPDATE permissions SET generation = generation + 1")
    assert attacked.ask("ann", "GET", f"{Z}/tables/twin").status_code == 404
    assert audited(attacked, "z", "twin") == ["root putFunction"]


@pytest.mark.parametrize("kind", ["table", "function"])
def test_the_uuid_of_another_tells_nothing_of_it(attacked: World, kind: str) -> None:
    name = f"original-{kind}"
    known = table(attacked, name)["metadata"]["table-uuid"]
    attacked.grant_only([(f"{W}/a.s", "create")])
    base = f"/v1/{W}/namespaces/a%1Fs"
    if kind == "table":
        staged = table(attacked, "forged", "ann", base, **{"stage-create": True})["metadata"]
        located = {"action": "set-location", "location": staged["location"]}
        updates = [*creation(staged | {"table-uuid": known}), located]
        body: Any = {"requirements": [{"type": "assert-create"}], "updates": updates}
        answer = attacked.ask("ann", "POST", f"{base}/tables/forged", body)
    else:
        target = f"{MANAGED}/namespaces/a%1Fs/functions/forged_function"
        answer = attacked.ask("ann", "PUT", target, ADD_ONE | {"function-uuid": known})
    assert answer.status_code == 200, answer.text
    forged = "forged" if kind == "table" else "forged_function"
    own = "updateTable" if kind == "table" else "putFunction"
    assert audited(attacked, "a%1Fs", forged) == [f"ann {own}"]


def test_a_folder_of_a_table_gives_no_access_to_later_tables_inside(attacked: World) -> None:
    attacked.ok("POST", f"/v1/{W}/namespaces", {"namespace": ["payroll"]})
    wide = f"file://{attacked.folder}/{W}/payroll"
    location = table(attacked, "wide", properties={"write.data.path": wide})["metadata"]["location"]
    call = Call(attacked.apps[0].warehouses[0], None, None, "1", frozenset(), "", "")
    identifier = TableIdentifier(Namespace(("z",)), "wide")
    access.check_alone(call, identifier, (location, wide))
    with attacked.store.write() as tx:
        tx.change("DELETE FROM paths")  # as in a store of an older version
    table(attacked, "salaries", base=f"/v1/{W}/namespaces/payroll")
    with pytest.raises(ForbiddenError, match="another table lies"):
        access.check_alone(call, identifier, (location, wide))


def test_no_table_lies_over_what_was_dropped_from_another_warehouse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = {"warehouse.allowed_locations": (f"file://{tmp_path}/other",)}
    monkeypatch.setattr(serving_world, "load", lambda a, b, c: load(a, b, c | shared))
    with world(tmp_path, apps=1) as made:
        other = "/v1/other/namespaces/z"
        location = table(made, "gone", base=other)["metadata"]["location"]
        made.ok("DELETE", f"{other}/tables/gone")
        made.grant_only([(f"{W}/z", "create"), ("other/z", "own")])
        body = {"name": "over", "schema": SCHEMA, "location": location}
        assert outcome(made.ask("ann", "POST", f"{Z}/tables", body)) == FORBIDDEN
        assert made.ask("root", "POST", f"{Z}/tables", body).status_code == 200


def test_no_table_of_a_stranger_lies_in_a_folder_of_another(attacked: World) -> None:
    """It would get the credentials for the files of the other one."""
    aside = f"file://{attacked.folder}/{W}/aside/files"
    table(attacked, "aside", properties={"write.data.path": aside})
    attacked.grant_only([(f"{W}/a.s", "create")])
    body = {"name": "over", "schema": SCHEMA, "location": aside}
    answer = attacked.ask("ann", "POST", f"/v1/{W}/namespaces/a%1Fs/tables", body)
    assert outcome(answer) == FORBIDDEN


@pytest.mark.fault(number=31)
def test_a_change_of_grants_is_not_replayed_to_who_may_not_grant_any_more(
    attacked: World,
) -> None:
    entity = {"type": "table", "warehouse": W, "namespace": ["z"], "name": "t"}
    body = {"grant": [{"privileges": ["select"], "entity": entity, "principal": "bob"}]}
    key = {"Idempotency_Key": str(uuid.uuid4())}
    attacked.grant_only([(f"{W}/z/t", "own")])
    for _ in range(2):
        answer = attacked.ask("ann", "POST", "/management/v1/grants", body, **key)
        assert answer.status_code == 200
    attacked.grant_only([])
    answer = attacked.ask("ann", "POST", "/management/v1/grants", body, **key)
    assert outcome(answer) == (404, "NoSuchTableException")


def test_a_signature_is_not_stored_for_a_retry(
    attacked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter(range(9))
    monkeypatch.setattr(
        signing,
        "sign",
        lambda *_, **__: SignedRequest(
            "https://h/x", {"Authorization": [f"signature-{next(drawn)}"]}, "GetObject", "x"
        ),
    )
    body = {"method": "GET", "uri": "https://h/x", "region": "r", "headers": {}}
    key = {"Idempotency_Key": str(uuid.uuid4())}
    attacked.grant_only([(f"{W}/z/t", "select")])
    found = [attacked.ask("ann", "POST", f"{Z}/tables/t/sign", body, **key) for _ in range(2)]
    assert [f"signature-{n}" in each.text for n, each in enumerate(found)] == [True, True]
    stored = attacked.store.autocommit().all("SELECT * FROM idempotency_keys")
    assert "signature-" not in str(stored)


@pytest.mark.fault(number=37)
def test_a_purge_of_a_forged_uuid_keeps_the_reports_of_the_other(attacked: World) -> None:
    base = f"/v1/{W}/namespaces/a%1Fs"
    known = attacked.ok("GET", f"/v1/{W}/namespaces/a%1Fb/tables/t")["metadata"]["table-uuid"]
    before = attacked.ok("GET", f"{MANAGED}/metrics")["reports"]
    assert before
    attacked.grant_only([(f"{W}/a.s", "create")])
    staged = table(attacked, "purged", "ann", base, **{"stage-create": True})["metadata"]
    located = {"action": "set-location", "location": staged["location"]}
    updates = [*creation(staged | {"table-uuid": known}), located]
    body = {"requirements": [{"type": "assert-create"}], "updates": updates}
    assert attacked.ask("ann", "POST", f"{base}/tables/purged", body).status_code == 200
    dropped = f"{base}/tables/purged?purgeRequested=true"
    assert attacked.ask("ann", "DELETE", dropped).status_code == 204
    number = max(each["id"] for each in attacked.ok("GET", f"{MANAGED}/dropped")["dropped"])
    assert attacked.ask("ann", "DELETE", f"{MANAGED}/dropped/{number}").status_code == 200
    assert attacked.ok("GET", f"{MANAGED}/metrics")["reports"] == before


@pytest.mark.fault(number=23)
@pytest.mark.parametrize("how", ["rename", "undrop"])
def test_a_move_gives_nothing_that_its_caller_has_not(attacked: World, how: str) -> None:
    name = f"moved-{how}"
    table(attacked, name)
    attacked.ok("POST", f"/v1/{W}/namespaces", {"namespace": [f"mine-{how}"]})
    source = {"namespace": ["z"], "name": name}
    destination = {"namespace": [f"mine-{how}"], "name": name}
    target, body = f"/v1/{W}/tables/rename", {"source": source, "destination": destination}
    if how == "undrop":
        attacked.ok("DELETE", f"{Z}/tables/{name}")
        number = max(each["id"] for each in attacked.ok("GET", f"{MANAGED}/dropped")["dropped"])
        target, body = f"{MANAGED}/dropped/{number}/undrop", {"identifier": destination}
    for there, missing in (("own", "grant"), ("write", "write"), ("select", "select")):
        attacked.grant_only(
            [(f"{W}/z", "drop"), (f"{W}/mine-{how}", there), (f"{W}/mine-{how}", "create")]
        )
        answer = attacked.ask("ann", "POST", target, body)
        assert outcome(answer) == FORBIDDEN
        assert f"needs {missing} on " in answer.text
    attacked.grant_only([(f"{W}/z", "drop"), (f"{W}/z", "grant"), (f"{W}/mine-{how}", "own")])
    assert attacked.ask("ann", "POST", target, body).status_code in (200, 204)
