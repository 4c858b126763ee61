"""Scans that the server plans, of empty tables: data files cannot be made over HTTP."""

import time

from falcon_catalog.conformance.answers import (
    JSON,
    AbsentError,
    FailureError,
    expect,
    expect_equal,
    expect_field,
)
from falcon_catalog.conformance.probes.probe import BAD_REQUEST, needs_table, refuses
from falcon_catalog.conformance.sandbox import Sandbox, Tabular

_SECONDS = 60  # that an empty table's plan may take
_PAUSE_SECONDS = 0.2
_TASKS = ("file-scan-tasks", "plan-tasks", "delete-files")
_NO_SNAPSHOT = 77


def _plan(sandbox: Sandbox, table: Tabular, **request: object) -> JSON:
    plan = sandbox.call("planTableScan", table, request).object()
    status = plan.get("status")
    expect(status in ("completed", "submitted"), f"the plan's status is {status!r}")
    expect_field(plan, "plan-id", str, f"a plan that is {status}")
    if status != "completed":
        expect(not plan.keys() & set(_TASKS), f"a plan that is {status} has tasks")
    return plan


def _finish(sandbox: Sandbox, table: Tabular, plan: JSON) -> JSON:
    deadline, plan_id = time.monotonic() + _SECONDS, plan["plan-id"]
    while plan.get("status") == "submitted":
        if time.monotonic() > deadline:
            raise FailureError(f"an empty table's plan is not completed within {_SECONDS} s")
        time.sleep(_PAUSE_SECONDS)
        plan = sandbox.call("fetchPlanningResult", table, plan_id=plan_id).object()
    expect_equal(plan.get("status"), "completed", "the plan's status")
    return plan


def plans(sandbox: Sandbox) -> None:
    """Plan a scan of an empty table, which has no tasks."""
    table = sandbox.table()
    plan = _finish(sandbox, table, _plan(sandbox, table))
    for field in _TASKS:
        expect(not plan.get(field), f"a scan of an empty table has {field}")


def accepts_filters(sandbox: Sandbox) -> None:
    """Accept a projection and a filter, as clients before and after release 1.11 write it."""
    table = sandbox.table()
    before = {"type": "eq", "term": "data", "value": "a"}
    after = {
        "type": "eq",
        "left": {"type": "reference", "name": "data"},
        "right": {"type": "literal", "value": "a"},
    }
    for written in (before, {"type": "not", "child": before}, after, True):
        _plan(sandbox, table, select=["id"], filter=written)


def fetches_results(sandbox: Sandbox) -> None:
    """Return the result of a plan by its id."""
    table = sandbox.table()
    plan = _plan(sandbox, table)
    if plan["status"] == "completed":
        fetched = sandbox.call("fetchPlanningResult", table, plan_id=plan["plan-id"])
        expect_equal(fetched.object().get("status"), "completed", "the plan's status")
    _finish(sandbox, table, plan)


def cancels(sandbox: Sandbox) -> None:
    """Return 204 for the cancellation of a plan."""
    table = sandbox.table()
    plan = _plan(sandbox, table)
    sandbox.call("cancelPlanning", table, plan_id=plan["plan-id"]).empty()


def fetches_tasks(sandbox: Sandbox) -> None:
    """Return the scan tasks of each plan task."""
    table = sandbox.table()
    tasks = _finish(sandbox, table, _plan(sandbox, table)).get("plan-tasks") or []
    if not tasks:
        raise AbsentError("the plan of an empty table has no plan tasks")
    for task in tasks:
        sandbox.call("fetchScanTasks", table, {"plan-task": task}).object()


_CONTRADICTION = dict.fromkeys(
    ("snapshot-id", "start-snapshot-id", "end-snapshot-id"), _NO_SNAPSHOT
)
PROBES = {
    "planTableScan": (
        plans,
        accepts_filters,
        refuses(
            BAD_REQUEST,
            "for a scan of one snapshot and of those between two at once",
            lambda s: s.call("planTableScan", s.table(), _CONTRADICTION),
        ),
        needs_table("planTableScan", {}),
    ),
    "fetchPlanningResult": (
        fetches_results,
        refuses(
            (404, "NoSuchPlanIdException"),
            "for the result of a plan that does not exist",
            lambda s: s.call("fetchPlanningResult", s.table(), plan_id="none"),
        ),
    ),
    "cancelPlanning": (
        cancels,
        refuses(
            (404, "NoSuchPlanIdException"),
            "for the cancellation of a plan that does not exist",
            lambda s: s.call("cancelPlanning", s.table(), plan_id="none"),
        ),
    ),
    "fetchScanTasks": (
        fetches_tasks,
        refuses(
            (404, "NoSuchPlanTaskException"),
            "for a plan task that does not exist",
            lambda s: s.call("fetchScanTasks", s.table(), {"plan-task": "none"}),
        ),
        refuses(
            BAD_REQUEST,
            "for a request without a plan task",
            lambda s: s.call("fetchScanTasks", s.table(), {}),
        ),
    ),
}
