"""The verbs of metrics reports: store them, list the newest."""

from falcon_catalog.catalog import authorization, tabulars
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.tabulars import TABLE
from falcon_catalog.errors import BadRequestError, PayloadTooLargeError, show
from falcon_catalog.identifiers import Namespace, Page, TableIdentifier
from falcon_catalog.metadata import reports
from falcon_catalog.metadata.json_fields import JSON, text_of
from falcon_catalog.store import metrics as rows
from falcon_catalog.store.database import again

Report = rows.ReportRow

# A scan of ten thousand columns stays below this.
MAX_REPORT_BYTES = 512 * 1024


@again
def report(call: Call, identifier: TableIdentifier, request: JSON) -> None:
    """Store a client's report of a scan or commit of a table.

    ``request`` is a ReportMetricsRequest of the REST specification.

    Raises:
        BadRequestError: the request is malformed.
        PayloadTooLargeError: it is larger than MAX_REPORT_BYTES.
        NoSuchTableError: no table has this name.
    """
    reports.check(request)
    text = text_of(request, "metrics report")
    if len(text) > MAX_REPORT_BYTES:
        raise PayloadTooLargeError(
            f"The report has {len(text)} bytes, at most {MAX_REPORT_BYTES} are taken"
        )
    with call.warehouse.store.write() as tx:
        table = tabulars.require(tx, call, TABLE, identifier)
        rows.insert(
            tx,
            call.warehouse.id,
            identifier,
            table_uuid=table.uuid,
            report=text.decode(),
            keep=call.warehouse.keep_reports,
        )


def newest(call: Call, namespace: Namespace | None, table: str | None, page: Page) -> list[Report]:
    """Return the newest reports of all tables, of a namespace's or of one, newest first.

    Names are those that the tables had when the reports came in: a table need not exist, unless
    the caller may describe only some tables. Then a table must still have the name.

    Raises:
        BadRequestError: there is a table without a namespace.
    """
    if table is not None and namespace is None:
        raise BadRequestError(f"Invalid table {show(table)}: its namespace is missing")
    describes = authorization.Describes(call)
    found: list[Report] = []
    before = page.after_id or None
    with call.warehouse.store.read() as tx:
        while len(found) < page.size:
            some = rows.newest(
                tx,
                call.warehouse.id,
                namespace=namespace,
                table=table,
                before=before,
                size=page.size,
            )
            if describes.everything:
                return some
            found += [row for row in some if describes(row.identifier, row.table_uuid)]
            if len(some) < page.size:
                break
            before = some[-1].id
    return found[: page.size]
