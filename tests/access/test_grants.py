"""Grants: who may grant what on what, and what is left of it."""

from collections.abc import Sequence

import pytest

from falcon_catalog.catalog import access_control, accounts, entities, marks, roles
from falcon_catalog.catalog.access_control import Change
from falcon_catalog.catalog.entities import EntityName
from falcon_catalog.catalog.privileges import BITS, Privilege, effective, names
from falcon_catalog.catalog.roles import Group
from falcon_catalog.errors import (
    BadRequestError,
    CatalogError,
    ForbiddenError,
    NoSuchPrincipalError,
)
from falcon_catalog.store import dropped, grants, tabulars
from falcon_catalog.store.grants import Entity
from tests.access.conftest import AB, LOCAL, MAIN, OTHER, SERVER, A, F, T, V, World, Z, inside

EVERY = (SERVER, MAIN, A, AB, T, V, F)
ABSENT = (
    EntityName("warehouse", "none"),
    inside("namespace", "a.none"),
    inside("table", "a.b.none"),
    inside("table", "none.t"),
    inside("table", "a.b.t", "none"),
    inside("table", "a.b.v"),  # a view
    inside("view", "a.b.t"),  # a table
    inside("function", "a.b.none"),
    EntityName("dropped", "main", id=7),
)


def refused(world: World, by: str, *privileges: Privilege, on: EntityName, to: str = "bob") -> str:
    """Return why a grant is refused, and check that it had no effect."""
    before = access_control.all_(world.local)
    with pytest.raises(CatalogError) as caught:
        access_control.change(world.by(by), grant=[Change(privileges, on, to)])
    assert access_control.all_(world.local) == before
    return f"{caught.value.status} {caught.value}"


@pytest.mark.parametrize("entity", EVERY, ids=str)
def test_a_grant_adds_and_a_revocation_removes(world: World, entity: EntityName) -> None:
    world.add("bob")
    world.grant("bob", entity, "select")
    world.grant("bob", entity, "drop")
    (grant,) = access_control.on_entity(world.local, entity)
    assert names(grant.bits) == ["select", "drop"]
    assert (grant.principal, grant.entity, grant.granted_by) == ("bob", entity, LOCAL)
    assert world.may("bob", "describe", entity)
    world.revoke("bob", entity, "select")
    assert not world.may("bob", "describe", entity)
    assert world.may("bob", "list", entity)  # drop contains it
    world.revoke("bob", entity, "drop")
    assert access_control.on_entity(world.local, entity) == []


def test_grants_of_equal_names_in_two_warehouses_are_apart(world: World) -> None:
    world.add("bob")
    world.grant("bob", AB, "write")
    assert world.may("bob", "write", T)
    assert not world.may("bob", "list", inside("table", "a.b.t", "other"))
    assert not world.may("bob", "list", OTHER)


def test_each_change_raises_the_generation_and_a_repetition_changes_nothing(world: World) -> None:
    world.add("bob")
    before = world.generation()
    world.grant("bob", T, "write")
    after = world.generation()
    assert after != before
    (first,) = access_control.on_entity(world.local, T)
    world.grant("bob", T, "write")
    assert access_control.on_entity(world.local, T) == [first]
    world.revoke("bob", T, "write")
    world.revoke("bob", T, "write")
    assert world.generation() > after


def test_all_changes_of_a_request_or_none(world: World) -> None:
    world.add("bob")
    good = Change(("select",), T, "bob")
    with pytest.raises(NoSuchPrincipalError, match="Principal does not exist: eve"):
        access_control.change(world.local, grant=[good, Change(("select",), T, "eve")])
    assert world.held("bob") == {}
    with pytest.raises(CatalogError, match="Namespace does not exist: none"):
        access_control.change(
            world.local,
            grant=[good],
            revoke=[Change(("select",), inside("namespace", "none"), "bob")],
        )
    assert world.held("bob") == {}


@pytest.mark.parametrize("count", [0, 101])
def test_one_to_a_hundred_changes(world: World, count: int) -> None:
    world.add("bob")
    with pytest.raises(BadRequestError, match=f"{count} in one request, 1 to 100 are allowed"):
        access_control.change(world.local, grant=[Change(("select",), T, "bob")] * count)
    access_control.change(world.local, grant=[Change(("select",), T, "bob")] * 100)
    assert world.held("bob") == {"main:table a.b.t": ["select"]}


