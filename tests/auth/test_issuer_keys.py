"""Keys of an identity provider that is down, slow, hostile, or rotates them."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from falcon_catalog.auth import InvalidTokenError, KeysUnavailableError, fetching, issuer_keys
from falcon_catalog.auth.fetching import FetchError, fetch_json, reach_of
from falcon_catalog.auth.issuer_keys import IssuerKeys, read_keys
from tests.auth.issuer import Provider, SigningKey, provider, send
from tests.processes import wait_for


@pytest.fixture
def idp() -> Iterator[Provider]:
    with provider() as made:
        yield made


@pytest.fixture
def keys(idp: Provider) -> Iterator[IssuerKeys]:
    """The keys of the provider, with a clock that the test may set."""
    made = IssuerKeys("corp", idp.issuer)
    yield made
    made.stop()


def find(keys: IssuerKeys, kid: str | None = "one", *, wait: bool = True) -> int:
    return len(keys.find(kid, "RS256", wait=wait))


def moved(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"", status=302, Location="http://127.0.0.1:1/keys")


def of_100_mb(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b" " * 100_000_000)


def html(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"<html>log in</html>", kind="text/html")


def nothing(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"")


def deep(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"[" * 200_000)


def error(handler: BaseHTTPRequestHandler) -> None:
    send(handler, {"keys": []}, status=500)


def drip(handler: BaseHTTPRequestHandler) -> None:
    """Send a byte now and then, so that no single read takes long."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(100_000):
        handler.wfile.write(b" ")
        time.sleep(0.02)


