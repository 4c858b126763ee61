"""Faults of other catalogs that authorization must not have.

Their numbers are those of docs/authorization-faults.md, which names the other tests.
"""

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from falcon_catalog import settings
from falcon_catalog.catalog.privileges import BITS
from falcon_catalog.store import grants
from tests.catalog.serving import SCHEMA, VIEW, creation
from tests.catalog.test_functions import ADD_ONE
from tests.permissions import world as serving_world
from tests.permissions.cases import FORBIDDEN, W
from tests.permissions.test_matrix import outcome
from tests.permissions.world import Answer, World, world

SECRETS = {"type": "sql", "sql": "SELECT * FROM secrets", "dialect": "spark"}
NO_TABLE = (404, "NoSuchTableException")
NO_SPACE = (404, "NoSuchNamespaceException")
NO_WAREHOUSE = (404, "NoSuchWarehouseException")
AB = f"/v1/{W}/namespaces/a%1Fb"
Z = f"/v1/{W}/namespaces/z"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("faults")
    with world(folder) as made:
        yield made


def table(served: World, name: str, who: str = "root", base: str = Z) -> dict[str, Any]:
    """Create a table."""
    answer = served.ask(who, "POST", f"{base}/tables", {"name": name, "schema": SCHEMA})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def load(served: World, name: str, who: str = "ann", **options: Any) -> Answer:
    return served.ask(who, "GET", f"{Z}/tables/{name}", **options)


def bits_on(served: World, name: str, who: str) -> int:
    tx = served.store.autocommit()
    return grants.bits(tx, served.entity(tx, name), served.ids[who])


@pytest.mark.fault(number=1)
def test_01_a_staged_create_stores_nothing_before_it_is_allowed(served: World) -> None:
    served.grant_only([(f"{W}/z", "describe")])
    body = {"name": "s", "schema": SCHEMA, "stage-create": True}
    for location in (None, "file:///etc", f"file://{served.folder}/{W}/a"):
        answer = served.ask("ann", "POST", f"{Z}/tables", body | {"location": location})
        assert outcome(answer) == FORBIDDEN


@pytest.mark.fault(number=10)
@pytest.mark.fault(number=26)
def test_10_and_26_no_grant_outlives_its_entity_or_its_holder(served: World) -> None:
    served.ok("POST", f"/v1/{W}/namespaces", {"namespace": ["gone"]})
    base = f"/v1/{W}/namespaces/gone"
    table(served, "t", base=base)
    served.ok("PUT", f"/management/v1/warehouses/{W}/namespaces/gone/functions/f", ADD_ONE)
    served.grant_only([(f"{W}/gone", "own"), (f"{W}/gone/t", "own"), (f"{W}/gone/f", "own")])
    served.ok("POST", f"{base}/tables/t/unregister")
    served.ok("DELETE", f"/management/v1/warehouses/{W}/namespaces/gone/functions/f")
    served.ok("DELETE", base)
    left = served.store.autocommit().all(
        "SELECT * FROM grants WHERE principal_id = ?", (served.ids["ann"],)
    )
    assert left == []
    served.ok("POST", f"/v1/{W}/namespaces", {"namespace": ["gone"]})  # with the same id, perhaps
    assert outcome(served.ask("ann", "GET", base)) == NO_WAREHOUSE
    served.ok("DELETE", base)


@pytest.mark.fault(number=11)
def test_11_no_change_of_grants_is_lost_to_the_caches(served: World) -> None:
    table(served, "eleven")
    served.grant_only([(f"{W}/z/u", "list")])
    entity = served.entity(served.store.autocommit(), f"{W}/z/eleven")

    def change(privilege: str) -> None:
        for number in range(40):
            with served.store.write() as tx:
                grants.touch(tx)  # on PostgreSQL the next change waits here
                bits = grants.bits(tx, entity, served.ids["ann"])
                wanted = BITS[privilege]  # type: ignore[index]
                bits = bits | wanted if number % 2 == 0 else bits & ~wanted
                grants.set_bits(tx, entity, served.ids["ann"], bits, by="test")

    threads = [threading.Thread(target=change, args=(each,)) for each in ("list", "drop", "grant")]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert load(served, "eleven", app=0).status_code in (200, 403, 404)
        assert load(served, "eleven", app=1).status_code in (200, 403, 404)
    for thread in threads:
        thread.join()
    for app in (0, 1):
        assert outcome(load(served, "eleven", app=app)) == NO_TABLE


