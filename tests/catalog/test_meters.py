"""What a running catalog tells of itself: /metrics and the access log."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from falcon_catalog.api.routes import MANAGEMENT_ROUTES, ROUTES
from falcon_catalog.catalog import accounts
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.privileges import OWN
from tests import several
from tests.catalog.serving import Server
from tests.processes import wait_for
from tests.reference import SPECIFICATION
from tests.several import PROCESSES

Start = Callable[..., Server]
T = "/v1/namespaces/ns/tables/t"


def metrics(server: Server) -> dict[str, float]:
    """Return the samples, named as Prometheus shows them."""
    answer = server.call("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    several_texts = server.processes > 1
    sums: Counter[str] = Counter()
    for text in several.metrics(server.url, server.processes) if several_texts else [answer.text]:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                sums[" ".join([sample.name, *sample.labels.values()])] += sample.value
    return sums


def set_property(value: str) -> dict[str, object]:
    return {"updates": [{"action": "set-properties", "updates": {"k": value}}]}


class TestMetrics:
    def test_requests_are_counted_by_operation_and_status(self, ns: Server) -> None:
        ns.table("t")
        ns.ok("GET", T)
        ns.ok("GET", "/v1/default/namespaces/ns/tables/t")
        ns.fails("GET", "/v1/namespaces/ns/tables/none")
        ns.fails("GET", "/no/such/route")
        ns.ok("POST", T, set_property("v"))
        ns.fails("POST", T, {**set_property("w"), "requirements": [{"type": "assert-create"}]})
        seen = metrics(ns)
        name = "falcon_catalog_requests_total"
        assert seen[f"{name} loadTable 200"] == 2
        assert seen[f"{name} loadTable 404"] == 1
        assert seen[f"{name} createNamespace 200"] == 1
        assert seen[f"{name} other 404"] == 1
        assert seen[f"{name} updateTable 409"] == 1
        assert seen["falcon_catalog_request_seconds_count loadTable"] == 3
        assert seen["falcon_catalog_response_bytes_total loadTable"] > 500
        assert seen["falcon_catalog_commits_total updateTable"] == 1
        assert seen["falcon_catalog_commit_conflicts_total updateTable"] == 1

    def test_the_store_and_the_disk_are_timed(self, ns: Server) -> None:
        before = metrics(ns)
        ns.table("t")
        after = metrics(ns)
        for name in ("store_transaction", "store_commit", "file_sync"):
            count = f"falcon_catalog_{name}_seconds_count"
            assert after[count] > before[count], name

    def test_the_cache_is_told(self, ns: Server) -> None:
        ns.table("t")
        before = metrics(ns)
        for _ in range(3):
            ns.ok("GET", T)

        def asked(what: str) -> float:
            name = f"falcon_catalog_cache_{what}_total"
            return metrics(ns)[name] - before[name]

        wait_for(lambda: asked("hits") + asked("misses") == 3)
        assert asked("misses") <= PROCESSES
        assert metrics(ns)["falcon_catalog_cache_bytes"] > 0

    def test_a_lost_swap_is_a_retry(self, start: Start) -> None:
        servers = [start(), start()]  # of one store: neither waits for the other's turn
        servers[0].namespace("ns")
        servers[0].table("t")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: servers[n % 2].ok("POST", T, set_property(str(n))), range(60)))
        seen = [metrics(server) for server in servers]
        assert sum(one["falcon_catalog_commits_total updateTable"] for one in seen) == 60
        assert sum(one["falcon_catalog_commit_retries_total"] for one in seen) > 0

    def test_a_replay_is_counted(self, ns: Server) -> None:
        ns.table("t")
        key = {"Idempotency-Key": "00000000-0000-0000-0000-000000000001"}
        for _ in range(3):
            ns.ok("POST", T, set_property("v"), headers=key)
        assert metrics(ns)["falcon_catalog_idempotent_replays_total"] == 2

    def test_who_asks_is_in_flight_and_connected(self, server: Server) -> None:
        seen = metrics(server)
        assert seen["falcon_catalog_requests_in_flight"] == server.processes
        assert seen["falcon_catalog_connections"] >= 1
        assert seen["falcon_catalog_requests_queued"] == 0

    def test_no_label_has_a_client_s_word(self, server: Server) -> None:
        server.namespace("secretspace")
        body = {"name": "secrettable", "schema": {"type": "struct", "fields": []}}
        server.ok("POST", "/v1/namespaces/secretspace/tables", body)
        server.call("GET", "/v1/secretwarehouse/namespaces")
        assert "secret" not in server.call("GET", "/metrics").text

    def test_a_token_is_needed_where_tokens_are(self, start: Start) -> None:
        server = start(auth__required=True)
        assert server.fails("GET", "/metrics")[:2] == (401, "NotAuthorizedException")
        secret = accounts.add(StoreCall(server.catalog.store), "prometheus", privileges=OWN)
        token = requests.post(
            f"{server.url}/v1/oauth/tokens",
            data={"grant_type": "client_credentials"},
            auth=("prometheus", secret),
            timeout=30,
        ).json()["access_token"]

        def told() -> str:
            answer = server.call("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 200
            return answer.text

        # Each process counts for itself, and a new connection may come to either.
        wait_for(lambda: 'operation="other",status="401"' in told())

    def test_they_can_be_public(self, start: Start) -> None:
        server = start(auth__required=True, metrics__public=True)
        assert server.call("GET", "/metrics").status_code == 200
        assert server.fails("GET", "/v1/config")[0] == 401


class TestOperations:
    @pytest.mark.reference
    def test_they_are_named_as_in_the_specification(self) -> None:
        yaml = pytest.importorskip("yaml")
        paths = yaml.safe_load(SPECIFICATION.read_text())["paths"]
        for path, (_, verbs) in ROUTES.items():
            for verb, operation in verbs.items():
                assert paths[path][verb.lower()]["operationId"] == operation

    def test_no_name_means_two_things(self) -> None:
        named = [*ROUTES.values(), *MANAGEMENT_ROUTES.values()]
        names = [operation for _, verbs in named for operation in verbs.values()]
        assert len(names) == len(set(names))


@contextmanager
def access_log(server: Server) -> Iterator[list[str]]:
    """Yield a list that has, at the end, what the requests within added to the access log."""
    added: list[str] = []
    before = len(server.log)
    yield added
    lines = server.log[before:].splitlines()
    added += [line for line in lines if "falcon_catalog.access" in line]


class TestAccessLog:
    """Where lines are compared in order one process serves: each writes its own in batches."""

    def test_each_request_is_one_line_of_json(self, start: Start) -> None:
        ns = start(apart=True, processes=1, log__format="json")
        ns.namespace("ns")
        ns.table("t")
        with access_log(ns) as lines:
            size = len(ns.call("GET", T, headers={"X-Request-Id": "mine"}).content)
            ns.fails("GET", "/v1/namespaces/ns/tables/none%20such")
            ns.call("GET", "/v1/namespaces/a%1Fb")
            ns.call("PUT", '/who"knows')
        loaded, missing, nested, unknown = map(json.loads, lines)
        milliseconds = loaded.pop("ms")
        assert 0 < milliseconds < 60_000
        assert loaded.pop("time")
        assert loaded == {
            "level": "info",
            "logger": "falcon_catalog.access",
            "message": f"GET {T}",
            "id": "mine",
            "operation": "loadTable",
            "status": 200,
            "bytes": size,
            "warehouse": "default",
            "namespace": "ns",
            "table": "t",
        }
        assert missing["table"] == "none such"
        assert missing["error"] == "NoSuchTableException"
        assert nested["namespace"] == "a.b"
        assert unknown["operation"] == "other"
        assert unknown["status"] == 404

    def test_each_request_is_one_line_of_pairs(self, start: Start) -> None:
        server = start(apart=True, processes=1)
        server.namespace("ns")
        with access_log(server) as lines:
            for name in ("a%22%20b%0A", "none%20such"):
                path = f"/v1/namespaces/ns/tables/{name}"
                server.fails("GET", path, headers={"X-Request-Id": "mine"})
        assert len(lines) == 2
        assert " id=mine operation=loadTable status=404 ms=" in lines[1]
        assert lines[1].endswith(
            ' warehouse=default namespace=ns table="none such" error=NoSuchTableException'
        )
        assert all(line.isprintable() for line in lines)

    def test_who_asked_is_told(self, start: Start) -> None:
        server = start(apart=True, auth__required=True, log__format="json")
        secret = accounts.add(StoreCall(server.catalog.store), "etl", privileges=OWN)
        form = {"grant_type": "client_credentials"}
        url = f"{server.url}/v1/oauth/tokens"
        answer = requests.post(url, data=form, auth=("etl", secret), timeout=30).json()
        token = answer["access_token"]
        with access_log(server) as lines:
            server.ok("GET", "/v1/namespaces", headers={"Authorization": f"Bearer {token}"})
        (line,) = lines
        assert json.loads(line)["principal"] == "etl"
        assert token not in line

    def test_it_can_be_left_out(self, start: Start) -> None:
        server = start(apart=True, log__access=False)
        with access_log(server) as lines:
            server.ok("GET", "/v1/namespaces")
            # A line that comes later, and not from the access log: what came before is there, too.
            server.call("GET", "/v1/namespaces", headers={"Transfer-Encoding": "unknown"})
            while "request refused" not in server.log:
                time.sleep(0.01)
        assert lines == []
        assert metrics(server)["falcon_catalog_requests_total listNamespaces 200"] == 1

    def test_what_a_body_names_is_told(self, start: Start) -> None:
        ns = start(apart=True, processes=1, log__format="json")
        schema = {"type": "struct", "fields": []}
        view = {
            "name": "v",
            "schema": schema,
            "view-version": {
                "version-id": 1,
                "timestamp-ms": 1,
                "schema-id": 0,
                "summary": {},
                "default-namespace": ["ns"],
                "representations": [{"type": "sql", "sql": "SELECT 1", "dialect": "spark"}],
            },
            "properties": {},
        }
        names = [f"t{number}" for number in range(12)]

        def identifier(name: str, *levels: str) -> dict[str, Any]:
            return {"namespace": [*(levels or ("ns",))], "name": name}

        with access_log(ns) as lines:
            ns.ok("POST", "/v1/namespaces", {"namespace": ["ns"]})
            ns.ok("POST", "/v1/namespaces", {"namespace": ["ns", "in"]})
            made = ns.ok("POST", "/v1/namespaces/ns/tables", {"name": "t", "schema": schema})
            ns.fails("POST", "/v1/namespaces/ns/tables", {"name": "t", "schema": schema})
            ns.ok("POST", "/v1/namespaces/ns/views", view)
            renamed = {"source": identifier("t"), "destination": identifier("u", "ns", "in")}
            ns.ok("POST", "/v1/tables/rename", renamed)
            renamed = {"source": identifier("v"), "destination": identifier("w")}
            ns.ok("POST", "/v1/views/rename", renamed)
            ns.ok("POST", "/v1/namespaces/ns%1Fin/tables/u/unregister")
            there = {"name": "r", "metadata-location": made["metadata-location"]}
            ns.ok("POST", "/v1/namespaces/ns/register", there)
            changes = [{"identifier": identifier(name), "updates": []} for name in names]
            ns.fails("POST", "/v1/transactions/commit", {"table-changes": changes})
            ns.fails("POST", "/v1/transactions/commit", {"table-changes": changes[:2]})
            ns.ok("DELETE", "/v1/namespaces/ns/tables/r")
            dropped = "/management/v1/warehouses/default/dropped"
            number = ns.ok("GET", dropped)["dropped"][0]["id"]
            ns.ok("POST", f"{dropped}/{number}/undrop", {"identifier": identifier("s")})
        keys = ("namespace", "table", "to_namespace", "to_table", "tables")
        told = [[line.get(key) for key in keys if key in line] for line in map(json.loads, lines)]
        assert told == [
            ["ns"],
            ["ns.in"],
            ["ns", "t"],
            ["ns", "t"],
            ["ns", "v"],
            ["ns", "t", "ns.in", "u"],
            ["ns", "v", "ns", "w"],
            ["ns.in", "u"],
            ["ns", "r"],
            [", ".join(f"ns.{name}" for name in names[:10]) + " and 2 more"],
            ["ns.t0, ns.t1"],
            ["ns", "r"],
            [],
            ["ns", "s"],
        ]

    def test_a_name_in_a_body_makes_no_line_of_its_own(self, start: Start) -> None:
        ns = start(apart=True, processes=1)
        ns.namespace("ns")
        bodies: list[dict[str, Any]] = [
            {"name": 'a\nlevel=error message="b'},
            {"name": "x" * 100_000},
            {"name": "\u202e\u2028\x85\x9b31m\U0001f600"},
            {"name": ["a"] * 10_000},
            {"name": {"a": "b"}},
            {},
        ]
        with access_log(ns) as lines:
            for body in bodies:
                ns.fails("POST", "/v1/namespaces/ns/tables", body)
                ns.fails("POST", "/v1/namespaces/ns/register", {**body, "metadata-location": "x"})
            levels = ["y" * 255] * 64
            ns.fails("POST", "/v1/namespaces", {"namespace": levels})
            source = {"namespace": levels, "name": "t"}
            ns.fails("POST", "/v1/tables/rename", {"source": source, "destination": source})
        assert len(lines) == 2 * len(bodies) + 2
        assert all(line.isprintable() and len(line) < 2000 for line in lines)
        assert r'table="a\nlevel=error message=\"b"' in lines[0]
        assert f"table={'x' * 300}… " in lines[2]
        assert all("table=" not in line for line in lines[6:12])
