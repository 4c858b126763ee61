"""The table of operations and privileges in docs/permissions.md, made from the operations table.

``python -m tests.access.matrix`` prints it.
"""

from collections.abc import Iterator, Mapping
from functools import partial

from falcon_catalog.api.operations import OPERATIONS, Operation
from falcon_catalog.api.routes import MANAGEMENT_ROUTES, ROUTES

HEAD = ("| operation | request | needs |", "|---|---|---|")
_OF_ALL = {"/v1/config": {"GET": "getConfig"}}
_ANYONE = {
    "getConfig": "a warehouse that the caller can list",
    "getOpenApi": "nothing",
}


def lines() -> Iterator[str]:
    """Yield the lines of the table."""
    yield from HEAD
    routes: Mapping[str, Mapping[str, str]] = {
        **_OF_ALL,
        **{path: verbs for path, (_, verbs) in {**ROUTES, **MANAGEMENT_ROUTES}.items()},
    }
    for path, verbs in routes.items():
        for verb, name in verbs.items():
            yield f"| {name} | `{verb} {path}` | {needs(OPERATIONS[name], verb, path)} |"


def needs(operation: Operation, verb: str, path: str) -> str:
    """Return what an operation needs, in words."""
    if operation.by_verb:
        return operation.by_verb
    if operation.needs is None:
        return _ANYONE[operation.name]
    if isinstance(operation.needs, str):
        kinds = ("table", "view", "function", "namespace")
        kind = next((each for each in kinds if f"{{{each}}}" in path), "warehouse")
        shows = (
            "; shows what the caller can list"
            if operation.needs == "list" and verb == "GET"
            else ""
        )
        return f"`{operation.needs}` on the {kind}{shows}"
    function = operation.needs
    said = (function.func if isinstance(function, partial) else function).__doc__
    if not said:
        raise LookupError(f"the function of {operation.name} has no docstring")
    return said.strip().rstrip(".")


if __name__ == "__main__":
    print("\n".join(lines()))  # noqa: T201 - a command