@pytest.mark.fault(number=12)
@pytest.mark.fault(number=25)
def test_12_and_25_equal_names_in_another_warehouse_are_others(served: World) -> None:
    served.grant_only([("other", "own")])
    assert served.ask("ann", "GET", "/v1/other/namespaces/a%1Fb/tables/t").status_code == 200
    assert outcome(served.ask("ann", "GET", f"{AB}/tables/t")) == NO_WAREHOUSE
    assert outcome(served.ask("ann", "GET", f"/v1/config?warehouse={W}")) == NO_WAREHOUSE


@pytest.mark.fault(number=17)
def test_17_a_table_by_two_addresses_has_one_answer(served: World) -> None:
    for held in ([], [(f"{W}/z/t", "list")], [(f"{W}/z/t", "select")]):
        served.grant_only(held)
        with_prefix = load(served, "t")
        without = served.ask("ann", "GET", "/v1/namespaces/z/tables/t")
        assert outcome(with_prefix) == outcome(without)
        if held:
            body = {"method": "GET", "uri": "https://h/x", "region": "r", "headers": {}}
            signs = [
                served.ask("ann", "POST", f"{Z}/tables/t/{path}", body)
                for path in ("sign", "v1/aws/s3/sign")
            ]
            assert outcome(signs[0]) == outcome(signs[1])


@pytest.mark.fault(number=18)
def test_18_flags_in_the_query_need_more(served: World) -> None:
    table(served, "eighteen")
    served.grant_only([(f"{W}/z/eighteen", "drop")])
    for flag in ("true", "True", "TRUE"):
        target = f"{Z}/tables/eighteen?purgeRequested={flag}"
        assert outcome(served.ask("ann", "DELETE", target)) == FORBIDDEN
    assert served.ask("ann", "DELETE", f"{Z}/tables/eighteen").status_code == 204


@pytest.mark.fault(number=19)
def test_19_parameters_by_the_wrong_channel_change_nothing(served: World) -> None:
    served.grant_only([(f"{W}/z/u", "own")])
    for target in (
        f"{Z}/tables/t?table=u&identifier=u&namespace=a",
        f"{Z}/tables/t?prefix=other&warehouse=other",
    ):
        answer = served.ask("ann", "GET", target, {"table": "u", "name": "u"})
        assert outcome(answer) == NO_TABLE
    body = {"identifier": {"namespace": ["z"], "name": "u"}, "requirements": [], "updates": []}
    assert outcome(served.ask("ann", "POST", f"{Z}/tables/t", body)) == NO_TABLE
    for headers in ({"X_HTTP_Method_Override": "GET"}, {"X_Original_URL": f"{Z}/tables/u"}):
        assert outcome(load(served, "t", **headers)) == NO_TABLE


@pytest.mark.fault(number=21)
def test_21_checks_in_many_threads_are_all_right(served: World) -> None:
    served.grant_only([(f"{W}/z/u", "select")])
    wrong: list[str] = []
    touching = threading.Event()

    def check() -> None:
        for _ in range(60):
            for name, expected in (("t", 404), ("u", 200)):
                answer = load(served, name)
                if answer.status_code != expected:
                    wrong.append(answer.text)

    def touch() -> None:
        while not touching.wait(0.001):
            with served.store.write() as tx:
                grants.touch(tx)

    threads = [threading.Thread(target=check) for _ in range(16)]
    toucher = threading.Thread(target=touch)
    toucher.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    touching.set()
    toucher.join()
    assert wrong == []


