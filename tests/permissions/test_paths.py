"""Folders that properties of tables name: no table of a stranger lies or writes there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from falcon_catalog.store import paths
from falcon_catalog.store.grants import Entity
from tests.catalog.serving import SCHEMA
from tests.permissions.cases import FORBIDDEN, W
from tests.permissions.test_matrix import outcome
from tests.permissions.world import World, world

Z, OTHER = f"/v1/{W}/namespaces/z", f"/v1/{W}/namespaces/a%1Fs"
MANAGED = f"/management/v1/warehouses/{W}"
DATA = "write.data.path"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("paths")
    with world(folder, apps=1) as made:
        yield made


class Folders:
    """A table of root's in ``z`` with a folder aside, and what ann can place there."""

    def __init__(self, served: World, name: str) -> None:
        self.served, self.name = served, name
        self.folder = f"file://{served.folder}/{W}/aside/{name}"
        self.target = f"{Z}/tables/{name}"
        properties = {DATA: f"{self.folder}/files"}
        body = {"name": name, "schema": SCHEMA, "properties": properties}
        self.made = served.ok("POST", f"{Z}/tables", body)
        served.grant_only([(f"{W}/a.s", "create")])

    def create(self, who: str, location: str | None, **more: Any) -> Any:
        body = {"name": "over", "schema": SCHEMA, "location": location, **more}
        return self.served.ask(who, "POST", f"{OTHER}/tables", body)

    def is_closed(self) -> bool:
        """Return whether neither a location nor a property can name the folder."""
        at = f"{self.folder}/files"
        answers = [self.create("ann", each) for each in (at, f"{at}/x", self.folder)]
        answers += [
            self.create("ann", None, properties={name: at})
            for name in (DATA, "write.metadata.path", "write.object-storage.path")
        ]
        for answer in answers:
            if answer.status_code == 200:
                self.remove()
        closed = {outcome(answer) == FORBIDDEN for answer in answers}
        assert len(closed) == 1, [answer.text for answer in answers]
        return closed.pop()

    def remove(self) -> None:
        """Purge what was created: a dropped table is in the way, too."""
        self.served.ok("DELETE", f"{OTHER}/tables/over?purgeRequested=true")
        number = max(each["id"] for each in self.served.ok("GET", f"{MANAGED}/dropped")["dropped"])
        self.served.ok("DELETE", f"{MANAGED}/dropped/{number}")

    def commit(self, *updates: dict[str, Any]) -> None:
        self.served.ok("POST", self.target, {"requirements": [], "updates": list(updates)})

    def stored(self) -> list[str]:
        tx = self.served.store.autocommit()
        row = tx.one("SELECT id FROM tabulars WHERE name = ?", (self.name,))
        assert row is not None
        return paths.of(tx, Entity("tabular", row[0]))


def test_they_are_closed_as_long_as_the_table_names_them(guarded: World) -> None:
    it = Folders(guarded, "named")
    assert it.is_closed()
    there = {"namespace": ["z"], "name": "renamed"}
    move = {"source": {"namespace": ["z"], "name": "named"}, "destination": there}
    guarded.ok("POST", f"/v1/{W}/tables/rename", move)
    assert it.is_closed()
    guarded.ok("DELETE", f"{Z}/tables/renamed")
    assert it.is_closed()
    number = max(each["id"] for each in guarded.ok("GET", f"{MANAGED}/dropped")["dropped"])
    guarded.ok("POST", f"{MANAGED}/dropped/{number}/undrop", {})
    assert it.is_closed()
    location = guarded.ok("POST", f"{Z}/tables/renamed/unregister")["metadata-location"]
    assert not it.is_closed()
    body = {"name": "named", "metadata-location": location}
    guarded.ok("POST", f"{Z}/register", body)
    assert it.is_closed()
    it.commit({"action": "remove-properties", "removals": [DATA]})
    assert not it.is_closed()


def test_their_owner_may_share_them_and_a_writer_too(guarded: World) -> None:
    it = Folders(guarded, "shared")
    shared = {DATA: f"{it.folder}/files"}
    assert it.create("root", None, properties=shared).status_code == 200
    it.remove()
    assert outcome(it.create("root", f"{it.folder}/files")) == FORBIDDEN
    guarded.grant_only([(f"{W}/a.s", "create"), (f"{W}/z", "select")])
    assert outcome(it.create("ann", None, properties=shared)) == FORBIDDEN
    guarded.grant_only([(f"{W}/a.s", "create"), (f"{W}/z", "write")])
    assert it.create("ann", None, properties=shared).status_code == 200
    it.remove()
    assert outcome(it.create("ann", f"{it.folder}/files")) == FORBIDDEN


def test_the_next_commit_records_those_of_an_older_version(guarded: World) -> None:
    it = Folders(guarded, "older")
    known = it.stored()
    assert len(known) == 1
    with guarded.store.write() as tx:
        tx.change("DELETE FROM paths")
    assert not it.is_closed()
    it.commit({"action": "set-properties", "updates": {"a": "b"}})
    assert it.stored() == known
    assert it.is_closed()


def test_a_folder_inside_of_the_location_is_not_recorded(guarded: World) -> None:
    it = Folders(guarded, "within")
    inside = f"{it.made['metadata']['location']}/elsewhere"
    it.commit({"action": "set-properties", "updates": {DATA: inside}})
    assert it.stored() == []
