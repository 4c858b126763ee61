"""Traces: what a collector receives of requests, over real HTTP and as real protobuf."""

import gzip
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from falcon_catalog.app import create_app
from falcon_catalog.catalog import accounts
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.privileges import OWN
from falcon_catalog.settings import SettingsError, load
from tests.catalog.serving import Server, serving
from tests.several import IN_POSTGRES

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "a-request"}
T = "/v1/namespaces/ns/tables/t"
SERVER, CLIENT, INTERNAL = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_INTERNAL


@dataclass
class Collector:
    """A collector of OTLP over HTTP."""

    url: str
    paths: set[str] = field(default_factory=set)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def spans(self) -> list[Span]:
        found = []
        for body in self.bodies:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                names = {each.key: each.value.string_value for each in resource.resource.attributes}
                assert names["service.name"] == "falcon-catalog"
                for scope in resource.scope_spans:
                    found += scope.spans
        return found

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def below(self, parent: Span) -> list[Span]:
        return [span for span in self.spans if span.parent_span_id == parent.span_id]


def about(span: Span) -> dict[str, Any]:
    return {each.key: each.value.int_value or each.value.string_value for each in span.attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            found.paths.add(self.path)
            found.bodies.append(body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def change(server: Server, **headers: str) -> None:
    update = {"action": "set-properties", "updates": {"a": "a value that stays"}}
    server.ok("POST", T, {"requirements": [], "updates": [update]}, headers=headers)


def test_a_commit_is_a_trace_from_the_client_to_the_file(
    tmp_path: Path, collector: Collector
) -> None:
    with serving(tmp_path, tracing__endpoint=collector.url) as server:
        server.namespace("ns")
        server.table("t")
        change(server, **SAMPLED)
    assert collector.paths == {"/v1/traces"}
    [request] = collector.named("POST /v1/namespaces/{namespace}/tables/{table}")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert request.kind == SERVER
    assert about(request) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/v1/namespaces/{namespace}/tables/{table}",
        "url.path": T,
        "falcon_catalog.request_id": "a-request",
        "falcon_catalog.warehouse": "default",
        "falcon_catalog.namespace": "ns",
        "falcon_catalog.table": "t",
    }
    [verb] = [span for span in collector.below(request) if span.name == "updateTable"]
    assert verb.kind == INTERNAL
    inner = collector.below(verb)
    assert {span.kind for span in inner} == {CLIENT}
    assert {span.trace_id for span in inner} == {request.trace_id}
    [written] = [span for span in inner if span.name == "file write"]
    assert about(written)["file.path"].startswith(f"file://{tmp_path}/warehouse/")
    assert [about(s) for s in inner if s.name == "store write"] == [
        {"db.system.name": "postgresql" if IN_POSTGRES else "sqlite", "db.operation.name": "write"}
    ]
    for span in (verb, *inner):
        assert request.start_time_unix_nano <= span.start_time_unix_nano
        assert span.end_time_unix_nano <= request.end_time_unix_nano


def test_a_load_shows_the_statement_without_its_values(
    tmp_path: Path, collector: Collector
) -> None:
    with serving(tmp_path, tracing__endpoint=collector.url) as server:
        server.namespace("ns")
        server.table("t")
        server.ok("GET", T, headers=SAMPLED)
    [verb] = collector.named("loadTable")
    [select] = [span for span in collector.below(verb) if span.name == "store statement"]
    assert about(select)["db.query.text"].lstrip().upper().startswith("SELECT")
    assert "?" in about(select)["db.query.text"]


def test_without_a_parent_a_request_begins_a_trace(tmp_path: Path, collector: Collector) -> None:
    with serving(tmp_path, tracing__endpoint=collector.url) as server:
        server.namespace("ns")
        server.ok("GET", "/v1/namespaces", headers={"traceparent": "nonsense"})
    requests = [span for span in collector.spans if span.kind == SERVER]
    assert len(requests) == len({span.trace_id for span in requests}) == 2
    assert {span.parent_span_id for span in requests} == {b""}


def test_what_the_client_does_not_sample_and_polls_are_not_traced(
    tmp_path: Path, collector: Collector
) -> None:
    unsampled = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
    with serving(tmp_path, tracing__endpoint=collector.url) as server:
        server.ok("GET", "/v1/namespaces", headers=unsampled)
        for path in ("/health/live", "/health/ready", "/metrics"):
            assert server.call("GET", path, headers=SAMPLED).status_code == 200
        server.ok("GET", "/v1/config")
    assert [span.name for span in collector.spans if span.kind == SERVER] == ["GET /v1/config"]


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/v1/namespaces/none/tables/t", 404, "NoSuchTableException"),
        ("/nowhere", 404, "NoSuchRouteException"),
        ("/v1/namespaces?pageSize=x", 400, "BadRequestException"),
    ],
)
def test_a_refused_request_has_its_error(
    path: str, status: int, error: str, tmp_path: Path, collector: Collector
) -> None:
    with serving(tmp_path, tracing__endpoint=collector.url) as server:
        answer = server.call("GET", path)
        assert (answer.status_code, answer.json()["error"]["type"]) == (status, error)
    [request] = [span for span in collector.spans if span.kind == SERVER]
    assert about(request)["http.response.status_code"] == status
    assert about(request)["error.type"] == error
    assert request.status.code == Status.STATUS_CODE_UNSET  # it is the client's


