"""Tokens as Entra ID, Cognito, Keycloak and Okta issue them, from mock-oauth2-server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.auth.issuer import write_config
from tests.catalog.serving import Server, serving
from tests.identity.mock_server import FETCHING, MockServer, mock_server

pytestmark = pytest.mark.timeout(FETCHING)
# By issuer: the settings, the claims of a client, and the name and groups that it has here.
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], str, list[str]]] = {
    "entra": (
        {"audiences": ["api://catalog", "1234"], "subject_claim": "oid", "groups_claim": "roles"},
        {
            "aud": ["api://catalog"],
            "sub": "pairwise",
            "oid": "o-1",
            "tid": "t",
            "roles": ["Writer"],
            "scp": "user_impersonation",
        },
        "entra~o-1",
        ["Writer"],
    ),
    "cognito": (
        {
            "audiences": ["client-1"],
            "audience_claim": "client_id",
            "required_claims": ["token_use=access"],
            "groups_claim": "cognito:groups",
        },
        {
            "aud": [],
            "sub": "c-1",
            "client_id": "client-1",
            "token_use": "access",
            "cognito:groups": ["a", "b"],
        },
        "cognito~c-1",
        ["a", "b"],
    ),
    "keycloak": (
        {"audiences": ["catalog"], "groups_claim": "realm_access/roles"},
        {
            "aud": ["account", "catalog"],
            "sub": "3f2c",
            "typ": "Bearer",
            "azp": "cli",
            "realm_access": {"roles": ["data", "offline_access"]},
            "preferred_username": "alice",
        },
        "keycloak~3f2c",
        ["data", "offline_access"],
    ),
    "okta": (
        {"audiences": ["api://default"], "groups_claim": "groups"},
        {"aud": ["api://default"], "sub": "00u1", "scp": ["openid"], "groups": ["Everyone"]},
        "okta~00u1",
        ["Everyone"],
    ),
}


@pytest.fixture(scope="module")
def mock() -> Iterator[MockServer]:
    tokens = {
        kind: {
            "good": claims,
            "no-audience": {**claims, "aud": ["another"], "client_id": "another"},
            "id-token": {**claims, "token_use": "id", "aud": ["cli"]},
        }
        for kind, (_, claims, _, _) in KINDS.items()
    }
    with mock_server(tokens) as made:
        yield made


@pytest.fixture
def server(mock: MockServer, tmp_path: Path) -> Iterator[Server]:
    """A catalog that trusts all of them."""
    config = write_config(
        tmp_path, {kind: {"url": mock.issuer(kind), **given} for kind, (given, *_) in KINDS.items()}
    )
    with serving(tmp_path, auth__required=True, config=config) as made:
        yield made


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_as_a_provider_issues_them(mock: MockServer, server: Server, kind: str) -> None:
    _, _, name, groups = KINDS[kind]
    found = server.ok("GET", "/management/v1/whoami", headers=bearer(mock.token(kind, "good")))
    assert found["name"] == name
    assert sorted(group["value"] for group in found["groups"]) == groups
    for client in ("no-audience", "id-token"):
        answer = server.call("GET", "/v1/config", headers=bearer(mock.token(kind, client)))
        assert answer.status_code == 401, client


def test_a_provider_speaks_for_itself_only(mock: MockServer, server: Server) -> None:
    """All of them have keys at one address, and a token of one is none of another's."""
    names = {
        kind: server.ok("GET", "/management/v1/whoami", headers=bearer(mock.token(kind, "good")))[
            "name"
        ].partition("~")[0]
        for kind in KINDS
    }
    assert names == {kind: kind for kind in KINDS}
    stranger = server.call("GET", "/v1/config", headers=bearer(mock.token("evil", "good")))
    assert stranger.status_code == 401


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