class TestWhoMayGrant:
    """The rules, one by one: all that may, and all that may not."""

    ORDINARY: Sequence[Privilege] = ("list", "describe", "select", "write", "drop", "grant")

    @pytest.fixture(autouse=True)
    def _people(self, world: World) -> None:
        world.add("ann", "bob")

    @pytest.mark.parametrize("entity", EVERY, ids=str)
    @pytest.mark.parametrize(
        "held", [each for each in BITS if each not in ("grant", "own", "admin")]
    )
    def test_nothing_but_grant_allows_to_grant(
        self, world: World, entity: EntityName, held: Privilege
    ) -> None:
        if not access_control.suits(held, entity):
            return
        world.grant("ann", entity, held)
        for wanted in ("list", held):
            assert refused(world, "ann", wanted, on=entity).startswith("403 Not allowed: granting")

    @pytest.mark.parametrize("on", [SERVER, MAIN, A, AB, T], ids=str)
    def test_grant_on_it_or_around_it_allows_all_but_own(
        self, world: World, on: EntityName
    ) -> None:
        world.grant("ann", on, "grant")
        granted = [Change((each,), T, "bob") for each in self.ORDINARY]
        access_control.change(world.by("ann"), grant=granted)
        assert world.held("bob") == {"main:table a.b.t": list(self.ORDINARY)}
        access_control.change(world.by("ann"), revoke=granted)
        assert world.held("bob") == {}

    def test_the_granter_is_named(self, world: World) -> None:
        world.grant("ann", A, "grant")
        access_control.change(world.by("ann"), grant=[Change(("select",), T, "bob")])
        (grant,) = access_control.on_entity(world.local, T)
        assert grant.granted_by == "ann"

    @pytest.mark.parametrize("beside", [Z, V, OTHER, inside("namespace", "a.b.c")], ids=str)
    def test_grant_elsewhere_does_not(self, world: World, beside: EntityName) -> None:
        world.grant("ann", beside, "own")
        world.grant("ann", T, "list")
        assert refused(world, "ann", "list", on=T).startswith("403")

    def test_own_needs_own_or_grant_on_the_container(self, world: World) -> None:
        world.grant("ann", T, "grant")
        assert refused(world, "ann", "own", on=T) == (
            "403 Not allowed: granting own needs the privilege own on table a.b.t or grant on its"
            " container"
        )
        for entity, privilege in ((T, "own"), (AB, "grant"), (AB, "own")):
            world.revoke("ann", T, "grant", "own")
            world.grant("ann", entity, privilege)  # type: ignore[arg-type] # mypy widens it
            access_control.change(world.by("ann"), grant=[Change(("own",), T, "bob")])
            access_control.change(world.by("ann"), revoke=[Change(("own",), T, "bob")])
            world.revoke("ann", entity, privilege)  # type: ignore[arg-type]

    def test_admin_needs_admin(self, world: World) -> None:
        world.grant("ann", SERVER, "own")
        assert refused(world, "ann", "admin", on=SERVER).startswith(
            "403 Not allowed: granting admin needs the privilege admin on the server"
        )
        world.grant("ann", SERVER, "admin")
        access_control.change(world.by("ann"), grant=[Change(("admin",), SERVER, "bob")])
        world.revoke("ann", SERVER, "admin")
        with pytest.raises(ForbiddenError, match="revoking admin needs the privilege admin"):
            access_control.change(world.by("ann"), revoke=[Change(("admin",), SERVER, "bob")])

    def test_admin_may_grant_everywhere_but_own_the_server(self, world: World) -> None:
        world.grant("ann", SERVER, "admin")
        for entity in (MAIN, A, T):
            access_control.change(world.by("ann"), grant=[Change(("own",), entity, "bob")])
        access_control.change(world.by("ann"), grant=[Change(("select",), SERVER, "ann")])
        assert refused(world, "ann", "own", on=SERVER).startswith("403")

    def test_nobody_gives_oneself_more(self, world: World) -> None:
        world.grant("ann", T, "write", "drop")
        assert refused(world, "ann", "own", on=T, to="ann").startswith("403")
        assert refused(world, "ann", "list", on=AB, to="ann").startswith("403")

    def test_a_role_lends_its_right_to_grant(self, world: World) -> None:
        roles.create(world.local, "leads")
        roles.change_members(world.local, "leads", add=["ann"])
        world.grant("leads", A, "grant")
        access_control.change(world.by("ann"), grant=[Change(("select",), T, "bob")])
        roles.change_members(world.local, "leads", remove=["ann"])
        assert refused(world, "ann", "select", on=T).startswith("404")

    def test_a_group_lends_it_too(self, world: World) -> None:
        roles.create(world.local, "leads")
        roles.change_groups(world.local, add=[Group("corp", "Leads", "leads")])
        world.grant("leads", A, "grant")
        change = Change(("select",), T, "bob")
        access_control.change(world.by("ann", ("corp", "Leads")), grant=[change])
        for other in (("corp", "leads"), ("other", "Leads"), ("corp", "everyone")):
            with pytest.raises(CatalogError, match="Table does not exist"):
                access_control.change(world.by("ann", other), grant=[change])

    def test_owners_in_a_managed_container_may_not_grant(self, world: World) -> None:
        world.grant("ann", T, "own")
        for container in (MAIN, A, AB):
            marks.change(world.local, container, {"managed": True})
            assert refused(world, "ann", "select", on=T).startswith("403")
            assert world.may("ann", "write", T)
            marks.change(world.local, container, {"managed": False})
            access_control.change(world.by("ann"), grant=[Change(("select",), T, "bob")])
        marks.change(world.local, AB, {"managed": True})
        world.grant("ann", T, "grant")  # what was granted itself counts
        access_control.change(world.by("ann"), grant=[Change(("write",), T, "bob")])

    def test_who_owns_the_managed_container_itself_may(self, world: World) -> None:
        marks.change(world.local, AB, {"managed": True})
        world.grant("ann", AB, "own")
        access_control.change(world.by("ann"), grant=[Change(("select", "own"), T, "bob")])

    def test_everyone_gets_nothing_that_lets_others_in(self, world: World) -> None:
        for privilege in ("grant", "own", "admin"):
            with pytest.raises(BadRequestError, match="the role everyone cannot have grant"):
                world.grant("everyone", SERVER, privilege)
        world.grant("everyone", A, "select")
        assert world.may("bob", "select", T)


