"""Clients that each work alone in namespaces of their own, and know what must be there.

Each operation is sent when the one before it was answered. So after ``n`` answers the catalog
holds what ``n`` operations make, or what ``n + 1`` make, and nothing between.
"""

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.durability import wire
from tests.durability.processes import Answer, Client
from tests.durability.store import Store

Ask = Callable[..., Answer]


@dataclass(frozen=True)
class State:
    """Which operation made each namespace's and each table's present state."""

    spaces: dict[str, str] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)

    def seen(self, name: str) -> "State":
        """Return the part of one session."""
        return State(
            {path: op for path, op in self.spaces.items() if path.startswith(name)},
            {table: op for table, op in self.tables.items() if table.startswith(name)},
        )

    @staticmethod
    def of(store: Store) -> "State":
        """Return what a store holds, each table by its metadata file."""
        spaces = {path: told.get("op", "") for path, told in store.namespaces.items()}
        return State(spaces, store.tables())


@dataclass
class Step:
    """One operation: what is asked, and what it makes of the state."""

    op: str
    verb: str
    path: str
    body: Any
    after: State
    key: str = ""
    stages: bool = False
    """Whether the table must be staged before."""

    def send(self, client: Client) -> Answer:
        """Ask for it, the same each time."""
        if self.stages:
            staged = client.ask("POST", wire.table("", self.path.split("/")[3]), self.body)
            if not staged.done:
                return staged
            self.body, self.stages = wire.staged_commit(staged.body, self.op), False
        return client.ask(self.verb, self.path, self.body, key=self.key, mark=self.op)


class Session:
    """One client's plan, drawn from a seed: step after step, each once or until it is known."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.state = State()
        self._chance = random.Random(f"{seed} {name}")
        self._drawn = 0

    def next(self) -> Step:
        """Draw the next operation, which the present state allows."""
        self._drawn += 1
        op = f"{self.name}-{self._drawn}"
        if self.name not in self.state.spaces:
            return self._space(op, self.name)
        tables = sorted(self.state.tables)
        kinds = ["create", "stage", "space", "properties"]
        kinds += ["commit"] * 6 if tables else []
        kinds += ["rename", "drop", "purge"] if tables else []
        kinds += ["transaction"] * 3 if len(tables) > 1 else []
        draw: Callable[[str], Step] = getattr(self, f"_{self._chance.choice(kinds)}")
        return draw(op)

    def _step(self, op: str, verb: str, path: str, body: Any, after: State, **more: Any) -> Step:
        keyed = self._chance.random() < 0.5
        key = str(uuid.uuid5(uuid.NAMESPACE_OID, op)) if keyed else ""
        return Step(op, verb, path, body, after, key, **more)

    def _name(self) -> tuple[str, str]:
        free = [f"t{n}" for n in range(6) if f"{self.name}.t{n}" not in self.state.tables]
        return (free[0], f"{self.name}.{free[0]}") if free else ("", "")

    def _create(self, op: str) -> Step:
        name, full = self._name()
        if not name:
            return self._commit(op)
        body = wire.creation(name, op)
        return self._step(op, "POST", wire.table("", self.name), body, self._with(full, op))

    def _stage(self, op: str) -> Step:
        name, full = self._name()
        if not name:
            return self._commit(op)
        body = wire.creation(name, op, **{"stage-create": True})
        path = wire.table(name, self.name)
        return self._step(op, "POST", path, body, self._with(full, op), stages=True)

    def _with(self, full: str, op: str | None) -> State:
        tables = {**self.state.tables, full: op or ""}
        if op is None:
            del tables[full]
        return State(self.state.spaces, tables)

    def _any(self) -> tuple[str, str]:
        full = self._chance.choice(sorted(self.state.tables))
        return full.partition(".")[2], full

    def _commit(self, op: str) -> Step:
        name, full = self._any()
        path = wire.table(name, self.name)
        return self._step(op, "POST", path, wire.change(op), self._with(full, op))

    def _transaction(self, op: str) -> Step:
        chosen = self._chance.sample(sorted(self.state.tables), 2)
        names = [full.partition(".")[2] for full in chosen]
        body = {"table-changes": [wire.part(name, op, space=self.name) for name in names]}
        after = State(self.state.spaces, {**self.state.tables, **dict.fromkeys(chosen, op)})
        return self._step(op, "POST", "/v1/transactions/commit", body, after)

    def _rename(self, op: str) -> Step:
        name, full = self._any()
        new, new_full = self._name()
        if not new:
            return self._drop(op)
        tables = {new_full if key == full else key: op for key, op in self.state.tables.items()}
        body = wire.renaming(name, new, self.name)
        return self._step(op, "POST", "/v1/tables/rename", body, State(self.state.spaces, tables))

    def _drop(self, op: str, purge: str = "") -> Step:
        name, full = self._any()
        path = wire.table(name, self.name) + purge
        return self._step(op, "DELETE", path, None, self._with(full, None))

    def _purge(self, op: str) -> Step:
        return self._drop(op, "?purgeRequested=true")

    def _space(self, op: str, name: str = "") -> Step:
        """Make a namespace inside one's own, or drop it where it is."""
        inner = f"{self.name}x"
        path = name or inner
        spaces = dict(self.state.spaces)
        if path in spaces:
            del spaces[path]
            after = State(spaces, self.state.tables)
            return self._step(op, "DELETE", wire.namespace(path), None, after)
        body = {"namespace": [path], "properties": {"op": op}}
        after = State({**spaces, path: op}, self.state.tables)
        return self._step(op, "POST", wire.namespace(), body, after)

    def _properties(self, op: str) -> Step:
        body = {"updates": {"op": op}}
        after = State({**self.state.spaces, self.name: op}, self.state.tables)
        return self._step(op, "POST", f"{wire.namespace(self.name)}/properties", body, after)
