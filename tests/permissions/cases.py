"""What each operation needs, written down a second time: the product's own table is not read here.

Where an operation is allowed, its request fails afterwards for another reason, or what it did is
undone, so that the next one finds the same world.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.catalog.test_functions import ADD_ONE
from tests.permissions.evaluator import PRIVILEGES, Evaluator, Grants
from tests.permissions.world import PARENTS, WAREHOUSES, World

W = "default"
AB, Z = f"{W}/a.b", f"{W}/z"
T, U, V, F, D = (f"{AB}/{name}" for name in "tuvfd")
NS = f"/v1/{W}/namespaces/a%1Fb"
MANAGEMENT = f"/management/v1/warehouses/{W}"
NOWHERE = "/nowhere/00000-x.metadata.json"
WRONG = "00000000-0000-4000-8000-000000000000"
MISSING = {
    "t": "NoSuchTableException",
    "u": "NoSuchTableException",
    "v": "NoSuchViewException",
    "f": "NoSuchFunctionException",
    "d": "NotFoundException",
}
FORBIDDEN = (403, "ForbiddenException")
TAKEN = (409, "AlreadyExistsException")

Outcome = tuple[int, str | None]
Mode = Literal["", "taken", "replace", "any"]
"""What a hidden entity is: absent; a name that is taken; the same, for what could create it; absent
last as a function."""


@dataclass(frozen=True)
class Case:
    """A request, the privileges that it needs in order, and how it ends when it has them."""

    operation: str
    variant: str
    method: str
    target: str
    needs: list[tuple[str, str, Mode]]
    ok: Outcome
    body: Any = None
    object: str = T
    undo: Callable[[World, Any], None] | None = None
    sees: Callable[[Evaluator, Grants], set[str]] | None = None
    names: Callable[[Any], set[str]] = field(default=lambda _: set())
    moves: bool = False
    """Whether what the first need is on moves into what the second one is on."""

    @property
    def id(self) -> str:
        """Its name among the tests."""
        return f"{self.operation}-{self.variant}" if self.variant else self.operation

    def path(self, world: World) -> str:
        """Return the target, with the id of what was dropped."""
        return (
            self.target.replace("DROP", str(world.drop_id()))
            if "DROP" in self.target
            else self.target
        )

    def expected(self, evaluator: Evaluator, held: Grants) -> Outcome:
        """Return how the request ends for a principal that holds these grants."""
        if not evaluator.sees(held, W):
            return 404, "NoSuchWarehouseException"
        for privilege, entity, mode in self.needs:
            if not evaluator.sees(held, entity):
                return _hidden(evaluator, held, entity, mode)
            if privilege not in evaluator.holds(held, entity) and privilege != "list":
                return FORBIDDEN
            if self.moves and evaluator.gains(held, self.needs[0][1], self.needs[1][1]):
                return FORBIDDEN
        return self.ok


def _hidden(evaluator: Evaluator, held: Grants, entity: str, mode: Mode) -> Outcome:
    parent = evaluator.parents[entity]
    assert parent is not None
    if mode == "taken":
        return TAKEN
    if mode == "replace" and evaluator.sees(held, parent):
        return TAKEN if "create" in evaluator.holds(held, parent) else FORBIDDEN
    name = entity.rpartition("/")[2] if entity.count("/") == 2 else ""
    if mode == "any":
        name = "f"
    if not name or (name == "f" and not evaluator.sees(held, parent)):
        return 404, "NoSuchNamespaceException"
    return 404, MISSING[name]


def levels(object_: str) -> list[str]:
    """Return the entities on which the caller of a case may hold something."""
    near = [
        "server",
        W,
        f"{W}/a",
        AB,
        f"{AB}.c",
        f"{W}/a.s",
        U,
        Z,
        f"{Z}/t",
        "other",
        "other/a.b/t",
    ]
    return [*near, object_] if object_ not in near else near


def held_of(case: Case) -> Iterator[list[tuple[str, str]]]:
    """Yield grants: none, each privilege alone on each level, and almost what is needed."""
    yield []
    for number, (needed, entity, _) in enumerate(case.needs if len(case.needs) > 1 else []):
        others = [(on, it) for i, (it, on, _) in enumerate(case.needs) if i != number]
        yield others
        for privilege in PRIVILEGES:
            if privilege != "admin":
                yield [*others, (entity, privilege)]
        yield [(entity, each) for each in PRIVILEGES if each not in ("admin", "own", needed)]
    for level in levels(case.object):
        for privilege in PRIVILEGES:
            if privilege != "admin" or level == "server":
                yield [(level, privilege)]


def evaluator() -> Evaluator:
    """Return the evaluator of a world."""
    return Evaluator(PARENTS, detached={f"{each}/a.b/d" for each in WAREHOUSES})


def _undrop(world: World, _answer: Any) -> None:
    row = world.store.autocommit().one(
        "SELECT max(id) FROM dropped_tabulars WHERE warehouse_id = 1 AND started_at IS NULL"
    )
    assert row is not None
    world.ok("POST", f"{MANAGEMENT}/dropped/{row[0]}/undrop", {})


def _register(world: World, answer: Any) -> None:
    body = {"name": "t", "metadata-location": answer["metadata-location"]}
    world.ok("POST", f"{NS}/register", body)


def _put(world: World, _answer: Any) -> None:
    world.ok("PUT", f"{MANAGEMENT}/namespaces/a%1Fb/functions/f", ADD_ONE)


def _of(*entities: str) -> Callable[[Evaluator, Grants], set[str]]:
    return lambda rules, held: {
        each.rpartition("/")[2] for each in entities if rules.sees(held, each)
    }


def _identifiers(body: Any) -> set[str]:
    return {each[-1] if isinstance(each, list) else each["name"] for each in body["identifiers"]}


def _tables(rules: Evaluator, held: Grants) -> set[str]:
    every = "list" in rules.holds(held, AB)  # one that nobody has a grant on
    return _of(T, U)(rules, held) | ({"d"} if every else set())


def _name(ns: str, name: str) -> dict[str, Any]:
    return {"namespace": ns.split("."), "name": name}


def _change(name: str, *, create: bool = False) -> dict[str, Any]:
    wrong = {"type": "assert-create"} if create else {"type": "assert-table-uuid", "uuid": WRONG}
    return {"identifier": _name("a.b", name), "requirements": [wrong], "updates": []}


def _signing(method: str) -> dict[str, Any]:
    return {"method": method, "uri": "https://h/x", "region": "r", "headers": {}}


def _rename(kind: str) -> dict[str, Any]:
    other = "u" if kind == "t" else "v"
    return {"source": _name("a.b", kind), "destination": _name("z", other)}


NOT_NEW = (409, "CommitFailedException")
NO_FILE = (404, "NotFoundException")
MALFORMED = (400, "BadRequestException")
UNPROCESSABLE = (422, "UnprocessableEntityException")
NO_PLAN = (404, "NoSuchPlanIdException")
FUNCTION = f"{MANAGEMENT}/namespaces/a%1Fb/functions"

CASES = [
    Case("getConfig", "", "GET", f"/v1/config?warehouse={W}", [], (200, None)),
    Case(
        *("listNamespaces", "top", "GET", f"/v1/{W}/namespaces"),
        *([], (200, None)),
        sees=_of(f"{W}/a", Z),
        names=lambda body: {each[-1] for each in body["namespaces"]},
    ),
    Case(
        *("listNamespaces", "inside", "GET", f"/v1/{W}/namespaces?parent=a"),
        *([("list", f"{W}/a", "")], (200, None)),
        sees=lambda rules, held: {n for n in "bs" if rules.sees(held, f"{W}/a.{n}")},
        names=lambda body: {each[-1] for each in body["namespaces"]},
    ),
    Case(
        *("createNamespace", "", "POST", f"/v1/{W}/namespaces", [("create", AB, "")], TAKEN),
        body={"namespace": ["a", "b", "c"]},
    ),
    Case(
        *("createNamespace", "top", "POST", f"/v1/{W}/namespaces", [("create", W, "")], TAKEN),
        body={"namespace": ["a"]},
    ),
    Case("loadNamespaceMetadata", "", "GET", NS, [("describe", AB, "")], (200, None)),
    Case("namespaceExists", "", "HEAD", NS, [("list", AB, "")], (204, None)),
    Case(
        *("dropNamespace", "", "DELETE", NS, [("drop", AB, "")]),
        (409, "NamespaceNotEmptyException"),
    ),
    Case(
        *("updateProperties", "", "POST", f"{NS}/properties", [("write", AB, "")], UNPROCESSABLE),
        body={"removals": ["x"], "updates": {"x": "1"}},
    ),
    Case(
        *("updateProperties", "location", "POST", f"{NS}/properties"),
        *([("write", AB, ""), ("grant", AB, "")], UNPROCESSABLE),
        body={"removals": ["location"], "updates": {"location": "x"}},
    ),
    Case(
        *("listTables", "", "GET", f"{NS}/tables", [("list", AB, "")], (200, None)),
        sees=_tables,
        names=_identifiers,
    ),
    Case(
        *("createTable", "", "POST", f"{NS}/tables", [("create", AB, "")], TAKEN),
        body={"name": "u", "schema": {"type": "struct", "fields": []}},
    ),
    Case(
        *("createTable", "staged", "POST", f"{NS}/tables", [("create", AB, "")], (200, None)),
        body={"name": "new", "schema": {"type": "struct", "fields": []}, "stage-create": True},
    ),
    Case("loadTable", "", "GET", f"{NS}/tables/t", [("describe", T, "")], (200, None)),
    Case("tableExists", "", "HEAD", f"{NS}/tables/t", [("list", T, "")], (204, None)),
    Case(
        *("updateTable", "", "POST", f"{NS}/tables/t", [("write", T, "")], NOT_NEW),
        body=_change("t"),
    ),
    Case(
        *("updateTable", "create", "POST", f"{NS}/tables/t", [("create", AB, "")], NOT_NEW),
        body=_change("t", create=True),
    ),
    Case(
        *("dropTable", "", "DELETE", f"{NS}/tables/t", [("drop", T, "")], (204, None)),
        undo=_undrop,
    ),
    Case(
        *("dropTable", "purge", "DELETE", f"{NS}/tables/t?purgeRequested=true"),
        *([("drop", T, ""), ("write", T, "")], (204, None)),
        undo=_undrop,
    ),
    Case(
        *("unregisterTable", "", "POST", f"{NS}/tables/t/unregister"),
        *([("drop", T, ""), ("describe", T, "")], (200, None)),
        undo=_register,
    ),
    Case(
        *("registerTable", "", "POST", f"{NS}/register", [("create", AB, "")], NO_FILE),
        body={"name": "new", "metadata-location": "WAREHOUSE" + NOWHERE},
    ),
    Case(
        *("registerTable", "overwrite", "POST", f"{NS}/register"),
        *([("create", AB, ""), ("drop", T, "taken"), ("write", T, "taken")], NO_FILE),
        body={"name": "t", "metadata-location": "WAREHOUSE" + NOWHERE, "overwrite": True},
    ),
    Case(
        *("renameTable", "", "POST", f"/v1/{W}/tables/rename"),
        *([("drop", T, ""), ("create", Z, "")], TAKEN),
        body=_rename("t"),
        moves=True,
    ),
    Case(
        *("commitTransaction", "", "POST", f"/v1/{W}/transactions/commit"),
        *([("write", T, ""), ("write", U, "")], NOT_NEW),
        body={"table-changes": [_change("t"), _change("u")]},
    ),
    Case(
        *("commitTransaction", "create", "POST", f"/v1/{W}/transactions/commit"),
        *([("write", T, ""), ("create", AB, "")], NOT_NEW),
        body={"table-changes": [_change("t"), _change("u", create=True)]},
    ),
    Case(
        *("planTableScan", "", "POST", f"{NS}/tables/t/plan", [("select", T, "")], (200, None)),
        body={},
    ),
    Case("fetchPlanningResult", "", "GET", f"{NS}/tables/t/plan/x", [("select", T, "")], NO_PLAN),
    Case("cancelPlanning", "", "DELETE", f"{NS}/tables/t/plan/x", [("list", T, "")], NO_PLAN),
    Case(
        *("fetchScanTasks", "", "POST", f"{NS}/tables/t/tasks", [("select", T, "")]),
        *((404, "NoSuchPlanTaskException"), {"plan-task": "x"}),
    ),
    Case(
        "loadCredentials", "", "GET", f"{NS}/tables/t/credentials", [("select", T, "")], (200, None)
    ),
    *(
        Case(
            *("signRequest", method.lower(), "POST", f"{NS}/tables/t/sign", needs, MALFORMED),
            body=_signing(method),
        )
        for method, needs in (
            ("GET", [("select", T, "")]),
            ("HEAD", [("select", T, "")]),
            ("PUT", [("select", T, ""), ("write", T, "")]),
            ("DELETE", [("select", T, ""), ("write", T, "")]),
        )
    ),
    Case(
        *("reportMetrics", "scan", "POST", f"{NS}/tables/t/metrics", [("select", T, "")]),
        *(MALFORMED, {"report-type": "scan-report"}),
    ),
    Case(
        *("reportMetrics", "commit", "POST", f"{NS}/tables/t/metrics", [("write", T, "")]),
        *(MALFORMED, {"report-type": "commit-report"}),
    ),
    Case(
        *("listViews", "", "GET", f"{NS}/views", [("list", AB, "")], (200, None)),
        object=V,
        sees=_of(V),
        names=_identifiers,
    ),
    Case(
        *("createView", "", "POST", f"{NS}/views", [("create", AB, "")], TAKEN),
        body={"name": "v"},
        object=V,
    ),
    Case("loadView", "", "GET", f"{NS}/views/v", [("describe", V, "")], (200, None), object=V),
    Case("viewExists", "", "HEAD", f"{NS}/views/v", [("list", V, "")], (204, None), object=V),
    Case(
        *("replaceView", "", "POST", f"{NS}/views/v", [("write", V, "")], NOT_NEW),
        body={"requirements": [{"type": "assert-view-uuid", "uuid": WRONG}], "updates": []},
        object=V,
    ),
    Case(
        *("dropView", "", "DELETE", f"{NS}/views/v", [("drop", V, "")], (204, None)),
        object=V,
        undo=_undrop,
    ),
    Case(
        *("registerView", "", "POST", f"{NS}/register-view", [("create", AB, "")], NO_FILE),
        body={"name": "new", "metadata-location": "WAREHOUSE" + NOWHERE},
        object=V,
    ),
    Case(
        *("renameView", "", "POST", f"/v1/{W}/views/rename"),
        *([("drop", V, ""), ("create", Z, "")], TAKEN),
        body=_rename("v"),
        moves=True,
        object=V,
    ),
    Case(
        *("listFunctions", "", "GET", f"{NS}/functions", [("list", AB, "")], (200, None)),
        object=F,
        sees=_of(F),
        names=_identifiers,
    ),
    Case(
        "loadFunction", "", "GET", f"{NS}/functions/f", [("describe", F, "")], (200, None), object=F
    ),
    Case(
        *("putFunction", "new", "PUT", f"{FUNCTION}/new", [("create", AB, "")], MALFORMED, {}),
        object=F,
    ),
    Case(
        *("putFunction", "replace", "PUT", f"{FUNCTION}/f", [("write", F, "replace")]),
        *(MALFORMED, {}),
        object=F,
    ),
    Case(
        *("dropFunction", "", "DELETE", f"{FUNCTION}/f", [("drop", F, "")], (204, None)),
        object=F,
        undo=_put,
    ),
    Case(
        *("listDropped", "", "GET", f"{MANAGEMENT}/dropped", [], (200, None)),
        object=D,
        sees=lambda rules, held: {"d"} if "list" in rules.holds(held, D) else set(),
        names=lambda body: {each["identifier"]["name"] for each in body["dropped"]},
    ),
    Case(
        *("undrop", "", "POST", f"{MANAGEMENT}/dropped/DROP/undrop"),
        *([("drop", D, ""), ("create", AB, "")], NOT_NEW),
        body={},
        moves=True,
        object=D,
    ),
    Case(
        *("undrop", "elsewhere", "POST", f"{MANAGEMENT}/dropped/DROP/undrop"),
        *([("drop", D, ""), ("create", Z, "")], NOT_NEW),
        body={"identifier": _name("z", "u")},
        object=D,
        moves=True,
    ),
    Case(
        *("purgeDropped", "", "DELETE", f"{MANAGEMENT}/dropped/DROP"),
        *([("drop", D, ""), ("write", D, "")], NOT_NEW),
        object=D,
    ),
    Case(
        *("listMetricsReports", "", "GET", f"{MANAGEMENT}/metrics", [], (200, None)),
        sees=lambda rules, held: {"t"} if "describe" in rules.holds(held, T) else set(),
        names=lambda body: {each["identifier"]["name"] for each in body["reports"]},
    ),
    Case("checkStorage", "", "POST", f"{MANAGEMENT}/check", [("admin", "server", "")], (200, None)),
    Case(
        *("listEvents", "", "POST", f"{MANAGEMENT}/events", [("describe", W, "")], (200, None)),
        body={},
    ),
    Case("listWarehouseAudit", "", "GET", f"{MANAGEMENT}/audit", [("grant", W, "")], (200, None)),
    Case(
        *("listWarehouseAudit", "inside", "GET", f"{MANAGEMENT}/audit?namespace=a%1Fb"),
        *([("grant", AB, "")], (200, None)),
    ),
    Case(
        *("listWarehouseAudit", "table", "GET", f"{MANAGEMENT}/audit?namespace=a%1Fb&table=t"),
        *([("grant", T, "any")], (200, None)),
    ),
    Case(
        *("listWarehouseAudit", "view", "GET", f"{MANAGEMENT}/audit?namespace=a%1Fb&table=v"),
        *([("grant", V, "any")], (200, None)),
        object=V,
    ),
    Case(
        *("listWarehouseAudit", "function", "GET", f"{MANAGEMENT}/audit?namespace=a%1Fb&table=f"),
        *([("grant", F, "any")], (200, None)),
        object=F,
    ),
    # Names of another kind are no names.
    Case(
        "loadTable",
        "of-a-view",
        "GET",
        f"{NS}/tables/v",
        [],
        (404, "NoSuchTableException"),
        object=V,
    ),
    Case("loadView", "of-a-table", "GET", f"{NS}/views/t", [], (404, "NoSuchViewException")),
    Case(
        *("loadTable", "metadata-table", "GET", f"/v1/{W}/namespaces/a%1Fb%1Ft/tables/snapshots"),
        *([], (404, "NoSuchTableException")),
    ),
]
"""The requests of the matrix."""
