"""Credentials and signatures, of which a local warehouse needs none."""

import pytest

from tests.catalog.serving import Server

CREDENTIALS = "/v1/namespaces/ns/tables/t/credentials"
SIGN = "/v1/namespaces/ns/tables/t/sign"
REQUEST = {
    "region": "eu-central-1",
    "uri": "https://bucket.s3.example/key?X-Amz-Signature=very-secret",
    "method": "GET",
    "headers": {"x-amz-date": ["20260101T000000Z"]},
    "properties": {"a": "b"},
    "body": "",
    "provider": "s3",
}


@pytest.mark.parametrize(
    "query", ["", "?planId=none", "?referenced-by=ns%1Fv%2C,a%1Fb", "?planId=&referenced-by="]
)
def test_no_credentials_are_needed(ns: Server, query: str) -> None:
    ns.table("t")
    headers = {"X-Iceberg-Access-Delegation": "vended-credentials,remote-signing"}
    assert ns.ok("GET", CREDENTIALS + query, headers=headers) == {"storage-credentials": []}


def test_credentials_of_no_table_are_a_404(ns: Server) -> None:
    assert ns.fails("GET", CREDENTIALS)[:2] == (404, "NoSuchTableException")


@pytest.mark.parametrize("body", [REQUEST, {**REQUEST, "provider": None, "properties": None}])
def test_a_local_warehouse_says_that_it_cannot_sign(ns: Server, body: dict[str, object]) -> None:
    ns.table("t")
    status, kind, message = ns.fails("POST", SIGN, body)
    assert (status, kind) == (400, "BadRequestException")
    assert message == (
        "Cannot sign the request for ns.t: the files of the warehouse default are local, "
        "read and write them without a signature"
    )


def test_a_signature_for_no_table_is_a_404(ns: Server) -> None:
    assert ns.fails("POST", SIGN, REQUEST)[:2] == (404, "NoSuchTableException")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        *(({name: ...}, f"missing field {name}") for name in ("region", "uri", "method")),
        ({"headers": ...}, "missing field headers"),
        ({"region": 1}, "field region: must be a string, got 1"),
        ({"method": "get"}, "method 'get' is none of PUT, GET, HEAD"),
        ({"method": "TRACE"}, "method 'TRACE' is none of"),
        ({"headers": {"a": "b"}}, "headers, 'a': must be an array, got 'b'"),
        ({"headers": {"a": [1]}}, "headers, 'a'[0]: must be a string, got 1"),
        ({"properties": {"a": 1}}, "value of 'a': must be a string"),
        ({"body": {}}, "field body: must be a string, got an object"),
        ({"provider": 3}, "field provider: must be a string, got 3"),
    ],
)
def test_a_malformed_request_is_refused(
    ns: Server, fields: dict[str, object], message: str
) -> None:
    ns.table("t")
    body = {key: value for key, value in (REQUEST | fields).items() if value is not ...}
    status, kind, told = ns.fails("POST", SIGN, body)
    assert (status, kind) == (400, "BadRequestException")
    assert message in told
    assert "very-secret" not in told
