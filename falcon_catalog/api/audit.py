"""The audit log over HTTP: rows for people, and the feed of changes for programs."""

from falcon import Request, Response

from falcon_catalog.api.requests import read_flag, read_namespace, read_object, read_page
from falcon_catalog.api.responses import send
from falcon_catalog.catalog import event_log
from falcon_catalog.catalog.call import Call
from falcon_catalog.decimals import read_decimal
from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.identifiers import Namespace, write_page_token

_LATEST = 2**63 - 1


class EventsResource:
    """``/management/v1/warehouses/{warehouse}/events``."""

    def on_post(self, req: Request, resp: Response, call: Call) -> None:
        """Query the changes in a warehouse, in the order of the commits."""
        send(resp, event_log.query(call, read_object(req)))


class AuditResource:
    """``/management/v1/audit``, of all warehouses, and that of one warehouse."""

    def __init__(self, *, of_warehouse: bool) -> None:
        self._of_warehouse = of_warehouse

    def on_get(self, req: Request, resp: Response, call: Call) -> None:
        """List events, or with ``?refused=true`` refused requests, newest first."""
        namespace, table = read_namespace(req, "namespace"), req.get_param("table") or None
        if table is not None and namespace is None:
            raise BadRequestError(f"Invalid table {show(table)}: its namespace is missing")
        warehouse = call.warehouse.name if self._of_warehouse else req.get_param("warehouse")
        wanted = _read(req, warehouse or None, namespace, table)
        if self._of_warehouse:
            wanted = event_log.only_own(call, wanted)
        refused = read_flag(req, "refused")
        if refused and namespace is not None:
            raise BadRequestError(
                "Invalid refused: refused requests are not listed by namespace or table"
            )
        identity = f"{event_log.log_id(call)} {refused} {wanted}"
        page = read_page(req, call, "audit", identity, always=True)
        before = page.after_id or None
        found = event_log.list_(call, wanted, refused=refused, before=before, size=page.size - 1)
        token = None if found.before is None else write_page_token(page.of, str(found.before))
        field = "refusals" if refused else "events"
        send(resp, {field: found.entries, "next-page-token": token})


def _read(
    req: Request, warehouse: str | None, namespace: Namespace | None, table: str | None
) -> event_log.Filter:
    operation = req.get_param("operation")
    return event_log.named(
        namespace,
        table,
        warehouse=warehouse,
        actor=req.get_param("principal") or None,
        operations=(operation,) if operation else (),
        since_ms=_time(req, "since-ms"),
        until_ms=_time(req, "until-ms"),
        request_id=req.get_param("request-id") or None,
    )


def _time(req: Request, name: str) -> int | None:
    value = req.get_param(name)
    if not value:
        return None
    number = read_decimal(value, most=_LATEST)
    if number is None:
        raise BadRequestError(
            f"Invalid {name} {show(value)}: it is not a number of milliseconds since 1970"
        )
    return number
