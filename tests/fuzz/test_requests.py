"""Requests that are wrong on purpose, each in one place: no document is needed for these."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from falcon_catalog.api.routes import ENDPOINTS
from tests.fuzz.asking import SCALE, Asker, asking
from tests.fuzz.bodies import BODIES, CREATE_VIEW, NS, REQUIREMENTS, SCHEMA, VERSION

NAMES = {"prefix": "default", "namespace": "ns", "table": "t", "view": "v", "plan-id": "p"}
# One of each kind of JSON, and numbers and texts that are hard on code that expected others.
WRONG: list[Any] = [
    None,
    True,
    -1,
    2**31,
    2**63,
    10**30,
    1.5,
    "",
    "x",
    "\x00",
    "\ud800",
    "💥" * 300,
    [],
    [[]],
    [None],
    {},
    {"": {}},
]


def positions(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to every value inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in inside:
        yield (*path, key)
        if isinstance(child, dict | list):
            yield from positions(child, (*path, key))


def replaced(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """Return a copy with another value at a place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def without(value: Any, path: tuple[str | int, ...]) -> Any:
    """Return a copy without the value at a place."""
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = without(value[path[0]], path[1:])
    return copy


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    with asking(tmp_path_factory.mktemp("fuzz")) as asker:
        yield asker


@pytest.mark.parametrize(("verb", "path", "body"), BODIES, ids=[f"{n}" for n in range(len(BODIES))])
def test_a_wrong_value_anywhere_is_refused_or_taken(
    asker: Asker, verb: str, path: str, body: dict[str, Any]
) -> None:
    """Whatever stands where in a body, the answer is a success or an error of the client's."""
    asker.stage()
    for place in positions(body):
        for wrong in WRONG:
            status, _ = asker.ask(verb, path, replaced(body, place, wrong))
            if status < 300:
                asker.stage()
        asker.ask(verb, path, without(body, place))
    assert asker.seen[400] > 0


def nested(depth: int, inner: Any, around: str) -> bytes:
    """Return JSON text of lists or objects in one another."""
    opening, closing = ("[", "]") if around == "list" else ('{"a":', "}")
    return (opening * depth + json.dumps(inner) + closing * depth).encode()


def deep_type(depth: int) -> bytes:
    opening = '{"type":"list","element-id":9,"element-required":false,"element":'
    return (opening * depth + '"int"' + "}" * depth).encode()


@pytest.mark.parametrize("depth", [100, 260, 600, 1000, 20_000])
def test_depth_is_refused_or_taken(asker: Asker, depth: int) -> None:
    asker.stage()
    field = b'{"id":1,"name":"a","required":false,"type":' + deep_type(depth) + b"}"
    schema = b'{"type":"struct","fields":[' + field + b"]}"
    name = f"deep{depth}".encode()
    bodies = {
        f"{NS}/tables": b'{"name":"' + name + b'","schema":' + schema + b"}",
        f"{NS}/views": b'{"name":"v'
        + name
        + b'","properties":{},"view-version":'
        + json.dumps(VERSION).encode()
        + b',"schema":'
        + schema
        + b"}",
        f"{NS}/tables/t": b'{"updates":[{"action":"add-schema","schema":' + schema + b"}]}",
    }
    for path, body in bodies.items():
        status, _ = asker.ask("POST", path, body)
        assert status in (200, 400), path
    for filters in (b'{"type":"not","child":', b'{"type":"and","left":true,"right":'):
        asker.ask(
            "POST",
            f"{NS}/tables/t/plan",
            b'{"filter":' + filters * depth + b"true" + b"}" * (depth + 1),
        )
    for verb, path, body in BODIES:
        for around in ("list", "object"):
            text = json.dumps({**body, "deep": "here"}).encode()
            asker.ask(verb, path, text.replace(b'"here"', nested(depth, 1, around)))
            first = json.dumps(next(iter(body.values()))).encode()
            deep = json.dumps(body).encode().replace(first, nested(depth, 1, around), 1)
            asker.ask(verb, path, deep)
    # What was stored can be read.
    for name_of in ("tables", "views"):
        for entry in asker.ask("GET", f"{NS}/{name_of}")[1]["identifiers"]:
            status, _ = asker.ask("GET", f"{NS}/{name_of}/{entry['name']}")
            assert status == 200


