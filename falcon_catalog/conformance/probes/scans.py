"""Scans that the server plans. The tables are empty: no file of theirs can be made over HTTP."""

import time

from falcon_catalog.conformance.answers import (
    JSON,
    AbsentError,
    FailureError,
    expect,
    expect_equal,
    expect_field,
)
from falcon_catalog.conformance.room import Made, Room

_SECONDS = 60  # that an empty table's plan may take
_PAUSE_SECONDS = 0.2
_TASKS = ("file-scan-tasks", "plan-tasks", "delete-files")
_NO_SNAPSHOT = 77


def _plan(room: Room, table: Made, **request: object) -> JSON:
    plan = room.catalog.call(
        "planTableScan", request, namespace=table.namespace, table=table.name
    ).object()
    status = plan.get("status")
    expect(status in ("completed", "submitted"), f"the plan's status is {status!r}")
    expect_field(plan, "plan-id", str, f"a plan that is {status}")
    if status != "completed":
        expect(not plan.keys() & set(_TASKS), f"a plan that is {status} has tasks")
    return plan


def _finish(room: Room, table: Made, plan: JSON) -> JSON:
    deadline = time.monotonic() + _SECONDS
    while plan.get("status") == "submitted":
        if time.monotonic() > deadline:
            raise FailureError(f"an empty table's plan is not completed within {_SECONDS} s")
        time.sleep(_PAUSE_SECONDS)
        fetched = room.catalog.call(
            "fetchPlanningResult",
            namespace=table.namespace,
            table=table.name,
            plan_id=plan["plan-id"],
        ).object()
        plan = {**fetched, "plan-id": plan["plan-id"]}
    expect_equal(plan.get("status"), "completed", "the plan's status")
    return plan


def plans(room: Room) -> None:
    """Plan a scan of an empty table: it has no tasks."""
    table = room.table()
    plan = _finish(room, table, _plan(room, table))
    for field in _TASKS:
        expect(not plan.get(field), f"a scan of an empty table has {field}")


def takes_filters(room: Room) -> None:
    """Plan with a projection and a filter, as clients before and after release 1.11 write it."""
    table = room.table()
    before = {"type": "eq", "term": "data", "value": "a"}
    after = {
        "type": "eq",
        "left": {"type": "reference", "name": "data"},
        "right": {"type": "literal", "value": "a"},
    }
    for written in (before, {"type": "not", "child": before}, after, True):
        _plan(room, table, select=["id"], filter=written)


def refuses_contradictions(room: Room) -> None:
    """Answer 400 to a scan of one snapshot and of those between two at once."""
    table = room.table()
    body = {
        "snapshot-id": _NO_SNAPSHOT,
        "start-snapshot-id": _NO_SNAPSHOT,
        "end-snapshot-id": _NO_SNAPSHOT,
    }
    answer = room.catalog.call("planTableScan", body, namespace=table.namespace, table=table.name)
    answer.error(400)


def does_not_plan_missing_tables(room: Room) -> None:
    """Answer 404 NoSuchTableException for a table that does not exist."""
    answer = room.catalog.call(
        "planTableScan", {}, namespace=room.namespace, table=f"{room.name}_none"
    )
    answer.error(404, "NoSuchTableException")


def fetches_results(room: Room) -> None:
    """Answer the result of a plan by its id."""
    table = room.table()
    plan = _plan(room, table)
    if plan["status"] == "completed":
        fetched = room.catalog.call(
            "fetchPlanningResult",
            namespace=table.namespace,
            table=table.name,
            plan_id=plan["plan-id"],
        )
        expect_equal(fetched.object().get("status"), "completed", "the plan's status")
    _finish(room, table, plan)


def knows_its_plans(room: Room) -> None:
    """Answer 404 NoSuchPlanIdException to the result of a plan that does not exist."""
    table = room.table()
    room.catalog.call(
        "fetchPlanningResult", namespace=table.namespace, table=table.name, plan_id="none"
    ).error(404, "NoSuchPlanIdException")


def cancels(room: Room) -> None:
    """Answer 204 to the cancellation of a plan."""
    table = room.table()
    plan = _plan(room, table)
    room.catalog.call(
        "cancelPlanning",
        namespace=table.namespace,
        table=table.name,
        plan_id=plan["plan-id"],
    ).empty()


def cancels_its_plans_only(room: Room) -> None:
    """Answer 404 NoSuchPlanIdException to the cancellation of a plan that does not exist."""
    table = room.table()
    room.catalog.call(
        "cancelPlanning", namespace=table.namespace, table=table.name, plan_id="none"
    ).error(404, "NoSuchPlanIdException")


def fetches_tasks(room: Room) -> None:
    """Answer the scan tasks of each plan task."""
    table = room.table()
    tasks = _finish(room, table, _plan(room, table)).get("plan-tasks") or []
    if not tasks:
        raise AbsentError("the plan of an empty table has no plan tasks")
    for task in tasks:
        room.catalog.call(
            "fetchScanTasks", {"plan-task": task}, namespace=table.namespace, table=table.name
        ).object()


def knows_its_tasks(room: Room) -> None:
    """Answer 404 NoSuchPlanTaskException for a plan task that does not exist."""
    table = room.table()
    room.catalog.call(
        "fetchScanTasks", {"plan-task": "none"}, namespace=table.namespace, table=table.name
    ).error(404, "NoSuchPlanTaskException")


def refuses_malformed_tasks(room: Room) -> None:
    """Answer 400 to a request without a plan task."""
    table = room.table()
    room.catalog.call("fetchScanTasks", {}, namespace=table.namespace, table=table.name).error(400)


PROBES = {
    "planTableScan": (
        plans,
        takes_filters,
        refuses_contradictions,
        does_not_plan_missing_tables,
    ),
    "fetchPlanningResult": (fetches_results, knows_its_plans),
    "cancelPlanning": (cancels, cancels_its_plans_only),
    "fetchScanTasks": (fetches_tasks, knows_its_tasks, refuses_malformed_tasks),
}