class TestHiding:
    """Without ``list``, an entity is answered as one that does not exist."""

    @pytest.mark.parametrize("entity", [MAIN, A, AB, T, V, F], ids=str)
    def test_hidden_is_as_missing(self, world: World, entity: EntityName) -> None:
        world.add("ann", "bob")
        known = refused(world, "ann", "select", on=entity)
        assert known == f"404 {entities.missing(entity)}"
        for verb in (access_control.on_entity, marks.get):
            with pytest.raises(CatalogError) as caught:
                verb(world.by("ann"), entity)
            assert f"{caught.value.status} {caught.value}" == known
        with pytest.raises(CatalogError) as caught:
            access_control.explain(world.by("ann"), "ann", "list", entity)
        assert f"{caught.value.status} {caught.value}" == known
        with pytest.raises(CatalogError) as caught:
            marks.change(world.by("ann"), entity, {"protected": True})
        assert f"{caught.value.status} {caught.value}" == known

    @pytest.mark.parametrize("entity", ABSENT, ids=str)
    def test_missing_is_missing_for_all(self, world: World, entity: EntityName) -> None:
        world.add("ann", "bob", "root")
        world.grant("root", SERVER, "own")
        for by in ("ann", "root"):
            assert refused(world, by, "select", on=entity) == f"404 {entities.missing(entity)}"

    def test_principals_are_not_found_out_by_those_who_may_not_grant(self, world: World) -> None:
        world.add("ann", "bob")
        world.grant("ann", T, "write")
        there, absent = (refused(world, "ann", "select", on=T, to=to) for to in ("bob", "none"))
        assert there == absent

    def test_a_grant_inside_makes_the_way_visible_and_no_more(self, world: World) -> None:
        world.add("ann")
        world.grant("ann", inside("table", "a.b.c.t"), "select")
        for entity in (MAIN, A, AB, inside("namespace", "a.b.c")):
            assert world.may("ann", "list", entity)
            assert not world.may("ann", "describe", entity)
        for entity in (OTHER, Z, T, inside("view", "a.b.c.v"), inside("namespace", "a", "other")):
            assert not world.may("ann", "list", entity)


