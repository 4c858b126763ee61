"""Web pages of other origins: what a browser would send for them is rejected."""

import http.client
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from falcon_catalog.settings import SettingsError, load
from tests.catalog.serving import JSON_BODY, SCHEMA, Server, serving

TABLES = "/v1/namespaces/ns/tables"
T = f"{TABLES}/t"
EVIL = "https://evil.example"
OURS = "https://notebook.example"
BODY = json.dumps({"namespace": ["planted"]})


def send(server: Server, verb: str, path: str, body: str | None = None, **headers: str) -> Any:
    """Send exactly these headers, named like ``Sec_Fetch_Site``; return the response."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    connection.putrequest(verb, path, skip_host="Host" in named, skip_accept_encoding=True)
    for name, value in named.items():
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(None if body is None else body.encode())
    answer = connection.getresponse()
    answer.text = answer.read().decode()  # type: ignore[attr-defined]
    connection.close()
    return answer


def message(answer: Any) -> str:
    error = json.loads(answer.text)["error"]
    assert error["code"] == answer.status
    return str(error["message"])


class TestASimpleRequest:
    """What a page may send without asking: a form, or text, to any address."""

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
    def test_with_a_body_that_is_no_json_has_no_effect(self, ns: Server, kind: str | None) -> None:
        headers = {} if kind is None else {"Content_Type": f"{kind};charset=UTF-8"}
        answer = send(ns, "POST", "/v1/namespaces", BODY, **headers)
        assert answer.status == 415
        assert "the body must be application/json" in message(answer)
        assert ns.call("HEAD", "/v1/namespaces/planted").status_code == 404

    def test_whose_type_only_mentions_json_has_no_effect(self, ns: Server) -> None:
        kind = "text/plain; application/json"
        assert send(ns, "POST", "/v1/namespaces", BODY, Content_Type=kind).status == 415

    def test_with_a_foreign_origin_has_no_effect(self, ns: Server) -> None:
        ns.table("t")
        for origin in (EVIL, "null", "http://127.0.0.1:1", f"{ns.url}.evil.example"):
            for verb, path, body in (
                ("POST", "/v1/namespaces", BODY),
                ("POST", f"{T}/metrics", None),
                ("DELETE", T, None),
                ("GET", T, None),
                ("GET", "/metrics", None),
                ("GET", "/v1/no/such/route", None),
            ):
                answer = send(ns, verb, path, body, Origin=origin, Content_Type="application/json")
                assert answer.status == 403, (origin, verb, path)
                assert "cors.origins" in message(answer)
        assert ns.call("HEAD", T).status_code == 204

    def test_from_another_site_is_rejected_even_without_an_origin(self, ns: Server) -> None:
        ns.table("t")
        answer = send(ns, "GET", T, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")
        assert answer.status == 403
        assert "cross-site" in message(answer)
        for site in ("same-origin", "none"):
            assert send(ns, "GET", T, Sec_Fetch_Site=site).status == 200

    def test_is_rejected_before_its_body_is_read(self, ns: Server) -> None:
        with_length = {"Origin": EVIL, "Content_Type": "application/json", "Content_Length": "9999"}
        assert send(ns, "POST", "/v1/namespaces", None, **with_length).status == 403

    def test_to_the_token_endpoint_is_rejected_by_its_origin(self, ns: Server) -> None:
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        path, body = "/v1/oauth/tokens", "grant_type=client_credentials"
        assert send(ns, "POST", path, body, **form, Origin=EVIL).status == 403
        assert send(ns, "POST", path, body, **form).status == 401


class TestTheHost:
    """DNS rebinding: a page's own name leads to this server."""

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "evil.example:8181",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost:8181:8181",
            "user@localhost",
            "[::1",
            "[::1].evil.example",
        ],
    )
    def test_that_is_another_s_name_is_rejected(self, ns: Server, host: str) -> None:
        for path in ("/v1/config", "/v1/namespaces", "/metrics", "/health/live", "/nowhere"):
            answer = send(ns, "GET", path, Host=host)
            assert answer.status in (400, 403), path
        body = {"Content_Type": "application/json"}
        assert send(ns, "POST", "/v1/namespaces", BODY, Host=host, **body).status in (400, 403)
        assert ns.call("HEAD", "/v1/namespaces/planted").status_code == 404

    def test_the_message_names_the_setting(self, ns: Server) -> None:
        said = message(send(ns, "GET", "/v1/config", Host="catalog.example:80"))
        assert said == (
            "Host 'catalog.example:80' is not a name of this server: if it is one, add it to"
            " server.allowed_hosts"
        )

    @pytest.mark.parametrize(
        "host",
        [
            "localhost",
            "LocalHost.:8181",
            "127.0.0.1",
            "[::1]:8181",
            "192.168.1.7:8181",
            "[fe80::1]",
        ],
    )
    def test_of_this_machine_or_an_address_is_accepted(self, ns: Server, host: str) -> None:
        """A name can be resolved to another address later, an address cannot."""
        assert send(ns, "GET", "/v1/config", Host=host).status == 200

    def test_of_the_settings_is_accepted(self, tmp_path: Path) -> None:
        with serving(tmp_path, server__allowed_hosts="lake.example, Catalog") as server:
            for host in ("lake.example", "LAKE.example:443", "catalog:8181"):
                assert send(server, "GET", "/v1/config", Host=host).status == 200
            assert send(server, "GET", "/v1/config", Host="other.example").status == 403

    def test_of_an_absolute_target_decides(self, ns: Server) -> None:
        """RFC 9112, 3.2.2: it replaces the Host."""
        address = urlsplit(ns.url).netloc
        target = "http://evil.example/v1/config"
        assert send(ns, "GET", target, Host=address).status == 403
        assert send(ns, "GET", f"{ns.url}/v1/config", Host=address).status == 200

    def test_its_own_page_may_call_the_server(self, ns: Server) -> None:
        own = {
            "Origin": ns.url,
            "Sec_Fetch_Site": "same-origin",
            "Content_Type": "application/json",
        }
        assert send(ns, "POST", "/v1/namespaces", BODY, **own).status == 200


