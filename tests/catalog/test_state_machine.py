"""Any sequence of operations leaves a catalog in the state that a few dicts are left in."""

import contextlib
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, multiple, rule

from tests.fuzz.asking import asking
from tests.fuzz.bodies import SCHEMA, VERSION

Levels = tuple[str, ...]
Identifier = tuple[Levels, str]
Thing = tuple[Identifier, str]

# Few names, so that they meet; they are hard on paths, and their order is that of UTF-8.
NAMES = st.sampled_from(["a/b", "B %41", "ü+", "😀"])
LEVELS = st.sampled_from([("n",), ("m.1",), ("n", "o p")])
IDENTIFIERS = st.tuples(LEVELS, NAMES)
PROPERTIES = st.dictionaries(st.sampled_from(["k", "l"]), st.sampled_from(["1", "2", ""]))
KINDS = st.sampled_from(["table", "view"])
THINGS = st.tuples(IDENTIFIERS, KINDS)
NOBODY = "00000000-0000-4000-8000-000000000000"


@dataclass
class Entry:
    """What is known of a table or view."""

    kind: str
    uuid: str
    location: str
    metadata_location: str
    properties: dict[str, str]
    commits: int = 0


@dataclass
class Staged:
    """A create that was staged, and not committed yet."""

    identifier: Identifier
    metadata: dict[str, Any] = field(repr=False)


def space(levels: Levels) -> str:
    return "/v1/namespaces/" + "%1F".join(quote(level, safe="") for level in levels)


def place(identifier: Identifier, kind: str) -> str:
    return f"{space(identifier[0])}/{kind}s/{quote(identifier[1], safe='')}"


def as_json(identifier: Identifier) -> dict[str, Any]:
    return {"namespace": list(identifier[0]), "name": identifier[1]}


def own(metadata: dict[str, Any]) -> dict[str, str]:
    """Return the properties that the test sets."""
    return {key: value for key, value in metadata["properties"].items() if key in ("k", "l")}


