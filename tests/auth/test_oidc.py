"""Tokens of an identity provider: good ones, and every kind of bad one."""

import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from falcon_catalog.auth import InvalidTokenError, tokens
from falcon_catalog.auth.oidc import Issuer
from falcon_catalog.errors import WouldWaitError
from falcon_catalog.settings import IssuerSettings
from tests.auth.issuer import Provider, SigningKey, encoded, provider

NOW = int(time.time())


def configured(idp: Provider, **settings: Any) -> Issuer:
    made = Issuer("corp", IssuerSettings(**idp.settings(**settings)))
    made.keys.refresh()
    return made


def refusal(issuer: Issuer, token: str) -> str:
    with pytest.raises(InvalidTokenError) as caught:
        issuer.verify(token, wait=False)
    return str(caught.value)


def test_what_a_token_says(idp: Provider) -> None:
    issuer = configured(idp, groups_claim="realm_access/roles")
    token = idp.token(realm_access={"roles": ["data", "ops", 7]}, iat=NOW - 5, exp=NOW + 40_000)
    found = issuer.verify(token, wait=False)
    assert (found.issuer, found.subject, found.display_name) == ("corp", "u-1", "alice")
    assert found.groups == {("corp", "data"), ("corp", "ops")}
    assert (found.issued_at, found.expires_at) == (NOW - 5, NOW + 40_000)


@pytest.mark.parametrize(
    ("claim", "more"),
    [
        ("groups", {"groups": "a"}),
        ("groups", {"groups": ["a"]}),
        ("https://x.example/groups", {"https://x.example/groups": ["a"]}),
        ("resource_access/catalog/roles", {"resource_access": {"catalog": {"roles": ["a"]}}}),
        ("cognito:groups", {"cognito:groups": ["a"]}),
    ],
)
def test_where_groups_are(idp: Provider, claim: str, more: dict[str, Any]) -> None:
    issuer = configured(idp, groups_claim=claim)
    assert issuer.verify(idp.token(**more), wait=False).groups == {("corp", "a")}
    for none in ({}, {"groups": None}, {"resource_access": {"catalog": 7}}):
        assert issuer.verify(idp.token(**none), wait=False).groups == frozenset()


@pytest.mark.parametrize("algorithm", ["RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"])
def test_algorithms(idp: Provider, algorithm: str) -> None:
    idp.keys = [SigningKey("one", algorithm)]
    issuer = configured(idp)
    assert issuer.verify(idp.token(), wait=False).subject == "u-1"
    only = configured(idp, algorithms=("RS256",))
    assert refusal(only, idp.token()) == "its algorithm is not accepted"


