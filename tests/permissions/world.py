"""A catalog in this process with the same names in two warehouses, and principals for it.

Two applications serve one store, as two processes would: what one has in memory says nothing about
the other.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import falcon.testing

from falcon_catalog.app import CatalogApp, create_app
from falcon_catalog.catalog import accounts, identity
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.identity import Realm
from falcon_catalog.catalog.privileges import BITS, OWN
from falcon_catalog.identifiers import Namespace, Page, TableIdentifier
from falcon_catalog.settings import load
from falcon_catalog.store import dropped, functions, grants, namespaces, tabulars, warehouses
from falcon_catalog.store.database import Database, Transaction
from falcon_catalog.store.grants import Entity
from tests.catalog.serving import SCHEMA, VIEW, store_url
from tests.catalog.test_functions import ADD_ONE

GROUP = ("idp", "analysts")
MARK = "zebra"
"""In properties and comments of everything: no refusal may contain it."""
CARRIERS = ("direct", "role", "nested", "everyone", "group")
WAREHOUSES = ("default", "other")
PARENTS: dict[str, str | None] = {"server": None} | {
    name: parent
    for w in WAREHOUSES
    for name, parent in {
        w: "server",
        f"{w}/a": w,
        f"{w}/a.b": f"{w}/a",
        f"{w}/a.b.c": f"{w}/a.b",
        f"{w}/a.s": f"{w}/a",
        f"{w}/z": w,
        **{f"{w}/a.b/{kind}": f"{w}/a.b" for kind in ("t", "u", "v", "f", "d")},
        **{f"{w}/z/{kind}": f"{w}/z" for kind in ("t", "u", "v", "f")},
    }.items()
}
"""What the evaluator knows: ``warehouse/namespace/name``; d was dropped from a.b."""

Answer = falcon.testing.Result


@dataclass
class World:
    """One store, the applications that serve it, and the principals that call."""

    apps: list[CatalogApp]
    folder: Path
    tokens: dict[str, str] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)

    @property
    def store(self) -> Database:
        """The store, as the first application has it."""
        return self.apps[0].warehouses[0].store

    def ask(
        self,
        who: str,
        method: str,
        target: str,
        body: object = None,
        *,
        app: int = 0,
        **headers: str,
    ) -> Answer:
        """Send a request as a principal; "" sends no token."""
        path, _, query = target.partition("?")
        token = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        return falcon.testing.simulate_request(
            self.apps[app],
            method,
            path,
            query_string=query,
            json=body,
            host="127.0.0.1",
            headers=token | {name.replace("_", "-"): value for name, value in headers.items()},
        )

    def ok(self, method: str, target: str, body: object = None, who: str = "root") -> Any:
        """Send a request that must succeed, as the owner of everything."""
        answer = self.ask(who, method, target, body)
        assert answer.status_code in (200, 204), f"{method} {target}: {answer.text}"
        return answer.json if answer.content else None

    def add(self, name: str, privileges: int = 0) -> None:
        """Add a service, with a token."""
        secret = accounts.add(StoreCall(self.store), name, privileges=privileges)
        realm = Realm.of(self.store, 36000, 36000)
        self.tokens[name] = identity.authenticate(realm, name, secret).text
        row = self.store.autocommit().one("SELECT id FROM principals WHERE name = ?", (name,))
        assert row is not None
        self.ids[name] = row[0]

    def entity(self, tx: Transaction, name: str) -> Entity:
        """Return the entity that has a name of PARENTS at this moment, as grants name it."""
        warehouse_name, *rest = name.split("/", 2)
        if warehouse_name == "server":
            return grants.SERVER
        warehouse = warehouses.find(tx, warehouse_name)
        assert warehouse is not None
        if not rest:
            return Entity("warehouse", warehouse.id)
        namespace = namespaces.find(tx, warehouse.id, Namespace(tuple(rest[0].split("."))))
        assert namespace is not None, name
        if len(rest) == 1:
            return Entity("namespace", namespace.id)
        if rest[1] == "d":
            rows = dropped.list_(tx, warehouse.id, Page("0", 1000))
            return Entity("dropped", max(row.id for row in rows if row.name == "d"))
        if rest[1] == "f":
            function = functions.find(tx, namespace.id, rest[1])
            assert function is not None, name
            return Entity("function", function.id)
        row = tabulars.find(tx, warehouse.id, TableIdentifier(namespace.namespace, rest[1]))
        assert row is not None, name
        return Entity("tabular", row.id)

    def drop_id(self, warehouse: str = "default") -> int:
        """Return the id of what was dropped in a warehouse."""
        found = self.entity(self.store.autocommit(), f"{warehouse}/a.b/d").id
        assert found is not None
        return found

    def grant_only(self, held: Iterable[tuple[str, str]], carrier: str = "direct") -> None:
        """Let "ann" hold these privileges and no others: itself, or through what carries them."""
        holder = self.ids["ann" if carrier == "direct" else carrier]
        of_ann = [self.ids[each] for each in ("ann", *CARRIERS[1:])]
        marks = ",".join("?" * len(of_ann))
        with self.store.write() as tx:
            tx.change(f"DELETE FROM grants WHERE principal_id IN ({marks})", tuple(of_ann))
            grants.touch(tx)
            for name, privilege in held:
                entity = self.entity(tx, name)
                bits = grants.bits(tx, entity, holder) | BITS[privilege]
                grants.set_bits(tx, entity, holder, bits, by="test")

    def manage(self, name: str, *, managed: bool) -> None:
        """Take the right to grant from the owners inside a container, or give it back."""
        with self.store.write() as tx:
            entity = self.entity(tx, name)
            tx.change(
                f"UPDATE {entity.kind}s SET managed = ? WHERE id = ?", (int(managed), entity.id)
            )
            grants.touch(tx)


def settings_of(folder: Path) -> Any:
    """Return the settings of a world."""
    return load(
        None,
        {},
        {
            "store.url": store_url(folder),
            "store.durability": "relaxed",
            "warehouse.location": f"file://{folder}/default",
            "warehouse.more": (f"other=file://{folder}/other",),
            "auth.required": True,
        },
    )


@contextlib.contextmanager
def world(folder: Path, apps: int = 2, *, filled: bool = True) -> Iterator[World]:
    """Create a world, with the same things in both warehouses, or with none."""
    settings = settings_of(folder)
    with contextlib.ExitStack() as stack:
        made = World(
            [stack.enter_context(contextlib.closing(create_app(settings))) for _ in range(apps)],
            folder,
        )
        made.add("root", OWN | BITS["admin"])
        made.add("ann")
        made.add("bob")
        _add_roles(made)
        for warehouse in WAREHOUSES if filled else ():
            _fill(made, f"/v1/{warehouse}", warehouse)
        yield made


def _add_roles(made: World) -> None:
    """Let ann have a role, one through another, and one by a group of its token."""
    with made.store.write() as tx:
        for name in ("role", "nested", "between", "group"):
            row = tx.one(
                "INSERT INTO principals (name, secret_hash, created_at, kind)"
                " VALUES (?, '', 1, 'role') RETURNING id",
                (name,),
            )
            assert row is not None
            made.ids[name] = row[0]
        everyone = tx.one("SELECT id FROM principals WHERE name = 'everyone'")
        assert everyone is not None
        made.ids["everyone"] = everyone[0]
        for role, member in (("role", "ann"), ("between", "ann"), ("nested", "between")):
            tx.change(
                "INSERT INTO role_members (role_id, member_id) VALUES (?, ?)",
                (made.ids[role], made.ids[member]),
            )
        tx.change(
            "INSERT INTO group_roles (issuer, value, role_id) VALUES (?, ?, ?)",
            (*GROUP, made.ids["group"]),
        )
        grants.touch(tx)


def _fill(made: World, base: str, warehouse: str) -> None:
    marked = {"comment": MARK}
    for levels in (["a"], ["a", "b"], ["a", "b", "c"], ["a", "s"], ["z"]):
        made.ok("POST", f"{base}/namespaces", {"namespace": levels, "properties": marked})
    for ns in ("a%1Fb", "z"):
        inside = f"{base}/namespaces/{ns}"
        for name in ("t", "u"):
            body = {"name": name, "schema": SCHEMA, "properties": marked}
            made.ok("POST", f"{inside}/tables", body)
        made.ok("POST", f"{inside}/views", VIEW | {"name": "v", "properties": marked})
        managed = f"/management/v1/warehouses/{warehouse}/namespaces/{ns}/functions/f"
        made.ok("PUT", managed, ADD_ONE)
    inside = f"{base}/namespaces/a%1Fb/tables"
    made.ok("POST", inside, {"name": "d", "schema": SCHEMA})
    made.ok("DELETE", f"{inside}/d")
    made.ok("POST", inside, {"name": "d", "schema": SCHEMA})  # its name is taken
    with made.store.write() as tx:  # its purge has begun: nothing takes it away from the tests
        tx.change("UPDATE dropped_tabulars SET started_at = 1, leased_until = ?", (2**60,))
    report = {
        "report-type": "commit-report",
        "table-name": "t",
        "snapshot-id": 1,
        "sequence-number": 1,
        "operation": "append",
        "metrics": {},
    }
    made.ok("POST", f"{base}/namespaces/a%1Fb/tables/t/metrics", report)
