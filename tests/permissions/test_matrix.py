"""Every operation with each privilege alone on each level, held in each way, against the evaluator.

Both applications answer each request, so that one of them is cold wherever the other is warm.
"""

from typing import Any

import pytest

from falcon_catalog.api.operations import OPERATIONS
from falcon_catalog.api.routes import MANAGEMENT_ROUTES
from tests.permissions.cases import CASES, Case, W, evaluator, held_of
from tests.permissions.evaluator import Grants
from tests.permissions.world import CARRIERS, MARK, Answer, World

WITHOUT_NEEDS = {"getToken", "getLogin", "whoami", "live", "ready", "metrics"}


@pytest.mark.fault(number=9)
@pytest.mark.fault(number=22)
def test_the_matrix_has_every_operation_and_enough_cases() -> None:
    missing = set(OPERATIONS) - {case.operation for case in CASES} - WITHOUT_NEEDS
    on_the_store = {
        name
        for path, (_, verbs) in MANAGEMENT_ROUTES.items()
        for name in verbs.values()
        if "{warehouse}" not in path
    }  # whose tests are in tests/access
    assert missing <= on_the_store, missing - on_the_store
    assert sum(len(list(held_of(case))) for case in CASES) * len(CARRIERS) >= 15_000


def outcome(answer: Answer) -> tuple[int, str | None]:
    """Return status and type of an answer; that of HEAD has no body."""
    if answer.status_code < 400 or not answer.content:
        return answer.status_code, None
    return answer.status_code, answer.json["error"]["type"]


def body_of(case: Case, world: World) -> Any:
    """Return the body of a request, with locations in the world's warehouse."""
    if not isinstance(case.body, dict) or "metadata-location" not in case.body:
        return case.body
    location = case.body["metadata-location"].replace("WAREHOUSE", f"file://{world.folder}/{W}")
    return case.body | {"metadata-location": location}


def wrong(world: World, case: Case, held: Grants, carrier: str, *, app: int = 0) -> str:
    """Send a request; return what is wrong with the answer, or nothing."""
    rules = evaluator()
    status, kind = case.expected(rules, held)
    body, path = body_of(case, world), case.path(world)
    answer = world.ask("ann", case.method, path, body, app=app)
    found = outcome(answer)
    wanted = (status, None if case.method == "HEAD" else kind)
    allowed = (status, kind) == case.ok
    if case.undo is not None and answer.status_code < 400:
        case.undo(world, answer.json if answer.content else None)
    if found != wanted:
        return f"{held} by {carrier}: {found}, not {wanted}: {answer.text[:200]}"
    if not allowed and (MARK in answer.text or "file:" in answer.text):
        return f"{held} by {carrier}: it says too much: {answer.text}"
    if allowed and case.sees is not None and case.names(answer.json) != case.sees(rules, held):
        return f"{held} by {carrier}: it lists {answer.text}"
    return ""


@pytest.mark.fault(number=18)
@pytest.mark.fault(number=22)
@pytest.mark.fault(number=28)
@pytest.mark.fault(number=32)
@pytest.mark.parametrize(
    "carrier",
    ["direct", *(pytest.param(each, marks=pytest.mark.slow) for each in CARRIERS[1:])],
)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_each_privilege_on_each_level(shared: World, case: Case, carrier: str) -> None:
    faults = []
    for held in held_of(case):
        shared.grant_only(held, carrier)
        before = rows_of(shared)
        allowed = case.expected(evaluator(), held) == case.ok
        apps = (0, 1) if case.undo is None or not allowed else (0,)
        faults += [wrong(shared, case, held, carrier, app=app) for app in apps]
        if not allowed and rows_of(shared) != before:
            faults.append(f"{held} by {carrier}: refused, and something was stored")
    assert not [fault for fault in faults if fault]


def rows_of(world: World) -> list[Any]:
    """Return all rows that an operation could change, but for the record of refusals."""
    tx = world.store.autocommit()
    found = [tx.one("SELECT max(id) FROM events"), tx.one("SELECT count(*) FROM plans")]
    found += [tx.one("SELECT count(*), max(id) FROM metrics_reports")]
    for table in ("namespaces", "tabulars", "functions", "dropped_tabulars", "grants"):
        found += tx.all(f"SELECT * FROM {table} ORDER BY id")
    return found
