"""One request of each type that changes something, and how to see whether it did."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.durability import wire
from tests.durability.processes import Answer, Client
from tests.durability.store import Store


@dataclass(frozen=True)
class Request:
    """What must be there before, what is asked, and how to see its effect in the store."""

    kind: str
    prepare: Callable[[Client], Any]
    ask: Callable[[Client, Any], Answer]
    happened: Callable[[Store], bool]
    writes_file: bool = False

    def judge(self, answer: Answer, store: Store) -> None:
        """Hold that what was told is so, and that it was one of the answers that are right."""
        store.check()
        happened = self.happened(store)
        if answer.done:
            assert happened, f"{self.kind} is lost: {answer}"
        elif answer.refused:
            assert not happened, f"{self.kind} was refused, but is there: {answer}"
            assert answer.status in (404, 409, 503), (self.kind, answer)
        elif happened:
            assert answer.status in (500, None), (self.kind, answer)
            assert answer.kind in ("CommitStateUnknownException", ""), (self.kind, answer)


def requests(tag: str) -> dict[str, Request]:
    """Return the requests by type; what they need is called after ``tag``, and theirs alone."""
    return {
        "create": _create(f"c{tag}"),
        "staged create": _stage(f"s{tag}"),
        "commit": _commit(f"t{tag}"),
        "transaction": _transaction(f"x{tag}", f"y{tag}"),
        "drop": _drop(f"d{tag}"),
        "purge": _drop(f"g{tag}", purge=True),
        "undrop": _undrop(f"u{tag}"),
        "rename": _rename(f"a{tag}", f"b{tag}"),
        "register": _register(f"r{tag}"),
        "create namespace": _space(f"n{tag}"),
        "drop namespace": _drop_space(f"m{tag}"),
        "namespace properties": _properties(f"p{tag}"),
    }


def _made(*names: str) -> Callable[[Client], None]:
    def prepare(client: Client) -> None:
        for name in names:
            client.ok("POST", wire.table(""), wire.creation(name, "start"))

    return prepare


def _create(name: str) -> Request:
    return Request(
        "create",
        lambda _: None,
        lambda client, _: client.ask("POST", wire.table(""), wire.creation(name, "op")),
        lambda store: f"ns.{name}" in store.pointers(),
        writes_file=True,
    )


def _stage(name: str) -> Request:
    body = wire.creation(name, "op", **{"stage-create": True})
    return Request(
        "staged create",
        lambda client: wire.staged_commit(client.ok("POST", wire.table(""), body), "op"),
        lambda client, commit: client.ask("POST", wire.table(name), commit),
        lambda store: f"ns.{name}" in store.pointers(),
        writes_file=True,
    )


def _commit(name: str) -> Request:
    return Request(
        "commit",
        _made(name),
        lambda client, _: client.ask("POST", wire.table(name), wire.change("op")),
        lambda store: store.tables()[f"ns.{name}"] == "op",
        writes_file=True,
    )


def _transaction(one: str, two: str) -> Request:
    body = {"table-changes": [wire.part(one, "op"), wire.part(two, "op")]}

    def happened(store: Store) -> bool:
        found = {store.tables()[f"ns.{name}"] for name in (one, two)}
        assert len(found) == 1, "half of a transaction is there"
        return found == {"op"}

    return Request(
        "transaction",
        _made(one, two),
        lambda client, _: client.ask("POST", "/v1/transactions/commit", body),
        happened,
        writes_file=True,
    )


def _drop(name: str, *, purge: bool = False) -> Request:
    path = f"{wire.table(name)}?purgeRequested=true" if purge else wire.table(name)

    def happened(store: Store) -> bool:
        assert store.purges(f"ns.{name}") in ([], [purge]), "another drop than was asked for"
        return _is_dropped(store, name)

    return Request(
        "purge" if purge else "drop",
        _made(name),
        lambda client, _: client.ask("DELETE", path),
        happened,
    )


def _is_dropped(store: Store, name: str) -> bool:
    """Tell whether a table was dropped and can come back; it lives otherwise."""
    dropped = bool(store.purges(f"ns.{name}"))
    assert dropped != (f"ns.{name}" in store.pointers()), f"{name} is nowhere, or twice"
    return dropped


def _undrop(name: str) -> Request:
    def prepare(client: Client) -> int:
        _made(name)(client)
        client.ok("DELETE", f"{wire.table(name)}?purgeRequested=true")
        return wire.dropped(client.ok("GET", wire.DROPPED), name)

    return Request(
        "undrop",
        prepare,
        lambda client, number: client.ask("POST", wire.undropping(number)),
        lambda store: not _is_dropped(store, name),
    )


def _rename(old: str, new: str) -> Request:
    def happened(store: Store) -> bool:
        found = [name for name in (old, new) if f"ns.{name}" in store.pointers()]
        assert len(found) == 1, found
        return found == [new]

    return Request(
        "rename",
        _made(old),
        lambda client, _: client.ask("POST", "/v1/tables/rename", wire.renaming(old, new)),
        happened,
    )


def _register(name: str) -> Request:
    def prepare(client: Client) -> str:
        made = client.ok("POST", wire.table(""), wire.creation(name, "start"))
        client.ok("DELETE", wire.table(name))
        location: str = made["metadata-location"]
        return location

    def ask(client: Client, location: str) -> Answer:
        body = {"name": name, "metadata-location": location}
        return client.ask("POST", f"{wire.namespace('ns')}/register", body)

    return Request("register", prepare, ask, lambda store: f"ns.{name}" in store.pointers())


def _space(name: str) -> Request:
    return Request(
        "create namespace",
        lambda _: None,
        lambda client, _: client.ask("POST", wire.namespace(), {"namespace": [name]}),
        lambda store: name in store.namespaces,
    )


def _drop_space(name: str) -> Request:
    return Request(
        "drop namespace",
        lambda client: client.ok("POST", wire.namespace(), {"namespace": [name]}),
        lambda client, _: client.ask("DELETE", wire.namespace(name)),
        lambda store: name not in store.namespaces,
    )


def _properties(name: str) -> Request:
    path = f"{wire.namespace(name)}/properties"
    return Request(
        "namespace properties",
        lambda client: client.ok("POST", wire.namespace(), {"namespace": [name]}),
        lambda client, _: client.ask("POST", path, {"updates": {"op": "op"}}),
        lambda store: store.namespaces[name] == {"op": "op"},
    )
