"""The verbs of server-side scan planning.

A small plan is completed in the request, a big one is submitted. Either way its result is stored
in pages: the first is part of the plan's result, each other one is a plan task. The planner is
imported with the first scan: a server that plans none starts without it.
"""

import itertools
import json
import logging
import secrets
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import orjson

from falcon_catalog.catalog import tabulars
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.metadata_cache import read_metadata
from falcon_catalog.catalog.tabulars import TABLE
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.errors import (
    BadRequestError,
    CatalogError,
    InternalServerError,
    NoSuchPlanIdError,
    NoSuchPlanTaskError,
    ServiceUnavailableError,
)
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.store import plans
from falcon_catalog.store.database import Transaction, again

if TYPE_CHECKING:
    from falcon_catalog.catalog.scan_planning import plan, tasks

_log = logging.getLogger(__name__)
_TOKEN_BYTES = 24
_LEASE_PARTS = 3  # how often a worker renews its lease while it lasts


def submit(call: Call, identifier: TableIdentifier, request: JSON) -> JSON:
    """Plan a scan; return a PlanTableScanResult, ``completed`` or ``submitted``.

    ``request`` is a PlanTableScanRequest of the REST specification.

    Raises:
        NoSuchTableError: the table does not exist.
        BadRequestError: the request is malformed, or what it names does not exist.
        NotFoundError, ForbiddenError: a manifest does not exist, or its location is not allowed.
    """
    row = tabulars.find(call, TABLE, identifier)
    found = _prepare(call.warehouse, row.metadata_location, request, f"table {identifier}")
    limits = call.warehouse.plans.limits
    plan_id = f"{uuid.uuid4().hex}{_suffix(call)}"
    status: plans.Status = "completed" if found.size <= limits.sync_manifests else "submitted"
    pages = list(_pages(call.warehouse, found)) if status == "completed" else []
    with call.warehouse.store.write() as tx:
        plans.insert(
            tx,
            plan_id,
            row.id,
            status=status,
            metadata_location=row.metadata_location,
            request=_text(request) if status == "submitted" else b"{}",
            lease_until=tx.now,
            expires_at=tx.now + limits.keep_ms,
        )
        for number, page in enumerate(page for page in pages if page is not None):
            plans.add_page(tx, plan_id, number, secrets.token_urlsafe(_TOKEN_BYTES), page)
        if status == "completed":
            return {**_completed(tx, plan_id), "plan-id": plan_id}
    _begin(call.warehouse, plan_id)
    return {"status": "submitted", "plan-id": plan_id}


def fetch_result(call: Call, identifier: TableIdentifier, plan_id: str) -> JSON:
    """Return the FetchPlanningResult of a plan.

    Raises:
        NoSuchPlanIdError: the table has no such plan, or it has expired.
    """
    with call.warehouse.store.read() as tx:
        row = _require_plan(tx, call, identifier, plan_id)
        if row.status == "completed":
            return _completed(tx, plan_id)
        abandoned = row.lease_until <= tx.now
    if row.status == "failed":
        return {"status": "failed", "error": orjson.loads(row.error or "{}")}
    if row.status == "submitted" and abandoned:
        _begin(call.warehouse, plan_id)
    return {"status": row.status}


@again
def cancel(call: Call, identifier: TableIdentifier, plan_id: str) -> None:
    """Cancel a plan, or discard its result.

    Raises:
        NoSuchPlanIdError: the table has no such plan, or it has expired.
    """
    with call.warehouse.store.write() as tx:
        _require_plan(tx, call, identifier, plan_id)
        plans.cancel(tx, plan_id)


def fetch_tasks(call: Call, identifier: TableIdentifier, plan_task: str) -> JSON:
    """Return the FetchScanTasksResult of a plan task.

    Raises:
        NoSuchPlanTaskError: the table has no such plan task, or it has expired.
    """
    with call.warehouse.store.read() as tx:
        table = tabulars.require(tx, call, TABLE, identifier)
        page = plans.find_page(tx, plan_task, table.id)
    if page is None or not page.plan_id.endswith(_suffix(call)):
        raise NoSuchPlanTaskError(f"Plan task does not exist for {identifier}: {plan_task[:100]}")
    return _unzipped(page)


def _prepare(warehouse: Warehouse, metadata_location: str, request: JSON, what: str) -> "plan.Plan":
    from falcon_catalog.catalog.scan_planning import plan, scan  # noqa: PLC0415 - see above

    metadata = read_metadata(warehouse.files, metadata_location, what)
    wanted = scan.read(metadata, request, warehouse.plans.limits.names)
    return plan.prepare(warehouse, wanted)


