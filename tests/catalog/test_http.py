"""What holds for every route: one error shape, honest verbs, the advertised routes."""

import gzip
import re
from typing import Any

import pytest
import requests

from falcon_catalog.api.routes import ENDPOINTS
from falcon_catalog.errors import CatalogError
from tests.catalog.serving import JSON_BODY, Server
from tests.reference import SPECIFICATION


class TestErrors:
    @pytest.mark.parametrize(
        ("verb", "path", "status", "kind"),
        [
            ("GET", "/v1", 404, "NoSuchRouteException"),
            ("GET", "/v1/nothing", 404, "NoSuchRouteException"),
            ("GET", "/v2/namespaces", 404, "NoSuchRouteException"),
            ("GET", "/v1/no/such/thing/at/all", 404, "NoSuchRouteException"),
            ("PUT", "/v1/namespaces", 405, "MethodNotAllowedException"),
            ("GET", "/v1/tables/rename", 405, "MethodNotAllowedException"),
            ("GET", "/v1/other/namespaces", 404, "NoSuchWarehouseException"),
            ("GET", "/v1/namespaces/%ff", 400, "BadRequestException"),
            ("GET", "/v1/namespaces/a%1F", 400, "BadRequestException"),
            ("GET", "/v1/namespaces/a%00b", 400, "BadRequestException"),
        ],
    )
    def test_every_refusal_has_the_one_shape(
        self, server: Server, verb: str, path: str, status: int, kind: str
    ) -> None:
        assert server.fails(verb, path)[:2] == (status, kind)

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b"7", b'"x"', b"null", b"\xff\xfe", b'{"a":1}x', b"[" * 100_000]
    )
    def test_a_body_that_is_no_object_is_the_client_s_mistake(
        self, ns: Server, body: bytes
    ) -> None:
        ns.table("t")
        for path in (
            "namespaces",
            "namespaces/ns/properties",
            "namespaces/ns/tables",
            "namespaces/ns/tables/t",
            "namespaces/ns/register",
            "tables/rename",
            "transactions/commit",
        ):
            answer = requests.post(f"{ns.url}/v1/{path}", data=body, headers=JSON_BODY, timeout=30)
            assert answer.status_code == 400, path
            assert answer.json()["error"]["type"] == "BadRequestException"

    @pytest.mark.parametrize("coding", ["gzip", "x-gzip", "br", "zstd", "gzip, gzip"])
    def test_a_compressed_body_is_refused_by_its_encoding(self, ns: Server, coding: str) -> None:
        ns.table("t")
        body = gzip.compress(b'{"updates": []}')
        answer = requests.post(
            f"{ns.url}/v1/namespaces/ns/tables/t",
            data=body,
            headers={**JSON_BODY, "Content-Encoding": coding},
            timeout=30,
        )
        assert answer.status_code == 415
        assert answer.headers["Accept-Encoding"] == "identity"  # RFC 9110, 15.5.16
        error = answer.json()["error"]
        assert error["type"] == "UnsupportedMediaTypeException"
        assert repr(coding) in error["message"]

    def test_a_body_without_an_encoding_may_say_so(self, ns: Server) -> None:
        ns.ok(
            "POST",
            "/v1/namespaces",
            {"namespace": ["n"]},
            headers={"Content-Encoding": "identity"},
        )

    def test_a_failure_of_the_server_tells_where_to_look_and_nothing_more(
        self, server: Server, inside: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("a secret")

        inside.setattr("falcon_catalog.store.namespaces.children", fail)
        answer = server.call("GET", "/v1/namespaces", headers={"X-Request-Id": "abc"})
        assert answer.status_code == 500
        assert answer.json()["error"]["type"] == "InternalServerError"
        assert "abc" in answer.text
        assert "secret" not in answer.text

    def test_a_request_id_is_kept_when_it_is_harmless(self, server: Server) -> None:
        for given, kept in (("abc-1", True), ("a b", False), ("x" * 65, False)):
            answer = server.call("GET", "/v1/config", headers={"X-Request-Id": given})
            assert (answer.headers["X-Request-Id"] == given) is kept

    def test_nobody_s_token_is_asked_for(self, server: Server) -> None:
        for token in ("Bearer None", "Bearer x", "Basic eDp5"):
            answer = server.call("GET", "/v1/namespaces", headers={"Authorization": token})
            assert answer.status_code == 200


class TestConfig:
    def test_a_warehouse_is_chosen_by_name_or_location(self, server: Server) -> None:
        for selector in (None, "", "default", f"file://{server.warehouse}"):
            params = {} if selector is None else {"warehouse": selector}
            config = server.ok("GET", "/v1/config", params=params)
            assert config["defaults"] == {}
            assert config["overrides"] == {"prefix": "default"}
        assert server.fails("GET", "/v1/config", params={"warehouse": "other"})[:2] == (
            404,
            "NoSuchWarehouseException",
        )

    def test_every_advertised_route_answers_and_no_other_verb_does(self, server: Server) -> None:
        endpoints = server.ok("GET", "/v1/config")["endpoints"]
        assert endpoints == ENDPOINTS
        paths = {endpoint.split(" ")[1] for endpoint in endpoints}
        for path in paths:
            names = {"prefix": "default", "namespace": "n", "table": "t", "view": "v"}
            real = path.format(**names, **{"plan-id": "p", "function": "f"})
            for verb in ("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH"):
                for address in (real, real.replace("/default", "", 1)):
                    status = server.call(verb, address).status_code
                    assert (status == 405) is (f"{verb} {path}" not in endpoints)

    @pytest.mark.reference
    def test_every_advertised_route_is_one_of_the_specification(self) -> None:
        yaml = pytest.importorskip("yaml")
        document = yaml.safe_load(SPECIFICATION.read_text())
        known = {
            f"{verb.upper()} {path}"
            for path, operations in document["paths"].items()
            for verb in operations
            if verb != "parameters"
        }
        assert set(ENDPOINTS) <= known


class TestErrorTypes:
    @pytest.mark.reference
    def test_every_error_type_of_the_specification_has_a_class(self) -> None:
        named = set(
            re.findall(r'"?type"?: "?(\w+(?:Exception|Error))"?', SPECIFICATION.read_text())
        )
        # The specification prefers 401 to this type's status 419, which DuckDB cannot read.
        named.remove("AuthenticationTimeoutException")
        assert len(named) > 15
        assert named <= {kind.type for kind in _subclasses(CatalogError)}


def _subclasses(kind: type[CatalogError]) -> set[type[CatalogError]]:
    below = set(kind.__subclasses__())
    return below.union(*map(_subclasses, below))


class TestHealth:
    def test_alive_and_ready(self, server: Server) -> None:
        assert server.ok("GET", "/health/live") == {"status": "live"}
        assert server.ok("GET", "/health/ready") == {"status": "ready"}

    @pytest.mark.sqlite
    def test_a_database_that_takes_no_changes_is_not_ready(self, server: Server) -> None:
        server.app.warehouses[0].store.writer._broken = "disk I/O error"
        assert server.fails("GET", "/health/ready")[:2] == (503, "SlowDownException")
        assert server.ok("GET", "/health/live") == {"status": "live"}
        status, kind, message = server.fails("POST", "/v1/namespaces", {"namespace": ["a"]})
        assert (status, kind) == (503, "SlowDownException")
        assert "disk I/O error" in message


IDENTIFIER = {"namespace": ["ns"], "name": "t"}
OPTIONAL = [
    ("POST", "/v1/namespaces", {"namespace": ["n"]}, ["properties"]),
    ("POST", "/v1/namespaces/ns/properties", {}, ["removals", "updates"]),
    (
        "POST",
        "/v1/namespaces/ns/tables",
        {"name": "new", "schema": {"type": "struct", "fields": []}},
        ["location", "partition-spec", "write-order", "stage-create", "properties"],
    ),
    ("POST", "/v1/namespaces/ns/tables/t", {"updates": []}, ["requirements", "identifier"]),
    ("POST", "/v1/namespaces/ns/tables/t", {"requirements": []}, ["updates"]),
    (
        "POST",
        "/v1/transactions/commit",
        {"table-changes": [{"identifier": IDENTIFIER}]},
        ["requirements", "updates"],
    ),
    (
        "POST",
        "/v1/namespaces/ns/tables/t/plan",
        {},
        [
            *("snapshot-id", "select", "filter", "case-sensitive", "use-snapshot-schema"),
            *("start-snapshot-id", "end-snapshot-id", "stats-fields", "min-rows-requested"),
        ],
    ),
    (
        "POST",
        "/v1/namespaces/ns/register",
        {"name": "registered", "metadata-location": "{metadata}"},
        ["overwrite"],
    ),
]


@pytest.mark.parametrize(
    ("verb", "path", "body", "optional"),
    OPTIONAL,
    ids=[f"{one[1]}-{one[3][0]}" for one in OPTIONAL],
)
def test_an_optional_field_may_be_null(
    ns: Server, verb: str, path: str, body: dict[str, Any], optional: list[str]
) -> None:
    """Clients that write each field of a request write null for what is not given."""
    made = ns.table("t")
    if path.endswith("register"):
        ns.ok("POST", "/v1/namespaces/ns/tables/t/unregister")
        body = {**body, "metadata-location": made["metadata-location"]}
    nulls = dict.fromkeys(optional)
    if "table-changes" in body:
        body = {"table-changes": [{**body["table-changes"][0], **nulls}]}
    answer = ns.call(verb, path, {**body, **nulls} if "table-changes" not in body else body)
    assert answer.ok, answer.text