@pytest.mark.fault(number=23)
def test_23_a_rename_needs_both_ends(served: World) -> None:
    table(served, "twentythree")
    body = {
        "source": {"namespace": ["z"], "name": "twentythree"},
        "destination": {"namespace": ["a"], "name": "twentythree"},
    }
    target = f"/v1/{W}/tables/rename"
    for held in (
        [(f"{W}/z/twentythree", "own")],
        [(f"{W}/a", "own")],
        [(f"{W}/z/twentythree", "write"), (f"{W}/a", "create")],
        [(f"{W}/z/twentythree", "drop"), (f"{W}/a", "write")],
    ):
        served.grant_only(held)
        assert outcome(served.ask("ann", "POST", target, body))[0] in (403, 404)
    served.grant_only([(f"{W}/z/twentythree", "drop"), (f"{W}/a", "create")])
    assert served.ask("ann", "POST", target, body).status_code == 204


@pytest.mark.fault(number=24)
@pytest.mark.parametrize("name", ["a/b", "a%b", "a b", "é\u0301", "a+b", "%2F", "u"])
def test_24_the_check_and_the_verb_read_a_name_alike(served: World, name: str) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in name.encode())
    if name != "u":
        table(served, name)
    served.grant_only([(f"{W}/z/{name}", "select")])
    assert load(served, encoded).status_code == 200
    for other in (f"{encoded}%20", encoded.replace("%", "%25")):
        assert outcome(load(served, other)) == NO_TABLE


@pytest.mark.fault(number=28)
@pytest.mark.parametrize("held", [[], [(f"{W}/z/t", "list")], [(f"{W}/z/t", "describe")]])
def test_28_a_refusal_is_the_same_whatever_is_in_memory(
    served: World, held: list[tuple[str, str]]
) -> None:
    served.grant_only([(f"{W}/z/u", "list"), *held])
    for target in ("tables/t", "views/v", "tables/none", "functions/f"):
        with served.store.write() as tx:
            grants.touch(tx)  # nothing is warm
        answers = []
        for app in (0, 0, 1, 1):  # each cold, then warm
            answers.append(served.ask("ann", "GET", f"{Z}/{target}", app=app))
            served.ok("GET", f"{Z}/tables/t")  # the file of what ann may not read is in memory
        assert len({(each.status_code, each.text) for each in answers}) == 1, target


@pytest.mark.fault(number=29)
def test_29_a_revocation_holds_for_the_next_request_of_every_process(served: World) -> None:
    for number in range(200):
        held = [(f"{W}/z/t", "describe")] if number % 2 else [(f"{W}/z/u", "list")]
        served.grant_only(held, ("direct", "role", "nested", "everyone")[number % 4])
        for app in (number % 2, 1 - number % 2):
            answer = load(served, "t", app=app)
            assert outcome(answer) == ((200, None) if number % 2 else NO_TABLE), number


@pytest.mark.fault(number=30)
def test_30_config_tells_nothing_of_a_hidden_warehouse(served: World) -> None:
    served.grant_only([("other", "list")])
    hidden, absent = (
        served.ask("ann", "GET", f"/v1/config?warehouse={name}") for name in (W, "quarter")
    )
    assert hidden.text == absent.text.replace("quarter", W)
    assert "there is" not in absent.text


@pytest.mark.fault(number=31)
def test_31_a_replay_needs_what_the_request_needed(served: World) -> None:
    body = {"name": "replayed", "schema": SCHEMA}
    key = {"Idempotency_Key": str(uuid.uuid4())}
    served.grant_only([(f"{W}/z", "create")])
    first = served.ask("ann", "POST", f"{Z}/tables", body, **key)
    assert first.status_code == 200
    assert served.ask("ann", "POST", f"{Z}/tables", body, **key).status_code == 200
    served.grant_only([(f"{W}/a", "own")])
    assert outcome(served.ask("ann", "POST", f"{Z}/tables", body, **key)) == NO_SPACE
    served.grant_only([(f"{W}/z", "create")])  # and no longer the table
    assert outcome(served.ask("ann", "POST", f"{Z}/tables", body, **key)) == NO_TABLE
    bob = served.ask("bob", "POST", f"{Z}/tables", body, **key)
    assert outcome(bob) == NO_WAREHOUSE  # whose key it is not