def _pages(warehouse: Warehouse, found: "plan.Plan") -> Iterator[bytes | None]:
    """Yield compressed pages of tasks, at least one; None reports progress without a page."""
    from falcon_catalog.catalog.scan_planning import plan  # noqa: PLC0415 - see above

    size = warehouse.plans.limits.page_files
    waiting: list[tasks.Task] = []
    paged = False
    for some in plan.tasks(warehouse, found):
        waiting += some
        while len(waiting) > size:
            yield _zipped(waiting[:size], found)
            del waiting[:size]
            paged = True
        yield None
    if waiting or not paged:
        yield _zipped(waiting, found)


def _text(request: JSON) -> bytes:
    try:
        return json.dumps(request).encode()
    except RecursionError as error:
        raise BadRequestError("Invalid plan request: it is nested too deeply") from error


def _zipped(some: "list[tasks.Task]", found: "plan.Plan") -> bytes:
    from falcon_catalog.catalog.scan_planning import tasks  # noqa: PLC0415 - see above

    try:
        return zlib.compress(orjson.dumps(tasks.page(some, found.scan.stats)), 1)
    except orjson.JSONEncodeError as error:
        raise BadRequestError("Invalid filter: the residual is nested too deeply") from error


def _unzipped(page: plans.PageRow) -> JSON:
    content: JSON = orjson.loads(zlib.decompress(page.content))
    return content


def _completed(tx: Transaction, plan_id: str) -> JSON:
    first = plans.first_page(tx, plan_id)
    content = {} if first is None else _unzipped(first)
    return {"status": "completed", "plan-tasks": plans.later_tokens(tx, plan_id), **content}


def _require_plan(
    tx: Transaction, call: Call, identifier: TableIdentifier, plan_id: str
) -> plans.PlanRow:
    table = tabulars.require(tx, call, TABLE, identifier)
    row = plans.find(tx, plan_id, table.id)
    if row is None or not plan_id.endswith(_suffix(call)):
        raise NoSuchPlanIdError(f"Plan does not exist for {identifier}: {plan_id[:100]}")
    return row


def _suffix(call: Call) -> str:
    """Return how the ids of a caller's plans end: a plan is only for the caller that planned it."""
    return "" if call.principal_id is None else f"-{call.principal_id}"


def _begin(warehouse: Warehouse, plan_id: str) -> None:
    warehouse.plans.submit(plan_id, lambda must_stop: _work(warehouse, plan_id, must_stop))


def _work(warehouse: Warehouse, plan_id: str, must_stop: Callable[[], bool]) -> None:
    """Process a submitted plan until it is completed, failed or taken over."""
    worker = uuid.uuid4().hex
    try:
        with warehouse.store.write() as tx:
            row = plans.claim(tx, plan_id, worker, **_lease(warehouse, tx))
        if row is None:
            return
        what = f"the table of plan {plan_id}"
        found = _prepare(warehouse, row.metadata_location, orjson.loads(row.request), what)
        if _store_pages(warehouse, plan_id, worker, _pages(warehouse, found), must_stop):
            _finish(warehouse, plan_id, worker, None)
    except ServiceUnavailableError:
        _log.exception("plan %s waits for the next request for its result", plan_id)
    except CatalogError as error:
        _finish(warehouse, plan_id, worker, error)
    except Exception:  # noqa: BLE001 - a thread's last line of defence, as render_failure is a request's
        _log.exception("plan %s failed", plan_id)
        failure = InternalServerError(f"The server failed; its log has the plan {plan_id}")
        _finish(warehouse, plan_id, worker, failure)


def _store_pages(
    warehouse: Warehouse,
    plan_id: str,
    worker: str,
    pages: Iterator[bytes | None],
    must_stop: Callable[[], bool],
) -> bool:
    """Store pages as they come; return False if the plan was taken over or must stop."""
    numbers = itertools.count()
    interval = warehouse.plans.limits.lease_ms / 1000 / _LEASE_PARTS
    renewed = time.monotonic()
    for page in pages:
        stopping = must_stop()
        if page is None and not stopping and time.monotonic() < renewed + interval:
            continue
        with warehouse.store.write() as tx:
            lease = _lease(warehouse, tx)
            if stopping:
                lease["lease_until"] = tx.now  # the next request for the result restarts the plan
            if not plans.extend(tx, plan_id, worker, **lease) or stopping:
                return False
            if page is not None:
                token = secrets.token_urlsafe(_TOKEN_BYTES)
                plans.add_page(tx, plan_id, next(numbers), token, page)
        renewed = time.monotonic()
    return True


def _lease(warehouse: Warehouse, tx: Transaction) -> dict[str, int]:
    limits = warehouse.plans.limits
    return {"lease_until": tx.now + limits.lease_ms, "expires_at": tx.now + limits.keep_ms}


def _finish(warehouse: Warehouse, plan_id: str, worker: str, error: CatalogError | None) -> None:
    body = None if error is None else orjson.dumps(error.as_json()["error"]).decode()
    with warehouse.store.write() as tx:
        plans.finish(
            tx,
            plan_id,
            worker,
            status="completed" if error is None else "failed",
            error=body,
            expires_at=tx.now + warehouse.plans.limits.keep_ms,
        )
