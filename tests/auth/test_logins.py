"""Logins of people: what is sent where, and what is kept."""

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from falcon_catalog.logins import files, flows
from falcon_catalog.logins.files import Login
from falcon_catalog.logins.flows import Client
from falcon_catalog.logins.web import LoginError, RefusedError, get, post
from tests.auth.issuer import Provider, send

URI = "https://lake.example"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "falcon-catalog"


@pytest.mark.parametrize(
    "url",
    [
        "http://lake.example/",
        "http://127.0.0.1.evil.example/",
        "http://localhost:80@evil.example/",
        "https://user:pw@lake.example/",
        "file:///etc/passwd",
        "ftp://lake.example",
    ],
)
def test_nothing_is_sent_in_the_clear(url: str) -> None:
    with pytest.raises(LoginError, match="must be https"):
        get(url, token="secret")  # noqa: S106 - none
    with pytest.raises(LoginError, match="must be https"):
        post(url, {"client_secret": "x"})


def test_answers_that_are_none(idp: Provider) -> None:
    idp.responses["/moved"] = lambda h: send(h, b"", status=302, Location=f"{idp.url}/keys")
    idp.responses["/text"] = lambda h: send(h, b"<html>")
    idp.responses["/list"] = lambda h: send(h, [])
    idp.responses["/long"] = lambda h: send(h, b'{"a": "' + b"x" * 2_000_000)
    idp.responses["/refused"] = lambda h: send(h, {"error": "access_denied"}, status=400)
    for page in ("moved", "text", "list", "long"):
        with pytest.raises(LoginError):
            get(f"{idp.url}/{page}")
    assert "/keys" not in idp.requests
    with pytest.raises(RefusedError) as caught:
        get(f"{idp.url}/refused")
    assert caught.value.code == "access_denied"


def test_a_provider_that_is_another_one(idp: Provider) -> None:
    client = Client("corp", f"{idp.issuer}/", "cli")
    with pytest.raises(LoginError, match="another issuer"):
        client.discover()
    with pytest.raises(LoginError, match="no token endpoint"):
        Client("corp", idp.issuer, "cli").discover()


def test_the_browser_comes_back_with_the_state(idp: Provider) -> None:
    """Only the page that was opened knows it: any other page can send the browser there, too."""
    sent: list[dict[str, list[str]]] = []

    def token(handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers["Content-Length"])
        sent.append(parse_qs(handler.rfile.read(length).decode()))
        send(handler, {"access_token": "t", "expires_in": 60, "refresh_token": "r"})

    idp.responses["/token"] = token

    def browser(url: str) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["code_challenge_method"] == "S256"
        back = asked["redirect_uri"]
        for wrong in ({}, {"state": "x", "code": "evil"}, {"state": "", "code": "evil"}):
            assert requests.get(back, wrong, timeout=30).status_code == 404
        other = back.replace("/callback", "/other")
        right = {"state": asked["state"], "code": "good"}
        assert requests.get(other, right, timeout=30).status_code == 404
        assert requests.get(back, right, timeout=30).status_code == 200

    endpoints = {"authorization_endpoint": "https://x/a", "token_endpoint": f"{idp.url}/token"}
    client = Client("corp", idp.issuer, "cli", ("openid",), {"audience": "catalog"})
    login = flows.with_browser(client, endpoints, lambda _: None, browser)
    assert (login.token, login.refresh_token, login.client_id) == ("t", "r", "cli")
    assert sent[0]["code"] == ["good"]
    assert sent[0]["audience"] == ["catalog"]
    assert len(sent[0]["code_verifier"][0]) >= 43


def test_a_refused_login(idp: Provider) -> None:
    def browser(url: str) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        refused = {"state": asked["state"], "error": "<script>", "error_description": "no"}
        page = requests.get(asked["redirect_uri"], refused, timeout=30)
        assert "<script>" not in page.text

    endpoints = {"authorization_endpoint": "https://x/a", "token_endpoint": f"{idp.url}/token"}
    with pytest.raises(LoginError, match="refused: no"):
        flows.with_browser(Client("corp", idp.issuer, "cli"), endpoints, lambda _: None, browser)


