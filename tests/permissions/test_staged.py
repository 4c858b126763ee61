"""The folder of a staged table is its creator's until the commit, and of whom it was given to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.catalog.serving import SCHEMA, creation
from tests.permissions.cases import FORBIDDEN, W
from tests.permissions.test_matrix import outcome
from tests.permissions.world import World, world

Z, OTHER = (f"/v1/{W}/namespaces/{name}" for name in ("z", "a%1Fs"))
DATA = "write.data.path"
DAY_MS = 24 * 3600 * 1000


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("staged")
    with world(folder, apps=2) as made:
        made.grant_only([(f"{W}/a.s", "create")])
        yield made


class Places:
    """A folder of the test's own, and who may place a table where in it."""

    def __init__(self, served: World, name: str) -> None:
        self.served, self.name = served, name
        self.folder = f"file://{served.folder}/{W}/staged-{name}"

    def create(self, who: str, location: str | None, **more: Any) -> Any:
        """Create a table; ann does so in a namespace where root has none."""
        base, name = (OTHER, f"of-ann-{self.name}") if who == "ann" else (Z, f"of-{self.name}")
        body = {"name": name, "schema": SCHEMA, "location": location, **more}
        return self.served.ask(who, "POST", f"{base}/tables", body, app=who == "ann")

    def stage(self, who: str, location: str | None, **more: Any) -> Any:
        return self.create(who, location, **{"stage-create": True}, **more)

    def commit(self, who: str, staged: Any) -> Any:
        metadata = staged.json["metadata"]
        located = {"action": "set-location", "location": metadata["location"]}
        kept = {"action": "set-properties", "updates": metadata["properties"]}
        body = {
            "requirements": [{"type": "assert-create"}],
            "updates": [*creation(metadata), located, kept],
        }
        base, name = (OTHER, f"of-ann-{self.name}") if who == "ann" else (Z, f"of-{self.name}")
        return self.served.ask(who, "POST", f"{base}/tables/{name}", body)

    def outcomes(self, who: str, *locations: str) -> set[Any]:
        """Return how creates, staged and not, at some locations and with paths to them end."""
        paths = [{DATA: each} for each in locations]
        answers = [self.stage(who, each) for each in locations]
        answers += [self.create(who, each) for each in locations]
        answers += [self.stage(who, None, properties=each) for each in paths]
        answers += [self.create(who, None, properties=each) for each in paths]
        return {outcome(each) for each in answers}


@pytest.mark.fault(number=1)
def test_no_stranger_takes_the_folder_of_a_table_that_is_being_created(shared: World) -> None:
    it = Places(shared, "taken")
    place, aside = f"{it.folder}/mine", f"{it.folder}/aside"
    staged = it.stage("root", place, properties={DATA: aside})
    assert staged.status_code == 200
    inside = f"{place}/data", f"{aside}/data"
    assert it.outcomes("ann", place, aside, *inside, it.folder) == {FORBIDDEN}
    assert it.stage("root", place).status_code == 200  # again, after a failure
    assert it.commit("root", staged).status_code == 200
    assert it.outcomes("ann", place, aside, it.folder) == {FORBIDDEN}


def test_no_table_comes_to_where_a_staged_one_gives_a_stranger_access(shared: World) -> None:
    it = Places(shared, "wide")
    shared.ok("POST", f"/v1/{W}/namespaces", {"namespace": ["payroll"]})
    wide = f"file://{shared.folder}/{W}/payroll"
    assert it.stage("ann", wide).status_code == 200
    salaries = {"name": "salaries", "schema": SCHEMA}
    refused = shared.ask("root", "POST", f"/v1/{W}/namespaces/payroll/tables", salaries)
    assert outcome(refused) == FORBIDDEN
    assert "another principal has begun to create" in refused.text
    with shared.store.write() as tx:  # a day later
        tx.change("UPDATE reservations SET expires_at = expires_at - ?", (DAY_MS,))
    shared.ok("POST", f"/v1/{W}/namespaces/payroll/tables", salaries)


def test_a_principal_that_is_removed_leaves_nothing_to_others_at_once(shared: World) -> None:
    it = Places(shared, "left")
    shared.add("leaver")
    body = {"grant": [{"privileges": ["create"], "entity": NAMESPACE, "principal": "leaver"}]}
    shared.ok("POST", "/management/v1/grants", body)
    place = f"{it.folder}/x"
    assert it.stage("leaver", place).status_code == 200
    shared.ok("DELETE", "/management/v1/principals/leaver")
    assert outcome(it.stage("root", place)) == FORBIDDEN


def test_who_may_write_in_its_namespace_may_share_the_folders_of_its_properties(
    shared: World,
) -> None:
    it = Places(shared, "shares")
    place, aside = f"{it.folder}/mine", f"{it.folder}/aside"
    assert it.stage("root", place, properties={DATA: aside}).status_code == 200
    try:
        shared.grant_only([(f"{W}/a.s", "create"), (f"{W}/z", "select")])
        assert outcome(it.stage("ann", None, properties={DATA: aside})) == FORBIDDEN
        shared.grant_only([(f"{W}/a.s", "create"), (f"{W}/z", "write")])
        assert it.stage("ann", None, properties={DATA: aside}).status_code == 200
        assert outcome(it.stage("ann", None, properties={DATA: place})) == FORBIDDEN
        assert outcome(it.stage("ann", aside)) == FORBIDDEN
    finally:
        shared.grant_only([(f"{W}/a.s", "create")])


NAMESPACE = {"type": "namespace", "warehouse": W, "namespace": ["z"]}


def test_the_folder_of_a_table_that_was_committed_is_free_when_the_table_is_gone(
    shared: World,
) -> None:
    it = Places(shared, "gone")
    place, aside = f"{it.folder}/mine", f"{it.folder}/aside"
    assert it.commit("root", it.stage("root", place, properties={DATA: aside})).status_code == 200
    shared.ok("POST", f"{Z}/tables/of-gone/unregister")
    assert it.create("ann", place, properties={DATA: aside}).status_code == 200