class CatalogMachine(RuleBasedStateMachine):
    """A catalog on a socket, and the model beside it."""

    named = Bundle("named")
    """Tables and views that are there, and some that have been: an identifier and a kind."""
    staged = Bundle("staged")
    dropped = Bundle("dropped")

    def __init__(self) -> None:
        super().__init__()
        self.namespaces: dict[Levels, dict[str, str]] = {}
        self.entries: dict[Identifier, Entry] = {}
        self._open = contextlib.ExitStack()
        folder = self._open.enter_context(tempfile.TemporaryDirectory())
        self._asker = self._open.enter_context(asking(Path(folder)))

    def teardown(self) -> None:
        try:
            for levels in self.namespaces:
                self.list_entries(levels, "table", 1000)
                self.list_entries(levels, "view", 1000)
            for identifier, entry in self.entries.items():
                self.load(identifier, entry.kind)
            self.list_namespaces(None, 1000)
        finally:
            self._open.close()

    def expect(self, wanted: int, verb: str, path: str, body: Any = None) -> Any:
        """Send a request whose outcome the model knows."""
        status, document = self._asker.ask(verb, path, body)
        assert status == wanted, (verb, path, body, status, document)
        return document

    def kind_at(self, identifier: Identifier) -> str | None:
        entry = self.entries.get(identifier)
        return entry.kind if entry else None

    @initialize()
    def begin(self) -> None:
        self.create_namespace(("n",), {})
        self.create_namespace(("n", "o p"), {"k": "1"})

    # Namespaces.

    @rule(levels=LEVELS, properties=PROPERTIES)
    def create_namespace(self, levels: Levels, properties: dict[str, str]) -> None:
        body = {"namespace": list(levels), "properties": properties}
        if len(levels) > 1 and levels[:-1] not in self.namespaces:
            self.expect(404, "POST", "/v1/namespaces", body)
        elif levels in self.namespaces:
            self.expect(409, "POST", "/v1/namespaces", body)
        else:
            assert self.expect(200, "POST", "/v1/namespaces", body)["properties"] == properties
            self.namespaces[levels] = properties

    @rule(levels=LEVELS)
    def drop_namespace(self, levels: Levels) -> None:
        inside = [other for other in self.namespaces if other[:-1] == levels]
        held = [identifier for identifier in self.entries if identifier[0] == levels]
        if levels not in self.namespaces:
            self.expect(404, "DELETE", space(levels))
        elif inside or held:
            self.expect(409, "DELETE", space(levels))
        else:
            self.expect(204, "DELETE", space(levels))
            del self.namespaces[levels]

    @rule(levels=LEVELS, removals=st.sets(st.sampled_from(["k", "l"])), updates=PROPERTIES)
    def update_properties(
        self, levels: Levels, removals: set[str], updates: dict[str, str]
    ) -> None:
        path, body = f"{space(levels)}/properties", {"removals": list(removals), "updates": updates}
        if removals & updates.keys():
            self.expect(422, "POST", path, body)
        elif levels not in self.namespaces:
            self.expect(404, "POST", path, body)
        else:
            properties = self.namespaces[levels]
            answer = self.expect(200, "POST", path, body)
            assert set(answer["removed"]) == removals & properties.keys()
            assert set(answer["missing"]) == removals - properties.keys()
            assert set(answer["updated"]) == updates.keys()
            kept = {key: properties[key] for key in properties.keys() - removals}
            self.namespaces[levels] = kept | updates

    @rule(levels=LEVELS)
    def load_namespace(self, levels: Levels) -> None:
        if levels in self.namespaces:
            self.expect(204, "HEAD", space(levels))
            found = self.expect(200, "GET", space(levels))
            assert found == {"namespace": list(levels), "properties": self.namespaces[levels]}
        else:
            self.expect(404, "HEAD", space(levels))
            self.expect(404, "GET", space(levels))

    @rule(parent=st.none() | LEVELS, size=st.integers(1, 3))
    def list_namespaces(self, parent: Levels | None, size: int) -> None:
        above = parent or ()
        path = "/v1/namespaces?"
        if parent is not None:
            path += f"parent={'%1F'.join(quote(level, safe='') for level in parent)}&"
            if parent not in self.namespaces:
                self.expect(404, "GET", path)
                return
        children = sorted(list(levels) for levels in self.namespaces if levels[:-1] == above)
        assert self.pages(path, "namespaces", size) == children

    def pages(self, path: str, what: str, size: int) -> list[Any]:
        """Return a whole list, read page by page."""
        listed, token = [], ""
        while token is not None:
            page = self.expect(200, "GET", f"{path}pageToken={token}&pageSize={size}")
            assert len(page[what]) <= size
            listed += page[what]
            assert len(listed) <= len(self.entries) + len(self.namespaces), listed
            token = page["next-page-token"]
        whole = self.expect(200, "GET", path)
        assert whole == {what: listed, "next-page-token": None}
        return listed

    # Tables and views.

    @rule(target=named, identifier=IDENTIFIERS, kind=KINDS, properties=PROPERTIES)
    def create(self, identifier: Identifier, kind: str, properties: dict[str, str]) -> Thing:
        body = {"name": identifier[1], "schema": SCHEMA, "properties": properties}
        if kind == "view":
            body["view-version"] = VERSION
        path = f"{space(identifier[0])}/{kind}s"
        if identifier[0] not in self.namespaces:
            self.expect(404, "POST", path, body)
        elif identifier in self.entries:
            self.expect(409, "POST", path, body)
        else:
            made = self.expect(200, "POST", path, body)
            self.entries[identifier] = entry = read(kind, made)
            assert entry.properties == properties
            others = [each for each in self.entries.values() if each is not entry]
            assert entry.uuid not in {each.uuid for each in others}
            assert entry.location not in {each.location for each in others}
        return identifier, kind

    @rule(target=staged, identifier=IDENTIFIERS)
    def stage(self, identifier: Identifier) -> Any:
        body = {"name": identifier[1], "schema": SCHEMA, "stage-create": True}
        path = f"{space(identifier[0])}/tables"
        if identifier[0] not in self.namespaces:
            self.expect(404, "POST", path, body)
        elif identifier in self.entries:
            self.expect(409, "POST", path, body)
        else:
            made = self.expect(200, "POST", path, body)
            assert "metadata-location" not in made
            return Staged(identifier, made["metadata"])
        return multiple()

    @rule(target=named, staged=consumes(staged))
    def commit_staged(self, staged: Staged) -> Thing:
        identifier, metadata = staged.identifier, staged.metadata
        body = {
            "requirements": [{"type": "assert-create"}],
            "updates": [
                {"action": "assign-uuid", "uuid": metadata["table-uuid"]},
                {"action": "upgrade-format-version", "format-version": 2},
                {"action": "add-schema", "schema": metadata["schemas"][0]},
                {"action": "set-current-schema", "schema-id": -1},
                {"action": "add-spec", "spec": {"fields": []}},
                {"action": "set-default-spec", "spec-id": -1},
                {"action": "add-sort-order", "sort-order": {"order-id": 0, "fields": []}},
                {"action": "set-default-sort-order", "sort-order-id": -1},
                {"action": "set-location", "location": metadata["location"]},
            ],
        }
        path = place(identifier, "table")
        if identifier[0] not in self.namespaces:
            self.expect(404, "POST", path, body)
        elif identifier in self.entries:
            self.expect(409, "POST", path, body)
        else:
            self.entries[identifier] = entry = read("table", self.expect(200, "POST", path, body))
            assert (entry.uuid, entry.location) == (metadata["table-uuid"], metadata["location"])
        return identifier, "table"

    @rule(thing=named | THINGS)
    def look(self, thing: Thing) -> None:
        self.load(*thing)

    def load(self, identifier: Identifier, kind: str) -> None:
        path = place(identifier, kind)
        if self.kind_at(identifier) != kind:
            self.expect(404, "HEAD", path)
            self.expect(404, "GET", path)
            return
        self.expect(204, "HEAD", path)
        found, entry = self.expect(200, "GET", path), self.entries[identifier]
        loaded = read(kind, found)
        loaded.commits = entry.commits
        assert loaded == entry
        if kind == "table":
            assert len(found["metadata"].get("metadata-log", ())) == entry.commits

    @rule(thing=named, updates=PROPERTIES, right=st.integers(0, 3).map(bool))
    def commit(self, thing: Thing, updates: dict[str, str], *, right: bool) -> None:
        identifier, kind = thing
        path, body = place(identifier, kind), self.change(identifier, updates, right=right)
        if self.kind_at(identifier) != kind:
            self.expect(404, "POST", path, body)
        elif not right:
            self.expect(409, "POST", path, body)
        else:
            self.changed(identifier, updates, self.expect(200, "POST", path, body))

    def change(
        self, identifier: Identifier, updates: dict[str, str], *, right: bool
    ) -> dict[str, Any]:
        entry = self.entries.get(identifier)
        kind = entry.kind if entry else "table"
        known = entry.uuid if entry and right else NOBODY
        return {
            "identifier": as_json(identifier),
            "requirements": [{"type": f"assert-{kind}-uuid", "uuid": known}],
            "updates": [{"action": "set-properties", "updates": updates}],
        }

    def changed(
        self, identifier: Identifier, updates: dict[str, str], answer: dict[str, Any]
    ) -> None:
        """Note what a commit changed: without updates nothing, not even the file."""
        entry = self.entries[identifier]
        moved = answer["metadata-location"] != entry.metadata_location
        assert moved is bool(updates)
        entry.metadata_location = answer["metadata-location"]
        entry.properties = entry.properties | updates
        entry.commits += moved
        assert own(answer["metadata"]) == entry.properties

    @rule(
        wanted=st.lists(
            st.tuples(named, PROPERTIES, st.integers(0, 5).map(bool)), min_size=1, max_size=3
        )
    )
    def transact(self, wanted: list[tuple[Thing, dict[str, str], bool]]) -> None:
        changes = {thing[0]: (updates, right) for thing, updates, right in wanted}
        body = {
            "table-changes": [
                self.change(identifier, updates, right=right)
                for identifier, (updates, right) in changes.items()
            ]
        }
        for change in body["table-changes"]:
            change["requirements"][0]["type"] = "assert-table-uuid"
        refusals = {
            404 if self.kind_at(identifier) != "table" else 409
            for identifier, (_, right) in changes.items()
            if self.kind_at(identifier) != "table" or not right
        }
        path = "/v1/transactions/commit"
        status, document = self._asker.ask("POST", path, body)
        assert status in (refusals or {204}), document
        for identifier, (updates, _) in changes.items():
            if not refusals:
                table = self.expect(200, "GET", place(identifier, "table"))
                self.changed(identifier, updates, table)
            elif (kind := self.kind_at(identifier)) is not None:
                self.load(identifier, kind)

    @rule(target=named, thing=named, destination=IDENTIFIERS)
    def rename(self, thing: Thing, destination: Identifier) -> Thing:
        source, kind = thing
        body = {"source": as_json(source), "destination": as_json(destination)}
        path = f"/v1/{kind}s/rename"
        if self.kind_at(source) != kind or destination[0] not in self.namespaces:
            self.expect(404, "POST", path, body)
        elif destination in self.entries:
            self.expect(409, "POST", path, body)
        else:
            self.expect(204, "POST", path, body)
            self.entries[destination] = self.entries.pop(source)
        return destination, kind

    @rule(target=dropped, thing=named)
    def drop(self, thing: Thing) -> Any:
        identifier, kind = thing
        path = place(identifier, kind)
        if self.kind_at(identifier) != kind:
            self.expect(404, "DELETE", path)
            return multiple()
        self.expect(204, "DELETE", path)
        return self.entries.pop(identifier)

    @rule(target=named, entry=consumes(dropped), identifier=IDENTIFIERS)
    def register(self, entry: Entry, identifier: Identifier) -> Thing:
        way = "register" if entry.kind == "table" else "register-view"
        body = {"name": identifier[1], "metadata-location": entry.metadata_location}
        path = f"{space(identifier[0])}/{way}"
        if identifier[0] not in self.namespaces:
            self.expect(404, "POST", path, body)
        elif identifier in self.entries:
            self.expect(409, "POST", path, body)
        else:
            assert own(self.expect(200, "POST", path, body)["metadata"]) == entry.properties
            self.entries[identifier] = entry
        return identifier, entry.kind

    @rule(levels=LEVELS, kind=KINDS, size=st.integers(1, 3))
    def list_entries(self, levels: Levels, kind: str, size: int) -> None:
        path = f"{space(levels)}/{kind}s?"
        if levels not in self.namespaces:
            self.expect(404, "GET", path)
            return
        names = [
            name for (of, name), entry in self.entries.items() if (of, entry.kind) == (levels, kind)
        ]
        wanted = [as_json((levels, name)) for name in sorted(names)]
        assert self.pages(path, "identifiers", size) == wanted


def read(kind: str, answer: dict[str, Any]) -> Entry:
    """Return what an answer tells of a table or view."""
    metadata = answer["metadata"]
    uuid.UUID(metadata[f"{kind}-uuid"])
    return Entry(
        kind=kind,
        uuid=metadata[f"{kind}-uuid"],
        location=metadata["location"],
        metadata_location=answer["metadata-location"],
        properties=own(metadata),
    )


TestCatalog = pytest.mark.slow(CatalogMachine.TestCase)
TestCatalog.settings = settings(
    max_examples=100,
    stateful_step_count=50,
    suppress_health_check=list(HealthCheck),
)