def test_device_codes_wait_as_they_are_told(idp: Provider) -> None:
    answers = ["authorization_pending", "slow_down", "authorization_pending", ""]
    slept: list[float] = []
    idp.responses["/device"] = lambda h: send(
        h, {"device_code": "d", "user_code": "A-B", "verification_uri": "https://x", "interval": 2}
    )

    def token(handler: BaseHTTPRequestHandler) -> None:
        error = answers.pop(0)
        if error:
            send(handler, {"error": error}, status=400)
        else:
            send(handler, {"access_token": "t"})

    idp.responses["/token"] = token
    endpoints = {
        "device_authorization_endpoint": f"{idp.url}/device",
        "token_endpoint": f"{idp.url}/token",
    }
    client = Client("corp", idp.issuer, "cli")
    login = flows.with_device_code(client, endpoints, lambda _: None, slept.append)
    assert login.token == "t"  # noqa: S105 - none
    assert slept == [2, 2, 7, 7]
    answers[:] = ["expired_token"]
    with pytest.raises(RefusedError):
        flows.with_device_code(client, endpoints, lambda _: None, slept.append)


@pytest.mark.parametrize(
    "page", ["file:///etc/passwd", "javascript:alert(1)", "http://evil.example/", "--help"]
)
def test_only_a_web_page_is_opened(idp: Provider, page: str) -> None:
    opened: list[str] = []
    client = Client("corp", idp.issuer, "cli")
    endpoints = {"authorization_endpoint": page, "token_endpoint": f"{idp.url}/token"}
    with pytest.raises(LoginError, match="must be https"):
        flows.with_browser(client, endpoints, opened.append, opened.append)
    begun = {"device_code": "d", "user_code": "u", "verification_uri": page}
    idp.responses["/device"] = lambda h: send(h, begun)
    endpoints = {"device_authorization_endpoint": f"{idp.url}/device"}
    with pytest.raises(LoginError, match="must be https"):
        flows.with_device_code(client, endpoints, opened.append, opened.append)
    assert opened == []


@pytest.mark.parametrize("value", ["soon", -1, "nan", None, [5]])
def test_a_time_that_is_none(idp: Provider, value: object) -> None:
    begun = {"device_code": "d", "verification_uri": "https://x/", "interval": value}
    idp.responses["/device"] = lambda h: send(h, begun)
    endpoints = {"device_authorization_endpoint": f"{idp.url}/device"}
    with pytest.raises(LoginError, match="as a time in seconds"):
        flows.with_device_code(
            Client("corp", idp.issuer, "cli"), endpoints, lambda _: None, lambda _: None
        )


def test_an_error_that_is_no_object(idp: Provider) -> None:
    idp.responses["/odd"] = lambda h: send(h, {"error": ["x"]}, status=400)
    with pytest.raises(LoginError, match="/odd: 400"):
        get(f"{idp.url}/odd")


def test_logins_are_for_their_owner_only(state: Path) -> None:
    assert files.token_for(URI) is None
    assert not state.exists()
    files.save(f"{URI}/", Login("t", 1e12, refresh_token="r"))  # noqa: S106 - none
    assert files.token_for(URI) == "t"
    assert files.token_for("https://other.example") is None
    assert "secret" not in repr(Login("secret", 1.0, refresh_token="secret"))  # noqa: S106
    path = files.path()
    path.chmod(0o640)
    with pytest.raises(LoginError, match="can be read by others"):
        files.token_for(URI)
    path.chmod(0o600)
    real = path.with_name("elsewhere")
    path.rename(real)
    path.symlink_to(real)
    with pytest.raises(OSError, match="symbolic"):
        files.token_for(URI)
    path.unlink()
    for content in ("", "[]", '{"a": 1}', json.dumps({URI: {"unknown": 1}})):
        path.write_text(content, encoding="utf-8")
        path.chmod(0o600)
        with pytest.raises(LoginError, match="damaged"):
            files.token_for(URI)
