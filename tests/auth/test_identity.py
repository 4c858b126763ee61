"""A catalog and an identity provider: who calls, from the first token to the last."""

import base64
import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from falcon_catalog.catalog import accounts, first_administrators, identity
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.errors import CatalogError
from falcon_catalog.settings import AuthSettings
from falcon_catalog.store import grants, open_database
from falcon_catalog.store import principals as rows
from tests.auth.issuer import Provider, SigningKey, provider, write_config
from tests.catalog.serving import Server, serving, sql, store_url
from tests.processes import wait_for

TOKENS = "/v1/oauth/tokens"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name
Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path, idp: Provider) -> Iterator[Start]:
    """Return a function that starts a catalog that trusts the provider."""
    with ExitStack() as stack:

        def run(issuer: dict[str, Any] | None = None, **settings: Any) -> Server:
            config = write_config(tmp_path, {"corp": idp.settings(**(issuer or {}))})
            return stack.enter_context(
                serving(tmp_path, auth__required=True, config=config, **settings)
            )

        yield run


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def status(server: Server, token: str) -> int:
    return server.call("GET", "/management/v1/whoami", headers=bearer(token)).status_code


def people(server: Server) -> list[Any]:
    return sql(
        server.folder,
        "SELECT name, kind, issuer, subject, display_name, created_by FROM principals"
        " WHERE kind = 'user' ORDER BY name",
    )


def database_of(server: Server) -> Any:
    return closing(open_database(store_url(server.folder)))


def own_token_answer(server: Server, name: str, secret: str) -> requests.Response:
    form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
    return requests.post(server.url + TOKENS, form, timeout=30)


def own_token(server: Server, name: str, secret: str) -> str:
    return str(own_token_answer(server, name, secret).json()["access_token"])


def me(server: Server, token: str) -> tuple[str, str, list[dict[str, str]]]:
    found = server.ok("GET", "/management/v1/whoami", headers=bearer(token))
    return found["name"], found["authenticated-by"], found["groups"]


def refusal(server: Server, token: str) -> str:
    answer = server.call("GET", "/v1/config", headers=bearer(token))
    assert answer.status_code == 401, answer.text
    assert answer.headers["WWW-Authenticate"].endswith('error="invalid_token"')
    assert answer.json()["error"]["type"] == "NotAuthorizedException"
    return str(answer.json()["error"]["message"])


def test_a_user_is_added_with_the_first_token(start: Start, idp: Provider) -> None:
    server = start({"groups_claim": "groups"})
    assert people(server) == []
    groups = [{"issuer": "corp", "value": "data"}]
    for _ in range(2):
        assert me(server, idp.token(groups=["data"])) == ("corp~u-1", "oidc:corp", groups)
    assert people(server) == [("corp~u-1", "user", "corp", "u-1", "alice", "oidc:corp")]
    me(server, idp.token(preferred_username="alice.m"))
    assert people(server)[0][4] == "alice.m"
    assert sql(server.folder, "SELECT count(*) FROM grants")[0][0] == 0


def test_an_unknown_user_may_be_refused(start: Start, idp: Provider) -> None:
    server = start({"auto_create": False})
    assert refusal(server, idp.token()).endswith("its user is no principal of this catalog")
    assert people(server) == []
    with database_of(server) as database, database.write() as tx:
        rows.insert(tx, "corp~u-1", "", kind="user", issuer="corp", subject="u-1")
    assert me(server, idp.token())[0] == "corp~u-1"


def test_a_display_name_identifies_nobody(start: Start, idp: Provider) -> None:
    server = start()
    with database_of(server) as database:
        accounts.add(StoreCall(database), "root")
    for name in ("root", "corp~u-1", "everyone", "ROOT"):
        found, _, _ = me(server, idp.token(sub="u-2", preferred_username=name, name=name))
        assert found == "corp~u-2"
    assert me(server, idp.token(sub="root"))[0] == "corp~root"
    assert me(server, idp.token(sub="U-2"))[0] == "corp~U-2"


def test_new_users_are_limited(start: Start, idp: Provider) -> None:
    server = start()
    statuses = []
    for number in range(110):
        statuses.append(status(server, idp.token(sub=f"u-{number}")))
        if statuses[-1] != 200:
            break
    assert statuses[-1] == 503
    assert len(statuses) > 100
    assert status(server, idp.token(sub="u-0")) == 200


