"""The matrix notices mistakes in the operations table: each one is made, one at a time."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from falcon_catalog.api.operations import OPERATIONS, Operation, Params
from falcon_catalog.catalog.authorization import SERVER, Entity, Kind, Need
from falcon_catalog.catalog.privileges import Privilege
from falcon_catalog.identifiers import Namespace, TableIdentifier
from tests.permissions.cases import CASES, held_of
from tests.permissions.test_matrix import wrong
from tests.permissions.world import World, world

WEAKER: dict[Privilege, Privilege] = {
    "describe": "list",
    "select": "describe",
    "write": "select",
    "create": "list",
    "drop": "list",
    "grant": "describe",
    "admin": "own",
}
STRONGER: dict[Privilege, Privilege] = {
    "list": "describe",
    "describe": "select",
    "select": "write",
    "write": "own",
    "create": "own",
    "drop": "own",
    "grant": "own",
}
OTHER: dict[Privilege, Privilege] = {"create": "drop", "drop": "create", "write": "create"}
Mutation = Callable[[list[Need], int], list[Need]]


def _container(entity: Entity) -> Entity:
    if isinstance(entity, TableIdentifier):
        return entity.namespace
    return entity.parent if isinstance(entity, Namespace) else SERVER


def _changed(needs: list[Need], at: int, **changes: Any) -> list[Need]:
    return [replace(need, **changes) if i == at else need for i, need in enumerate(needs)]


def _by(table: dict[Privilege, Privilege], needs: list[Need], at: int) -> list[Need]:
    old = needs[at].privilege
    return _changed(needs, at, privilege=table.get(old, old))


MUTATIONS: dict[str, Mutation] = {
    "removed": lambda needs, at: [*needs[:at], *needs[at + 1 :]],
    "weaker": partial(_by, WEAKER),
    "stronger": partial(_by, STRONGER),
    "another": partial(_by, OTHER),
    "on the container": lambda needs, at: _changed(needs, at, entity=_container(needs[at].entity)),
    "no else": lambda needs, at: _changed(needs, at, if_exists=False, instead=None),
    "one suffices": lambda needs, at: needs[at : at + 1],
}


@dataclass
class Mutator:
    """The operations of a world, of which one has one mistake at a time."""

    world: World
    operation: str = ""
    mutation: Mutation | None = None
    at: int = 0
    applied: bool = False

    def needs(self, original: Operation, req: Any, params: Params) -> list[Need]:
        """Return what an operation needs, with the mistake if there is one."""
        found = _needs(original, req, params)
        if self.mutation is None or self.operation != original.name or self.at >= len(found):
            return found
        changed = self.mutation(found, self.at)
        self.applied = self.applied or changed != found
        return changed


def _needs(original: Operation, req: Any, params: Params) -> list[Need]:
    if not isinstance(original.needs, str):
        return [] if original.needs is None else original.needs(req, params)
    kinds: dict[str, Kind] = {"View": "view", "Function": "function"}
    kind = next((kinds[part] for part in kinds if part in original.name), "table")
    return [Need(original.needs, params.get("identifier") or params.get("namespace"), kind)]


@pytest.fixture(scope="module")
def mutator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mutator]:
    """Serve a world whose operations can be given mistakes."""
    with pytest.MonkeyPatch.context() as patch:
        made = Mutator(None)  # type: ignore[arg-type]
        for name, original in list(OPERATIONS.items()):
            if original.needs is not None:
                needs = partial(made.needs, original)
                patch.setitem(OPERATIONS, name, replace(original, needs=needs))
        with world(tmp_path_factory.mktemp("mutants"), apps=1) as served:
            made.world = served
            yield made


def _is_noticed(mutator: Mutator) -> bool:
    """Return whether a case of the operation has another end than it should have."""
    mutator.applied = False
    for case in (each for each in CASES if each.operation == mutator.operation):
        grants = list(held_of(case))
        random.Random(0).shuffle(grants)  # noqa: S311
        for held in grants:
            mutator.world.grant_only(held)
            if wrong(mutator.world, case, held, "direct"):
                return True
    return False


@pytest.mark.fault(number=13)
@pytest.mark.slow
def test_mistakes_in_the_table_are_noticed(mutator: Mutator) -> None:
    made, missed = 0, []
    for operation in {case.operation: None for case in CASES}:
        for name, mutation in MUTATIONS.items():
            for at in range(3):
                mutator.operation, mutator.mutation, mutator.at = operation, mutation, at
                noticed = _is_noticed(mutator) if _applies(mutator) else None
                mutator.mutation = None
                if noticed is not None:
                    made += 1
                if noticed is False:
                    missed.append(f"{operation}: need {at} {name}")
    assert made >= 200, made
    assert len(missed) <= made * 0.05, "\n".join(missed)


def _applies(mutator: Mutator) -> bool:
    """Return whether the mistake changes what any request of the operation needs."""
    mutator.applied = False
    mutator.world.grant_only([])
    for case in (each for each in CASES if each.operation == mutator.operation):
        wrong(mutator.world, case, [], "direct")
    return mutator.applied