@pytest.mark.fault(number=31)
def test_31_what_a_request_removed_is_no_reason_to_refuse_its_replay(served: World) -> None:
    table(served, "removed")
    served.grant_only([(f"{W}/z/removed", "drop"), (f"{W}/z/u", "list")])
    key = {"Idempotency_Key": str(uuid.uuid4())}
    target = f"{Z}/tables/removed"
    assert served.ask("ann", "DELETE", target, **key).status_code == 204
    assert served.ask("ann", "DELETE", target, **key).status_code == 204
    assert outcome(served.ask("ann", "DELETE", target)) == NO_TABLE
    other = {"Idempotency_Key": str(uuid.uuid4())}
    assert outcome(served.ask("ann", "DELETE", target, **other)) == NO_TABLE


@pytest.mark.fault(number=32)
def test_32_a_drop_is_managed_by_those_of_its_own_warehouse(served: World) -> None:
    number = served.drop_id()
    served.grant_only([("other", "own"), (f"{W}/z", "own")])
    for warehouse in ("other", W):
        base = f"/management/v1/warehouses/{warehouse}/dropped/{number}"
        assert outcome(served.ask("ann", "DELETE", base)) == (404, "NotFoundException")
        assert outcome(served.ask("ann", "POST", f"{base}/undrop")) == (404, "NotFoundException")
    # Not even an owner of both reaches it through the other one.
    served.grant_only([("other", "own"), (W, "own")])
    base = "/management/v1/warehouses/other/dropped"
    assert outcome(served.ask("ann", "DELETE", f"{base}/{number}")) == (404, "NotFoundException")
    assert served.drop_id() == number


RUN_AS = ("trino.run-as-owner", "Trino.Run-As-Owner", "TRINO.RUN-AS-OWNER")


def with_owner(name: str, key: str) -> dict[str, Any]:
    return VIEW | {"name": name, "properties": {key: "root"}}


@pytest.mark.fault(number=34)
@pytest.mark.parametrize("key", RUN_AS)
def test_34_no_caller_makes_a_view_run_as_another_user(served: World, key: str) -> None:
    served.grant_only([(f"{W}/z", "own")])
    assert outcome(served.ask("ann", "POST", f"{Z}/views", with_owner("x", key))) == FORBIDDEN
    plain = served.ask("ann", "POST", f"{Z}/views", VIEW | {"name": "plain"})
    assert plain.status_code == 200
    set_ = {"action": "set-properties", "updates": {key: "root"}}
    answer = served.ask("ann", "POST", f"{Z}/views/plain", {"updates": [set_]})
    assert outcome(answer) == FORBIDDEN
    assert "auth.trusted_engines" in answer.text
    after = served.ask("ann", "GET", f"{Z}/views/plain")
    assert after.json["metadata-location"] == plain.json["metadata-location"]
    served.ok("DELETE", f"{Z}/views/plain")


@pytest.mark.fault(number=34)
@pytest.mark.parametrize("key", RUN_AS)
def test_34_only_a_trusted_engine_changes_what_it_does(served: World, key: str) -> None:
    made = served.ok("POST", f"{Z}/views", with_owner("definer", key))  # root owns the server
    served.grant_only([(f"{W}/z", "own")])
    version = VIEW["view-version"] | {"version-id": 2, "representations": [SECRETS]}
    change = [
        {"action": "add-view-version", "view-version": version},
        {"action": "set-current-view-version", "view-version-id": -1},
    ]
    removal = [{"action": "remove-properties", "removals": [key]}]
    for updates in (change, removal):
        answer = served.ask("ann", "POST", f"{Z}/views/definer", {"updates": updates})
        assert outcome(answer) == FORBIDDEN, answer.text
    copy = {"name": "copy", "metadata-location": made["metadata-location"]}
    served.ok("DELETE", f"{Z}/views/definer")
    served.grant_only([(f"{W}/z", "own")])
    assert outcome(served.ask("ann", "POST", f"{Z}/register-view", copy)) == FORBIDDEN


@pytest.mark.fault(number=34)
def test_34_a_trusted_engine_makes_and_changes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = {"auth.trusted_engines": ("ann",)}
    monkeypatch.setattr(serving_world, "load", lambda a, b, c: settings.load(a, b, c | trusted))
    with world(tmp_path, apps=1) as made:
        made.grant_only([(f"{W}/z", "create")])
        body = with_owner("definer", RUN_AS[0])
        assert made.ask("ann", "POST", f"{Z}/views", body).status_code == 200
        set_ = {"action": "set-properties", "updates": {RUN_AS[0]: "eve"}}
        answer = made.ask("ann", "POST", f"{Z}/views/definer", {"updates": [set_]})
        assert answer.status_code == 200


