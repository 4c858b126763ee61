"""Metrics reports: taken in, bounded, shown."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.catalog.serving import Server, sql

REPORTS = "/management/v1/warehouses/default/metrics"
Start = Callable[..., Server]

SCAN: dict[str, Any] = {
    "report-type": "scan-report",
    "table-name": "lake.ns.t",
    "snapshot-id": 9_007_199_254_740_993,
    "filter": {"type": "and", "left": True, "right": {"type": "is-null", "term": "id"}},
    "schema-id": 0,
    "projected-field-ids": [1, 2],
    "projected-field-names": ["id", "data"],
    "metrics": {
        "total-planning-duration": {
            "count": 1,
            "time-unit": "nanoseconds",
            "total-duration": 2_644_235_116,
        },
        "result-data-files": {"unit": "count", "value": 1},
    },
    "metadata": {"engine-name": "spark"},
}
COMMIT: dict[str, Any] = {
    "report-type": "commit-report",
    "table-name": "lake.ns.t",
    "snapshot-id": 1,
    "sequence-number": 1,
    "operation": "append",
    "metrics": {"added-records": {"unit": "count", "value": 3}},
}


def without(report: dict[str, Any], field: str) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key != field}


def send(server: Server, report: object, table: str = "t", namespace: str = "ns") -> None:
    path = f"/v1/namespaces/{namespace}/tables/{table}/metrics"
    assert server.call("POST", path, report).status_code == 204


def reports(server: Server, **params: str) -> list[dict[str, Any]]:
    found = server.ok("GET", REPORTS, params=params)
    assert found["next-page-token"] is None
    return found["reports"]


def test_a_report_is_kept_as_it_was_sent(ns: Server) -> None:
    uuid = ns.table("t")["metadata"]["table-uuid"]
    assert reports(ns) == []
    send(ns, SCAN)
    send(ns, {**COMMIT, "of-a-later-version": [1]})
    second, first = reports(ns)
    assert first["report"] == SCAN
    assert second["report"] == {**COMMIT, "of-a-later-version": [1]}
    for found in (first, second):
        assert found["identifier"] == {"namespace": ["ns"], "name": "t"}
        assert found["table-uuid"] == uuid
    assert "20" < first["received-at"] <= second["received-at"]


def test_reports_are_found_by_namespace_and_table(ns: Server) -> None:
    ns.namespace("ns", "in.ner")
    ns.table("t")
    ns.table("u")
    ns.ok("POST", "/v1/namespaces/ns%1Fin.ner/tables", {"name": "t", "schema": SCHEMA})
    for number, (namespace, table) in enumerate(
        [("ns", "t"), ("ns", "u"), ("ns%1Fin.ner", "t"), ("ns", "t")]
    ):
        send(ns, {**COMMIT, "snapshot-id": number}, table, namespace)

    def numbers(**params: str) -> list[int]:
        return [found["report"]["snapshot-id"] for found in reports(ns, **params)]

    assert numbers() == [3, 2, 1, 0]
    assert numbers(namespace="ns") == [3, 1, 0]
    assert numbers(namespace="ns\x1fin.ner") == [2]
    assert numbers(namespace="ns", table="t") == [3, 0]
    assert numbers(namespace="ns", table="none") == []
    assert numbers(namespace="nowhere") == []
    ns.ok("POST", "/v1/tables/rename", rename("t", "renamed"))
    ns.ok("DELETE", "/v1/namespaces/ns/tables/renamed")
    assert numbers(namespace="ns", table="t") == [3, 0]  # a log remembers what was
    status, _, message = ns.fails("GET", REPORTS, params={"table": "t"})
    assert (status, message) == (400, "Invalid table 't': its namespace is missing")


def rename(source: str, destination: str) -> dict[str, object]:
    return {
        "source": {"namespace": ["ns"], "name": source},
        "destination": {"namespace": ["ns"], "name": destination},
    }


SCHEMA = {
    "type": "struct",
    "fields": [{"id": 1, "name": "id", "type": "long", "required": True}],
}


def test_pages_stay_right_while_reports_come_in(ns: Server) -> None:
    ns.table("t")
    for number in range(5):
        send(ns, {**COMMIT, "snapshot-id": number})
    seen: list[int] = []
    token = ""
    while token is not None:
        page = ns.ok("GET", REPORTS, params={"pageToken": token, "pageSize": "2"})
        seen += [found["report"]["snapshot-id"] for found in page["reports"]]
        token = page["next-page-token"]
        send(ns, COMMIT)
    assert seen == [4, 3, 2, 1, 0]
    names = ns.ok("GET", "/v1/namespaces?pageToken=&pageSize=1")
    assert names["next-page-token"] is None
    for bad in ("MWFiYw", "x", "%00"):
        status, kind, message = ns.fails("GET", REPORTS, params={"pageToken": bad})
        assert (status, kind) == (400, "BadRequestException")
        assert "Invalid pageToken" in message
    assert ns.fails("GET", REPORTS, params={"pageSize": "0"})[0] == 400


def test_only_the_newest_are_kept(start: Start) -> None:
    server = start(metrics__keep_reports=3)
    server.namespace("ns")
    server.table("t")
    server.table("u")
    for number in range(7):
        send(server, {**COMMIT, "snapshot-id": number}, "tu"[number % 2])
    assert [found["report"]["snapshot-id"] for found in reports(server)] == [6, 5, 4]
    assert sql(server.folder, "SELECT count(*) FROM metrics_reports") == [(3,)]


def test_none_is_kept_where_that_is_set(start: Start) -> None:
    server = start(metrics__keep_reports=0)
    server.namespace("ns")
    server.table("t")
    send(server, SCAN)
    assert reports(server) == []


@pytest.mark.parametrize(
    "expression",
    [
        True,
        False,
        {"type": "true"},
        {"type": "eq", "term": "id", "value": 1},
        {"type": "not", "child": {"type": "or", "left": False, "right": {"type": "x"}}},
    ],
)
def test_a_filter_may_be_of_either_dialect(ns: Server, expression: object) -> None:
    ns.table("t")
    send(ns, {**SCAN, "filter": expression})


def deep(levels: int) -> object:
    expression: object = True
    for _ in range(levels):
        expression = {"type": "not", "child": expression}
    return expression


def test_a_deep_filter_is_no_trouble(ns: Server) -> None:
    ns.table("t")
    send(ns, {**SCAN, "filter": deep(200)})
    assert reports(ns)[0]["report"]["filter"] == deep(200)
    for report in ({**SCAN, "filter": deep(800)}, {**SCAN, "other": deep(800)}):
        status, _, message = ns.fails("POST", "/v1/namespaces/ns/tables/t/metrics", report)
        assert (status, message) == (400, "Invalid metrics report: nested too deeply")


@pytest.mark.parametrize(
    ("report", "message"),
    [
        ({}, "Invalid metrics report: missing field report-type"),
        (
            {**SCAN, "report-type": "guess"},
            "Invalid report-type: 'guess' is unknown, scan-report and commit-report are known",
        ),
        ({**SCAN, "report-type": 1}, "Invalid metrics report, field report-type: must be a str"),
        *(
            (without(SCAN, field), f"missing field {field}")
            for field in SCAN
            if field != "metadata"
        ),
        *((without(COMMIT, field), f"missing field {field}") for field in COMMIT),
        ({**SCAN, "table-name": 1}, "field table-name: must be a string, got 1"),
        ({**SCAN, "snapshot-id": "1"}, "field snapshot-id: must be an integer, got '1'"),
        ({**SCAN, "snapshot-id": 1.0}, "field snapshot-id: must be an integer, got 1.0"),
        ({**SCAN, "schema-id": 2**31}, "does not fit in 32 bits"),
        ({**SCAN, "schema-id": True}, "must be an integer, got true"),
        ({**SCAN, "projected-field-ids": [1, None]}, "field projected-field-ids[1]: must be an i"),
        ({**SCAN, "projected-field-names": "id"}, "must be an array, got 'id'"),
        ({**SCAN, "filter": "id = 1"}, "field filter: must be an object, got 'id = 1'"),
        ({**SCAN, "filter": {"term": "id"}}, "the type of an expression is null"),
        ({**SCAN, "filter": {"type": "and", "left": True}}, "an expression 'and' has no right"),
        ({**SCAN, "metrics": []}, "field metrics: must be an object, got an array"),
        ({**SCAN, "metrics": {"a": 1}}, "field metrics, 'a': must be an object, got 1"),
        ({**SCAN, "metrics": {"a": {"unit": "count"}}}, "'a': missing field value"),
        ({**SCAN, "metrics": {"a": {"time-unit": "ns"}}}, "'a': missing field count"),
        ({**SCAN, "metadata": {"a": 1}}, "field metadata, value of 'a': must be a string"),
        ({**COMMIT, "operation": None}, "field operation: must be a string, got null"),
        ([COMMIT], "it is not a JSON object"),
    ],
)
def test_a_bad_report_is_refused_and_says_why(ns: Server, report: object, message: str) -> None:
    ns.table("t")
    status, kind, told = ns.fails("POST", "/v1/namespaces/ns/tables/t/metrics", report)
    assert (status, kind) == (400, "BadRequestException")
    assert message in told
    assert reports(ns) == []


def test_a_report_that_is_too_large_is_refused(ns: Server) -> None:
    ns.table("t")
    large = {**COMMIT, "metadata": {"a": "x" * 600_000}}
    status, kind, _ = ns.fails("POST", "/v1/namespaces/ns/tables/t/metrics", large)
    assert (status, kind) == (413, "PayloadTooLargeException")
    assert len(json.dumps(large)) < 2**20


@pytest.mark.parametrize("path", ["ns/tables/none", "nowhere/tables/t", "ns/tables/v"])
def test_a_report_of_no_table_is_a_404(ns: Server, path: str) -> None:
    ns.table("t")
    view = {
        "name": "v",
        "schema": SCHEMA,
        "view-version": {
            "version-id": 1,
            "timestamp-ms": 1,
            "schema-id": 0,
            "summary": {},
            "default-namespace": ["ns"],
            "representations": [{"type": "sql", "sql": "SELECT 1", "dialect": "x"}],
        },
        "properties": {},
    }
    ns.ok("POST", "/v1/namespaces/ns/views", view)
    answer = ns.fails("POST", f"/v1/namespaces/{path}/metrics", SCAN)
    assert answer[:2] == (404, "NoSuchTableException")
    assert reports(ns) == []


def test_an_unknown_warehouse_is_a_404(ns: Server) -> None:
    answer = ns.fails("GET", "/management/v1/warehouses/other/metrics")
    assert answer[:2] == (404, "NoSuchWarehouseException")