def test_what_is_huge_is_refused_or_taken(asker: Asker) -> None:
    asker.stage()
    many = {f"k{number}": "v" * 100 for number in range(20_000)}
    wide = [
        {"id": number, "name": f"c{number}", "type": "int", "required": False}
        for number in range(5_000)
    ]
    for path, body in (
        ("/v1/namespaces", {"namespace": ["x" * 10_000_000]}),
        ("/v1/namespaces", {"namespace": ["x"] * 1_000_000}),
        ("/v1/namespaces", {"namespace": ["many"], "properties": many}),
        (f"{NS}/properties", {"updates": many}),
        (f"{NS}/tables", {"name": "wide", "schema": {"type": "struct", "fields": wide}}),
        (f"{NS}/tables", {"name": "x" * 10_000_000, "schema": SCHEMA}),
        (f"{NS}/tables/t", {"updates": [{"action": "set-properties", "updates": many}]}),
        (f"{NS}/tables/t", {"updates": [{"action": "set-properties", "updates": {}}] * 100_000}),
        (f"{NS}/tables/t", {"updates": [], "requirements": [REQUIREMENTS[4]] * 100_000}),
        (f"{NS}/register", {"name": "n", "metadata-location": "file:///" + "x" * 1_000_000}),
        (f"{NS}/views", {**CREATE_VIEW, "properties": many, "location": None}),
    ):
        asker.ask("POST", path, body)


def test_a_body_over_the_limit_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("small")
    with asking(folder, server__max_body_bytes="2000") as asker:
        body = {"namespace": ["a"], "properties": {"k": "v" * 1900}}
        assert asker.ask("POST", "/v1/namespaces", body)[0] == 200
        body["properties"]["k"] += "v" * 200
        status, document = asker.ask("POST", "/v1/namespaces", body)
        assert (status, document["error"]["type"]) == (413, "PayloadTooLargeException")


BAD_TEXTS = [
    b"",
    b" ",
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b'{"a":"\xff"}',
    b'{"a":"\xed\xa0\x80"}',
    b'{"a":"\\ud800"}',
    b'{"a":NaN}',
    b'{"a":1e999}',
    b'{"a":01}',
    b'{"a":1,}',
    b"{'a':1}",
    b'{"a":1}{}',
    b'{"a"',
    b"\x00",
    b'{"namespace":["a\x00"]}',
]


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_a_body_that_is_no_json_is_refused(asker: Asker, text: bytes) -> None:
    asker.stage()
    for path in {path for _, path, _ in BODIES if path.startswith("/v1")}:
        for kind in ("application/json", "text/plain", "application/json; charset=latin-1", ""):
            status, _ = asker.ask("POST", path, text, headers={"Content-Type": kind})
            is_read = not text or kind.startswith("application/json")
            assert status == (400 if is_read else 415), (path, kind)


