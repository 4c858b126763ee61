"""Operations that tables and views share: list, create, load, drop, rename, register."""

from collections.abc import Callable

from falcon_catalog.conformance.answers import Answer, expect, expect_equal
from falcon_catalog.conformance.probes.probe import (
    NO_NAMESPACE,
    NO_TABLE,
    NO_VIEW,
    TAKEN,
    Probe,
    needs_namespace,
    refuses,
)
from falcon_catalog.conformance.sandbox import Kind, Levels, Sandbox, Tabular


def shared_probes(kind: Kind) -> dict[str, tuple[Probe, ...]]:
    """Return the probes of the operations on tables or on views, by operation."""
    noun = kind.lower()
    missing = f"for a {noun} that does not exist"
    absent = NO_TABLE if kind == "Table" else NO_VIEW

    def create_taken(sandbox: Sandbox) -> Answer:
        return sandbox.send_create(kind, sandbox.namespace, sandbox.create(kind).name)

    return {
        f"list{kind}s": (_bound(_lists, kind), needs_namespace(f"list{kind}s")),
        f"create{kind}": (
            refuses(TAKEN, "for a name that is taken", create_taken),
            refuses(
                NO_NAMESPACE,
                "in a namespace that does not exist",
                lambda s: s.send_create(kind, s.missing_namespace, "none"),
            ),
        ),
        f"load{kind}": (
            refuses(absent, missing, lambda s: s.call(f"load{kind}", s.missing(kind))),
        ),
        f"{noun}Exists": (_bound(_exists, kind),),
        f"drop{kind}": (
            _bound(_drops, kind),
            refuses(absent, missing, lambda s: s.call(f"drop{kind}", s.missing(kind))),
        ),
        f"rename{kind}": (
            refuses(absent, missing, lambda s: rename(s, s.missing(kind))[0]),
            refuses(
                NO_NAMESPACE,
                "for a target namespace that does not exist",
                lambda s: rename(s, s.create(kind), into=s.missing_namespace)[0],
            ),
            refuses(
                TAKEN,
                "for a target name that is taken",
                lambda s: rename(s, s.create(kind), to=s.create(kind).name)[0],
            ),
        ),
        f"register{kind}": (
            refuses(
                TAKEN,
                "for a name that is taken",
                lambda s: register(s, dropped(s, kind), s.create(kind).name),
            ),
            refuses(
                NO_NAMESPACE,
                "in a namespace that does not exist",
                lambda s: register(s, dropped(s, kind), "none", namespace=s.missing_namespace),
            ),
        ),
    }


def rename(
    sandbox: Sandbox, tabular: Tabular, *, into: Levels | None = None, to: str = ""
) -> tuple[Answer, Tabular]:
    """Rename a table or view; return the answer, and what it is called if that succeeded."""
    new = Tabular(
        tabular.kind, into or tabular.namespace, to or sandbox.unique("renamed"), tabular.result
    )
    body = {"source": tabular.identifier, "destination": new.identifier}
    return sandbox.catalog.call(f"rename{tabular.kind}", body), new


def dropped(sandbox: Sandbox, kind: Kind) -> Tabular:
    """Return a table or view that is no longer in the catalog, and whose files still exist."""
    fields = {"properties": {"gc.enabled": "false"}} if kind == "View" else {}
    made = sandbox.create(kind, fields)
    sandbox.call(f"drop{kind}", made).empty()
    return made


def register(
    sandbox: Sandbox,
    tabular: Tabular,
    name: str,
    *,
    namespace: Levels | None = None,
    **fields: object,
) -> Answer:
    """Register the metadata file of a table or view under a name."""
    body = {"name": name, "metadata-location": tabular.metadata_location, **fields}
    namespace = namespace or sandbox.namespace
    return sandbox.catalog.call(f"register{tabular.kind}", body, namespace=namespace)


def _bound(probe: Callable[[Sandbox, Kind], None], kind: Kind) -> Probe:
    def bound(sandbox: Sandbox) -> None:
        probe(sandbox, kind)

    other = "view" if kind == "Table" else "table"
    bound.__doc__ = (probe.__doc__ or "").format(kind=kind.lower(), other=other)
    return bound


def _lists(sandbox: Sandbox, kind: Kind) -> None:
    """List the {kind}s of a namespace, and no {other}s."""
    namespace = sandbox.new_namespace()
    made = [sandbox.create(kind, namespace=namespace) for _ in range(2)]
    other: Kind = "View" if kind == "Table" else "Table"
    if sandbox.catalog.offers(f"create{other}"):
        sandbox.create(other, namespace=namespace)
    found = sandbox.entries(f"list{kind}s", namespace)
    wanted = sorted((each.identifier for each in made), key=str)
    expect_equal(sorted(found, key=str), wanted, f"the list of {kind.lower()}s")


def _exists(sandbox: Sandbox, kind: Kind) -> None:
    """Return 204 for a {kind} that exists and 404 for one that does not, without a body."""
    operation = f"{kind.lower()}Exists"
    sandbox.call(operation, sandbox.create(kind)).empty()
    sandbox.call(operation, sandbox.missing(kind)).empty(404)


def _drops(sandbox: Sandbox, kind: Kind) -> None:
    """Return 204 and drop the {kind}: it no longer exists, and its name is free."""
    made = sandbox.create(kind)
    sandbox.call(f"drop{kind}", made).empty()
    sandbox.expect_gone(made)
    again = sandbox.create(kind, name=made.name)
    field = f"{kind.lower()}-uuid"
    different = made.metadata.get(field) != again.metadata.get(field)
    expect(different, f"a new {kind.lower()} has the uuid of a dropped one")
