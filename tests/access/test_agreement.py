"""What explanations say is what the check of each request decides, for every grant alone."""

import itertools
from typing import Any

import pytest

from falcon_catalog.catalog import access_control, authorization, marks, roles
from falcon_catalog.catalog.access_control import Change
from falcon_catalog.catalog.authorization import Need
from falcon_catalog.catalog.call import Call, Principal, StoreCall
from falcon_catalog.catalog.entities import EntityName
from falcon_catalog.catalog.privileges import BITS
from falcon_catalog.errors import CatalogError
from falcon_catalog.store import principals
from tests.access.conftest import inside
from tests.access.test_protection import VIEW
from tests.catalog.conftest import server, start
from tests.catalog.serving import Server

__all__ = ["server", "start"]

W = "default"
ENTITIES = [
    EntityName("server"),
    EntityName("warehouse", W),
    *(inside("namespace", each, W) for each in ("a", "a.b", "z")),
    inside("table", "a.b.t", W),
    inside("table", "z.t", W),
    inside("view", "a.b.v", W),
]


@pytest.fixture
def filled(server: Server) -> Server:
    for levels in (("a",), ("a", "b"), ("z",)):
        server.namespace(*levels)
    schema = {"type": "struct", "fields": []}
    for path in ("a%1Fb", "z"):
        server.ok("POST", f"/v1/namespaces/{path}/tables", {"name": "t", "schema": schema})
    server.ok("POST", "/v1/namespaces/a%1Fb/views", VIEW)
    return server


def as_checked(entity: EntityName) -> tuple[Any, Any]:
    """Return an entity and its kind as the check knows them."""
    if entity.type == "server":
        return authorization.SERVER, "table"
    if entity.is_in_namespace:
        return entity.identifier, entity.type
    return entity.namespace, "table"


def decides(call: Call, need: Need) -> bool:
    """Return whether the check of a request lets it pass."""
    try:
        authorization.require(call, [need])
    except CatalogError:
        return False
    return True


@pytest.mark.parametrize("to", ["ann", "team", "everyone"])
@pytest.mark.parametrize("is_managed", [False, True])
def test_both_agree(filled: Server, to: str, is_managed: bool) -> None:
    local = StoreCall(filled.catalog.store, local="local:0")
    with filled.catalog.store.write() as tx:
        row_id = principals.insert(tx, "ann", "")
        assert row_id is not None
        assert principals.insert(tx, "root", "") is not None  # an administrator that stays
    access_control.change(local, grant=[Change(("admin",), EntityName("server"), "root")])
    roles.create(local, "team")
    roles.change_members(local, "team", add=["ann"])
    marks.change(local, inside("namespace", "a", W), {"managed": is_managed})
    call = Call(filled.catalog, Principal(row_id, "ann"))
    allowed = 0
    for granted, on in itertools.product(BITS, ENTITIES):
        if not access_control.suits(granted, on):
            continue
        if to == "everyone" and granted in ("grant", "own", "admin"):
            continue
        change = Change((granted,), on, to)
        access_control.change(local, grant=[change])
        for privilege, entity in itertools.product(BITS, ENTITIES):
            if entity.type == "server" and privilege == "list":
                continue  # nothing asks for it
            if not access_control.suits(privilege, entity):
                continue
            explained = access_control.explain(local, "ann", privilege, entity).is_allowed
            checked = decides(call, Need(privilege, *as_checked(entity)))
            assert explained == checked, f"{granted} on {on}: {privilege} on {entity}"
            allowed += explained
        access_control.change(local, revoke=[change])
    assert allowed > 100