QUERIES = [
    "",
    "?",
    "?=",
    "?&&&",
    "?a=1&a=2",
    "?pageToken",
    "?pageToken=&pageToken=x",
    "?pageToken=%FF",
    "?pageToken=%00",
    "?pageToken=MQ",
    "?pageToken=MWFiYw",
    "?pageToken=" + "A" * 5000,
    "?pageToken=&pageSize=" + "9" * 5000,
    "?pageToken=&pageSize=99999999999999999999999",
    "?pageToken=&pageSize=%D9%A1",
    "?pageToken=&pageSize=1_0",
    "?pageSize=+1",
    "?parent=%FF%FE",
    "?parent=%1F",
    "?parent=%1F%1F%1F",
    "?parent=%251F",
    "?parent=a%251Fb",
    "?parent=" + "a%1F" * 500,
    "?parent=%00",
    "?snapshots=none",
    "?snapshots=%00",
    "?purgeRequested=maybe",
    "?warehouse=%FF",
    "?warehouse=%00",
    "?referenced-by=%1F,,%FF",
    "?no-such-parameter=%ff&x[]=1",
]
PATHS = [
    "//",
    "/v1",
    "/v1/",
    "/v1/namespaces/",
    "/v1/namespaces//",
    "/v1//namespaces",
    "/v1/namespaces/%",
    "/v1/namespaces/%zz",
    "/v1/namespaces/%00",
    "/v1/namespaces/%ff%fe",
    "/v1/namespaces/\xff\xfe",
    "/v1/namespaces/ns/../ns",
    "/v1/namespaces/..",
    "/v1/namespaces/%2e%2e",
    "/v1/namespaces/ns/tables/%2F..%2Fetc",
    "/v1/namespaces/ns;x=1",
    "/v1/namespaces/" + "x" * 8000,
    "/v1/namespaces/" + "%1F" * 500,
    "/v1/namespaces/ns/tables/" + "%F0%9F%92%A5" * 300,
    "/v1/default/default/namespaces",
    "/v1/%64efault/namespaces",
    "/v1/no-such-warehouse/namespaces",
    "/v2/namespaces",
    "/V1/namespaces",
    "/v1/config/",
    "/management/v1",
    "/health",
    "/*",
]
VERBS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"]


def test_unknown_parameters_and_odd_ones_are_ignored_or_refused(asker: Asker) -> None:
    asker.stage()
    for endpoint in ["GET /v1/config", *ENDPOINTS]:
        verb, path = endpoint.split(" ")
        target = re.sub(r"\{(.*?)\}", lambda name: NAMES.get(name[1], "x"), path)
        for query in QUERIES:
            asker.ask(verb, target + query, {} if verb == "POST" else None)


@pytest.mark.parametrize("verb", VERBS)
def test_unknown_paths_and_verbs_are_refused(asker: Asker, verb: str) -> None:
    asker.stage()
    for path in PATHS:
        asker.ask(verb, path)
        asker.ask(verb, path, {})
    for endpoint in ENDPOINTS:
        path = endpoint.split(" ")[1].replace("{prefix}", "default")
        asker.ask(verb, path.replace("{", "%7B").replace("}", "%7D"), {})


HEADERS = [
    {"If-None-Match": '"'},
    {"If-None-Match": "*, W/"},
    {"If-None-Match": "\xff"},
    {"If-None-Match": ", " * 2000},
    {"Idempotency-Key": "x"},
    {"Idempotency-Key": "\xff" * 36},
    {"Authorization": "Basic"},
    {"Authorization": "Bearer \xff"},
    {"Accept": "no/such;q=nothing"},
    {"Accept-Encoding": "*;q=0"},
    {"Content-Type": "\xff"},
    {"Content-Encoding": "gzip"},
    {"X-Iceberg-Access-Delegation": "," * 1000},
    {"X-Request-Id": "\xff"},
    {"Range": "bytes=9-1"},
    {"Host": "\xff:99999999"},
    {"Forwarded": "for=_;proto=\xff"},
]


@pytest.mark.parametrize("headers", HEADERS, ids=lambda headers: next(iter(headers)))
def test_odd_headers_are_ignored_or_refused(asker: Asker, headers: dict[str, str]) -> None:
    asker.stage()
    asker.ask("GET", "/v1/config", headers=headers)
    asker.ask("GET", f"{NS}/tables/t", headers=headers)
    asker.ask("HEAD", f"{NS}/tables/t", headers=headers)
    asker.ask("POST", "/v1/namespaces", {"namespace": ["ns"]}, headers=headers)
    asker.ask("POST", f"{NS}/tables/t", {"updates": []}, headers=headers)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(
    max_examples=round(400 * SCALE),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_any_json_anywhere_is_refused_or_taken(asker: Asker, data: st.DataObject) -> None:
    verb, path, body = data.draw(st.sampled_from(BODIES))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(list(positions(body)) or [()]))
        body = replaced(body, place, data.draw(values))
        if not isinstance(body, dict):
            break
    status, _ = asker.ask(verb, path, body)
    if status < 300:
        asker.stage()
