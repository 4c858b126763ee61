"""Functions, credentials, signatures and metrics."""

from falcon_catalog.conformance.answers import JSON, expect, expect_equal, expect_field
from falcon_catalog.conformance.room import Made, Room

_NO_TABLE = "NoSuchTableException"
_REFUSED = (400, 403, 406, 422)


def lists_functions(room: Room) -> None:
    """List the functions of a namespace: a new one has none."""
    namespace = room.new_namespace()
    page = room.catalog.call("listFunctions", namespace=namespace).object()
    expect_equal(page.get("identifiers"), [], "the list of functions of a new namespace")


def lists_functions_in_namespaces_only(room: Room) -> None:
    """Answer 404 NoSuchNamespaceException to a list in a namespace that does not exist."""
    answer = room.catalog.call("listFunctions", namespace=(f"{room.name}_none",))
    answer.error(404, "NoSuchNamespaceException")


def does_not_load_missing_functions(room: Room) -> None:
    """Answer 404 NoSuchFunctionException for one that does not exist."""
    answer = room.catalog.call("loadFunction", namespace=room.namespace, function="none")
    answer.error(404, "NoSuchFunctionException")


def answers_credentials(room: Room) -> None:
    """Answer a list of credentials, each with a prefix and a configuration."""
    table = room.table()
    answer = room.catalog.call("loadCredentials", namespace=table.namespace, table=table.name)
    known = expect_field(answer.object(), "storage-credentials", list, "the answer")
    for credential in known:
        expect_field(credential, "prefix", str, "a credential")
        expect_field(credential, "config", dict, "a credential")


def has_no_credentials_of_missing_tables(room: Room) -> None:
    """Answer 404 NoSuchTableException for a table that does not exist."""
    answer = room.catalog.call(
        "loadCredentials", namespace=room.namespace, table=f"{room.name}_none"
    )
    answer.error(404, _NO_TABLE)


def _to_sign(uri: str) -> JSON:
    return {"region": "us-east-1", "uri": uri, "method": "GET", "headers": {}}


def signs_its_own(room: Room) -> None:
    """Sign a request for the table's own files, or refuse what cannot be signed."""
    table = room.table()
    scheme, _, place = table.metadata["location"].partition("://")
    bucket, _, key = place.partition("/")
    s3 = scheme in ("s3", "s3a", "s3n")
    uri = f"https://{bucket}.s3.us-east-1.amazonaws.com/{key}/data/check.parquet"
    body = _to_sign(uri if s3 else f"{table.metadata['location']}/data/check.parquet")
    answer = room.catalog.call("signRequest", body, namespace=table.namespace, table=table.name)
    if answer.status in _REFUSED:
        answer.error(_REFUSED)
        return
    signed = answer.object()
    expect_field(signed, "uri", str, "a signed request")
    expect_field(signed, "headers", dict, "a signed request")
    policy = answer.headers.get("cache-control", "")
    expect(policy in ("private", "no-cache"), f"Cache-Control of a signed request is {policy!r}")


def signs_nothing_else(room: Room) -> None:
    """Refuse to sign a request for files that are not the table's."""
    table = room.table()
    body = _to_sign("https://not-this-catalog.s3.us-east-1.amazonaws.com/secret")
    answer = room.catalog.call("signRequest", body, namespace=table.namespace, table=table.name)
    answer.error(_REFUSED)


def _report(table: Made, **fields: object) -> JSON:
    return {"table-name": table.name, "snapshot-id": 1, "metrics": {}, **fields}


def takes_reports(room: Room) -> None:
    """Answer 204 to the report of a scan and of a commit."""
    table = room.table()
    counter = {"unit": "count", "value": 3}
    timer = {"count": 1, "time-unit": "nanoseconds", "total-duration": 5}
    scan = _report(
        table,
        **{
            "report-type": "scan-report",
            "filter": {"type": "true"},
            "schema-id": 0,
            "projected-field-ids": [1],
            "projected-field-names": ["id"],
            "metrics": {"total-planning-duration": timer, "result-data-files": counter},
        },
    )
    commit = _report(
        table,
        **{
            "report-type": "commit-report",
            "sequence-number": 1,
            "operation": "append",
            "metrics": {"attempts": counter},
        },
    )
    for body in (scan, commit):
        room.catalog.call(
            "reportMetrics", body, namespace=table.namespace, table=table.name
        ).empty()


def takes_no_reports_of_missing_tables(room: Room) -> None:
    """Answer 404 NoSuchTableException for a table that does not exist."""
    table = Made(room.namespace, f"{room.name}_none", {})
    fields = {"report-type": "commit-report", "sequence-number": 1, "operation": "append"}
    room.catalog.call(
        "reportMetrics",
        _report(table, **fields),
        namespace=table.namespace,
        table=table.name,
    ).error(404, _NO_TABLE)


PROBES = {
    "listFunctions": (lists_functions, lists_functions_in_namespaces_only),
    "loadFunction": (does_not_load_missing_functions,),
    "loadCredentials": (answers_credentials, has_no_credentials_of_missing_tables),
    "signRequest": (signs_its_own, signs_nothing_else),
    "reportMetrics": (takes_reports, takes_no_reports_of_missing_tables),
}
