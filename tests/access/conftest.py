"""A store with a small world: two warehouses with the same names, and people with grants."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from falcon_catalog.catalog import access_control, accounts
from falcon_catalog.catalog.access_control import Change
from falcon_catalog.catalog.call import Principal, StoreCall
from falcon_catalog.catalog.entities import EntityName, Type
from falcon_catalog.catalog.privileges import Privilege
from falcon_catalog.identifiers import Namespace
from falcon_catalog.store import (
    functions,
    grants,
    namespaces,
    open_database,
    principals,
    tabulars,
    warehouses,
)
from falcon_catalog.store.database import Database, Transaction
from tests.postgres import stores
from tests.several import IN_POSTGRES

LOCAL = "local:0"


@dataclass(frozen=True)
class World:
    """The store, and shorter words for its verbs."""

    store: Database

    @property
    def local(self) -> StoreCall:
        """A call of a local command, which may do everything."""
        return StoreCall(self.store, local=LOCAL)

    def by(self, name: str, *groups: tuple[str, str]) -> StoreCall:
        """A call of a principal that exists."""
        row = principals.find(self.store.autocommit(), name)
        assert row is not None
        return StoreCall(self.store, Principal(row.id, name, groups=frozenset(groups)))

    def add(self, *names: str) -> None:
        for name in names:
            with self.store.write() as tx:  # hashing a secret takes 50 ms
                assert principals.insert(tx, name, "") is not None

    def grant(self, name: str, entity: EntityName, *privileges: Privilege) -> None:
        access_control.change(self.local, grant=[Change(privileges, entity, name)])

    def revoke(self, name: str, entity: EntityName, *privileges: Privilege) -> None:
        access_control.change(self.local, revoke=[Change(privileges, entity, name)])

    def held(self, name: str) -> dict[str, list[str]]:
        """Return what a principal itself was granted, by entity."""
        return {
            f"{each.entity.warehouse}:{each.entity}": each.as_json()["privileges"]
            for each in access_control.of_principal(self.local, name)
        }

    def may(self, name: str, privilege: Privilege, entity: EntityName) -> bool:
        return access_control.explain(self.local, name, privilege, entity).is_allowed

    def generation(self) -> int:
        return grants.generation(self.store.autocommit())


SERVER = EntityName("server")
MAIN, OTHER = EntityName("warehouse", "main"), EntityName("warehouse", "other")


def inside(kind: Type, dotted: str, warehouse: str = "main") -> EntityName:
    """Return the name of a namespace, or of a table, view or function in one."""
    *levels, last = dotted.split(".")
    if kind == "namespace":
        return EntityName(kind, warehouse, Namespace.of([*levels, last]))
    return EntityName(kind, warehouse, Namespace.of(levels), last)


A, AB, Z = (inside("namespace", each) for each in ("a", "a.b", "z"))
T, V, F = inside("table", "a.b.t"), inside("view", "a.b.v"), inside("function", "a.b.f")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    kind = "postgres" if IN_POSTGRES else "sqlite"
    with contextlib.closing(open_database(stores.url(kind, tmp_path))) as database:
        with database.write() as tx:
            for name in ("main", "other"):
                _fill(tx, name)
        yield World(database)


@pytest.fixture
def secret(world: World) -> str:
    """The secret of the service ``etl``."""
    return accounts.add(world.local, "etl")


def _fill(tx: Transaction, name: str) -> None:
    warehouse = warehouses.ensure(tx, name)
    ids: dict[Namespace, int] = {}
    for dotted in ("a", "a.b", "a.b.c", "z"):
        here = Namespace.of(dotted.split("."))
        parent = None if here.parent is None else ids[here.parent]
        namespaces.insert(tx, warehouse, here, parent_id=parent, properties={})
        row = namespaces.find(tx, warehouse, here)
        assert row is not None
        ids[here] = row.id
        for kind in ("table", "view"):
            short = kind[0]
            tabulars.insert(
                tx,
                row.id,
                short,
                kind="table" if kind == "table" else "view",
                uuid=f"{name}-{dotted}-{short}",
                metadata_location=f"file:///{name}/{dotted}/{short}/m.json",
                location_key=f"/{name}/{dotted}/{short}/",
            )
        functions.put(tx, row.id, "f", uuid=f"{name}-{dotted}-f", metadata="{}")
