"""The back end's part of a login with a browser: codes exchanged, ID tokens checked."""

import dataclasses
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from falcon_catalog.auth import InvalidTokenError, KeysUnavailableError
from falcon_catalog.auth.oidc import Issuer
from falcon_catalog.logins.code_flow import CodeFlow
from falcon_catalog.settings import IssuerSettings
from tests.auth.issuer import Provider, SigningKey, send

REDIRECT = "https://lake.example.com/ui/login/callback"


class Login:
    """A login, and the responses of the provider that the test chooses."""

    def __init__(self, idp: Provider, **settings: Any) -> None:
        self.idp, self.sent = idp, {}
        self.status, self.answer = 200, {}
        idp.responses["/realm/.well-known/openid-configuration"] = lambda handler: send(
            handler,
            {
                "issuer": idp.issuer,
                "jwks_uri": f"{idp.url}/keys",
                "authorization_endpoint": f"{idp.url}/authorize?tenant=1",
                "token_endpoint": f"{idp.url}/token",
            },
        )
        idp.responses["/token"] = self._exchange
        given = {"login_client_id": "cli", "login_parameters": ("audience=lake",), **settings}
        self.issuer = Issuer("corp", IssuerSettings(**idp.settings(**given)))
        self.issuer.keys.refresh()
        self.flow, self.page = self.issuer.begin_login(REDIRECT)

    def _exchange(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"])).decode()
        self.sent = {name: values[0] for name, values in parse_qs(body).items()}
        send(handler, self.answer, status=self.status)

    def id_token(self, key: SigningKey | None = None, **claims: Any) -> str:
        return self.idp.token(key=key, **{"aud": "cli", "nonce": self.flow.nonce, **claims})

    def finish(self, **answer: Any) -> str:
        self.answer = {"access_token": "a", "id_token": self.id_token(), **answer}
        return self.issuer.finish_login(self.flow, "the code")


def test_the_page_and_the_form(idp: Provider) -> None:
    login = Login(idp, login_scopes=("openid", "offline_access", "lake"))
    parts = urlsplit(login.page)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{idp.url}/authorize"
    assert query.pop("code_challenge")
    assert query == {
        "tenant": "1",
        "response_type": "code",
        "client_id": "cli",
        "redirect_uri": REDIRECT,
        "scope": "openid lake",
        "state": login.flow.state,
        "nonce": login.flow.nonce,
        "code_challenge_method": "S256",
        "audience": "lake",
    }
    assert login.finish() == "a"
    assert login.sent == {
        "grant_type": "authorization_code",
        "code": "the code",
        "redirect_uri": REDIRECT,
        "client_id": "cli",
        "code_verifier": login.flow.verifier,
        "audience": "lake",
    }
    assert CodeFlow.read(login.flow.as_json()) == login.flow


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"nonce": "of another login"}, "another login"),
        ({"nonce": ...}, "another login"),
        ({"aud": "another"}, "another client"),
        ({"aud": ["a", "b"]}, "another client"),
        ({"iss": "https://evil.example"}, "another one"),
        ({"exp": 1}, "has expired"),
    ],
)
def test_an_id_token_of_something_else(idp: Provider, claims: dict[str, Any], reason: str) -> None:
    login = Login(idp)
    with pytest.raises(InvalidTokenError, match=reason):
        login.finish(id_token=login.id_token(**claims))


def test_an_id_token_with_another_signature_and_none_at_all(idp: Provider) -> None:
    login = Login(idp)
    with pytest.raises(InvalidTokenError, match="signature"):
        login.finish(id_token=login.id_token(SigningKey("one")))
    with pytest.raises(InvalidTokenError, match="no ID token"):
        login.finish(id_token=None)
    with pytest.raises(InvalidTokenError, match="no access token"):
        login.finish(access_token=None)
    oauth = Login(idp, login_scopes=("lake",))
    assert oauth.finish(id_token=None) == "a"


def test_a_code_that_the_provider_refuses(idp: Provider) -> None:
    login = Login(idp)
    login.status = 400
    with pytest.raises(InvalidTokenError, match=r"400 \(invalid_grant\)"):
        login.finish(error="invalid_grant")


def test_no_login_without_the_provider(idp: Provider) -> None:
    settings = IssuerSettings(**idp.settings(login_client_id="cli"))
    issuer = Issuer("corp", settings)
    with pytest.raises(KeysUnavailableError):
        issuer.begin_login(REDIRECT)
    flow = dataclasses.replace(Login(idp).flow)
    with pytest.raises(KeysUnavailableError):
        issuer.finish_login(flow, "code")