def test_a_body_is_not_taken_from_strangers(start: Start, idp: Provider) -> None:
    server = start()
    for token, expected in ((idp.token(), {404}), (idp.token(aud="x"), {401})):
        # Nothing is known of either: a thread judges it.
        answer = server.call("POST", "/v1/namespaces", {"namespace": ["a"]}, headers=bearer(token))
        assert answer.status_code in expected


def test_headers_that_are_no_token(start: Start, idp: Provider) -> None:
    server = start()
    token = idp.token()
    for header in (
        f"Bearer {token}, Bearer {token}",
        f"Bearer {token} {token}",
        f"Basic {token}",
        token,
        "Bearer",
        "Bearer ",
        "Negotiate x",
    ):
        found = server.call("GET", "/v1/config", headers={"Authorization": header})
        assert found.status_code == 401, header
    assert server.call("GET", "/v1/config").headers["WWW-Authenticate"] == (
        'Bearer realm="falcon-catalog"'
    )
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        two = f"Authorization: Bearer {token}\r\n" * 2
        head = f"GET /v1/config HTTP/1.1\r\nHost: {host}\r\n{two}Connection: close\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.makefile("rb").readline().split()[1] == b"401"


@pytest.mark.fault(number=16)
def test_an_issuer_that_is_not_configured_is_never_asked(start: Start) -> None:
    server = start()
    with provider() as stranger:
        refusal(server, stranger.token())
        refusal(server, stranger.token(headers={"jku": f"{stranger.url}/keys"}))
        assert stranger.requests == []


def test_a_provider_that_is_down_stops_nothing(start: Start, idp: Provider) -> None:
    idp.is_down = True
    server = start()
    with database_of(server) as database:
        secret = accounts.add(StoreCall(database), "etl")
    ready = server.call("GET", "/health/ready")
    assert ready.status_code == 200
    assert ready.json()["unavailable"] == ["issuer corp: its keys could not be fetched"]
    assert status(server, own_token(server, "etl", secret)) == 200
    answer = server.call("GET", "/v1/config", headers=bearer(idp.token()))
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "corp" in answer.json()["error"]["message"]
    idp.is_down = False
    wait_for(lambda: status(server, idp.token()) == 200, "the keys")
    assert "unavailable" not in server.ok("GET", "/health/ready")


def test_rotation_of_keys(start: Start, idp: Provider) -> None:
    server = start()
    assert status(server, idp.token()) == 200
    idp.keys.insert(0, SigningKey("two", "ES256"))
    assert status(server, idp.token()) == 200
    assert status(server, idp.token(key=idp.keys[1])) == 200
    refusal(server, idp.token(key=SigningKey("three")))


def test_a_token_is_verified_once(start: Start, idp: Provider, inside: pytest.MonkeyPatch) -> None:
    server = start()
    token = idp.token(exp=int(time.time()) + 2)
    assert status(server, token) == 200
    verified = []
    inside.setattr(
        "falcon_catalog.auth.oidc.Issuer.verify", lambda *_, **__: verified.append(1) or 1 / 0
    )
    for _ in range(20):
        assert status(server, token) == 200
    assert verified == []
    inside.undo()
    wait_for(lambda: status(server, token) == 401, "the token's end")


@pytest.mark.parametrize("how", ["disable", "revoke", "remove", "one token"])
def test_what_is_revoked_ends_with_the_next_request(start: Start, idp: Provider, how: str) -> None:
    server = start()
    token = idp.token()
    for _ in range(3):
        assert status(server, token) == 200
    with database_of(server) as database:
        if how == "revoke":
            identity.revoke(database, "corp~u-1")
        elif how == "one token":
            identity.revoke_token(database, token)
        else:
            with database.write() as tx:
                grants.touch(tx)
                if how == "disable":
                    tx.change("UPDATE principals SET disabled = 1 WHERE name = 'corp~u-1'")
                else:
                    rows.delete(tx, "corp~u-1")
    if how == "remove":  # it is added again, as another principal without grants
        assert me(server, token)[0] == "corp~u-1"
    else:
        assert refusal(server, token).endswith("the token was revoked")
    later = idp.token(iat=int(time.time()) + 5, sub="u-1")
    assert status(server, later) == (401 if how == "disable" else 200)