@pytest.fixture
def listed(tmp_path: Path) -> Any:
    with serving(tmp_path, cors__origins=OURS) as server:
        server.namespace("ns")
        server.table("t")
        yield server


class TestCors:
    """Pages of the origins in cors.origins, such as DuckDB-Wasm in a notebook."""

    def test_is_off_by_default(self, ns: Server) -> None:
        asked = {"Origin": OURS, "Access_Control_Request_Method": "POST"}
        answer = send(ns, "OPTIONS", "/v1/namespaces", **asked)
        assert answer.status == 403
        assert answer.getheader("Access-Control-Allow-Origin") is None

    def test_a_browser_s_question_is_answered_alike_for_every_route(self, listed: Server) -> None:
        asked = {
            "Origin": OURS,
            "Access_Control_Request_Method": "POST",
            "Access_Control_Request_Headers": "content-type,authorization,x-other",
        }
        answers = [
            send(listed, "OPTIONS", path, **asked) for path in (T, "/v1/config", "/v1/no/such")
        ]
        for answer in answers:
            assert (answer.status, answer.text) == (204, "")
            assert answer.getheader("Access-Control-Allow-Origin") == OURS
            assert answer.getheader("Access-Control-Allow-Credentials") is None
            assert answer.getheader("Access-Control-Max-Age") == "600"
            assert "DELETE" in answer.getheader("Access-Control-Allow-Methods")
            allowed = answer.getheader("Access-Control-Allow-Headers").lower()
            assert "idempotency-key" in allowed
            assert "x-other" not in allowed
            assert "Origin" in answer.getheader("Vary")

    def test_a_listed_page_reads_and_writes(self, listed: Server) -> None:
        page = {"Origin": OURS, "Sec_Fetch_Site": "cross-site"}
        answer = send(listed, "GET", T, **page)
        assert answer.status == 200
        assert answer.getheader("Access-Control-Allow-Origin") == OURS
        assert "ETag" in answer.getheader("Access-Control-Expose-Headers")
        assert answer.getheader("Vary") == "Accept-Encoding, Origin"
        made = send(listed, "POST", TABLES, json.dumps({"name": "u", "schema": SCHEMA}), **page)
        assert made.status == 415
        assert made.getheader("Access-Control-Allow-Origin") == OURS  # so that it sees why
        body = json.dumps({"name": "u", "schema": SCHEMA})
        made = send(listed, "POST", TABLES, body, **page, Content_Type="application/json")
        assert made.status == 200

    @pytest.mark.parametrize(
        "origin", [EVIL, f"{OURS}.evil.example", f"{OURS}:8443", "http://notebook.example", "null"]
    )
    def test_another_page_does_not(self, listed: Server, origin: str) -> None:
        answer = send(listed, "GET", T, Origin=origin)
        assert answer.status == 403
        assert answer.getheader("Access-Control-Allow-Origin") is None
        assert "Origin" in answer.getheader("Vary")

    def test_a_question_needs_no_token_and_an_answer_does(self, tmp_path: Path) -> None:
        with serving(tmp_path, cors__origins="*", auth__required=True) as server:
            page = {"Origin": EVIL, "Sec_Fetch_Site": "cross-site"}
            asked = {**page, "Access_Control_Request_Method": "GET"}
            answer = send(server, "OPTIONS", "/v1/config", **asked)
            assert (answer.status, answer.getheader("Access-Control-Allow-Origin")) == (204, "*")
            answer = send(server, "GET", "/v1/config", **page)
            assert (answer.status, answer.getheader("Access-Control-Allow-Origin")) == (401, "*")

    def test_any_origin_needs_tokens(self) -> None:
        with pytest.raises(SettingsError, match=r"cors.origins = '\*': it needs auth.required"):
            load(None, {}, {"cors.origins": "*"})

    @pytest.mark.parametrize(
        "value", ["notebook.example", "https://notebook.example/", "https://*.example", "null"]
    )
    def test_an_origin_is_exact(self, value: str) -> None:
        with pytest.raises(SettingsError, match="must be origins"):
            load(None, {}, {"cors.origins": value})