@pytest.mark.fault(number=36)
def test_36_metadata_tables_are_no_tables(served: World) -> None:
    served.grant_only([("server", "own")])
    for name in ("snapshots", "files", "history"):
        answer = served.ask("ann", "GET", f"/v1/{W}/namespaces/z%1Ft/tables/{name}")
        assert outcome(answer) == NO_TABLE


@pytest.mark.fault(number=37)
def test_37_what_was_dropped_cannot_be_registered_by_a_stranger(served: World) -> None:
    location = table(served, "mine")["metadata-location"]
    served.ok("DELETE", f"{Z}/tables/mine")
    served.grant_only([(f"{W}/a", "own")])
    body = {"name": "stolen", "metadata-location": location}
    answer = served.ask("ann", "POST", f"/v1/{W}/namespaces/a/register", body)
    assert outcome(answer) == FORBIDDEN
    assert "dropped" in answer.text
    served.grant_only([(f"{W}/a", "own"), (f"{W}/z", "drop")])
    assert served.ask("ann", "POST", f"/v1/{W}/namespaces/a/register", body).status_code == 200


@pytest.mark.fault(number=37)
@pytest.mark.parametrize("place", ["at", "inside", "around"])
def test_37_no_table_of_a_stranger_lies_over_what_was_dropped(served: World, place: str) -> None:
    """It would get the credentials for files that it may no longer, or never could, read."""
    around = f"file://{served.folder}/{W}/dropped-{place}"
    at = f"{around}/files"
    location = {"at": at, "inside": f"{at}/data", "around": around}[place]
    body = {"name": "over", "schema": SCHEMA, "location": location}
    old = {"name": "old", "schema": SCHEMA, "location": at}
    assert served.ask("root", "POST", f"{Z}/tables", old).status_code == 200
    served.ok("DELETE", f"{Z}/tables/old")
    served.grant_only([(f"{W}/z", "create")])
    table(served, "mine", "ann")
    move = {"updates": [{"action": "set-location", "location": location}]}
    path = {"write.data.path": location}
    aside = {"updates": [{"action": "set-properties", "updates": path}]}
    for base, request in (
        (f"{Z}/tables", body),
        (f"{Z}/tables", body | {"stage-create": True}),
        (f"{Z}/tables", {"name": "over", "schema": SCHEMA, "properties": path}),
        (f"{Z}/tables/mine", move),
        (f"{Z}/tables/mine", aside),
    ):
        assert outcome(served.ask("ann", "POST", base, request)) == FORBIDDEN, request
    assert served.ask("root", "POST", f"{Z}/tables", body).status_code == 200
    served.ok("DELETE", f"{Z}/tables/over")
    served.ok("DELETE", f"{Z}/tables/mine")


def test_a_plan_is_for_the_principal_that_planned_it(served: World) -> None:
    served.grant_only([(f"{W}/z/t", "select")])
    mine = served.ask("ann", "POST", f"{Z}/tables/t/plan", {}).json["plan-id"]
    target = f"{Z}/tables/t/plan/{mine}"
    assert served.ask("ann", "GET", target).status_code == 200
    assert outcome(served.ask("root", "GET", target)) == (404, "NoSuchPlanIdException")
    assert outcome(served.ask("root", "DELETE", target)) == (404, "NoSuchPlanIdException")
    other = target.replace("/t/", "/u/")
    assert served.ask("ann", "GET", other).status_code == 404
    served.grant_only([(f"{W}/z/t", "list")])
    assert outcome(served.ask("ann", "GET", target)) == FORBIDDEN
    assert served.ask("ann", "DELETE", target).status_code == 204


