"""Who may call: principals, tokens, and requests that need one."""

import base64
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from falcon_catalog import auth
from falcon_catalog.api.routes import ENDPOINTS, MANAGEMENT_ROUTES
from falcon_catalog.catalog import accounts, identity
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.privileges import OWN
from falcon_catalog.catalog.rate_limit import RateLimit
from falcon_catalog.store import open_database
from falcon_catalog.store import principals as rows
from tests.catalog.serving import Server, sql, store_url
from tests.scenarios.steps import trigger

TOKENS = "/v1/oauth/tokens"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name
DEADLINE = 60  # seconds
Start = Callable[..., Server]


@dataclass
class Locked:
    """A catalog that needs tokens, and one principal."""

    server: Server
    name: str
    secret: str

    @property
    def store(self) -> Path:
        return self.server.folder / "catalog.db"

    def ask(self, form: dict[str, str], **options: Any) -> requests.Response:
        """Ask for a token with a form."""
        return requests.post(self.server.url + TOKENS, data=form, timeout=30, **options)

    def token(self) -> str:
        answer = self.ask(self.credentials())
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def credentials(self, **more: str) -> dict[str, str]:
        mine = {"client_id": self.name, "client_secret": self.secret}
        return {"grant_type": "client_credentials", **mine, **more}

    def basic(self) -> dict[str, str]:
        pair = base64.b64encode(f"{self.name}:{self.secret}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}

    def refused(self, form: dict[str, str], **options: Any) -> tuple[int, str, str]:
        """Ask for a token that must be refused: in OAuth's shape, which is not wrapped."""
        answer = self.ask(form, **options)
        body = answer.json()
        assert sorted(body) == ["error", "error_description"]
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status_code, body["error"], body["error_description"]

    def key(self) -> bytes:
        """Return the key that the tokens are signed with."""
        return bytes(self.sql("SELECT key FROM signing_keys WHERE expires_at IS NULL")[0][0])

    def forged(self, **claims: object) -> str:
        """Return a token with some claims changed, signed with the very key of the catalog."""
        content = claims_of(self.token()) | claims
        kept = {name: value for name, value in content.items() if value is not ...}
        return jwt.encode(kept, self.key(), algorithm="HS256", headers=self.headers())

    def headers(self) -> dict[str, str]:
        """Return the header of a token that names the catalog's key."""
        return {"kid": jwt.get_unverified_header(self.token())["kid"]}

    def sql(self, statement: str, *parameters: object) -> list[Any]:
        return sql(self.server.folder, statement, *parameters)


@pytest.fixture
def secrets_of_principals(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Return a function that adds somebody to the test's store, from beside the server."""
    with closing(open_database(store_url(tmp_path))) as database:
        yield lambda name: accounts.add(StoreCall(database), name, privileges=OWN)


@pytest.fixture
def locked(start: Start, secrets_of_principals: Callable[[str], str]) -> Locked:
    server = start(auth__required=True, auth__token_lifetime=600)
    return Locked(server, "etl", secrets_of_principals("etl"))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class TestFailedLogins:
    @pytest.mark.usefixtures("inside")  # its log is
    def test_they_are_limited_and_logged(
        self, locked: Locked, caplog: pytest.LogCaptureFixture
    ) -> None:
        wrong = locked.credentials(client_secret="x" * 43)
        statuses = []
        while 429 not in statuses:
            assert len(statuses) < 200
            answer = locked.ask(wrong)
            statuses.append(answer.status_code)
        assert statuses[:20] == [401] * 20
        assert answer.json()["error"] == "temporarily_unavailable"
        assert answer.headers["Retry-After"] == "1"
        # Neither another client of this address, nor the right secret, makes the server hash.
        assert locked.ask(locked.credentials(client_id="nobody")).status_code == 429
        deadline = time.monotonic() + DEADLINE
        while locked.ask(locked.credentials()).status_code != 200:
            assert time.monotonic() < deadline
        assert locked.server.call("GET", "/health/ready").status_code == 200
        lines = [one for one in caplog.records if one.msg.startswith("login ")]
        assert {one.msg for one in lines} == {
            "login failed",
            "login refused: too many have failed",
        }
        assert {one.client for one in lines} == {"'etl'", "'nobody'"}
        assert {one.address for one in lines} == {"127.0.0.1"}

    def test_a_burst_and_then_one_a_second_for_each_key(self) -> None:
        now = [100.0]
        failed = RateLimit(20, 1.0, lambda: now[0])
        for _ in range(20):
            assert failed.wait("a", "b") == 0
            failed.add("a", "b")
        assert failed.wait("a", "c") == failed.wait("d", "b") == 1
        assert failed.wait("d", "c") == 0
        now[0] += 1
        assert failed.wait("a", "c") == 0
        failed.add("a", "c")
        assert failed.wait("a", "d") == 1
        now[0] += 100
        for _ in range(20):
            failed.add("a")
        assert failed.wait("a") == 1

    def test_what_is_remembered_is_bounded(self) -> None:
        failed = RateLimit(20, 1.0, lambda: 0.0)
        for number in range(30_000):
            failed.add(f"address {number}")
        assert len(failed._paid_until) <= 10_001


class TestGetToken:
    def test_credentials_in_the_form(self, locked: Locked) -> None:
        answer = locked.ask(locked.credentials(scope="catalog"))
        body = answer.json()
        assert answer.status_code == 200
        assert body.pop("access_token").count(".") == 2
        assert body == {
            "token_type": "bearer",
            "expires_in": 600,
            "issued_token_type": ACCESS_TOKEN,
            "scope": "catalog",
        }
        assert answer.headers["Cache-Control"] == "no-store"
        assert "WWW-Authenticate" not in answer.headers

    def test_credentials_as_http_basic(self, locked: Locked) -> None:
        form = {"grant_type": "client_credentials", "scope": "PRINCIPAL_ROLE:ALL"}
        answer = locked.ask(form, headers=locked.basic())
        assert answer.status_code == 200
        assert "WWW-Authenticate" not in answer.headers
        config = locked.server.call(
            "GET", "/v1/config", headers=bearer(answer.json()["access_token"])
        )
        assert config.status_code == 200

    def test_a_bearer_header_beside_the_form_does_not_matter(self, locked: Locked) -> None:
        assert locked.ask(locked.credentials(), headers=bearer("None")).status_code == 200

    @pytest.mark.parametrize(
        "scope", ["catalog", "PRINCIPAL_ROLE:ALL", "PRINCIPAL_ROLE:admin", "*"]
    )
    def test_a_scope_never_widens(self, locked: Locked, scope: str) -> None:
        body = locked.ask(locked.credentials(scope=scope)).json()
        assert body["scope"] == "catalog"
        claims = jwt.decode(body["access_token"], options={"verify_signature": False})
        assert set(claims) == {"iss", "aud", "sub", "pid", "iat", "exp", "auth_time", "jti"}

    def test_an_unknown_client_and_a_wrong_secret_look_the_same(self, locked: Locked) -> None:
        wrong = locked.credentials(client_secret="x" * 43)
        unknown = locked.credentials(client_id="nobody")
        answers = {locked.refused(form) for form in (wrong, unknown)}
        (told,) = answers
        assert told == (401, "invalid_client", "The client is unknown, or its secret is wrong")

    @pytest.mark.parametrize(
        "pair", ["etl:wrong", "nobody:x", "etl", "", ":", "no base64!", b"\xff:\xff"]
    )
    def test_wrong_basic_credentials(self, locked: Locked, pair: str | bytes) -> None:
        text = pair if isinstance(pair, bytes) else pair.encode()
        encoded = base64.b64encode(text).decode() if pair != "no base64!" else str(pair)
        answer = locked.ask(
            {"grant_type": "client_credentials"}, headers={"Authorization": f"Basic {encoded}"}
        )
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")

    @pytest.mark.parametrize(
        ("form", "status", "error"),
        [
            ({}, 400, "invalid_request"),
            ({"grant_type": "password"}, 400, "unsupported_grant_type"),
            ({"grant_type": "client_credentials"}, 401, "invalid_client"),
            ({"grant_type": "client_credentials", "client_id": "etl"}, 401, "invalid_client"),
            ({f"f{n}": "x" for n in range(100)}, 400, "invalid_request"),
            ({"grant_type": "x" * 70_000}, 400, "invalid_request"),
        ],
    )
    def test_an_incomplete_form(
        self, locked: Locked, form: dict[str, str], status: int, error: str
    ) -> None:
        assert locked.refused(form)[:2] == (status, error)

    @pytest.mark.parametrize(
        "body", [b"grant_type=a&grant_type=b", b"grant_type=%FF", "grant_type=ä".encode(), b"\x00"]
    )
    def test_a_form_that_is_none(self, locked: Locked, body: bytes) -> None:
        answer = requests.post(
            locked.server.url + TOKENS,
            data=body,
            headers={"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"},
            timeout=30,
        )
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")

    def test_only_forms_are_read(self, locked: Locked) -> None:
        answer = requests.post(locked.server.url + TOKENS, json=locked.credentials(), timeout=30)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        in_the_url = requests.post(
            locked.server.url + TOKENS, params=locked.credentials(), data={"a": "b"}, timeout=30
        )
        assert (in_the_url.status_code, in_the_url.json()["error"]) == (400, "invalid_request")

    def test_credentials_given_twice(self, locked: Locked) -> None:
        told = locked.refused(locked.credentials(), headers=locked.basic())
        assert told[:2] == (400, "invalid_request")
        other = {"grant_type": "client_credentials", "client_id": "other"}
        assert locked.refused(other, headers=locked.basic())[:2] == (400, "invalid_request")
        same = {"grant_type": "client_credentials", "client_id": "etl"}
        assert locked.ask(same, headers=locked.basic()).status_code == 200


def exchange(token: str, **more: str) -> dict[str, str]:
    return {
        "grant_type": EXCHANGE,
        "subject_token": token,
        "subject_token_type": ACCESS_TOKEN,
        **more,
    }


class TestExchange:
    def test_a_valid_token_is_renewed(self, locked: Locked) -> None:
        old = locked.forged(exp=int(time.time()) + 60)
        answer = locked.ask(exchange(old, scope="catalog"), headers=bearer(old))
        assert answer.status_code == 200, answer.text
        new = answer.json()
        assert new["issued_token_type"] == ACCESS_TOKEN
        claims = jwt.decode(new["access_token"], options={"verify_signature": False})
        assert claims["exp"] > time.time() + 300
        assert claims["sub"] == "etl"
        again = locked.ask(exchange(new["access_token"]))
        assert again.status_code == 200
        config = locked.server.call(
            "GET", "/v1/config", headers=bearer(again.json()["access_token"])
        )
        assert config.status_code == 200

    def test_an_expired_token_is_not(self, locked: Locked) -> None:
        expired = locked.forged(exp=int(time.time()) - 1)
        assert locked.refused(exchange(expired), headers=bearer(expired)) == (
            400,
            "invalid_request",
            "The subject_token is refused: the token has expired",
        )

    def test_an_expired_token_is_renewed_for_its_owner_with_credentials(
        self, locked: Locked, secrets_of_principals: Callable[[str], str]
    ) -> None:
        expired = locked.forged(exp=int(time.time()) - 1)
        assert locked.ask(exchange(expired), headers=locked.basic()).status_code == 200
        other = Locked(locked.server, "other", secrets_of_principals("other"))
        assert other.refused(exchange(expired), headers=other.basic())[:2] == (
            400,
            "invalid_request",
        )
        wrong = Locked(locked.server, "etl", "wrong")
        assert wrong.refused(exchange(expired), headers=wrong.basic())[:2] == (
            401,
            "invalid_client",
        )

    @pytest.mark.fault(number=8)
    @pytest.mark.parametrize(
        "make",
        [
            lambda me: jwt.encode({"sub": me.name}, None, algorithm="none"),
            lambda me: unsigned(me.token()),
            lambda me: jwt.encode(
                claims_of(me.token()), "x" * 32, algorithm="HS256", headers=me.headers()
            ),
            lambda me: jwt.encode(
                claims_of(me.token()), me.key() * 2, algorithm="HS512", headers=me.headers()
            ),
            lambda me: jwt.encode(claims_of(me.token()), me.key(), algorithm="HS256"),
            lambda me: jwt.encode(
                claims_of(me.token()), me.key(), algorithm="HS256", headers={"kid": "another"}
            ),
            lambda me: jwt.encode(
                claims_of(me.token()), me.key(), algorithm="HS256", headers={"kid": "' OR 1=1 --"}
            ),
            lambda me: me.forged(auth_time="x"),
            lambda me: me.token()[:-4] + "AAAA",
            lambda me: me.forged(iss="https://accounts.example"),
            lambda me: me.forged(aud="another-catalog"),
            lambda me: me.forged(exp=...),
            lambda me: me.forged(pid=...),
            lambda me: me.forged(pid="x"),
            lambda me: me.forged(sub="nobody"),
            lambda me: me.forged(nbf=int(time.time()) + 1000),
            lambda me: me.secret,
            lambda _: "None",
            lambda _: "a.b.c",
            lambda _: "ä",
        ],
    )
    def test_an_unsigned_or_foreign_token_is_refused(
        self, locked: Locked, make: Callable[[Locked], str]
    ) -> None:
        token = make(locked)
        status, error, message = locked.refused(exchange(token))
        assert (status, error) == (400, "invalid_request")
        assert message.startswith("The subject_token is refused: ")
        status, kind, _ = locked.server.fails(
            "GET", "/v1/config", headers={"Authorization": f"Bearer {token}".encode()}
        )
        assert (status, kind) == (401, "NotAuthorizedException")

    @pytest.mark.parametrize(
        "change",
        [
            {"subject_token": ""},
            {"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"},
            {"subject_token_type": ""},
            {"requested_token_type": "urn:ietf:params:oauth:token-type:saml2"},
            {"actor_token": "x", "actor_token_type": ACCESS_TOKEN},
        ],
    )
    def test_what_is_not_supported(self, locked: Locked, change: dict[str, str]) -> None:
        form = exchange(locked.token(), **change)
        assert locked.refused(form)[:2] == (400, "invalid_request")


def unsigned(token: str) -> str:
    headers = {"kid": jwt.get_unverified_header(token)["kid"]}
    return jwt.encode(claims_of(token), None, algorithm="none", headers=headers)


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


class TestSessions:
    @pytest.fixture
    def short(self, start: Start, secrets_of_principals: Callable[[str], str]) -> Locked:
        server = start(auth__required=True, auth__token_lifetime=600, auth__session_lifetime=1000)
        return Locked(server, "etl", secrets_of_principals("etl"))

    @pytest.mark.parametrize("begun", ["auth_time", "iat"])
    def test_a_session_ends_however_often_it_is_renewed(self, short: Locked, begun: str) -> None:
        """Tokens of earlier versions have no auth_time: they count from when they were issued."""
        now = int(time.time())
        other = {} if begun == "auth_time" else {"auth_time": ...}
        young = short.forged(**{begun: now - 700, "exp": now + 60, **other})
        for _ in range(3):
            answer = short.ask(exchange(young)).json()
            young = answer["access_token"]
            claims = claims_of(young)
            assert claims["auth_time"] == now - 700
            assert answer["expires_in"] <= 300
            assert claims["exp"] <= now - 700 + 1000 + 1
        over = short.forged(**{begun: now - 1001, "exp": now + 60, **other})
        message = (
            "The subject_token is refused: its session began more than 1000 seconds ago: present"
            " the client's credentials"
        )
        assert short.refused(exchange(over), headers=bearer(over)) == (
            400,
            "invalid_request",
            message,
        )

    def test_a_session_begins_anew_with_the_secret(self, short: Locked) -> None:
        now = int(time.time())
        over = short.forged(auth_time=now - 1001)
        answer = short.ask(exchange(over), headers=short.basic())
        assert answer.status_code == 200
        assert answer.json()["expires_in"] == 600
        assert claims_of(answer.json()["access_token"])["auth_time"] >= now

    def test_no_token_outlives_its_session(
        self, start: Start, secrets_of_principals: Callable[[str], str]
    ) -> None:
        server = start(auth__required=True, auth__token_lifetime=600, auth__session_lifetime=100)
        me = Locked(server, "etl", secrets_of_principals("etl"))
        answer = me.ask(me.credentials()).json()
        assert answer["expires_in"] == 100
        claims = claims_of(answer["access_token"])
        assert claims["exp"] <= claims["auth_time"] + 101


class TestRotation:
    def rotated(self, locked: Locked, overlap: int) -> str:
        with closing(open_database(store_url(locked.server.folder))) as database:
            return accounts.rotate(StoreCall(database), locked.name, overlap)

    def rotate_key(self, locked: Locked, overlap: int) -> None:
        with closing(open_database(store_url(locked.server.folder))) as database:
            identity.rotate_key(database, overlap)

    def test_a_rotated_secret_overlaps_with_the_old_one(self, locked: Locked) -> None:
        token = locked.token()
        second = self.rotated(locked, 600)
        secrets = [locked.secret, second]
        for secret in secrets:
            assert locked.ask(locked.credentials(client_secret=secret)).status_code == 200
        assert locked.refused(locked.credentials(client_secret="x" * 43))[0] == 401
        third = self.rotated(locked, 600)
        for secret, status in zip([*secrets, third], (401, 200, 200), strict=True):
            assert locked.ask(locked.credentials(client_secret=secret)).status_code == status
        locked.sql("UPDATE principals SET previous_until = 1")  # its overlap is over
        assert locked.ask(locked.credentials(client_secret=second)).status_code == 401
        fourth = self.rotated(locked, 0)
        for secret, status in ((third, 401), (fourth, 200)):
            assert locked.ask(locked.credentials(client_secret=secret)).status_code == status
        assert locked.server.call("GET", "/v1/config", headers=bearer(token)).status_code == 200

    def test_tokens_of_a_rotated_key_are_valid_until_it_ends(self, locked: Locked) -> None:
        old = locked.token()
        self.rotate_key(locked, 600)
        new = locked.token()
        kids = {jwt.get_unverified_header(token)["kid"] for token in (old, new)}
        assert len(kids) == 2
        for token in (old, new):
            assert locked.server.call("GET", "/v1/config", headers=bearer(token)).status_code == 200
        renewed = locked.ask(exchange(old)).json()["access_token"]
        assert jwt.get_unverified_header(renewed) == jwt.get_unverified_header(new)
        locked.sql("UPDATE signing_keys SET expires_at = 1 WHERE expires_at IS NOT NULL")
        locked.sql("UPDATE permissions SET generation = generation + 1")
        status, _, message = locked.server.fails("GET", "/v1/config", headers=bearer(old))
        assert (status, message) == (
            401,
            "Not authorized: the token was not issued by this catalog, or its key has ended",
        )
        assert locked.refused(exchange(old))[:2] == (400, "invalid_request")
        # Java's client presents its last token even when it authenticates again.
        assert locked.ask(exchange(old), headers=locked.basic()).status_code == 200
        assert locked.server.call("GET", "/v1/config", headers=bearer(new)).status_code == 200
        self.rotate_key(locked, 0)
        assert locked.server.call("GET", "/v1/config", headers=bearer(new)).status_code == 401
        locked.token()

    @pytest.mark.sqlite
    def test_the_key_of_an_earlier_version_verifies_its_tokens(
        self, start: Start, tmp_path: Path, secrets_of_principals: Callable[[str], str]
    ) -> None:
        secret = secrets_of_principals("etl")
        key = b"k" * 32
        table = (
            "CREATE TABLE signing_keys (id INTEGER PRIMARY KEY CHECK (id = 1),"
            " key BLOB NOT NULL, created_at INTEGER NOT NULL) STRICT"
        )
        with closing(sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)) as older:
            for statement in (
                "DROP TABLE signing_keys",
                table,
                "ALTER TABLE principals DROP COLUMN previous_secret_hash",
                "ALTER TABLE principals DROP COLUMN previous_until",
                "DELETE FROM _sqlite_migrations WHERE name LIKE '0007%'",
            ):
                older.execute(statement)
            older.execute("INSERT INTO signing_keys VALUES (1, ?, 5)", (key,))
            (pid,) = older.execute("SELECT id FROM principals").fetchone()
        open_database(f"sqlite:///{tmp_path}/catalog.db", upgrade=True).close()
        now = int(time.time())
        claims = {"iss": "falcon-catalog", "aud": "falcon-catalog", "sub": "etl", "pid": pid}
        old = jwt.encode(claims | {"iat": now, "exp": now + 600}, key, algorithm="HS256")
        locked = Locked(start(auth__required=True), "etl", secret)
        assert locked.server.call("GET", "/v1/config", headers=bearer(old)).status_code == 200
        assert "kid" not in jwt.get_unverified_header(locked.token())
        self.rotate_key(locked, 600)
        for token in (old, locked.token(), locked.ask(exchange(old)).json()["access_token"]):
            assert locked.server.call("GET", "/v1/config", headers=bearer(token)).status_code == 200
        assert jwt.get_unverified_header(locked.token())["kid"]


class TestRequests:
    @pytest.mark.fault(number=27)
    def test_every_route_needs_a_token(self, locked: Locked) -> None:
        managed = [
            f"{verb} {path}" for path, (_, verbs) in MANAGEMENT_ROUTES.items() for verb in verbs
        ]
        assert managed
        unknown = ["GET /v1", "GET /v1/nothing", "GET /v1/oauth%2Ftokens", "OPTIONS /v1/config"]
        names = {"prefix": "default", "dropped": "1"}
        for endpoint in [*ENDPOINTS, *managed, *unknown]:
            verb, path = endpoint.split(" ")
            if path == TOKENS:
                continue
            real = re.sub(r"{([^}]+)}", lambda name: names.get(name[1], "x"), path)
            for headers in ({}, bearer("None"), locked.basic()):
                answer = locked.server.call(verb, real, headers=headers)
                assert answer.status_code == 401, endpoint
                told = ', error="invalid_token"' if headers else ""
                expected = f'Bearer realm="falcon-catalog"{told}'
                assert answer.headers["WWW-Authenticate"] == expected
                if verb != "HEAD":
                    error = answer.json()["error"]
                    assert (error["type"], error["code"]) == ("NotAuthorizedException", 401)

    def test_a_token_opens_them(self, locked: Locked) -> None:
        headers = bearer(locked.token())
        answer = locked.server.call("GET", "/v1/config", headers=headers)
        assert answer.status_code == 200
        assert "WWW-Authenticate" not in answer.headers
        lower = {"authorization": f"bearer {locked.token()}"}
        assert locked.server.call("GET", "/v1/namespaces", headers=lower).status_code == 200
        locked.server.ok("POST", "/v1/namespaces", {"namespace": ["ns"]}, headers=headers)
        missing = locked.server.fails("GET", "/v1/nothing", headers=headers)
        assert missing[:2] == (404, "NoSuchRouteException")

    def test_a_retry_needs_a_token_as_its_first_try_did(self, locked: Locked) -> None:
        key = {"Idempotency-Key": "0197a7ee-5a6c-7000-8000-000000000001"}
        body, headers = {"namespace": ["ns"]}, bearer(locked.token()) | key
        first = locked.server.ok("POST", "/v1/namespaces", body, headers=headers)
        assert locked.server.ok("POST", "/v1/namespaces", body, headers=headers) == first
        assert locked.server.fails("POST", "/v1/namespaces", body, headers=key)[0] == 401

    def test_the_key_of_another_principal_is_another_key(
        self, locked: Locked, secrets_of_principals: Callable[[str], str]
    ) -> None:
        other = Locked(locked.server, "other", secrets_of_principals("other"))
        key = {"Idempotency-Key": "0197a7ee-5a6c-7000-8000-000000000001"}
        body = {"namespace": ["ns"]}
        mine = bearer(locked.token()) | key
        locked.server.ok("POST", "/v1/namespaces", body, headers=mine)
        theirs = bearer(other.token()) | key
        status, _, message = locked.server.fails("POST", "/v1/namespaces", body, headers=theirs)
        assert status == 409  # it exists: the request was done, not answered for somebody else
        assert "etl" not in message
        status, _, message = locked.server.fails("DELETE", "/v1/namespaces/ns", headers=theirs)
        assert status == 422
        assert not {"etl", "other"} & set(message.split())
        locked.server.ok("POST", "/v1/namespaces", body, headers=mine)

    def test_health_stays_open(self, locked: Locked) -> None:
        assert locked.server.ok("GET", "/health/live") == {"status": "live"}
        assert locked.server.ok("GET", "/health/ready") == {"status": "ready"}

    def test_an_expired_token_is_refused_with_401(self, locked: Locked) -> None:
        expired = locked.forged(exp=int(time.time()) - 1)
        assert locked.server.fails("GET", "/v1/config", headers=bearer(expired)) == (
            401,
            "NotAuthorizedException",
            "Not authorized: the token has expired",
        )

    def test_a_token_really_expires(
        self, start: Start, secrets_of_principals: Callable[[str], str]
    ) -> None:
        server = start(auth__required=True, auth__token_lifetime=1)
        token = Locked(server, "etl", secrets_of_principals("etl")).token()
        deadline = time.monotonic() + DEADLINE
        while server.call("GET", "/v1/config", headers=bearer(token)).status_code != 401:
            assert time.monotonic() < deadline

    def test_tokens_outlive_a_restart(self, locked: Locked, start: Start) -> None:
        headers = bearer(locked.token())
        second = start(auth__required=True)
        assert second.call("GET", "/v1/config", headers=headers).status_code == 200

    def test_the_tokens_of_somebody_removed_end_for_good(
        self, locked: Locked, secrets_of_principals: Callable[[str], str]
    ) -> None:
        token = locked.token()
        secrets_of_principals("root")  # the last administrator cannot be removed
        with closing(open_database(store_url(locked.server.folder))) as database:
            accounts.remove(StoreCall(database), "etl")
            with database.read() as tx:
                assert [each.name for each in rows.all_(tx)] == [rows.EVERYONE, "root"]
        self._is_refused(locked, token)
        secrets_of_principals("etl")  # the same name, somebody else
        self._is_refused(locked, token)

    def _is_refused(self, locked: Locked, token: str) -> None:
        status, _, message = locked.server.fails("GET", "/v1/config", headers=bearer(token))
        assert (status, message) == (401, "Not authorized: the owner of the token was removed")
        assert locked.refused(exchange(token))[:2] == (400, "invalid_request")
        assert locked.refused(locked.credentials())[:2] == (401, "invalid_client")

    def test_another_catalogs_tokens_are_foreign(self, locked: Locked, tmp_path: Path) -> None:
        with closing(open_database(store_url(tmp_path / "other"))) as database:
            realm = identity.Realm.of(database, 600, 600)
            token = identity.authenticate(
                realm, "etl", accounts.add(StoreCall(database), "etl", privileges=OWN)
            ).text
        assert locked.server.call("GET", "/v1/config", headers=bearer(token)).status_code == 401


class TestOpen:
    @pytest.mark.parametrize("value", ["Bearer None", "Bearer x.y.z", "Basic !", "x", ""])
    def test_the_header_does_not_matter_where_no_token_is_needed(
        self, server: Server, value: str
    ) -> None:
        server.ok("GET", "/v1/config", headers={"Authorization": value})

    @pytest.mark.fault(number=27)
    def test_a_name_without_proof_is_ignored(
        self, server: Server, secrets_of_principals: Callable[[str], str]
    ) -> None:
        secrets_of_principals("etl")
        claims = dict.fromkeys(("X-Remote-User", "X-Forwarded-User", "Remote-User"), "etl")
        basic = {"Authorization": "Basic " + base64.b64encode(b"etl:").decode()}
        for number, headers in enumerate((basic, claims, basic | claims)):
            server.ok("POST", "/v1/namespaces", {"namespace": [f"n{number}"]}, headers=headers)
        whose = "SELECT DISTINCT actor FROM events WHERE operation = 'createNamespace'"
        assert sql(server.folder, whose) == [("anonymous",)]

    def test_tokens_can_be_had_all_the_same(
        self, server: Server, secrets_of_principals: Callable[[str], str]
    ) -> None:
        me = Locked(server, "etl", secrets_of_principals("etl"))
        server.ok("GET", "/v1/config", headers=bearer(me.token()))


class TestSecrets:
    @pytest.mark.sqlite
    def test_none_is_in_the_store_the_log_or_an_error(
        self, start: Start, secrets_of_principals: Callable[[str], str]
    ) -> None:
        server = start(apart=True, auth__required=True, log__level="DEBUG")
        locked = Locked(server, "etl", secrets_of_principals("etl"))
        token = locked.token()
        expired = locked.forged(exp=1)
        answers = [
            locked.ask(locked.credentials(client_id="nobody")),
            locked.ask(locked.credentials(grant_type="password")),
            locked.ask(locked.credentials(), headers=locked.basic()),
            locked.ask(exchange(expired)),
            locked.ask(exchange(token, actor_token=token)),
            requests.post(locked.server.url + TOKENS, json=locked.credentials(), timeout=30),
            locked.server.call("GET", "/v1/config", headers=bearer(expired)),
            locked.server.call("GET", "/v1/config", headers=locked.basic()),
            locked.server.call("GET", "/v1/namespaces/none", headers=bearer(token)),
        ]
        assert [answer.status_code for answer in answers] == [
            401, 400, 400, 400, 400, 400, 401, 401, 404
        ]  # fmt: skip
        with trigger(server.folder, "BEFORE INSERT ON namespaces"):
            body = {"namespace": ["a"]}
            failed = server.call("POST", "/v1/namespaces", body, headers=bearer(token))
        assert failed.status_code == 500
        assert "Traceback" in server.log
        assert "principal=etl" in server.log  # who asked is told, once they are known
        told = [f"{answer.text}{answer.headers}" for answer in [*answers, failed]]
        stored = b"".join(path.read_bytes() for path in locked.server.folder.glob("catalog.db*"))
        basic = locked.basic()["Authorization"].removeprefix("Basic ")
        for secret in (locked.secret, token, expired, basic):
            assert secret not in server.log
            assert secret not in "".join(told)
            assert secret.encode() not in stored
        assert locked.key() in stored  # what would be found is found

    def test_representations_tell_nothing(self, locked: Locked) -> None:
        with closing(open_database(store_url(locked.server.folder))) as database:
            realm = identity.Realm.of(database, 600, 600)
            token = identity.authenticate(realm, locked.name, locked.secret)
            accounts.rotate(StoreCall(database), locked.name, 600)
            with database.read() as tx:
                row = rows.find(tx, locked.name)
                signing = rows.signing_key(tx)
        assert signing is not None
        assert row is not None
        assert row.previous_secret_hash is not None
        shown = f"{realm!r}{token!r}{row!r}{signing!r}"
        hashes = row.secret_hash, row.previous_secret_hash
        for secret in (repr(signing.key), token.text, *hashes):
            assert secret not in shown

    def test_what_is_sealed_for_one_purpose_is_nothing_else(self, locked: Locked) -> None:
        with closing(open_database(store_url(locked.server.folder))) as database:
            with database.read() as tx:
                signing = rows.signing_key(tx)
            assert signing is not None
            key_of = {signing.kid: signing.key}.get
            # With all that a token says about its owner.
            claims = {"sub": locked.name, "pid": 1}
            sealed = auth.seal(signing.kid, signing.key, "one", claims, 60)
            assert auth.unseal(key_of, "one", sealed) == claims
            late = auth.seal(signing.kid, signing.key, "one", claims, -60)
            other = auth.seal("other", auth.draw_key(), "one", claims, 60)
            for text, purpose in (
                (sealed, "two"),
                (late, "one"),
                (other, "one"),
                (locked.token(), "one"),
                (sealed[:-3], "one"),
                ("", "one"),
            ):
                with pytest.raises(auth.InvalidTokenError):
                    auth.unseal(key_of, purpose, text)
        headers = {"Authorization": f"Bearer {sealed}"}
        assert locked.server.fails("GET", "/v1/namespaces", headers=headers)[0] == 401

    def test_only_the_owner_reads_the_store(self, locked: Locked) -> None:
        for path in locked.server.folder.glob("catalog.db*"):
            assert path.stat().st_mode & 0o077 == 0, path

    def test_the_same_secret_is_never_hashed_alike(
        self, tmp_path: Path, secrets_of_principals: Callable[[str], str]
    ) -> None:
        secrets = {secrets_of_principals(name) for name in ("a", "b", "c")}
        assert len(secrets) == 3
        with (
            closing(open_database(store_url(tmp_path))) as database,
            database.read() as tx,
        ):
            found = [row for row in rows.all_(tx) if row.kind == "service"]
        assert [row.name for row in found] == ["a", "b", "c"]
        assert all(row.secret_hash.startswith("scrypt$16384$8$1$") for row in found)
        assert len({row.secret_hash for row in found}) == 3