def test_responses_are_for_their_own_origin_only(ns: Server) -> None:
    """Neither a script nor an image of another page can make anything of them."""
    for path in ("/v1/config", "/v1/no/such", "/metrics"):
        answer = ns.call("GET", path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_no_get_changes_anything(ns: Server) -> None:
    """A browser sends a GET for any image of any page."""
    ns.table("t")
    statements: list[str] = []
    write: Callable[..., Any] = ns.app.warehouses[0].store.write

    def noted() -> Any:
        statements.append("write")
        return write()

    patch = pytest.MonkeyPatch()
    patch.setattr(ns.app.warehouses[0].store, "write", noted)
    try:
        from falcon_catalog.api.routes import operations  # noqa: PLC0415

        values = {"namespace": "ns", "table": "t", "prefix": "default", "view": "v"}
        for template, verb in {key for key, _ in operations()}:
            if verb in ("GET", "HEAD"):
                path = template
                for part in template.split("/"):
                    if part.startswith("{"):
                        name = part.strip("{}").partition(":")[0]
                        path = path.replace(part, values.get(name, "1"), 1)
                ns.call(verb, path)
    finally:
        patch.undo()
    assert statements == []


def test_an_empty_body_needs_no_type(ns: Server) -> None:
    """Some clients send POST and DELETE without either."""
    ns.table("t")
    assert send(ns, "DELETE", T).status == 204
    [entry] = ns.ok("GET", "/management/v1/warehouses/default/dropped")["dropped"]
    path = f"/management/v1/warehouses/default/dropped/{entry['id']}/undrop"
    assert send(ns, "POST", path, "").status == 200
    assert ns.call("POST", T, data=b"{}", headers=JSON_BODY).status_code == 200