def test_claims_of_other_names(idp: Provider) -> None:
    issuer = configured(
        idp,
        subject_claim="oid",
        audience_claim="client_id",
        required_claims=("token_use=access",),
        token_types=("at+jwt",),
        aliases=("https://sts.example/tenant/",),
    )
    good = {"oid": "o", "client_id": "catalog", "token_use": "access", "aud": ...}
    typ = {"typ": "application/at+jwt"}
    assert issuer.verify(idp.token(**good, headers=typ), wait=False).subject == "o"
    other = {**good, "iss": "https://sts.example/tenant/"}
    assert issuer.verify(idp.token(**other, headers=typ), wait=False).subject == "o"
    assert refusal(issuer, idp.token(**good)) == "its type (typ) is not accepted"
    wrong = {**good, "token_use": "id"}
    assert refusal(issuer, idp.token(**wrong, headers=typ)).startswith("its claim token_use")
    assert "audience" in refusal(issuer, idp.token(**{**good, "client_id": "x"}, headers=typ))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://evil.example"}, "issuer"),
        ({"iss": ...}, "issuer"),
        ({"iss": ["http://127.0.0.1/realm"]}, "issuer"),
        ({"aud": "another"}, "audience"),
        ({"aud": "catalog2"}, "audience"),
        ({"aud": "cat"}, "audience"),
        ({"aud": "Catalog"}, "audience"),
        ({"aud": ["a", "b"]}, "audience"),
        ({"aud": {"catalog": 1}}, "audience"),
        ({"aud": ...}, "audience"),
        ({"exp": ...}, "no end"),
        ({"exp": None}, "no time"),
        ({"exp": NOW - 1}, "expired"),
        ({"exp": str(NOW + 600)}, "no time"),
        ({"exp": True}, "no time"),
        ({"exp": float("inf")}, "no time"),
        ({"exp": float("nan")}, "no time"),
        ({"exp": 1 << 39}, "no time"),
        ({"exp": 1 << 60}, "no time"),
        ({"exp": NOW + 3 * 86400}, "too long"),
        ({"nbf": NOW + 40_000}, "not valid yet"),
        ({"iat": NOW + 40_000}, "not valid yet"),
        ({"iat": "x"}, "no time"),
        ({"sub": ...}, "subject"),
        ({"sub": ""}, "subject"),
        ({"sub": 7}, "subject"),
        ({"sub": "x" * 256}, "subject"),
        ({"sub": "a\nb"}, "subject"),
        ({"sub": "a\u202eb"}, "subject"),
        ({"sub": ["u-1"]}, "subject"),
        ({"groups": [str(n) for n in range(1001)]}, "groups"),
    ],
)
def test_claims_that_are_refused(idp: Provider, claims: dict[str, Any], reason: str) -> None:
    issuer = configured(idp, groups_claim="groups")
    payload = idp.claims(**claims)
    token = jwt.api_jws.PyJWS().encode(
        json.dumps(payload).encode(), idp.keys[0].private, algorithm="RS256", headers={"kid": "one"}
    )
    assert reason in refusal(issuer, token)


@pytest.mark.parametrize(
    "spelling", ["{}/", "{}/.", " {}", "{}#", "{}?", "{}\u200b", "HTTP{}", "{}%2F"]
)
def test_an_issuer_that_only_looks_alike(idp: Provider, issuer: Issuer, spelling: str) -> None:
    iss = spelling.format(idp.issuer.removeprefix("http") if "HTTP" in spelling else idp.issuer)
    assert "issuer" in refusal(issuer, idp.token(iss=iss))


def raw(idp: Provider, header: object, payload: object = None) -> str:
    """Return a token with any header, rightly signed with RS256."""
    signed = f"{encoded(header)}.{encoded(payload or idp.claims())}"
    algorithm = jwt.get_algorithm_by_name("RS256")
    return f"{signed}.{encoded(algorithm.sign(signed.encode(), idp.keys[0].private))}"


def doubled(idp: Provider) -> str:
    content = json.dumps(idp.claims(sub=...)).encode()[:-1] + b',"sub":"u-1","sub":"root"}'
    return raw(idp, {"alg": "RS256", "kid": "one"}, content)


