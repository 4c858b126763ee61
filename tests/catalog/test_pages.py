"""Pages of lists: sizes and tokens as clients, and those who guess, send them."""

import base64
from pathlib import Path

import pytest

from falcon_catalog.identifiers import write_page_token
from tests.catalog.conftest import Start
from tests.catalog.serving import VIEW, Server

MANAGED = "/management/v1/warehouses/default"
REPORT = {
    "report-type": "commit-report",
    "table-name": "t",
    "snapshot-id": 1,
    "sequence-number": 1,
    "operation": "append",
    "metrics": {},
}
FUNCTION = {
    "format-version": 1,
    "definitions": [
        {
            "definition-id": "int",
            "parameters": [{"name": "a", "type": "int"}],
            "return-type": "int",
            "current-version-id": 1,
            "function-type": "udf",
            "versions": [
                {
                    "version-id": 1,
                    "timestamp-ms": 1,
                    "representations": [{"type": "sql", "dialect": "trino", "sql": "a"}],
                }
            ],
        }
    ],
    "definition-log": [],
}
LISTS = [
    "/v1/namespaces",
    "/v1/namespaces?parent=ns",
    "/v1/namespaces/ns/tables",
    "/v1/namespaces/other/tables",
    "/v1/namespaces/ns/views",
    "/v1/namespaces/ns/functions",
    f"{MANAGED}/dropped",
    f"{MANAGED}/metrics",
    f"{MANAGED}/metrics?namespace=ns",
    f"{MANAGED}/metrics?namespace=ns&table=t0",
]


@pytest.fixture
def filled(server: Server) -> Server:
    """A catalog with two entries in every list."""
    for namespace in ("ns", "other"):
        server.namespace(namespace)
        for number in range(2):
            server.namespace(namespace, f"below{number}")
            body = {"schema": VIEW["schema"]}
            tables = f"/v1/namespaces/{namespace}/tables"
            server.ok("POST", tables, {"name": f"t{number}", **body})
            server.ok("POST", tables, {"name": f"d{number}", **body})
            server.ok("DELETE", f"{tables}/d{number}")
            server.ok("POST", f"/v1/namespaces/{namespace}/views", {"name": f"v{number}", **VIEW})
            server.ok("POST", f"{tables}/t0/metrics", REPORT)
            functions = f"{MANAGED}/namespaces/{namespace}/functions"
            server.ok("PUT", f"{functions}/f{number}", FUNCTION)
    return server


def page(path: str, token: str, size: str = "1") -> str:
    return f"{path}{'&' if '?' in path else '?'}pageSize={size}&pageToken={token}"


def test_a_page_token_continues_the_list_it_was_issued_for_and_no_other(filled: Server) -> None:
    tokens = {path: filled.ok("GET", page(path, ""))["next-page-token"] for path in LISTS}
    assert all(tokens.values())
    for issued_for, token in tokens.items():
        for path in LISTS:
            if path == issued_for:
                filled.ok("GET", page(path, token))
                filled.ok("GET", page(path, token, size="7"))
            else:
                status, kind, message = filled.fails("GET", page(path, token))
                assert (status, kind) == (400, "BadRequestException"), (issued_for, path)
                assert message == f"Invalid pageToken {token!r}: it belongs to another list"


def test_a_page_token_holds_with_and_without_the_prefix(filled: Server) -> None:
    token = filled.ok("GET", page("/v1/namespaces/ns/tables", ""))["next-page-token"]
    rest = filled.ok("GET", page("/v1/default/namespaces/ns/tables", token))
    assert [entry["name"] for entry in rest["identifiers"]] == ["t1"]


def test_a_page_token_of_another_warehouse_is_refused(start: Start, tmp_path: Path) -> None:
    server = start(warehouse__more=[f"more=file://{tmp_path}/more"])
    for prefix in ("default", "more"):
        for name in "ab":
            server.ok("POST", f"/v1/{prefix}/namespaces", {"namespace": [name]})
    path = "/v1/{}/namespaces?pageSize=1&pageToken={}"
    token = server.ok("GET", path.format("default", ""))["next-page-token"]
    assert server.fails("GET", path.format("more", token))[0] == 400


@pytest.mark.parametrize("digits", ["9" * 5000, "0" * 5000 + "1", str(2**63), str(2**64)])
def test_a_page_size_of_any_number_of_digits_is_cut_to_the_limit(
    filled: Server, digits: str
) -> None:
    for path in LISTS:
        filled.ok("GET", page(path, "", size=digits))


@pytest.mark.parametrize("size", ["0", "0" * 5000, "-1", "+1", "1_0", "%D9%A1", "1.5", "ten"])
def test_a_page_size_that_is_no_number_above_0_is_refused(filled: Server, size: str) -> None:
    for path in LISTS:
        status, _, message = filled.fails("GET", page(path, "", size=size))
        assert status == 400
        assert "Invalid pageSize" in message


def test_a_token_with_a_forged_id_is_refused_or_a_page(filled: Server) -> None:
    """A token is not secret: whoever writes one gets an answer, never a failure."""
    forged = {"abc": 400, "-1": 400, "1.0": 400, "9" * 5000: 200, f"{2**63}": 200, f"{2**64}": 200}
    for name in ("dropped", "metrics"):
        identity = f"default\0{name}" + ("\0\0" if name == "metrics" else "")
        path = f"{MANAGED}/{name}"
        for last, status in forged.items():
            token = write_page_token(identity, last)
            assert filled.call("GET", page(path, token)).status_code == status, last


@pytest.mark.parametrize(
    "content", ["1abc", "1" + "9" * 5000, f"1{2**63}", f"1{2**64}", "1-1", "1", "2", "2abc"]
)
def test_a_token_in_a_form_that_is_not_issued_is_refused(filled: Server, content: str) -> None:
    token = base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")
    for path in LISTS:
        status, kind, message = filled.fails("GET", page(path, token))
        assert (status, kind) == (400, "BadRequestException")
        assert "Invalid pageToken" in message