def drip_head(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(100_000):
        handler.wfile.write(b"x")
        time.sleep(0.02)


@pytest.mark.parametrize("page", ["/realm/.well-known/openid-configuration", "/keys"])
@pytest.mark.parametrize("how", [moved, of_100_mb, html, nothing, deep, error])
def test_a_hostile_answer(
    idp: Provider, keys: IssuerKeys, page: str, how: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    idp.responses[page] = how
    with pytest.raises(FetchError, match=page):
        keys.refresh()
    assert not keys.is_available
    del idp.responses[page]
    keys.refresh()
    assert find(keys) == 1
    # What was fetched before stays, whatever comes then.
    idp.responses[page] = how
    keys._discovered = None
    with pytest.raises(FetchError):
        keys.refresh()
    assert find(keys) == 1


@pytest.mark.parametrize("how", [drip, drip_head])
def test_a_document_that_never_ends(
    idp: Provider, how: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    idp.responses["/keys"] = how
    with pytest.raises(FetchError):
        fetch_json(f"{idp.url}/keys", near="loopback", seconds=0.2)


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://another.example", "jwks_uri": "{url}/keys"},
        {"issuer": "{url}/realm/", "jwks_uri": "{url}/keys"},
        {"issuer": "{url}/realm"},
        {"issuer": "{url}/realm", "jwks_uri": 7},
        {"issuer": "{url}/realm", "jwks_uri": "file:///etc/passwd"},
        {"issuer": "{url}/realm", "jwks_uri": "ftp://127.0.0.1/keys"},
        {"issuer": "{url}/realm", "jwks_uri": "http://user:pw@127.0.0.1/keys"},
        {"issuer": "{url}/realm", "jwks_uri": "http://169.254.169.254/keys"},
        {"issuer": "{url}/realm", "jwks_uri": "http://[::ffff:169.254.169.254]/keys"},
        {"issuer": "{url}/realm", "jwks_uri": "http://0.0.0.0/keys"},
        {"issuer": "{url}/realm", "jwks_uri": "http://10.0.0.1/keys"},
        {"issuer": "{url}/realm", "jwks_uri": "https://[fe80::1]/keys"},
        {"issuer": "{url}/realm", "jwks_uri": "http://127.0.0.1:99999/keys"},
        {"issuer": "{url}/realm", "jwks_uri": "http://127.0.0.1/a b\r\nX: y"},
        [],
        "keys",
    ],
)
def test_a_discovery_that_leads_elsewhere(idp: Provider, keys: IssuerKeys, document: Any) -> None:
    if isinstance(document, dict):
        document = {
            name: value.replace("{url}", idp.url) if isinstance(value, str) else value
            for name, value in document.items()
        }
    idp.responses["/realm/.well-known/openid-configuration"] = lambda h: send(h, document)
    with pytest.raises(FetchError):
        keys.refresh()


@pytest.mark.parametrize(
    ("address", "near", "is_allowed"),
    [
        ("127.0.0.1", "public", False),
        ("127.0.0.1", "private", False),
        ("::1", "public", False),
        ("::ffff:127.0.0.1", "public", False),
        ("10.1.2.3", "public", False),
        ("192.168.0.1", "public", False),
        ("10.1.2.3", "private", True),
        ("10.1.2.3", "loopback", True),
        ("93.184.216.34", "public", True),
        ("169.254.169.254", "loopback", False),
        ("::ffff:169.254.169.254", "loopback", False),
        ("fe80::1%eth0", "loopback", False),
        ("0.0.0.0", "loopback", False),  # noqa: S104 - refused
        ("224.0.0.1", "loopback", False),
        ("100::1", "public", False),
    ],
)
def test_where_keys_may_be(
    monkeypatch: pytest.MonkeyPatch, address: str, near: Any, is_allowed: bool
) -> None:
    connected: list[str] = []

    def connect(found: tuple[str, int], **_options: object) -> None:
        connected.append(found[0])
        raise OSError("not in a test")

    monkeypatch.setattr(
        fetching.socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", (address,))]
    )
    monkeypatch.setattr(fetching.socket, "create_connection", connect)
    with pytest.raises(FetchError):
        fetch_json("https://keys.example/", near=near)
    assert connected == ([address] if is_allowed else [])


def test_a_name_is_resolved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it cannot be one address when it is checked, and another when it is used."""
    answers = iter([[(0, 0, 0, "", ("93.184.216.34",))], [(0, 0, 0, "", ("127.0.0.1",))]])
    connected: list[str] = []

    def connect(found: tuple[str, int], **_options: object) -> None:
        connected.append(found[0])
        raise OSError("not in a test")

    monkeypatch.setattr(fetching.socket, "getaddrinfo", lambda *_, **__: next(answers))
    monkeypatch.setattr(fetching.socket, "create_connection", connect)
    with pytest.raises(FetchError):
        fetch_json("https://keys.example/", near="public")
    assert connected == ["93.184.216.34"]
    with pytest.raises(FetchError, match=r"127\.0\.0\.1"):
        fetch_json("https://keys.example/", near="public")
    assert connected == ["93.184.216.34"]


def test_http_is_for_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        fetching.socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("10.0.0.1",))]
    )
    assert reach_of("http://idp.example") == "private"
    with pytest.raises(FetchError, match="must be https"):
        fetch_json("http://idp.example/keys", near="private")


def test_keys_that_cannot_verify_are_left_out() -> None:
    good, weak = SigningKey("good"), SigningKey("weak", bits=1024)
    private = good.private.private_numbers()
    listed = [
        {"kty": "oct", "k": "AAAA", "kid": "symmetric", "alg": "HS256"},
        {**good.jwk, "kid": "encryption", "use": "enc"},
        {**good.jwk, "kid": "private", "d": good.jwk["n"], "p": "AQAB", "q": "AQAB"},
        {**good.jwk, "kid": "broken", "n": "!"},
        {**good.jwk, "kid": "kty", "kty": "EC"},
        weak.jwk,
        "text",
        None,
        {},
        good.jwk,
    ]
    assert private.d
    assert [key.kid for key in read_keys({"keys": listed})] == ["good"]
    for document in ({"keys": listed[:-1]}, {"keys": []}, {"keys": {}}, {}, [], None):
        with pytest.raises(FetchError):
            read_keys(document)


def test_a_key_is_for_its_algorithm_and_its_name(idp: Provider, keys: IssuerKeys) -> None:
    idp.keys = [SigningKey("rsa"), SigningKey("ec", "ES256")]
    keys.refresh()
    assert len(keys.find("rsa", "RS256", wait=False)) == 1
    for kid, algorithm in (("rsa", "ES256"), ("rsa", "PS256"), ("ec", "RS256"), ("ec", "ES384")):
        with pytest.raises((InvalidTokenError, issuer_keys.WouldWaitError)):
            keys.find(kid, algorithm, wait=False)
    # Without a name it is not clear which one is meant.
    with pytest.raises(InvalidTokenError):
        keys.find(None, "RS256", wait=False)
    idp.keys = [SigningKey(None)]
    keys.refresh()
    assert find(keys, None) == 1


def test_two_keys_of_one_name_are_both_tried(idp: Provider, keys: IssuerKeys) -> None:
    idp.keys = [SigningKey("one"), SigningKey("one")]
    keys.refresh()
    assert find(keys) == 2


def test_a_rotated_key_is_fetched_when_it_is_used(idp: Provider, keys: IssuerKeys) -> None:
    keys.start()
    assert find(keys) == 1
    idp.keys.insert(0, SigningKey("two"))
    with pytest.raises(issuer_keys.WouldWaitError):
        find(keys, "two", wait=False)
    assert find(keys, "two") == 1
    assert find(keys, "one") == 1
    idp.keys.pop()
    keys.refresh()
    with pytest.raises((InvalidTokenError, issuer_keys.WouldWaitError)):
        find(keys, "one", wait=False)


def test_unknown_keys_cost_one_fetch(idp: Provider, keys: IssuerKeys) -> None:
    keys.start()
    assert find(keys) == 1
    for number in range(10_000):
        with pytest.raises(InvalidTokenError):
            find(keys, f"no-{number}")
    assert idp.count("/keys") == 2
    assert len(keys._unknown) <= 1000


def test_a_fetch_for_unknown_keys_after_the_cooldown(idp: Provider) -> None:
    now = [1000.0]
    keys = IssuerKeys("corp", idp.issuer, clock=lambda: now[0])
    keys.start()
    assert find(keys) == 1
    for wait_seconds, kid, fetches in ((0, "a", 2), (10, "b", 2), (31, "c", 3), (31, "c", 3)):
        now[0] += wait_seconds
        with pytest.raises(InvalidTokenError):
            find(keys, kid)
        assert idp.count("/keys") == fetches, kid
    keys.stop()


def test_keys_outlive_their_provider_for_a_day(idp: Provider) -> None:
    now = [1000.0]
    keys = IssuerKeys("corp", idp.issuer, clock=lambda: now[0])
    keys.refresh()
    idp.is_down = True
    now[0] += 86_000
    with pytest.raises(FetchError):
        keys.refresh()
    assert find(keys, wait=False) == 1
    now[0] += 500
    with pytest.raises(KeysUnavailableError):
        find(keys, None)
    idp.is_down = False
    keys.refresh()
    assert find(keys, wait=False) == 1


def test_nothing_waits_for_a_provider_that_was_down_from_the_start(
    idp: Provider, keys: IssuerKeys
) -> None:
    idp.is_down = True
    keys.start()
    with pytest.raises(KeysUnavailableError):
        find(keys)
    asked = len(idp.requests)
    for _ in range(100):
        with pytest.raises(KeysUnavailableError):
            find(keys)
    assert len(idp.requests) <= asked + 1  # the thread's own next try
    idp.is_down = False
    wait_for(lambda: keys.is_available, "the keys")
    assert find(keys) == 1


def test_few_wait_and_the_others_are_told_so(idp: Provider, keys: IssuerKeys) -> None:
    go = threading.Event()

    def late(handler: BaseHTTPRequestHandler) -> None:
        go.wait(30)
        send(handler, {"keys": [key.jwk for key in idp.keys]})

    idp.responses["/keys"] = late
    keys.start()
    found: list[int] = []
    waiting = [threading.Thread(target=lambda: found.append(find(keys))) for _ in range(4)]
    for thread in waiting:
        thread.start()
    wait_for(lambda: keys._waiting == 4, "four that wait")
    with pytest.raises(KeysUnavailableError):
        find(keys)
    go.set()
    for thread in waiting:
        thread.join()
    assert found == [1] * 4
    assert idp.count("/keys") == 1