def signed_hs256(idp: Provider, secret: bytes) -> str:
    signed = f"{encoded({'alg': 'HS256', 'kid': 'one'})}.{encoded(idp.claims())}"
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def hmac_with_public_key(idp: Provider) -> str:
    public = idp.keys[0].private.public_key()
    return signed_hs256(idp, public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def with_header_key(idp: Provider, header: str) -> str:
    mine = SigningKey("one")
    values: dict[str, Any] = {"jwk": mine.jwk, "x5c": ["AAAA"]}
    value = values.get(header, f"{idp.url}/hostile")
    return idp.token(key=mine, headers={header: value})


def changed(idp: Provider) -> str:
    head, _, signature = idp.token().split(".")
    return f"{head}.{encoded(idp.claims(sub='root'))}.{signature}"


ATTACKS: dict[str, Callable[[Provider], str]] = {
    "none": lambda idp: f"{encoded({'alg': 'none'})}.{encoded(idp.claims())}.",
    "None": lambda idp: f"{encoded({'alg': 'None', 'kid': 'one'})}.{encoded(idp.claims())}.",
    "no algorithm": lambda idp: f"{encoded({'kid': 'one'})}.{encoded(idp.claims())}.",
    "public key as secret": hmac_with_public_key,
    "public JWK as secret": lambda idp: signed_hs256(idp, str(idp.keys[0].jwk["n"]).encode()),
    "own key in the header": lambda idp: with_header_key(idp, "jwk"),
    "jku": lambda idp: with_header_key(idp, "jku"),
    "x5u": lambda idp: with_header_key(idp, "x5u"),
    "x5c": lambda idp: with_header_key(idp, "x5c"),
    "kid with a path": lambda idp: idp.token(headers={"kid": "../../dev/null"}),
    "kid with SQL": lambda idp: idp.token(headers={"kid": "' OR 1=1 --"}),
    "kid is no text": lambda idp: raw(idp, {"alg": "RS256", "kid": 1}),
    "kid is an object": lambda idp: raw(idp, {"alg": "RS256", "kid": {"a": 1}}),
    "another key of this name": lambda idp: idp.token(key=SigningKey("one")),
    "crit": lambda idp: raw(idp, {"alg": "RS256", "kid": "one", "crit": ["exp"], "exp": 1}),
    "b64": lambda idp: raw(idp, {"alg": "RS256", "kid": "one", "crit": ["b64"], "b64": False}),
    "header of 2 KB": lambda idp: idp.token(headers={"x": "y" * 2000}),
    "1 MB": lambda idp: idp.token(x="y" * 1_000_000),
    "many segments": lambda _: "a." * 1000,
    "two segments": lambda idp: idp.token().rpartition(".")[0],
    "JWE": lambda _: f"{encoded({'alg': 'RSA-OAEP', 'enc': 'A256GCM'})}.a.b.c.d",
    "changed content": changed,
    "no signature": lambda idp: idp.token().rpartition(".")[0] + ".",
    "not base64": lambda _: "!.!.!",
    "header is a list": lambda idp: f"{encoded([])}.{encoded(idp.claims())}.x",
    "deep header": lambda _: f"{encoded(b'[' * 700)}.{encoded({})}.x",
    "empty": lambda _: "",
    "not ASCII": lambda _: "ä.ö.ü",
    "repeated name in the header": lambda idp: raw(
        idp, b'{"alg":"HS256","alg":"RS256","kid":"one"}'
    ),
    "repeated name in the content": doubled,
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack(idp: Provider, issuer: Issuer, attack: str) -> None:
    before = len(idp.requests)
    # A kid that is unknown is worth a fetch, for which nothing waits here.
    with pytest.raises((InvalidTokenError, WouldWaitError)):
        issuer.verify(ATTACKS[attack](idp), wait=False)
    assert len(idp.requests) == before


def test_attacks_need_what_is_attacked(idp: Provider, issuer: Issuer) -> None:
    """The tokens of ``raw`` are refused for what they say, not for how they are made."""
    assert issuer.verify(raw(idp, {"alg": "RS256", "kid": "one"}), wait=False).subject == "u-1"


def test_a_key_of_another_issuer(idp: Provider, issuer: Issuer) -> None:
    with provider() as other:
        token = other.token(iss=idp.issuer)
        assert refusal(issuer, token) == "its signature is wrong"
        assert other.requests == []


def test_leeway_is_for_beginnings_only(idp: Provider) -> None:
    issuer = configured(idp)
    assert issuer.verify(idp.token(iat=NOW + 30, nbf=NOW + 30), wait=False)
    late = Issuer("corp", issuer.settings, issuer.keys, clock=lambda: NOW + 601)
    assert refusal(late, idp.token(exp=NOW + 600)) == "it has expired"


def test_own_tokens_are_bounded(idp: Provider) -> None:
    assert tokens.unverified_issuer(idp.token()) == idp.issuer
    assert tokens.unverified_issuer(idp.token(x="y" * 20_000)) == ""
    for text in ("", "a.b.c", "." * 5000, idp.token(iss=...)):
        assert tokens.unverified_issuer(text) == ""
    assert tokens.unverified_names(idp.token(exp=...)) is None


def test_no_mix_of_valid_parts_is_valid(idp: Provider, issuer: Issuer) -> None:
    one, two = idp.token(sub="a").split("."), idp.token(sub="b").split(".")
    for parts in itertools.product(*zip(one, two, strict=True)):
        if list(parts) not in (one, two) and parts[1:] not in (tuple(one[1:]), tuple(two[1:])):
            refusal(issuer, ".".join(parts))
