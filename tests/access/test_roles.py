"""Roles and their members, principals, and the last administrator."""

import threading
from collections.abc import Callable
from itertools import pairwise

import pytest

from falcon_catalog.catalog import access_control, accounts, administrators, roles
from falcon_catalog.catalog.access_control import Change
from falcon_catalog.catalog.roles import Group
from falcon_catalog.errors import (
    AlreadyExistsError,
    BadRequestError,
    CatalogError,
    ForbiddenError,
    NoSuchPrincipalError,
)
from falcon_catalog.store import principals
from tests.access.conftest import SERVER, A, T, World


def create(world: World, *names: str) -> None:
    for name in names:
        roles.create(world.local, name)


def put(world: World, role: str, *members: str) -> None:
    roles.change_members(world.local, role, add=members)


def test_a_member_has_what_the_role_has_until_it_leaves(world: World) -> None:
    world.add("ann")
    create(world, "team", "eng")
    put(world, "eng", "team")
    put(world, "team", "ann")
    world.grant("eng", A, "write")
    assert world.may("ann", "write", T)
    before = world.generation()
    roles.change_members(world.local, "eng", remove=["team"])
    assert world.generation() != before
    assert not world.may("ann", "list", T)
    put(world, "eng", "team")
    roles.delete(world.local, "team")
    assert not world.may("ann", "list", T)
    assert [member for member, _ in roles.get(world.local, "eng").members] == []


def test_members_are_added_and_removed_all_or_none(world: World) -> None:
    world.add("ann", "bob")
    create(world, "team")
    with pytest.raises(NoSuchPrincipalError, match="Principal does not exist: eve"):
        put(world, "team", "ann", "eve")
    assert roles.get(world.local, "team").members == ()
    role = roles.change_members(world.local, "team", add=["ann", "bob", "ann"])
    assert role.members == (("ann", "service"), ("bob", "service"))
    role = roles.change_members(world.local, "team", add=["ann"], remove=["bob", "bob"])
    assert role.members == (("ann", "service"),)
    with pytest.raises(BadRequestError, match="0 in one request, 1 to 100 are allowed"):
        roles.change_members(world.local, "team")


def test_a_role_is_in_no_circle(world: World) -> None:
    create(world, "a", "b", "c")
    put(world, "a", "b")
    put(world, "b", "c")
    for outer, inner in (("a", "a"), ("b", "a"), ("c", "a"), ("c", "b")):
        with pytest.raises(BadRequestError, match="and so cannot contain it"):
            put(world, outer, inner)
    put(world, "a", "c")  # a second way to the same one is none


def test_eight_roles_at_most_are_inside_one_another(world: World) -> None:
    names = [f"r{number}" for number in range(9)]
    create(world, *names, "x")
    for outer, inner in pairwise(names[:8]):
        put(world, outer, inner)
    world.add("ann")
    put(world, "r7", "ann")
    world.grant("r0", A, "select")
    assert world.may("ann", "select", T)
    for outer, inner in (("r7", "r8"), ("x", "r0")):
        with pytest.raises(BadRequestError, match="9 roles would be inside one another"):
            put(world, outer, inner)
    put(world, "x", "r1")
    roles.change_members(world.local, "x", remove=["r1"])
    roles.change_members(world.local, "r3", remove=["r4"])
    put(world, "r7", "r8")


def test_everyone_has_no_members_and_is_none(world: World) -> None:
    world.add("ann")
    create(world, "team")
    mistakes: list[Callable[[], object]] = [
        lambda: put(world, "everyone", "ann"),
        lambda: put(world, "team", "everyone"),
        lambda: roles.change_members(world.local, "everyone", remove=["ann"]),
        lambda: roles.delete(world.local, "everyone"),
        lambda: roles.rename(world.local, "everyone", "all"),
        lambda: roles.change_groups(world.local, add=[Group("corp", "x", "everyone")]),
    ]
    for mistake in mistakes:
        with pytest.raises(BadRequestError, match="Invalid role everyone"):
            mistake()
    with pytest.raises(AlreadyExistsError):
        create(world, "everyone")
    with pytest.raises(NoSuchPrincipalError, match="it is a role"):
        accounts.remove(world.local, "everyone")


def test_a_renamed_role_keeps_members_and_grants(world: World) -> None:
    world.add("ann")
    create(world, "team")
    put(world, "team", "ann")
    world.grant("team", A, "select")
    with pytest.raises(AlreadyExistsError, match="Principal already exists: ann"):
        roles.rename(world.local, "team", "ann")
    roles.rename(world.local, "team", "crew")
    assert world.may("ann", "select", T)
    assert roles.rename(world.local, "crew", "crew").name == "crew"
    with pytest.raises(NoSuchPrincipalError, match="Role does not exist: team"):
        roles.get(world.local, "team")


