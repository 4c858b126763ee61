"""Functions, credentials, signatures and metrics."""

from falcon_catalog.conformance.answers import JSON, REFUSED, expect, expect_equal, expect_field
from falcon_catalog.conformance.probes.probe import needs_namespace, needs_table, refuses
from falcon_catalog.conformance.sandbox import Sandbox


def lists_functions(sandbox: Sandbox) -> None:
    """List the functions of a namespace: a new one has none."""
    page = sandbox.catalog.call("listFunctions", namespace=sandbox.new_namespace()).object()
    expect_equal(page.get("identifiers"), [], "the list of functions of a new namespace")


def returns_credentials(sandbox: Sandbox) -> None:
    """Return a list of credentials, each with a prefix and a configuration."""
    answer = sandbox.call("loadCredentials", sandbox.table()).object()
    for credential in expect_field(answer, "storage-credentials", list, "the answer"):
        expect_field(credential, "prefix", str, "a credential")
        expect_field(credential, "config", dict, "a credential")


def _to_sign(uri: str) -> JSON:
    return {"region": "us-east-1", "uri": uri, "method": "GET", "headers": {}}


def signs_its_own(sandbox: Sandbox) -> None:
    """Sign a request for the table's own files, or refuse storage that has no signatures."""
    table = sandbox.table()
    scheme, _, place = table.metadata["location"].partition("://")
    bucket, _, key = place.partition("/")
    s3 = scheme in ("s3", "s3a", "s3n")
    uri = f"https://{bucket}.s3.us-east-1.amazonaws.com/{key}/data/check.parquet"
    body = _to_sign(uri if s3 else f"{table.metadata['location']}/data/check.parquet")
    answer = sandbox.call("signRequest", table, body)
    if answer.status in REFUSED:
        answer.error(REFUSED)
        return
    signed = answer.object()
    expect_field(signed, "uri", str, "a signed request")
    expect_field(signed, "headers", dict, "a signed request")
    policy = answer.headers.get("cache-control", "")
    expect(policy in ("private", "no-cache"), f"Cache-Control of a signed request is {policy!r}")


def signs_nothing_else(sandbox: Sandbox) -> None:
    """Refuse to sign a request for files that are not the table's."""
    body = _to_sign("https://not-this-catalog.s3.us-east-1.amazonaws.com/secret")
    sandbox.call("signRequest", sandbox.table(), body).error(REFUSED)


def _commit_report(table: str, **fields: object) -> JSON:
    return {
        "report-type": "commit-report",
        "table-name": table,
        "snapshot-id": 1,
        "sequence-number": 1,
        "operation": "append",
        "metrics": {},
        **fields,
    }


def accepts_reports(sandbox: Sandbox) -> None:
    """Return 204 for the report of a scan and of a commit."""
    table = sandbox.table()
    counter = {"unit": "count", "value": 3}
    timer = {"count": 1, "time-unit": "nanoseconds", "total-duration": 5}
    scan = {
        "report-type": "scan-report",
        "table-name": table.name,
        "snapshot-id": 1,
        "filter": {"type": "true"},
        "schema-id": 0,
        "projected-field-ids": [1],
        "projected-field-names": ["id"],
        "metrics": {"total-planning-duration": timer, "result-data-files": counter},
    }
    for body in (scan, _commit_report(table.name, metrics={"attempts": counter})):
        sandbox.call("reportMetrics", table, body).empty()


PROBES = {
    "listFunctions": (lists_functions, needs_namespace("listFunctions")),
    "loadFunction": (
        refuses(
            (404, "NoSuchFunctionException"),
            "for a function that does not exist",
            lambda s: s.catalog.call("loadFunction", namespace=s.namespace, function="none"),
        ),
    ),
    "loadCredentials": (returns_credentials, needs_table("loadCredentials")),
    "signRequest": (signs_its_own, signs_nothing_else),
    "reportMetrics": (accepts_reports, needs_table("reportMetrics", _commit_report("none"))),
}
