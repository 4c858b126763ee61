"""Random programs of grants and changes over two applications, against the evaluator.

The model knows names and sets; each answer of either application must be the one it foretells.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from falcon_catalog.catalog.privileges import BITS
from falcon_catalog.store import grants
from tests.catalog.serving import SCHEMA
from tests.permissions.evaluator import PRIVILEGES, Evaluator
from tests.permissions.test_matrix import outcome
from tests.permissions.world import World, world

SPACES = ("a", "a.b", "z")
TABLES = ("t", "u", "w")
OF = {"a": "a", "a.b": "a%1Fb", "z": "z"}
W = "default"
FORBIDDEN = (403, "ForbiddenException")
NO_WAREHOUSE = (404, "NoSuchWarehouseException")
STEPS = 1500


@dataclass
class Model:
    """Who holds what on which things, by numbers that things keep when they are renamed."""

    parents: dict[str, str | None] = field(
        default_factory=lambda: {
            "server": None,
            W: "server",
            "a": W,
            "a.b": "a",
            "z": W,
        }
    )
    names: dict[tuple[str, str], str] = field(default_factory=dict)
    """The thing that has a name in a namespace."""
    dropped: dict[str, tuple[str, str]] = field(default_factory=dict)
    held: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """Entities and privileges by principal."""
    count: int = 0

    def rules(self) -> Evaluator:
        return Evaluator(self.parents, detached=set(self.dropped))

    def create(self, ns: str, name: str, by: str) -> None:
        self.count += 1
        thing = f"thing-{self.count}"
        self.names[ns, name] = thing
        self.parents[thing] = ns
        self.held[by].add((thing, "own"))

    def needs(
        self, who: str, *needs: tuple[str, str | None, str], moves: bool = False
    ) -> tuple[int, str | None] | None:
        """Return how a request that needs privileges on things is refused, or None.

        If it ``moves``, the first thing moves into the second one.
        """
        rules, held = self.rules(), self.held[who]
        if not rules.sees(held, W):
            return NO_WAREHOUSE
        for privilege, thing, missing in needs:
            if thing is None or not rules.sees(held, thing):
                return 404, missing
            if privilege not in rules.holds(held, thing) and privilege != "list":
                return FORBIDDEN
            if moves and rules.gains(held, str(needs[0][1]), str(needs[1][1])):
                return FORBIDDEN
        return None


NO_TABLE, NO_SPACE = "NoSuchTableException", "NoSuchNamespaceException"


class Program:
    """A world, its model, and steps that change or ask both."""

    def __init__(self, served: World, seed: int) -> None:
        self.world = served
        self.random = random.Random(seed)  # noqa: S311
        self.model = Model(held={name: set() for name in ("root", "ann", "bob")})
        self.model.held["root"] = {("server", "own"), ("server", "admin")}

    def step(self) -> None:
        """Take one step; raise AssertionError where world and model differ."""
        steps = (self.grant, self.grant, self.create, self.drop, self.rename, self.undrop)
        self.random.choice(steps)()
        for _ in range(3):
            self.look()

    def ask(self, who: str, method: str, target: str, body: Any = None) -> Any:
        """Send a request to either application."""
        return self.world.ask(who, method, target, body, app=self.random.randrange(2))

    def grant(self) -> None:
        """Give or take a privilege of somebody, behind the applications' back."""
        who, privilege = self.random.choice(("ann", "bob")), self.random.choice(PRIVILEGES)
        things = [each for each in self.model.parents if each != "server"]
        thing = "server" if privilege == "admin" else self.random.choice(things)
        held = self.model.held[who]
        if held and self.random.random() < 0.5:
            thing, privilege = self.random.choice(sorted(held))
        with self.world.store.write() as tx:
            entity = self.entity(tx, thing)
            bits = grants.bits(tx, entity, self.world.ids[who])
            grants.set_bits(tx, entity, self.world.ids[who], bits ^ BITS[privilege], by="test")
        held ^= {(thing, privilege)}

    def entity(self, tx: Any, thing: str) -> grants.Entity:
        for (ns, name), each in self.model.names.items():
            if each == thing:
                return self.world.entity(tx, f"{W}/{ns}/{name}")
        if thing in self.model.dropped:
            return grants.Entity("dropped", self.drop_id(thing))
        return self.world.entity(tx, thing if thing in ("server", W) else f"{W}/{thing}")

    def drop_id(self, thing: str) -> int:
        ns, name = self.model.dropped[thing]
        rows = self.world.store.autocommit().all(
            "SELECT id, namespace_path, name FROM dropped_tabulars ORDER BY id DESC"
        )
        return next(row[0] for row in rows if (row[1].replace("\x1f", "."), row[2]) == (ns, name))

    def create(self) -> None:
        who, ns, name = self.caller(), self.random.choice(SPACES), self.random.choice(TABLES)
        answer = self.ask(
            who, "POST", f"/v1/{W}/namespaces/{OF[ns]}/tables", {"name": name, "schema": SCHEMA}
        )
        expected = self.model.needs(who, ("create", ns, NO_SPACE))
        if expected is None and (ns, name) in self.model.names:
            expected = (409, "AlreadyExistsException")
        if expected is None:
            self.model.create(ns, name, who)
            assert answer.status_code == 200, answer.text
        else:
            assert outcome(answer) == expected, answer.text

    def drop(self) -> None:
        who, (ns, name) = self.caller(), self.somewhere()
        thing = self.model.names.get((ns, name))
        answer = self.ask(who, "DELETE", f"/v1/{W}/namespaces/{OF[ns]}/tables/{name}")
        expected = self.model.needs(who, ("drop", thing, NO_TABLE))
        if expected is None and thing is not None:
            assert answer.status_code == 204, answer.text
            del self.model.names[ns, name]
            # Only the last one of a name can be named by this program.
            for earlier in [key for key, at in self.model.dropped.items() if at == (ns, name)]:
                self.forget(earlier)
            self.model.dropped[thing] = ns, name
        else:
            assert outcome(answer) == expected, answer.text

    def forget(self, thing: str) -> None:
        """Remove what was dropped, with all grants on it."""
        with self.world.store.write() as tx:
            ns, name = self.model.dropped[thing]
            oldest = tx.all(
                "SELECT id, namespace_path FROM dropped_tabulars WHERE name = ? ORDER BY id",
                (name,),
            )
            found = [row[0] for row in oldest if row[1].replace("\x1f", ".") == ns]
            grants.forget(tx, grants.Entity("dropped", found[0]))
            tx.change("DELETE FROM dropped_tabulars WHERE id = ?", (found[0],))
        del self.model.dropped[thing], self.model.parents[thing]
        for held in self.model.held.values():
            held -= {each for each in held if each[0] == thing}

    def undrop(self) -> None:
        if not self.model.dropped:
            return
        who, thing = self.caller(), self.random.choice(sorted(self.model.dropped))
        ns, name = self.model.dropped[thing]
        target = f"/management/v1/warehouses/{W}/dropped/{self.drop_id(thing)}/undrop"
        answer = self.ask(who, "POST", target, {})
        expected = self.model.needs(
            who, ("drop", thing, "NotFoundException"), ("create", ns, NO_SPACE), moves=True
        )
        if expected is None and (ns, name) in self.model.names:
            expected = (409, "AlreadyExistsException")
        if expected is None:
            assert answer.status_code == 200, answer.text
            self.model.names[self.model.dropped.pop(thing)] = thing
        else:
            assert outcome(answer) == expected, answer.text

    def rename(self) -> None:
        who, (ns, name), to = self.caller(), self.somewhere(), self.somewhere()
        body = {
            "source": {"namespace": ns.split("."), "name": name},
            "destination": {"namespace": to[0].split("."), "name": to[1]},
        }
        thing = self.model.names.get((ns, name))
        answer = self.ask(who, "POST", f"/v1/{W}/tables/rename", body)
        expected = self.model.needs(
            who, ("drop", thing, NO_TABLE), ("create", to[0], NO_SPACE), moves=True
        )
        if expected is None and to in self.model.names:
            expected = (409, "AlreadyExistsException")
        if expected is None and thing is not None:
            assert answer.status_code == 204, answer.text
            self.model.names[to] = self.model.names.pop((ns, name))
            self.model.parents[thing] = to[0]
        else:
            assert outcome(answer) == expected, answer.text

    def look(self) -> None:
        """Load a table, or list a namespace, as anybody."""
        who, (ns, name) = self.caller(), self.somewhere()
        inside = f"/v1/{W}/namespaces/{OF[ns]}/tables"
        rules, held = self.model.rules(), self.model.held[who]
        if self.random.random() < 0.5:
            thing = self.model.names.get((ns, name))
            answer = self.ask(who, "GET", f"{inside}/{name}")
            expected = self.model.needs(who, ("describe", thing, NO_TABLE))
            assert outcome(answer) == (expected or (200, None)), answer.text
            return
        answer = self.ask(who, "GET", inside)
        expected = self.model.needs(who, ("list", ns, NO_SPACE))
        assert outcome(answer) == (expected or (200, None)), answer.text
        if expected is None:
            seen = {
                named
                for (at, named), each in self.model.names.items()
                if at == ns and rules.sees(held, each)
            }
            assert {each["name"] for each in answer.json["identifiers"]} == seen, (who, held)

    def caller(self) -> str:
        return self.random.choice(("ann", "bob", "ann", "bob", "root"))

    def somewhere(self) -> tuple[str, str]:
        return self.random.choice(SPACES), self.random.choice(TABLES)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("program")
    with world(folder, filled=False) as made:
        for levels in (["a"], ["a", "b"], ["z"]):
            made.ok("POST", f"/v1/{W}/namespaces", {"namespace": levels})
        yield made


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3, 4))])
def test_a_random_program_ends_as_foretold(empty: World, seed: int) -> None:
    with empty.store.write() as tx:  # the seeds share one store
        tx.change("DELETE FROM grants WHERE principal_id <> ?", (empty.ids["root"],))
        for table in ("plans", "tabulars", "dropped_tabulars"):
            tx.change(f"DELETE FROM {table}")
        grants.touch(tx)
    program = Program(empty, seed)
    for number in range(STEPS):
        try:
            program.step()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, step {number}: {error}") from error
    assert program.model.count > 10  # it did something