def test_names_are_one_space_and_checked(world: World) -> None:
    world.add("ann")
    for taken in ("ann", "everyone"):
        with pytest.raises(AlreadyExistsError):
            create(world, taken)
    for wrong in ("", "a b", "corp~x", "a:b", "-a", "x" * 65, "\u0430nn", "a\n"):
        with pytest.raises(BadRequestError, match="Invalid role name"):
            create(world, wrong)
    with pytest.raises(NoSuchPrincipalError, match="Role does not exist: ann"):
        put(world, "ann", "ann")


def test_groups_have_roles_by_an_explicit_table(world: World) -> None:
    create(world, "team")
    mapped = Group("corp", "Data: Analysts/EU", "team")
    roles.change_groups(world.local, add=[mapped, mapped])
    assert roles.list_groups(world.local) == [mapped]
    with pytest.raises(NoSuchPrincipalError, match="Role does not exist: none"):
        roles.change_groups(world.local, add=[Group("corp", "x", "none")], remove=[mapped])
    assert roles.list_groups(world.local) == [mapped]
    roles.change_groups(world.local, remove=[mapped])
    assert roles.list_groups(world.local) == []
    for wrong in (Group("corp", "", "team"), Group("a~b", "x", "team"), Group("c", "\n", "team")):
        with pytest.raises(BadRequestError, match="Invalid"):
            roles.change_groups(world.local, add=[wrong])


def test_a_group_named_as_a_role_does_not_have_it(world: World) -> None:
    world.add("ann")
    create(world, "admin")
    world.grant("admin", A, "own")
    groups = (("corp", "admin"), ("corp", "everyone"))
    explained = access_control.explain(world.local, "ann", "list", A)
    assert not explained.is_allowed
    with pytest.raises(CatalogError, match="Namespace does not exist: a"):
        access_control.explain(world.by("ann", *groups), "ann", "list", A)


class TestTheLastAdministrator:
    def test_stays(self, world: World) -> None:
        world.add("root")
        world.grant("root", SERVER, "own", "admin")
        world.revoke("root", SERVER, "own")  # admin is left
        mistakes: list[Callable[[], object]] = [
            lambda: accounts.remove(world.local, "root"),
            lambda: accounts.set_disabled(world.local, "root", disabled=True),
            lambda: world.revoke("root", SERVER, "admin"),
        ]
        for mistake in mistakes:
            with pytest.raises(ForbiddenError, match="no enabled principal would have admin"):
                mistake()
        assert world.held("root") == {":the server": ["admin"]}
        world.add("second")
        world.grant("second", SERVER, "own")
        accounts.remove(world.local, "root")
        with pytest.raises(ForbiddenError):
            accounts.remove(world.local, "second")

    def test_through_roles(self, world: World) -> None:
        world.add("root")
        create(world, "inner", "outer")
        put(world, "outer", "inner")
        put(world, "inner", "root")
        world.grant("outer", SERVER, "admin")
        mistakes: list[Callable[[], object]] = [
            lambda: roles.delete(world.local, "inner"),
            lambda: roles.delete(world.local, "outer"),
            lambda: roles.change_members(world.local, "outer", remove=["inner"]),
            lambda: roles.change_members(world.local, "inner", remove=["root"]),
            lambda: accounts.set_disabled(world.local, "root", disabled=True),
        ]
        for mistake in mistakes:
            with pytest.raises(ForbiddenError, match="no enabled principal would have admin"):
                mistake()
        # In one request the first may go when a second one comes.
        world.add("second")
        roles.change_members(world.local, "inner", add=["second"], remove=["root"])

    def test_one_that_is_disabled_does_not_count(self, world: World) -> None:
        world.add("root", "second")
        world.grant("root", SERVER, "own")
        world.grant("second", SERVER, "own")
        accounts.set_disabled(world.local, "second", disabled=True)
        with pytest.raises(ForbiddenError):
            world.revoke("root", SERVER, "own")
        accounts.set_disabled(world.local, "second", disabled=False)
        world.revoke("root", SERVER, "own")

    def test_a_store_without_one_can_be_changed(self, world: World) -> None:
        world.add("ann")
        accounts.set_disabled(world.local, "ann", disabled=True)
        accounts.remove(world.local, "ann")
        with world.store.read() as tx:
            assert not administrators.exist(tx)