def test_a_servers_error_marks_the_spans(
    tmp_path: Path, collector: Collector, inside: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, tracing__endpoint=collector.url) as server:
        server.namespace("ns")
        server.table("t")
        files = server.app.warehouses[0].files._files

        def fail(*_: object, **__: object) -> None:
            raise OSError("a text that stays here")

        inside.setattr(files, "write", fail)
        update = {"action": "set-properties", "updates": {"a": "b"}}
        answer = server.call("POST", T, {"requirements": [], "updates": [update]})
        assert answer.status_code == 500
    [request] = collector.named("POST /v1/namespaces/{namespace}/tables/{table}")
    [written] = [s for s in collector.named("file write") if s.trace_id == request.trace_id]
    assert request.status.code == written.status.code == Status.STATUS_CODE_ERROR
    assert about(written)["error.type"] == "OSError"
    assert b"a text that stays here" not in b"".join(collector.bodies)


def test_no_secret_is_in_a_trace(tmp_path: Path, collector: Collector) -> None:
    with serving(tmp_path, tracing__endpoint=collector.url, auth__required=True) as server:
        secret = accounts.add(StoreCall(server.catalog.store), "etl", privileges=OWN)
        form = {"grant_type": "client_credentials", "client_id": "etl", "client_secret": secret}
        answer = server.call("POST", "/v1/oauth/tokens", data=form)
        token = answer.json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        server.ok("GET", "/v1/namespaces?pageToken=", headers=headers)
        assert server.call("GET", "/v1/namespaces?secret=in-the-query").status_code == 401
    sent = b"".join(collector.bodies)
    [listed] = collector.named("GET /v1/namespaces")
    assert about(listed)["falcon_catalog.principal"] == "etl"
    [refused] = collector.named("GET")  # before it has a route
    assert about(refused)["http.response.status_code"] == 401
    for text in (secret, token, "in-the-query"):
        assert text.encode() not in sent


def test_a_collector_that_does_not_answer_disturbs_nobody(tmp_path: Path) -> None:
    with serving(tmp_path, tracing__endpoint="http://127.0.0.1:9") as server:
        server.namespace("ns")
        server.table("t")
        change(server)
        assert server.ok("GET", T)["metadata"]["properties"]["a"] == "a value that stays"


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "falcon_catalog.catalog.tracing", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    monkeypatch.delitem(
        sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", raising=False
    )
    settings = load(
        None, {"STATE_DIRECTORY": str(tmp_path)}, {"tracing.endpoint": "http://127.0.0.1:4318"}
    )
    with pytest.raises(SettingsError, match=r"tracing\.endpoint.*'\.\[otel\]'"):
        create_app(settings)


@pytest.mark.parametrize(
    ("key", "value"),
    [("tracing.endpoint", "127.0.0.1:4318"), ("tracing.percent", 0), ("tracing.percent", 101)],
)
def test_a_wrong_setting_is_refused(key: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"{key} = {value!r}: it must be"):
        load(None, {}, {key: value})