class TestBadInput:
    @pytest.mark.parametrize("entity", [T, V, F], ids=str)
    def test_create_is_of_containers(self, world: World, entity: EntityName) -> None:
        world.add("bob")
        with pytest.raises(BadRequestError, match="create is of the server, warehouses and"):
            world.grant("bob", entity, "create")

    @pytest.mark.parametrize("entity", [MAIN, A, T], ids=str)
    def test_admin_is_of_the_server(self, world: World, entity: EntityName) -> None:
        world.add("bob")
        with pytest.raises(BadRequestError, match="admin is of the server only"):
            world.grant("bob", entity, "admin")

    @pytest.mark.parametrize("twin", ["BOB", "b\u043eb", "bob ", "bob\u200b", "~bob"])
    def test_twins_of_a_name_are_others(self, world: World, twin: str) -> None:
        world.add("bob")
        with pytest.raises(NoSuchPrincipalError):
            world.grant(twin, T, "select")

    def test_unknown_bits_are_no_privileges(self, world: World) -> None:
        world.add("bob")
        with world.store.write() as tx:
            path = entities.find(tx, T)
            row = accounts.require(tx, "bob")
            grants.set_bits(tx, path[-1].entity, row.id, 1 << 12, by="a later version")
        with pytest.raises(ValueError, match="unknown privileges"):
            effective(1 << 12)
        with pytest.raises(ValueError, match="unknown privileges"):
            world.may("bob", "list", T)
        access_control.change(world.local, revoke=[Change(("list",), T, "bob")])


def test_grants_end_with_the_entity_and_the_principal(world: World) -> None:
    world.add("bob")
    for entity in (MAIN, A, T):
        world.grant("bob", entity, "select")
    accounts.remove(world.local, "bob")
    assert access_control.all_(world.local) == []
    world.add("bob")
    assert world.held("bob") == {}


def test_own_grants_are_readable_those_of_others_need_admin(world: World) -> None:
    world.add("ann", "bob")
    world.grant("ann", T, "select")
    (grant,) = access_control.of_principal(world.by("ann"), "ann")
    assert grant.entity == T
    for name in ("bob", "none"):
        with pytest.raises(ForbiddenError, match="listing the grants of others needs"):
            access_control.of_principal(world.by("ann"), name)
    with pytest.raises(ForbiddenError, match="needs the privilege grant on table"):
        access_control.on_entity(world.by("ann"), T)
    world.grant("ann", SERVER, "admin")
    assert access_control.of_principal(world.by("ann"), "bob") == []


def test_a_dropped_table_keeps_its_grants(world: World) -> None:
    world.add("bob")
    world.grant("bob", T, "select")
    with world.store.write() as tx:
        path = entities.find(tx, T)
        warehouse, tabular = path[1].entity.id, path[-1].entity
        assert warehouse is not None
        assert tabular.id is not None
        row = tabulars.find(tx, warehouse, T.identifier)
        assert row is not None
        drop = dropped.insert(tx, warehouse, T.identifier, row, purge=False, retention_ms=1)
        grants.move(tx, tabular, Entity("dropped", drop))
        tabulars.delete(tx, tabular.id)
    gone = EntityName("dropped", "main", id=drop)
    assert world.held("bob") == {f"main:dropped {drop}": ["select"]}
    assert world.may("bob", "select", gone)
    world.grant("bob", gone, "drop")
    assert world.may("bob", "drop", gone)
    # The id is of that warehouse only, and the name is free again.
    for other in (EntityName("dropped", "other", id=drop), T):
        with pytest.raises(CatalogError, match="does not exist"):
            world.grant("bob", other, "select")
    world.revoke("bob", gone, "select", "drop")
    world.add("ann")
    world.grant("ann", A, "grant")  # of a namespace that it was in
    access_control.change(world.by("ann"), grant=[Change(("select",), gone, "bob")])
