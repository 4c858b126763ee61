"""What a catalog answers of the access to tables on S3: cases 6, 7, 13, 19, 20, 25 and rules."""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from falcon_catalog.catalog import access, accounts, authorization
from falcon_catalog.catalog.call import Call, Principal, StoreCall
from falcon_catalog.catalog.privileges import OWN
from falcon_catalog.errors import ServiceUnavailableError
from falcon_catalog.fileio.delegation import Credential, Scope
from falcon_catalog.fileio.object_store import ObjectStoreFileIO
from falcon_catalog.identifiers import TableIdentifier
from falcon_catalog.store import principals as rows
from tests.catalog.serving import SCHEMA, VIEW, Server, creation
from tests.clouds.emulators import S3
from tests.clouds.warehouses import VENDED, on_s3
from tests.processes import wait_for

TABLES = "/v1/namespaces/ns/tables"
KEYS = {
    "s3.access-key-id",
    "s3.secret-access-key",
    "s3.session-token",
    "s3.session-token-expires-at-ms",
    "client.refresh-credentials-endpoint",
    "expiration-time",
}
SETTINGS = {"client.region", "s3.region", "s3.endpoint", "s3.path-style-access"}


class Minted:
    """Counts what the token service of a server is asked for, and may refuse or take its time."""

    def __init__(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scopes: list[Scope] = []
        self.sessions: list[str] = []
        self.fails = False
        self.seconds = 0.0
        vends = server.catalog.storage.vends
        assert vends is not None
        vend = vends.vend

        def counted(scope: Scope, *, session: str) -> Credential:
            if (
                "/.falcon-catalog-check-" in scope.locations[0]
            ):  # what the server tries at its start
                return vend(scope, session=session)
            self.scopes.append(scope)
            self.sessions.append(session)
            time.sleep(self.seconds)
            if self.fails:
                raise ServiceUnavailableError("the token service refused")
            return vend(scope, session=session)

        monkeypatch.setattr(vends, "vend", counted)


@pytest.fixture
def server(tmp_path: Path, s3: S3) -> Iterator[Server]:
    with on_s3(tmp_path, s3) as served:
        yield served


@pytest.fixture
def minted(server: Server, monkeypatch: pytest.MonkeyPatch) -> Minted:
    return Minted(server, monkeypatch)


def root(server: Server) -> str:
    return server.catalog.location


def client_of(config: dict[str, str]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=config["s3.endpoint"],
        region_name=config["s3.region"],
        aws_access_key_id=config["s3.access-key-id"],
        aws_secret_access_key=config["s3.secret-access-key"],
        aws_session_token=config["s3.session-token"],
    )


def put(config: dict[str, str], location: str, content: bytes = b"x") -> None:
    bucket, _, key = location.removeprefix("s3://").partition("/")
    client_of(config).put_object(Bucket=bucket, Key=key, Body=content)


def check_entry(answer: dict[str, Any], location: str, path: str) -> dict[str, str]:
    """Check the credentials of an answer; return their configuration."""
    assert len(answer["storage-credentials"]) == 1
    entry = answer["storage-credentials"][0]
    assert entry.keys() == {"prefix", "config"}
    assert entry["prefix"] == location
    config: dict[str, str] = entry["config"]
    assert config.keys() == KEYS | SETTINGS
    assert all(isinstance(value, str) for value in config.values())
    assert config["client.refresh-credentials-endpoint"] == path
    left = int(config["s3.session-token-expires-at-ms"]) / 1000 - time.time()
    assert 1800 <= left <= 3600
    return config


REFRESH = "v1/default/namespaces/ns/tables/t/credentials"


@pytest.mark.fault(number=35)
def test_create_load_register_and_refresh_give_one_entry_in_both_places(
    server: Server, minted: Minted
) -> None:
    created = (
        server.table("t", headers=None)
        if False
        else server.ok("POST", TABLES, {"name": "t", "schema": SCHEMA}, headers=VENDED)
    )
    location = created["metadata"]["location"]
    loaded = server.ok("GET", f"{TABLES}/t", headers=VENDED)
    for answer in (created, loaded):
        assert check_entry(answer, location, REFRESH) == answer["config"]
        assert answer["metadata-location"].startswith(answer["storage-credentials"][0]["prefix"])
    put(loaded["config"], f"{location}/data/a")
    refreshed = server.ok("GET", f"{TABLES}/t/credentials")
    assert list(refreshed) == ["storage-credentials"]
    check_entry(refreshed, location, REFRESH)
    server.ok("POST", f"{TABLES}/t/unregister")
    registered = server.ok(
        "POST",
        "/v1/namespaces/ns/register",
        {"name": "again", "metadata-location": loaded["metadata-location"]},
        headers=VENDED,
    )
    check_entry(registered, location, REFRESH.replace("/t/", "/again/"))
    assert {scope.locations for scope in minted.scopes} == {(location,)}
    assert minted.sessions[0].startswith("anyone-")


def test_the_names_of_the_refresh_endpoint_are_encoded(server: Server) -> None:
    server.namespace("a b")
    server.namespace("a b", "ü/x")
    path = "/v1/namespaces/a%20b%1F%C3%BC%2Fx/tables"
    answer = server.ok("POST", path, {"name": "t %1F", "schema": SCHEMA}, headers=VENDED)
    endpoint = answer["config"]["client.refresh-credentials-endpoint"]
    assert endpoint == ("v1/default/namespaces/a%20b%1F%C3%BC%2Fx/tables/t%20%251F/credentials")
    assert len(server.ok("GET", f"/{endpoint}")["storage-credentials"]) == 1


@pytest.mark.parametrize(
    ("header", "given"),
    [
        (None, "settings"),
        ("", "settings"),
        ("magic", "settings"),
        ("vended-credentials", "keys"),
        ("Vended-Credentials , magic", "keys"),
        ("remote-signing,vended-credentials", "keys"),
        ("remote-signing", "nothing"),
        ("client-managed", "nothing"),
        ("client-managed, vended-credentials", "nothing"),
    ],
)
def test_what_is_asked_for(server: Server, header: str | None, given: str) -> None:
    server.table("t")
    headers = {} if header is None else {"X-Iceberg-Access-Delegation": header}
    answer = server.ok("GET", f"{TABLES}/t", headers=headers)
    expected = {"settings": SETTINGS, "keys": SETTINGS | KEYS, "nothing": set[str]()}[given]
    assert answer["config"].keys() == expected
    assert ("storage-credentials" in answer) == (given == "keys")


def test_settings_are_in_the_configuration(server: Server, s3: S3) -> None:
    config = server.ok("GET", "/v1/config")
    assert config["defaults"] == {
        "client.region": s3.region,
        "s3.region": s3.region,
        "s3.endpoint": s3.url,
        "s3.path-style-access": "true",
    }
    advertised = "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}/credentials"
    assert advertised in config["endpoints"]


@pytest.mark.parametrize("access_", ["client", "signed"])
def test_nothing_is_issued_unless_access_is_vended(tmp_path: Path, s3: S3, access_: str) -> None:
    with on_s3(tmp_path, s3, warehouse__access=access_, warehouse__role_arn="") as server:
        created = server.ok("POST", TABLES, {"name": "t", "schema": SCHEMA}, headers=VENDED)
        for answer in (created, server.ok("GET", f"{TABLES}/t", headers=VENDED)):
            assert answer["config"] == {}
            assert "storage-credentials" not in answer
        assert server.ok("GET", f"{TABLES}/t/credentials") == {"storage-credentials": []}
        plain = server.ok("GET", f"{TABLES}/t")
        assert not plain["config"].keys() & KEYS
        assert plain["config"].keys() >= SETTINGS


def test_a_staged_create_gets_credentials_that_its_commit_can_use(
    server: Server, minted: Minted
) -> None:
    body = {"name": "t", "schema": SCHEMA, "stage-create": True}
    staged = server.ok("POST", TABLES, body, headers=VENDED)
    location = staged["metadata"]["location"]
    check_entry(staged, location, REFRESH)
    put(staged["config"], f"{location}/data/first")
    updates = creation(staged["metadata"])
    server.ok(
        "POST",
        f"{TABLES}/t",
        {
            "requirements": [{"type": "assert-create"}],
            "updates": [*updates, {"action": "set-location", "location": location}],
        },
    )
    assert len(minted.scopes) == 1


def outside(server: Server) -> dict[str, str]:
    """Return places where a table must not be, by what they are."""
    other = server.table("other")["metadata"]["location"]
    return {
        "another table": other,
        "a folder of another table": f"{other}/data",
        "the warehouse": root(server),
        "the bucket": "s3://lake",
        "around the warehouse": root(server).rpartition("/")[0],
        "another bucket": "s3://other/t",
        "a sibling": f"{root(server)}2/t",
        "a local folder": "file:///tmp/t",
        "an alias": root(server).replace("s3:", "s3a:") + "/t",
    }


@pytest.mark.fault(number=1)
@pytest.mark.parametrize("staged", [True, False], ids=["staged", "direct"])
def test_case_06_no_credentials_for_other_places(
    server: Server, minted: Minted, staged: bool
) -> None:
    for what, place in outside(server).items():
        body = {"name": "t", "schema": SCHEMA, "stage-create": staged, "location": place}
        assert server.fails("POST", TABLES, body, headers=VENDED)[0] in (400, 403), what
        assert minted.scopes == [], what


@pytest.mark.fault(number=7)
@pytest.mark.parametrize("access_", ["vended", "signed"])
def test_nothing_is_issued_where_a_location_is_no_longer_allowed(
    tmp_path: Path, s3: S3, access_: str
) -> None:
    aside = f"s3://{s3.bucket}/{uuid.uuid4()}"
    options: dict[str, Any] = {"warehouse__location": f"s3://{s3.bucket}/{uuid.uuid4()}"}
    if access_ == "signed":
        options |= {"warehouse__access": access_, "warehouse__role_arn": ""}
    uri = f"{s3.url}/{aside.removeprefix('s3://')}/t/data/x"
    sign = {"method": "GET", "uri": uri, "region": s3.region, "headers": {}}
    requests_: list[tuple[str, str, Any]] = [
        ("GET", f"{TABLES}/t", None),
        ("GET", f"{TABLES}/t/credentials", None),
        ("POST", f"{TABLES}/t/plan", {}),
    ]
    if access_ == "signed":
        requests_ = [("POST", f"{TABLES}/t/sign", sign)]
    with on_s3(tmp_path, s3, **options, warehouse__allowed_locations=(aside,)) as server:
        server.table("t", location=f"{aside}/t")
        for verb, path, body in requests_:
            server.ok(verb, path, body, headers=VENDED)
    with on_s3(tmp_path, s3, **options) as server:
        for verb, path, body in requests_:
            status, _, message = server.fails(verb, path, body, headers=VENDED)
            assert status == 403, path
            assert "allowed locations" in message


PATHS = [
    "write.data.path",
    "write.metadata.path",
    "write.object-storage.path",
    "write.folder-storage.path",
]


@pytest.mark.parametrize("name", PATHS)
def test_case_07_no_credentials_for_folders_elsewhere(
    server: Server, minted: Minted, name: str
) -> None:
    for what, place in outside(server).items():
        for staged in (True, False):
            body = {"name": "t", "schema": SCHEMA, "stage-create": staged}
            body["properties"] = {name: place}
            assert server.fails("POST", TABLES, body, headers=VENDED)[0] in (400, 403), what
            assert minted.scopes == [], what


@pytest.mark.fault(number=4)
@pytest.mark.parametrize("name", PATHS)
def test_case_07_commits_and_registrations(server: Server, minted: Minted, name: str) -> None:
    table = server.table("t")
    for place in outside(server).values():
        updates = [{"action": "set-properties", "updates": {name: place}}]
        change = {"requirements": [], "updates": updates}
        assert server.fails("POST", f"{TABLES}/t", change, headers=VENDED)[0] in (400, 403)
        identified = {**change, "identifier": {"namespace": ["ns"], "name": "t"}}
        transaction = {"table-changes": [identified]}
        path = "/v1/transactions/commit"
        assert server.fails("POST", path, transaction, headers=VENDED)[0] in (400, 403)
        metadata = {**table["metadata"], "table-uuid": str(uuid.uuid4())}
        metadata["location"] += "-moved"
        metadata["properties"] = {name: place}
        file = f"{root(server)}/{uuid.uuid4()}.metadata.json"
        server.catalog.storage.files.write(file, json.dumps(metadata).encode())
        body = {"name": "r", "metadata-location": file}
        path = "/v1/namespaces/ns/register"
        assert server.fails("POST", path, body, headers=VENDED)[0] in (400, 403)
    assert minted.scopes == []


def test_case_07_set_location(server: Server, minted: Minted) -> None:
    server.table("t")
    for place in outside(server).values():
        updates = [{"action": "set-location", "location": place}]
        change = {"requirements": [], "updates": updates}
        assert server.fails("POST", f"{TABLES}/t", change, headers=VENDED)[0] in (400, 403)
    assert minted.scopes == []


def test_folders_of_a_tables_own_are_opened_as_well(server: Server, minted: Minted) -> None:
    fast = f"{root(server)}/fast/t"
    body = {"name": "t", "schema": SCHEMA, "properties": {"write.data.path": fast}}
    created = server.ok("POST", TABLES, body, headers=VENDED)
    location = created["metadata"]["location"]
    assert minted.scopes[0].locations == (location, fast)
    assert created["storage-credentials"][0]["prefix"] == root(server)
    put(created["config"], f"{fast}/a")
    put(created["config"], f"{location}/a")
    with pytest.raises(ClientError, match="AccessDenied"):
        put(created["config"], f"{root(server)}/fast/t2/a")


@pytest.mark.fault(number=5)
@pytest.mark.parametrize(
    "name",
    [
        "s3.endpoint",
        "s3.proxy-uri",
        "py-io-impl",
        "io-impl",
        "client.region",
        "adls.connection-string.x",
        "gcs.service.host",
        "s3.signer.uri",
    ],
)
def test_case_13_settings_of_clients_are_no_properties(
    server: Server, minted: Minted, name: str
) -> None:
    table = server.table("t")
    value = {name: "http://attacker.example"}
    for staged in (True, False):
        body = {"name": "u", "schema": SCHEMA, "properties": value, "stage-create": staged}
        assert server.fails("POST", TABLES, body, headers=VENDED)[0] == 400
    updates = [{"action": "set-properties", "updates": value}]
    change = {"requirements": [], "updates": updates}
    assert server.fails("POST", f"{TABLES}/t", change, headers=VENDED)[0] == 400
    metadata = {**table["metadata"], "table-uuid": str(uuid.uuid4()), "properties": value}
    metadata["location"] += "-moved"
    file = f"{root(server)}/{uuid.uuid4()}.metadata.json"
    server.catalog.storage.files.write(file, json.dumps(metadata).encode())
    body = {"name": "r", "metadata-location": file}
    path = "/v1/namespaces/ns/register"
    assert server.fails("POST", path, body, headers=VENDED)[0] == 400
    assert minted.scopes == []


@pytest.mark.fault(number=5)
@pytest.mark.parametrize("name", ["s3.endpoint", "s3.proxy-uri", "py-io-impl"])
def test_case_13_no_credentials_for_a_table_that_would_send_them_elsewhere(
    server: Server, minted: Minted, s3: S3, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as unchecked:
        unchecked.setattr("falcon_catalog.catalog.policy.check_client_settings", lambda *_: None)
        server.table("t", properties={name: "http://attacker.example"})
    for path in ("", "/credentials"):
        status, _, message = server.fails("GET", f"{TABLES}/t{path}", headers=VENDED)
        assert status == 400
        assert f"Invalid property '{name}'" in message
    assert minted.scopes == []
    # The server's word on the endpoint overrides that of the table.
    assert server.ok("GET", f"{TABLES}/t")["config"]["s3.endpoint"] == s3.url


def test_case_19_refresh(server: Server, minted: Minted, monkeypatch: pytest.MonkeyPatch) -> None:
    server.table("t")
    first = server.ok("GET", f"{TABLES}/t/credentials")["storage-credentials"]
    assert server.ok("GET", f"{TABLES}/t/credentials")["storage-credentials"] == first
    later_on(monkeypatch, seconds=1801)
    second = server.ok("GET", f"{TABLES}/t/credentials")["storage-credentials"]
    assert second[0]["prefix"] == first[0]["prefix"]
    assert second[0]["config"]["s3.session-token"] != first[0]["config"]["s3.session-token"]
    assert len(minted.scopes) == 2
    assert server.fails("GET", f"{TABLES}/none/credentials")[:2] == (404, "NoSuchTableException")
    for name in ("planId", "referenced-by"):
        ok = server.call("GET", f"{TABLES}/t/credentials", params={name: "x" * 4096})
        assert len(ok.json()["storage-credentials"]) == 1
        refused = server.fails("GET", f"{TABLES}/t/credentials", params={name: "x" * 4097})
        assert refused[0] == 400
        assert f"Invalid {name}" in refused[2]


def later_on(monkeypatch: pytest.MonkeyPatch, *, seconds: int) -> None:
    """Let the server's clock be ahead."""
    ahead = time.time_ns
    monkeypatch.setattr(
        "falcon_catalog.store.database.time.time_ns", lambda: ahead() + seconds * 10**9
    )


def test_case_19_a_plan_reads_only(server: Server, minted: Minted) -> None:
    location = server.table("t")["metadata"]["location"]
    planned = server.ok("POST", f"{TABLES}/t/plan", {}, headers=VENDED)
    assert planned["status"] == "completed"
    again = server.ok("GET", f"{TABLES}/t/plan/{planned['plan-id']}", headers=VENDED)
    query = {"planId": planned["plan-id"]}
    refreshed = server.ok("GET", f"{TABLES}/t/credentials", params=query)
    assert {scope.permission for scope in minted.scopes} == {"read"}
    for answer in (planned, again, refreshed):
        config = check_entry(answer, location, REFRESH)
        with pytest.raises(ClientError, match="AccessDenied"):
            put(config, f"{location}/data/a")
    assert "storage-credentials" not in server.ok("POST", f"{TABLES}/t/plan", {})


@pytest.mark.fault(number=38)
def test_case_19_credentials_are_of_one_principal_and_permission(
    server: Server, minted: Minted, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = server.table("t")["metadata"]["location"]
    writer = server.ok("GET", f"{TABLES}/t", headers=VENDED)["config"]
    monkeypatch.setattr(authorization, "permission_of", lambda *_: "read")
    reader = server.ok("GET", f"{TABLES}/t", headers=VENDED)["config"]
    assert reader["s3.session-token"] != writer["s3.session-token"]
    put(writer, f"{location}/data/a")
    with pytest.raises(ClientError, match="AccessDenied"):
        put(reader, f"{location}/data/a")
    assert [scope.permission for scope in minted.scopes] == ["write", "read"]


@pytest.mark.fault(number=38)
def test_case_19_principals_do_not_share(tmp_path: Path, s3: S3) -> None:
    with on_s3(tmp_path, s3) as server:
        warehouse = server.catalog
        table = server.table("t")
        tokens = set()
        for name in ("ada", "bob"):
            accounts.add(StoreCall(warehouse.store), name, privileges=OWN)
        found = [rows.find(warehouse.store.autocommit(), name) for name in ("ada", "bob")]
        principals = [Principal(row.id, row.name) for row in found if row is not None]
        assert len(principals) == 2
        for principal in (*principals, None):
            call = Call(warehouse, principal, None, "1", frozenset({access.VENDED}))
            identifier = TableIdentifier.of({"namespace": ["ns"], "name": "t"})
            for _ in range(2):
                given = access.provide(call, identifier, table["metadata"])
                tokens.add(given.config["s3.session-token"])
        assert len(tokens) == 3


def test_case_20_parallel_loads_are_one_mint(server: Server, minted: Minted) -> None:
    server.table("t")
    minted.seconds = 0.3
    with ThreadPoolExecutor(50) as pool:
        loads = [pool.submit(server.ok, "GET", f"{TABLES}/t", headers=VENDED) for _ in range(50)]
        tokens = {load.result()["config"]["s3.session-token"] for load in loads}
    assert len(tokens) == 1
    assert len(minted.scopes) == 1


def counts(server: Server) -> tuple[float, ...]:
    """Return how many credentials were served again, issued and refused, as /metrics says."""
    lines = server.call("GET", "/metrics").text.splitlines()
    names = ("credential_hits_total", "credentials_issued_total", "credential_failures_total")
    label = '{warehouse="default"}'
    found = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert f'falcon_catalog_{names[0]}{{warehouse="local"}}' not in found
    return tuple(float(found[f"falcon_catalog_{name}{label}"]) for name in names)


def test_credentials_are_counted(server: Server, minted: Minted) -> None:
    server.table("t")
    before = counts(server)
    for _ in range(3):
        server.ok("GET", f"{TABLES}/t", headers=VENDED)
    server.ok("GET", f"{TABLES}/t")  # asks for none
    assert [now - then for now, then in zip(counts(server), before, strict=True)] == [2, 1, 0]
    server.table("u")
    minted.fails = True
    server.fails("GET", f"{TABLES}/u", headers=VENDED)
    server.ok("GET", f"{TABLES}/t", headers=VENDED)
    assert [now - then for now, then in zip(counts(server), before, strict=True)] == [3, 1, 1]


def test_case_20_errors_are_not_kept(server: Server, minted: Minted) -> None:
    server.table("t")
    minted.fails = True
    for _ in range(2):
        status, _, message = server.fails("GET", f"{TABLES}/t", headers=VENDED)
        assert (status, message) == (503, "the token service refused")
    assert len(minted.scopes) == 2
    assert server.ok("GET", f"{TABLES}/t")["config"].keys() == SETTINGS
    minted.fails = False
    assert "s3.session-token" in server.ok("GET", f"{TABLES}/t", headers=VENDED)["config"]


def test_case_20_half_of_their_life_is_left(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.table("t")
    first = server.ok("GET", f"{TABLES}/t", headers=VENDED)["config"]
    later_on(monkeypatch, seconds=1700)
    assert server.ok("GET", f"{TABLES}/t", headers=VENDED)["config"] == first
    later_on(monkeypatch, seconds=101)
    assert server.ok("GET", f"{TABLES}/t", headers=VENDED)["config"] != first


def test_case_20_another_secret_is_used_at_once(tmp_path: Path, s3: S3) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps({
        "access_key_id": s3.access_key_id, "secret_access_key": s3.secret_access_key,
    }))  # fmt: skip
    with on_s3(tmp_path, s3, warehouse__credential=f"file:{path}") as server:
        server.table("t")
        first = server.ok("GET", f"{TABLES}/t", headers=VENDED)["config"]
        new = path.with_suffix(".new")
        new.write_bytes(path.read_bytes())
        new.replace(path)
        second = server.ok("GET", f"{TABLES}/t", headers=VENDED)["config"]
    assert first["s3.session-token"] != second["s3.session-token"]


def test_case_20_a_table_of_the_same_name_gets_its_own(server: Server, minted: Minted) -> None:
    server.table("t")
    first = server.ok("GET", f"{TABLES}/t", headers=VENDED)
    server.ok("DELETE", f"{TABLES}/t")
    assert server.fails("GET", f"{TABLES}/t/credentials")[0] == 404
    server.table("t")
    second = server.ok("GET", f"{TABLES}/t", headers=VENDED)
    assert first["config"]["s3.session-token"] != second["config"]["s3.session-token"]
    assert len({scope.locations for scope in minted.scopes}) == 2


def test_a_token_service_that_refuses_fails_a_create_that_has_no_effect(
    server: Server, minted: Minted
) -> None:
    minted.fails = True
    for staged in (True, False):
        body = {"name": "t", "schema": SCHEMA, "stage-create": staged}
        assert server.fails("POST", TABLES, body, headers=VENDED)[0] == 503
    assert server.fails("GET", f"{TABLES}/t")[0] == 404
    assert list(server.catalog.storage.files.list(f"{root(server)}/ns")) == []
    assert server.ok("POST", TABLES, {"name": "t", "schema": SCHEMA})


def test_credentials_are_for_one_caller_and_never_stored(server: Server) -> None:
    server.table("t")
    plain = server.call("GET", f"{TABLES}/t")
    assert "Cache-Control" not in plain.headers
    for path in (f"{TABLES}/t", f"{TABLES}/t/credentials"):
        answer = server.call("GET", path, headers=VENDED)
        assert answer.headers["Cache-Control"] == "private, no-store"
        vary = answer.headers["Vary"].split(", ")
        assert {"Authorization", "X-Iceberg-Access-Delegation"} <= set(vary)


def test_a_client_with_good_credentials_hears_that_nothing_changed(
    server: Server, minted: Minted, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.table("t")
    plain = server.call("GET", f"{TABLES}/t").headers["ETag"]
    vended = server.call("GET", f"{TABLES}/t", headers=VENDED).headers["ETag"]
    assert plain != vended

    def load(tag: str, headers: dict[str, str]) -> int:
        answer = server.call("GET", f"{TABLES}/t", headers={**headers, "If-None-Match": tag})
        assert (answer.status_code == 304) == (answer.content == b"")
        return answer.status_code

    assert load(plain, {}) == 304
    assert load(plain, VENDED) == 200  # it has no credentials yet
    assert load(vended, VENDED) == 304
    later_on(monkeypatch, seconds=1801)
    assert load(vended, VENDED) == 200  # its credentials are about to end
    assert load(plain, {}) == 304
    assert len(minted.scopes) == 2


def test_compressed_answers_carry_the_credentials_of_now(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = [
        {"id": number, "name": f"column_{number}", "type": "long", "required": False}
        for number in range(1, 200)
    ]
    server.table("t", schema={"type": "struct", "fields": fields})

    def token() -> Any:
        answer = server.call("GET", f"{TABLES}/t", headers={**VENDED, "Accept-Encoding": "gzip"})
        assert answer.headers["Content-Encoding"] == "gzip"
        return answer.json()["config"]["s3.session-token"]

    first = token()
    assert token() == first
    plain = server.call("GET", f"{TABLES}/t", headers={"Accept-Encoding": "gzip"}).json()
    assert plain["config"].keys() == SETTINGS
    later_on(monkeypatch, seconds=1801)
    assert token() != first


@pytest.mark.parametrize("staged", [False, True], ids=["direct", "staged"])
def test_a_retry_gets_credentials_of_now_and_none_are_stored(
    tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch, staged: bool
) -> None:
    with on_s3(tmp_path, s3, warehouse__vend_seconds=900) as server:
        headers = {**VENDED, "Idempotency-Key": str(uuid.uuid4())}
        body = {"name": "t", "schema": SCHEMA, "stage-create": staged}
        first = server.ok("POST", TABLES, body, headers=headers)
        planned: list[Any] = []
        if not staged:
            plan = {**VENDED, "Idempotency-Key": str(uuid.uuid4())}
            planned = [server.ok("POST", f"{TABLES}/t/plan", {}, headers=plan) for _ in range(2)]
        secrets = [first, *planned]
        later_on(monkeypatch, seconds=451)
        second = server.ok("POST", TABLES, body, headers=headers)
        if not staged:
            assert second["metadata"] == first["metadata"]
        config = check_entry_kept(second)
        assert config["s3.session-token"] != first["config"]["s3.session-token"]
        stored = b"".join(path.read_bytes() for path in server.folder.glob("catalog.db*"))
        for answer in [*secrets, second]:
            for key in ("s3.session-token", "s3.secret-access-key"):
                assert answer["storage-credentials"][0]["config"][key].encode() not in stored
        # Who asks for none in the retry gets none.
        plain = {"Idempotency-Key": headers["Idempotency-Key"]}
        assert server.ok("POST", TABLES, body, headers=plain)["config"].keys() == SETTINGS


def check_entry_kept(answer: dict[str, Any]) -> dict[str, str]:
    config: dict[str, str] = answer["storage-credentials"][0]["config"]
    assert config == answer["config"]
    return config


def test_a_replayed_commit_has_no_credentials(server: Server, minted: Minted) -> None:
    server.table("t")
    headers = {**VENDED, "Idempotency-Key": str(uuid.uuid4())}
    updates = [{"action": "set-properties", "updates": {"a": "b"}}]
    change = {"requirements": [], "updates": updates}
    for _ in range(2):
        answer = server.ok("POST", f"{TABLES}/t", change, headers=headers)
        assert "storage-credentials" not in answer
    assert minted.scopes == []


def test_views_have_no_credentials(server: Server, minted: Minted) -> None:
    path = "/v1/namespaces/ns/views"
    created = server.ok("POST", path, {"name": "v", **VIEW}, headers=VENDED)
    loaded = server.ok("GET", f"{path}/v", headers=VENDED)
    for answer in (created, loaded):
        assert "s3.access-key-id" not in answer["config"]
    assert minted.scopes == []


def test_case_25_no_secret_in_the_log_or_the_metrics(tmp_path: Path, s3: S3) -> None:
    with on_s3(tmp_path, s3, apart=True) as server:
        server.table("t")
        server.ok("GET", f"{TABLES}/t", headers=VENDED)
        config = server.ok("GET", f"{TABLES}/t/credentials")["storage-credentials"][0]["config"]
        text = server.log + server.call("GET", "/metrics").text
    assert "/credentials" in text
    for secret in (
        s3.secret_access_key,
        config["s3.secret-access-key"],
        config["s3.session-token"],
    ):
        assert secret not in text


def test_a_hanging_token_service_leaves_threads_for_others(server: Server, minted: Minted) -> None:
    for number in range(20):
        server.table(f"t{number}")
    server.table("t")
    minted.seconds = 12

    def load(number: int) -> None:
        server.call("GET", f"{TABLES}/t{number}", headers=VENDED)

    waiting = [threading.Thread(target=load, args=(number,)) for number in range(20)]
    for thread in waiting:
        thread.start()
    wait_for(lambda: minted.scopes, "a request to the token service")
    assert server.ok("GET", f"{TABLES}/t")["config"].keys() == SETTINGS
    assert any(thread.is_alive() for thread in waiting)
    for thread in waiting:
        thread.join()
    assert len(minted.scopes) <= 4  # those that have a place, of all who asked


def names_of(s3: S3) -> set[str]:
    """Return all objects of a store, with their buckets."""
    client = boto3.client(
        "s3",
        endpoint_url=s3.url,
        region_name=s3.region,
        aws_access_key_id=s3.access_key_id,
        aws_secret_access_key=s3.secret_access_key,
    )
    pages = client.get_paginator("list_objects_v2")
    return {
        f"s3://{bucket}/{each['Key']}"
        for bucket in s3.buckets
        for page in pages.paginate(Bucket=bucket)
        for each in page.get("Contents", ())
        if "/.falcon-catalog-check-" not in each["Key"]
    }


@pytest.mark.fault(number=4)
def test_case_08_nothing_is_written_where_a_commit_must_not_point(server: Server, s3: S3) -> None:
    location = server.table("t")["metadata"]["location"]
    places = outside(server)
    before = names_of(s3)
    for what, place in places.items():
        updates = [{"action": "set-properties", "updates": {"write.metadata.path": place}}]
        change = {"requirements": [], "updates": updates}
        assert server.fails("POST", f"{TABLES}/t", change)[0] in (400, 403), what
    assert names_of(s3) == before
    updates = [{"action": "set-properties", "updates": {"write.metadata.path": f"{location}/m"}}]
    server.ok("POST", f"{TABLES}/t", {"requirements": [], "updates": updates})
    (new,) = names_of(s3) - before
    assert new.startswith(f"{location}/m/")


@pytest.mark.fault(number=20)
def test_case_09_registration_reads_and_takes_nothing_from_elsewhere(
    server: Server, minted: Minted, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    read = ObjectStoreFileIO.read

    def noted(self: ObjectStoreFileIO, location: str) -> bytes:
        reads.append(location)
        return read(self, location)

    table = server.table("t")["metadata"]
    places = outside(server)
    monkeypatch.setattr(ObjectStoreFileIO, "read", noted)

    def register(file: str) -> tuple[int, str, str]:
        body = {"name": "r", "metadata-location": file}
        return server.fails("POST", "/v1/namespaces/ns/register", body, headers=VENDED)

    for what in ("another bucket", "a sibling", "a local folder", "an alias"):
        assert register(f"{places[what]}/v1.metadata.json")[0] in (400, 403), what
    assert reads == []
    snapshot = {
        "snapshot-id": 1,
        "sequence-number": 1,
        "timestamp-ms": table["last-updated-ms"],
        "manifest-list": "s3://other/snap.avro",
        "summary": {"operation": "append"},
        "schema-id": 0,
    }
    for fields in (
        {"location": places["another table"]},
        {"location": places["another bucket"]},
        {"snapshots": [snapshot], "current-snapshot-id": 1, "last-sequence-number": 1},
    ):
        new = {**table, "table-uuid": str(uuid.uuid4()), "location": f"{root(server)}/new"}
        file = f"{root(server)}/{uuid.uuid4()}.metadata.json"
        server.catalog.storage.files.write(file, json.dumps({**new, **fields}).encode())
        assert register(file)[0] in (400, 403), fields
    assert minted.scopes == []
    file = f"{root(server)}/good.metadata.json"
    server.catalog.storage.files.write(file, json.dumps(new).encode())
    body = {"name": "r", "metadata-location": file}
    server.ok("POST", "/v1/namespaces/ns/register", body, headers=VENDED)
    assert [scope.locations for scope in minted.scopes] == [(f"{root(server)}/new",)]
