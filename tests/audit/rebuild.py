"""The catalog, rebuilt from its events alone, and as its rows have it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from falcon_catalog.identifiers import SEPARATOR

Select = Callable[[str], list[Any]]
Name = tuple[str, str]
"""The path of a namespace, and a name in it."""


@dataclass
class World:
    """Names and pointers of one warehouse."""

    namespaces: set[str] = field(default_factory=set)
    tabulars: dict[Name, tuple[str, str, str]] = field(default_factory=dict)
    """Kind, uuid and metadata location."""
    functions: dict[Name, str] = field(default_factory=dict)
    """The uuid."""


def stored(select: Select) -> World:
    """Return what the rows of a store say."""
    return World(
        {path for (path,) in select("SELECT path FROM namespaces")},
        {
            (path, name): (kind, uuid, location)
            for path, name, kind, uuid, location in select(
                "SELECT n.path, t.name, t.kind, t.uuid, t.metadata_location"
                " FROM tabulars t JOIN namespaces n ON n.id = t.namespace_id"
            )
        },
        {
            (path, name): uuid
            for path, name, uuid in select(
                "SELECT n.path, f.name, f.uuid FROM functions f"
                " JOIN namespaces n ON n.id = f.namespace_id"
            )
        },
    )


def rebuilt(select: Select) -> World:
    """Apply all events in their order; each must fit the state that those before it left."""
    world = World()
    for event in select(
        "SELECT id, operation, kind, uuid, namespace_path, name, former_path, former_name,"
        " state_before, state_after FROM events WHERE topic = 'catalog' ORDER BY id"
    ):
        _apply(world, event)
    return world


def _apply(world: World, event: Any) -> None:
    row_id, operation, kind, uuid, path, name, former_path, former_name, before, after = event
    here, former, tabulars = (path, name), (former_path, former_name), world.tabulars
    if operation == "createNamespace":
        assert path not in world.namespaces, event
        assert path.rpartition(SEPARATOR)[0] in {"", *world.namespaces}, event
        world.namespaces.add(path)
    elif operation == "dropNamespace":
        world.namespaces.remove(path)
    elif operation == "updateProperties":
        assert path in world.namespaces, event
    elif operation == "putFunction":
        assert world.functions.get(here) in (None, uuid), event
        world.functions[here] = uuid
    elif operation == "dropFunction":
        assert world.functions.pop(here) == uuid, event
    elif operation.startswith("rename"):
        assert here not in tabulars, event
        assert tabulars.pop(former) == (kind, uuid, before), event
        tabulars[here] = (kind, uuid, after)
    elif operation.startswith(("drop", "unregister")):
        assert tabulars.pop(here) == (kind, uuid, before), event
    elif operation not in ("purge", "purgeDropped", "forget"):
        found = tabulars.get(here)
        assert (None if found is None else found[2]) == before, (row_id, found, event)
        assert path in world.namespaces, event
        tabulars[here] = (kind, uuid, after)