def test_services_and_users(world: World) -> None:
    secret = accounts.add(world.local, "etl")
    row = accounts.get(world.local, "etl")
    assert (row.kind, row.created_by, row.disabled) == ("service", "local:0", False)
    assert secret not in repr(row)
    assert secret not in str(accounts.as_json(row))
    user = accounts.add_user(world.local, "corp", "00u/1", display_name="Ann Lee")
    assert (user.name, user.kind, user.has_secret) == ("corp~00u/1", "user", False)
    with pytest.raises(AlreadyExistsError):
        accounts.add_user(world.local, "corp", "00u/1")
    with pytest.raises(BadRequestError, match="a user of an identity provider, which has no"):
        accounts.rotate(world.local, "corp~00u/1", 0)
    for issuer, subject in (("a~b", "x"), ("corp", ""), ("corp", "a\nb"), ("corp", "x" * 256)):
        with pytest.raises(BadRequestError, match="Invalid"):
            accounts.add_user(world.local, issuer, subject)
    assert accounts.rotate(world.local, "etl", 0) != secret
    for verb in (accounts.get, accounts.remove):
        with pytest.raises(NoSuchPrincipalError, match="Principal does not exist: none"):
            verb(world.local, "none")


def test_a_disabled_principal_may_do_nothing_and_keeps_its_grants(world: World) -> None:
    world.add("ann")
    world.grant("ann", A, "select")
    accounts.set_disabled(world.local, "ann", disabled=True)
    explained = access_control.explain(world.local, "ann", "select", T)
    assert (explained.is_allowed, explained.is_disabled) == (False, True)
    accounts.set_disabled(world.local, "ann", disabled=False)
    assert world.may("ann", "select", T)


def together(*works: Callable[[], object]) -> list[Exception]:
    """Run some works at the same time; return what they raised."""
    barrier, raised = threading.Barrier(len(works)), []

    def run(work: Callable[[], object]) -> None:
        barrier.wait()
        try:
            work()
        except CatalogError as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


class TestAtTheSameTime:
    """Changes that are right one by one, and wrong together."""

    def test_no_circle(self, world: World) -> None:
        for number in range(10):
            one, two = f"a{number}", f"b{number}"
            create(world, one, two)
            raised = together(
                lambda a=one, b=two: put(world, a, b),  # type: ignore[misc]
                lambda a=one, b=two: put(world, b, a),  # type: ignore[misc]
            )
            assert [type(each) for each in raised] == [BadRequestError]

    def test_one_administrator_stays(self, world: World) -> None:
        for number in range(5):
            names = [f"root{number}-{each}" for each in range(4)]
            world.add(*names)
            for name in names:
                world.grant(name, SERVER, "admin")
            for row in principals.all_(world.store.autocommit()):
                if row.kind != "role" and row.name not in names:
                    accounts.remove(world.local, row.name)
            raised = together(
                lambda n=names[0]: accounts.remove(world.local, n),  # type: ignore[misc]
                lambda n=names[1]: accounts.set_disabled(world.local, n, disabled=True),  # type: ignore[misc]
                lambda n=names[2]: world.revoke(n, SERVER, "admin"),  # type: ignore[misc]
                lambda n=names[3]: accounts.remove(world.local, n),  # type: ignore[misc]
            )
            assert [type(each) for each in raised] == [ForbiddenError]
            with world.store.read() as tx:
                assert administrators.exist(tx)

    def test_no_grant_is_lost(self, world: World) -> None:
        world.add("bob")
        privileges = ("list", "describe", "select", "write", "drop", "grant")
        before = world.generation()
        raised = together(
            *(lambda p=each: world.grant("bob", T, p) for each in privileges)  # type: ignore[misc]
        )
        assert raised == []
        assert world.held("bob") == {"main:table a.b.t": list(privileges)}
        assert world.generation() >= before + len(privileges)
        raised = together(
            *(lambda p=each: world.revoke("bob", T, p) for each in privileges)  # type: ignore[misc]
        )
        assert raised == []
        assert world.held("bob") == {}

    def test_grants_and_removals_of_the_principal(self, world: World) -> None:
        for number in range(10):
            name = f"ann{number}"
            world.add(name)
            change = Change(("select",), T, name)
            raised = together(
                lambda c=change: access_control.change(world.local, grant=[c]),  # type: ignore[misc]
                lambda n=name: accounts.remove(world.local, n),  # type: ignore[misc]
            )
            assert all(isinstance(each, NoSuchPrincipalError) for each in raised)
            assert access_control.on_entity(world.local, T) == []