def exchanged(server: Server, token: str) -> str:
    form = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ACCESS_TOKEN}
    answer = server.call("POST", TOKENS, data=form)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def test_a_revoked_token_is_not_valid_in_another_spelling(start: Start, idp: Provider) -> None:
    server = start()
    token = idp.token()
    own = exchanged(server, token)
    later = exchanged(server, own)
    for each in (token, own, later):
        assert status(server, each) == 200
    with database_of(server) as database:
        identity.revoke_token(database, token)
    head, _, signature = token.rpartition(".")
    spellings = [f"{token}{end}" for end in ("", "=", "==", "===")]
    spellings += [f"{head}.{signature[:-1]}{last}" for last in "AQgwBRhxCSiy"]
    for each in (*spellings, own, later):  # what was exchanged for it ends with it
        assert status(server, each) == 401, each


def test_a_token_that_an_earlier_version_revoked_stays_so(start: Start, idp: Provider) -> None:
    server = start()
    token = idp.token()
    with database_of(server) as database, database.write() as tx:
        name = f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"
        rows.revoke_token(tx, name, expires_at=int(time.time()) + 600)
    assert status(server, token) == 401


def test_what_was_exchanged_ends_with_the_provider_in_the_settings(
    tmp_path: Path, idp: Provider
) -> None:
    config = write_config(tmp_path, {"corp": idp.settings()})
    with serving(tmp_path, auth__required=True, config=config) as server:
        own = exchanged(server, idp.token())
        assert status(server, own) == 200
    with serving(tmp_path, auth__required=True) as server:
        assert refusal(server, own).endswith("an identity provider that has gone")


def test_a_secret_in_the_place_of_a_name_is_recorded_nowhere(start: Start) -> None:
    server = start()
    form = {"grant_type": "client_credentials"}
    basic = {"Authorization": f"Basic {base64.b64encode(b'zebra-secret').decode()}"}
    swapped = form | {"client_id": "etl:zebra-secret", "client_secret": "x"}
    assert server.call("POST", TOKENS, data=form, headers=basic).status_code == 401
    assert server.call("POST", TOKENS, data=swapped).status_code == 401
    entities = "SELECT coalesce(entity, '') FROM refusals"
    wait_for(lambda: len(sql(server.folder, entities)) == 2, "the refusals")
    assert sorted(row[0] for row in sql(server.folder, entities)) == ["", "client 'etl'"]


class TestOwnTokens:
    def test_revocation_of_a_principal(self, start: Start) -> None:
        server = start()
        with database_of(server) as database:
            secret = accounts.add(StoreCall(database), "etl")
            before = own_token(server, "etl", secret)
            assert status(server, before) == 200
            for _ in range(3):
                identity.revoke(database, "etl")
                assert refusal(server, before).endswith("the token was revoked")
                # A login in the same second is valid.
                before = own_token(server, "etl", secret)
                assert status(server, before) == 200
            with pytest.raises(CatalogError, match="does not exist"):
                identity.revoke(database, "everyone")

    def test_revocation_of_one_token(self, start: Start) -> None:
        server = start()
        with database_of(server) as database:
            secret = accounts.add(StoreCall(database), "etl")
            one, two = (own_token(server, "etl", secret) for _ in range(2))
            assert (status(server, one), status(server, two)) == (200, 200)
            identity.revoke_token(database, one)
            assert refusal(server, one).endswith("the token was revoked")
            assert exchange(server, one).status_code == 400
            assert status(server, two) == 200
            for text in ("", "a.b.c", "x" * 20_000):
                with pytest.raises(CatalogError, match="Not a token"):
                    identity.revoke_token(database, text)

    def test_secrets_can_be_turned_off(self, start: Start) -> None:
        server = start(auth__secrets=False)
        with database_of(server) as database:
            secret = accounts.add(StoreCall(database), "etl")
        answer = own_token_answer(server, "etl", secret)
        assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