def test_creators_own_what_they_create(served: World) -> None:
    served.grant_only([(W, "create")])
    assert (
        served.ask("ann", "POST", f"/v1/{W}/namespaces", {"namespace": ["own"]}).status_code == 200
    )
    assert bits_on(served, f"{W}/own", "ann") == BITS["own"]
    base = f"/v1/{W}/namespaces/own"
    table(served, "t", "ann", base)
    staged = {"name": "staged", "schema": SCHEMA, "stage-create": True}
    metadata = served.ask("ann", "POST", f"{base}/tables", staged).json["metadata"]
    located = {"action": "set-location", "location": metadata["location"]}
    updates = [*creation(metadata), located]
    commit = {"requirements": [{"type": "assert-create"}], "updates": updates}
    assert served.ask("ann", "POST", f"{base}/tables/staged", commit).status_code == 200
    function = f"/management/v1/warehouses/{W}/namespaces/own/functions/f"
    assert served.ask("ann", "PUT", function, ADD_ONE).status_code == 200
    for name in ("t", "staged", "f"):
        assert bits_on(served, f"{W}/own/{name}", "ann") == BITS["own"], name
    # A retry of the commit is answered as long as its sender may read the table.
    assert served.ask("ann", "POST", f"{base}/tables/staged", commit).status_code == 200
    served.grant_only([(f"{W}/own", "create")])
    retried = served.ask("ann", "POST", f"{base}/tables/staged", commit)
    assert outcome(retried) == (409, "CommitFailedException")


def test_grants_follow_a_table_through_drop_undrop_and_rename(served: World) -> None:
    table(served, "followed")
    served.grant_only([(f"{W}/z/followed", "select")])
    served.ok("DELETE", f"{Z}/tables/followed")
    dropped = served.ok("GET", f"/management/v1/warehouses/{W}/dropped")["dropped"]
    number = next(each["id"] for each in dropped if each["identifier"]["name"] == "followed")
    seen = served.ask("ann", "GET", f"/management/v1/warehouses/{W}/dropped").json["dropped"]
    assert [each["id"] for each in seen] == [number]
    table(served, "followed")  # somebody else's, with the same name
    assert outcome(load(served, "followed")) in (NO_TABLE, NO_WAREHOUSE)
    body = {"identifier": {"namespace": ["a"], "name": "back"}}
    served.ok("POST", f"/management/v1/warehouses/{W}/dropped/{number}/undrop", body)
    assert served.ask("ann", "GET", f"/v1/{W}/namespaces/a/tables/back").status_code == 200
    rename = {
        "source": {"namespace": ["a"], "name": "back"},
        "destination": {"namespace": ["z"], "name": "again"},
    }
    served.ok("POST", f"/v1/{W}/tables/rename", rename)
    assert load(served, "again").status_code == 200
    assert outcome(served.ask("ann", "GET", f"/v1/{W}/namespaces/a/tables")) == NO_SPACE


def test_what_was_dropped_before_a_namespace_is_not_its_owners(served: World) -> None:
    served.ok("POST", f"/v1/{W}/namespaces", {"namespace": ["reborn"]})
    base = f"/v1/{W}/namespaces/reborn"
    table(served, "secret", base=base)
    served.ok("DELETE", f"{base}/tables/secret")
    served.ok("DELETE", base)
    served.ok("POST", f"/v1/{W}/namespaces", {"namespace": ["reborn"]})
    served.grant_only([(f"{W}/reborn", "own")])
    seen = served.ask("ann", "GET", f"/management/v1/warehouses/{W}/dropped").json["dropped"]
    assert seen == []


@pytest.mark.parametrize("on", [W, "z", "z/managed"])
def test_owners_inside_a_managed_container_may_not_grant(served: World, on: str) -> None:
    managed = W if on != "z/managed" else f"{W}/z"
    if on == "z/managed":
        table(served, "managed")
    held = (f"{W}/{on}" if on != W else W, "own")
    served.manage(managed, managed=True)
    try:
        served.grant_only([held])
        body = {"removals": ["location"], "updates": {"location": "x"}}
        answer = served.ask("ann", "POST", f"{Z}/properties", body)
        # own on the managed warehouse itself, and on what is above, keeps the right.
        expected = {W: 422, "z": 403, "z/managed": 403}[on]
        assert answer.status_code == expected, answer.text
    finally:
        served.manage(managed, managed=False)