def exchange(server: Server, token: str, **more: str) -> requests.Response:
    form = {
        "grant_type": EXCHANGE,
        "subject_token": token,
        "subject_token_type": ACCESS_TOKEN,
        **more,
    }
    return requests.post(server.url + TOKENS, form, headers=bearer(token), timeout=30)


class TestExchange:
    def test_a_token_of_the_provider_becomes_ours(self, start: Start, idp: Provider) -> None:
        server = start({"groups_claim": "groups"})
        end = int(time.time()) + 300
        answer = exchange(server, idp.token(exp=end, groups=["data"]))
        assert answer.status_code == 200, answer.text
        ours = answer.json()["access_token"]
        assert answer.json()["expires_in"] <= 300
        groups = [{"issuer": "corp", "value": "data"}]
        assert me(server, ours) == ("corp~u-1", "oidc:corp", groups)
        # Renewed, it is still the same session, which ends when the first token does.
        for _ in range(3):
            answer = exchange(server, ours)
            assert answer.status_code == 200, answer.text
            ours = answer.json()["access_token"]
            claims = jwt.decode(ours, options={"verify_signature": False})
            assert claims["exp"] <= end
            assert me(server, ours) == ("corp~u-1", "oidc:corp", groups)

    @pytest.mark.fault(number=16)
    def test_what_is_refused(self, start: Start, idp: Provider) -> None:
        server = start()
        with database_of(server) as database:
            secret = accounts.add(StoreCall(database), "etl")
        bad = [
            idp.token(aud="x"),
            idp.token(exp=int(time.time()) - 1),
            idp.token(key=SigningKey()),
        ]
        for token in bad:
            answer = exchange(server, token)
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        assert exchange(server, idp.token(), actor_token=idp.token()).status_code == 400
        as_client = {"client_id": "etl", "client_secret": secret}
        assert exchange(server, idp.token(), **as_client).status_code == 400
        with provider() as stranger:
            assert exchange(server, stranger.token()).status_code == 400
            assert stranger.requests == []

    def test_revocation_reaches_what_was_exchanged(self, start: Start, idp: Provider) -> None:
        server = start()
        ours = exchange(server, idp.token()).json()["access_token"]
        assert status(server, ours) == 200
        with database_of(server) as database:
            identity.revoke(database, "corp~u-1")
        assert status(server, ours) == 401
        assert exchange(server, ours).status_code == 400


class TestFirstAdministrators:
    def test_those_of_the_settings(self, start: Start, idp: Provider, tmp_path: Path) -> None:
        with closing(open_database(store_url(tmp_path))) as database:
            accounts.add(StoreCall(database), "ops")
            assert first_administrators.are_missing(database, AuthSettings())
        server = start({"admin_groups": ["admins"]}, auth__admins=("corp~boss", "ops", "nobody"))
        found = sql(
            server.folder,
            "SELECT p.name, p.kind, g.bits, g.granted_by FROM grants g JOIN principals p"
            " ON p.id = g.principal_id",
        )
        assert sorted(found) == [
            ("corp~boss", "user", 256, "settings"),
            ("ops", "service", 256, "settings"),
            ("~corp-admins", "role", 256, "settings"),
        ]
        assert me(server, idp.token(sub="boss"))[0] == "corp~boss"
        with database_of(server) as database:
            assert not first_administrators.are_missing(database, AuthSettings())
        assert sql(server.folder, "SELECT issuer, value FROM group_roles") == [("corp", "admins")]


def test_revocation_reaches_every_process(tmp_path: Path, idp: Provider) -> None:
    """At once: no request that begins after the revocation is accepted by any process."""
    config = write_config(tmp_path, {"corp": idp.settings()})
    with (
        serving(tmp_path, auth__required=True, config=config, processes=3) as server,
        database_of(server) as database,
    ):
        secret = accounts.add(StoreCall(database), "etl")
        for number in range(30):
            tokens = [own_token(server, "etl", secret), idp.token(jti=str(number))]
            for token in tokens * 4:  # over new connections: each process remembers both
                assert status(server, token) == 200
            if number % 2:
                for token in tokens:
                    identity.revoke_token(database, token)
            else:
                identity.revoke(database, "etl")
                identity.revoke_token(database, tokens[1])
            for token in tokens * 4:
                assert status(server, token) == 401
