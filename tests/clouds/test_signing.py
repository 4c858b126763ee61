"""Remote signing against two stores that verify signatures, and every attack on it."""

import base64
import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from falcon_catalog.catalog import accounts, authorization
from falcon_catalog.catalog.authorization import Need
from falcon_catalog.catalog.call import Call, StoreCall
from falcon_catalog.catalog.privileges import OWN
from falcon_catalog.errors import ForbiddenError
from falcon_catalog.fileio.delegation import Scope, SignRequest
from falcon_catalog.fileio.s3_signing import S3Signer
from falcon_catalog.fileio.sigv4 import Keys
from falcon_catalog.settings import StorageSettings
from tests.catalog.serving import SCHEMA
from tests.clouds import s3proxy
from tests.clouds.emulators import S3
from tests.clouds.signing import TABLE, Answer, Signing, on, signing
from tests.fileio.attacks import BODIES, HEADERS, MINE, STORE, URIS, deletion

HOME = "s3://lake/wh/orders"
NAMES = ["plain", "a b", "a+b", "é", "p=a%2Fb", "100%", "~x", "'(!*)'", "a=b&c,d;e:f@g", "日本"]


@pytest.fixture(scope="module", params=["moto", "s3proxy"])
def store(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Signing]:
    """A catalog that signs with the keys of a whole store, with the table ``orders``."""
    folder = tmp_path_factory.mktemp(request.param)
    with contextlib.ExitStack() as stack:
        if request.param == "moto":
            place = on(request.getfixturevalue("s3"))
        else:
            running = stack.enter_context(s3proxy.s3proxy(folder / "store"))
            place = {
                "endpoint": f"http://{running.address}",
                "address": running.address,
                "region": s3proxy.REGION,
                "keys": s3proxy.KEYS,
            }
        served = stack.enter_context(signing(folder / "catalog", **place))
        served.server.table("orders", location=HOME)
        served.server.table("customers")
        yield served


def refusal(store: Signing, method: str, uri: str, **fields: Any) -> tuple[int, str, str]:
    """Ask for a signature that must not be given."""
    answer = store.ask("orders", method, uri, **fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) in {
        (400, "BadRequestException"),
        (403, "ForbiddenException"),
    }
    assert "AWS4-HMAC" not in answer.text
    assert "very-secret" not in answer.text
    return answer.status_code, error["type"], error["message"]


# Case 14


@pytest.mark.parametrize("name", NAMES)
def test_14_objects(store: Signing, name: str) -> None:
    location = f"{HOME}/data/{name}/x.parquet"
    assert store.send("orders", "PUT", location, data=b"0123456789").status == 200
    assert store.send("orders", "HEAD", location).headers["Content-Length"] == "10"
    assert store.send("orders", "GET", location).body == b"0123456789"
    part = store.send("orders", "GET", location, headers={"Range": "bytes=2-4"})
    assert (part.status, part.body) == (206, b"234")
    prefix = quote(f"wh/orders/data/{name}/", safe="")
    listed = store.send("orders", "GET", "s3://lake", f"list-type=2&prefix={prefix}&max-keys=9")
    assert listed.status == 200
    assert listed.text.count("<Key>") == 1
    assert store.send("orders", "DELETE", location).status == 204
    assert store.send("orders", "GET", location).status == 404


def test_14_a_write_with_what_clients_add(store: Signing) -> None:
    location = f"{HOME}/data/added.parquet"
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-MD5": base64.b64encode(hashlib.md5(b"x").digest()).decode(),  # noqa: S324
        "x-amz-meta-writer": "a  b",
        "x-amz-storage-class": "STANDARD",
        "User-Agent": "test",
        "amz-sdk-invocation-id": "1",
    }
    assert store.send("orders", "PUT", location, headers=headers, data=b"x").status == 200
    again = store.send("orders", "PUT", location, headers={"If-None-Match": "*"}, data=b"y")
    assert again.status == 412
    assert store.send("orders", "GET", location).body == b"x"


def test_14_an_upload_in_parts(store: Signing) -> None:
    location = f"{HOME}/data/parts.parquet"
    begun = store.send("orders", "POST", location, "uploads")
    assert begun.status == 200
    upload = quote(begun.text.partition("<UploadId>")[2].partition("<")[0], safe="")
    tags = []
    for number, data in ((1, b"a" * (5 << 20)), (2, b"b")):
        query = f"partNumber={number}&uploadId={upload}"
        part = store.send("orders", "PUT", location, query, data=data)
        assert part.status == 200
        tags.append(part.headers["ETag"])
    listed = store.send("orders", "GET", location, f"uploadId={upload}")
    assert listed.text.count("<PartNumber>") == 2
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
        for number, tag in enumerate(tags, 1)
    )
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    done = store.send("orders", "POST", location, f"uploadId={upload}", data=body)
    assert done.status == 200, done.text
    assert store.send("orders", "HEAD", location).headers["Content-Length"] == str((5 << 20) + 1)


def test_14_an_upload_that_is_given_up(store: Signing) -> None:
    location = f"{HOME}/data/given-up.parquet"
    begun = store.send("orders", "POST", location, "uploads")
    upload = quote(begun.text.partition("<UploadId>")[2].partition("<")[0], safe="")
    query = f"partNumber=1&uploadId={upload}"
    assert store.send("orders", "PUT", location, query, data=b"a").status == 200
    assert store.send("orders", "DELETE", location, f"uploadId={upload}").status == 204
    assert store.send("orders", "GET", location).status == 404


def delete(store: Signing, body: str, sent: bytes | None = None) -> Answer:
    data = body.encode() if sent is None else sent
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()  # noqa: S324 - the protocol's
    uri = store.uri("s3://lake", "delete")
    signature = store.signed("orders", "POST", uri, body=body)
    return store.deliver("POST", signature, {"Content-MD5": md5}, data)


def test_14_many_deletions_at_once(store: Signing) -> None:
    names = [f"many-{number}" for number in range(3)]
    for name in names:
        assert store.send("orders", "PUT", f"{HOME}/data/{name}", data=b"x").status == 200
    body = deletion(*(f"wh/orders/data/{name}" for name in names))
    assert delete(store, body).status == 200
    for name in names:
        assert store.send("orders", "HEAD", f"{HOME}/data/{name}").status == 404


def test_14_buckets_in_host_names_of_moto(s3: S3) -> None:
    address = s3.url.removeprefix("http://")
    endpoint = f"http://s3.us-east-1.amazonaws.com:{address.partition(':')[2]}"
    _in_host_names(endpoint, address, Keys(s3.access_key_id, s3.secret_access_key))


def test_14_buckets_in_host_names_of_s3proxy(tmp_path: Path) -> None:
    with s3proxy.s3proxy(tmp_path / "store", "store.test") as running:
        _in_host_names(f"http://{running.domain}", running.address, Keys(*s3proxy.KEYS))


def _in_host_names(endpoint: str, address: str, keys: Keys) -> None:
    """Ask the signer without a catalog: such names do not resolve here."""
    settings = StorageSettings(location="s3://lake/wh", region="us-east-1", endpoint=endpoint)
    signer = S3Signer(settings, endpoint, is_amazon=False, keys=lambda: keys)
    store = Signing(None, endpoint, address, "us-east-1", path_style=False)  # type: ignore[arg-type]
    for name in NAMES:
        for method, query, data in (("PUT", "", b"x"), ("GET", "", b""), ("DELETE", "", b"")):
            uri = store.uri(f"{HOME}/data/{name}/host", query)
            assert "//lake." in uri
            asked = SignRequest(method, uri, "us-east-1", {})
            signed = signer.sign(asked, Scope((HOME,), "write"), None)
            answer = store.deliver(method, {"uri": signed.uri, "headers": signed.headers}, {}, data)
            assert answer.status in (200, 204), (name, method, answer.text)
    listing = store.uri("s3://lake", "list-type=2&prefix=wh%2Forders%2F")
    signed = signer.sign(SignRequest("GET", listing, "us-east-1", {}), Scope((HOME,), "read"), None)
    assert store.deliver("GET", {"uri": signed.uri, "headers": signed.headers}).status == 200


def test_14_the_path_of_the_older_specification(store: Signing) -> None:
    uri = store.uri(f"{HOME}/data/x")
    for below in ("v1/aws/s3/sign", "sign"):
        signature = store.signed("orders", "PUT", uri, below=below, provider=None)
        assert store.deliver("PUT", signature, data=b"x").status == 200


def test_14_what_may_be_cached(store: Signing) -> None:
    for method, told in (("GET", "private"), ("HEAD", "private"), ("PUT", "no-cache")):
        answer = store.ask("orders", method, store.uri(f"{HOME}/data/x"))
        assert answer.headers["Cache-Control"] == told


def test_14_the_store_refuses_what_was_changed(store: Signing) -> None:
    for name in ("mine", "other"):
        store.send("orders", "PUT", f"{HOME}/data/{name}", data=b"x")
    signature = store.signed("orders", "GET", store.uri(f"{HOME}/data/mine"))
    assert store.deliver("GET", signature).status == 200
    for changed in (
        {**signature, "uri": store.uri(f"{HOME}/data/other")},
        {**signature, "uri": f"{signature['uri']}?acl"},
    ):
        assert store.deliver("GET", changed).status == 403
    assert store.deliver("DELETE", signature).status == 403
    late = {**signature["headers"], "x-amz-date": ["20260101T000000Z"]}
    assert store.deliver("GET", {**signature, "headers": late}).status == 403
    assert store.send("orders", "GET", f"{HOME}/data/mine").status == 200


# Case 15


@pytest.mark.parametrize("attack", URIS)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_15_attack_by_uri(store: Signing, attack: str, method: str) -> None:
    refusal(store, method, URIS[attack].replace(STORE, store.endpoint))


def test_15_attack_by_region(store: Signing) -> None:
    uri = store.uri(f"{HOME}/data/x")
    assert "region" in refusal(store, "GET", uri, region="eu-west-1")[2]


def test_15_attack_by_provider(store: Signing) -> None:
    refusal(store, "GET", store.uri(f"{HOME}/data/x"), provider="gcs")


# Case 16


@pytest.mark.parametrize("attack", [name for name in BODIES if name != "a lone surrogate"])
def test_16_attack_by_body(store: Signing, attack: str) -> None:
    refusal(store, "POST", store.uri("s3://lake", "delete"), body=BODIES[attack])


@pytest.mark.parametrize("query", ["xdelete=1", "delete=1", "xdelete"])
def test_16_attack_by_query(store: Signing, query: str) -> None:
    refusal(store, "POST", store.uri("s3://lake", query), body=deletion(MINE))


@pytest.mark.parametrize("store", ["s3proxy"], indirect=True)  # moto compares no hashes
def test_16_the_store_refuses_a_body_that_was_changed(store: Signing) -> None:
    store.send("orders", "PUT", f"{HOME}/data/kept", data=b"x")
    for said in (deletion("wh/orders/data/a"), deletion("wh/orders/data/other")):
        sent = said.replace("/data/a", "/data/kept").replace("/data/other", "/data/kept").encode()
        assert delete(store, said, sent).status in (400, 403)
    assert store.send("orders", "HEAD", f"{HOME}/data/kept").status == 200


# Case 17


@pytest.mark.parametrize("name", HEADERS)
def test_17_attack_by_header(store: Signing, name: str) -> None:
    refusal(store, "PUT", store.uri(f"{HOME}/data/x"), headers={name: HEADERS[name]})


# Case 18


@pytest.fixture
def reader(inside: pytest.MonkeyPatch) -> None:
    """Let nobody write."""

    def require(call: Call, needs: list[Need], **_options: object) -> None:
        if any(need.privilege == "write" for need in needs):
            raise ForbiddenError(f"{call.principal} may not write")

    inside.setattr(authorization, "require", require)


@pytest.mark.usefixtures("reader")
def test_18_a_reader_writes_and_deletes_nothing(store: Signing) -> None:
    place = store.uri(f"{HOME}/data/x")
    for method, uri in (
        ("PUT", place),
        ("DELETE", place),
        ("POST", f"{place}?uploads"),
        ("GET", f"{place}?uploadId=u"),
        ("POST", store.uri("s3://lake", "delete")),
    ):
        assert refusal(store, method, uri, body=deletion(MINE))[0] == 403
    assert store.ask("orders", "GET", place).status_code == 200
    assert store.ask("orders", "HEAD", place).status_code == 200


def test_18_the_address_of_one_table_signs_nothing_of_another(store: Signing) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = store.ask("customers", method, store.uri(f"{HOME}/data/x"))
        assert answer.status_code == 403
    assert store.ask("none", "GET", store.uri(f"{HOME}/data/x")).status_code == 404
    missing = store.server.call("POST", "/v1/default/namespaces/none/tables/orders/sign", {})
    assert missing.status_code == 400


def test_18_metadata_files_are_the_catalogs(store: Signing) -> None:
    table = store.server.ok("GET", f"{TABLE}orders")
    place = store.uri(table["metadata-location"])
    for method in ("PUT", "DELETE"):
        assert "metadata files" in refusal(store, method, place)[2]
    assert store.deliver("GET", store.signed("orders", "GET", place)).status == 200


def test_18_a_table_that_was_dropped_for_good(s3: S3, tmp_path: Path) -> None:
    options: dict[str, Any] = {"prefix": "dropped", "warehouse__drop_retention": 0}
    with signing(tmp_path, **on(s3), **options) as store:
        metadata = store.uri(store.server.table("gone")["metadata-location"])
        store.server.ok("DELETE", f"{TABLE}gone")
        for method in ("HEAD", "GET", "PUT"):
            assert store.ask("gone", method, metadata).status_code == 404


def test_18_a_dropped_table_that_can_be_undropped(s3: S3, tmp_path: Path) -> None:
    options: dict[str, Any] = {"prefix": "retained", "warehouse__drop_retention": 3600}
    with signing(tmp_path, **on(s3), **options) as store:
        metadata = store.uri(store.server.table("gone")["metadata-location"])
        store.server.ok("DELETE", f"{TABLE}gone")
        assert store.deliver("HEAD", store.signed("gone", "HEAD", metadata)).status == 200
        elsewhere = store.uri("s3://lake/retained/other/x")
        assert store.ask("gone", "HEAD", elsewhere).status_code == 403
        for method in ("GET", "PUT", "DELETE"):
            assert store.ask("gone", method, metadata).status_code == 404
        # A table of the same name is another one.
        other = store.uri(store.server.table("gone")["metadata-location"])
        assert store.ask("gone", "HEAD", metadata).status_code == 403
        assert store.ask("gone", "GET", other).status_code == 200


def test_18_a_principal_that_was_removed(s3: S3, tmp_path: Path) -> None:
    with signing(tmp_path, **on(s3), prefix="removed") as store:
        uri = store.uri(f"{store.server.table('t')['metadata']['location']}/data/x")
    with signing(tmp_path, **on(s3), prefix="removed", auth__required=True) as store:
        database = store.server.catalog.store
        accounts.add(StoreCall(database), "root", privileges=OWN)
        secret = accounts.add(StoreCall(database), "ann", privileges=OWN)
        form = {"grant_type": "client_credentials", "client_id": "ann", "client_secret": secret}
        answer = requests.post(f"{store.server.url}/v1/oauth/tokens", data=form, timeout=30)
        sender = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        assert store.ask("t", "GET", uri, sender=sender).status_code == 200
        assert store.ask("t", "GET", uri).status_code == 401
        accounts.remove(StoreCall(database), "ann")
        assert store.ask("t", "GET", uri, sender=sender).status_code == 401


# The rest of the rules


def test_without_credentials_nothing_is_signed(s3: S3, tmp_path: Path) -> None:
    with signing(tmp_path, **on(s3), prefix="without") as store:
        uri = store.uri(f"{store.server.table('t')['metadata']['location']}/data/x")
        assert store.ask("t", "GET", uri).status_code == 200
        (tmp_path / "keys.json").unlink()
        answer = store.ask("t", "GET", uri)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert s3.secret_access_key not in answer.text


def test_a_warehouse_that_signs_nothing_says_so(s3: S3, tmp_path: Path) -> None:
    with signing(tmp_path, **on(s3), prefix="unsigned", warehouse__access="client") as store:
        uri = store.uri(f"{store.server.table('t')['metadata']['location']}/data/x")
        answer = store.ask("t", "GET", uri)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "BadRequestException")
        assert "its setting access is not signed" in answer.text


def test_the_locations_are_those_of_the_present_metadata(s3: S3, tmp_path: Path) -> None:
    with signing(tmp_path, **on(s3), prefix="moved") as store:
        store.server.table("t")
        place = store.uri("s3://lake/moved/elsewhere/x")
        assert store.ask("t", "PUT", place).status_code == 403
        updates = {"write.data.path": "s3://lake/moved/elsewhere"}
        body = {"updates": [{"action": "set-properties", "updates": updates}], "requirements": []}
        store.server.ok("POST", f"{TABLE}t", body)
        assert store.ask("t", "PUT", place).status_code == 200
        body["updates"] = [{"action": "remove-properties", "removals": ["write.data.path"]}]
        store.server.ok("POST", f"{TABLE}t", body)
        assert store.ask("t", "PUT", place).status_code == 403


def test_the_log_names_operation_and_table_and_no_secret(s3: S3, tmp_path: Path) -> None:
    with signing(tmp_path, **on(s3), prefix="logged", apart=True, log__access=True) as store:
        location = store.server.table("t")["metadata"]["location"]
        signature = store.signed("t", "GET", store.uri(f"{location}/data/very-private"))
        store.ask("t", "GET", f"{store.uri(f'{location}/x')}?X-Amz-Signature=very-secret")
        lines = [line for line in store.server.log.splitlines() if "signRequest" in line]
    key = f"{location.removeprefix('s3://lake/')}/data/very-private"
    digest = hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
    assert f"signed=GetObject key={digest}" in lines[0]
    assert "table=t" in lines[0]
    assert "error=ForbiddenException" in lines[1]
    log = "".join(lines)
    authorization_header = signature["headers"]["Authorization"][0]
    for secret in (authorization_header[-20:], "very-private", "very-secret", s3.secret_access_key):
        assert secret not in log


# Credentials of the table alone, where the store issues some


def copy_of_a_foreign_file(store: Signing, root: str) -> tuple[int, bytes]:
    """Send a signed write with a header that was not signed; return what became of it."""
    store.server.table("victim", location=f"{root}/victim")
    store.server.table("thief", location=f"{root}/thief")
    foreign = f"{root}/victim/data/secret"
    assert store.send("victim", "PUT", foreign, data=b"secret").status == 200
    own = f"{root}/thief/data/x"
    signature = store.signed("thief", "PUT", store.uri(own))
    answer = store.deliver("PUT", signature, {"x-amz-copy-source": foreign.removeprefix("s3:/")})
    return answer.status, store.send("thief", "GET", own).body


def test_17_an_unsigned_copy_header_is_blocked_by_the_credential(s3: S3, tmp_path: Path) -> None:
    options: dict[str, Any] = {"prefix": "blocked", "warehouse__role_arn": s3.role_arn}
    with signing(tmp_path, **on(s3), **options) as store:
        status, copied = copy_of_a_foreign_file(store, "s3://lake/blocked")
    assert status == 403
    assert copied != b"secret"


def test_17_a_store_without_sts_must_refuse_it_itself(s3: S3, tmp_path: Path) -> None:
    """The emulator does not: that is what the storage check looks for."""
    with signing(tmp_path, **on(s3), prefix="copied") as store:
        assert copy_of_a_foreign_file(store, "s3://lake/copied") == (200, b"secret")


def test_reads_are_signed_with_what_can_only_read(s3: S3, tmp_path: Path) -> None:
    options: dict[str, Any] = {"prefix": "narrow", "warehouse__role_arn": s3.role_arn}
    with signing(tmp_path, **on(s3), **options) as store:
        location = store.server.table("t")["metadata"]["location"]
        assert store.send("t", "PUT", f"{location}/data/x", data=b"x").status == 200
        uris = [store.uri(f"{location}/data/x")] * 2
        reading, writing = store.signed("t", "GET", uris[0]), store.signed("t", "PUT", uris[1])
        assert reading["headers"]["x-amz-security-token"]
        keys = [
            each["headers"]["Authorization"][0].partition("Credential=")[2].partition("/")[0]
            for each in (reading, store.signed("t", "HEAD", uris[0]), writing)
        ]
        assert keys[0] == keys[1] != keys[2]
        assert s3.access_key_id not in keys
        assert store.deliver("GET", reading).body == b"x"


# What clients are told


DELEGATION = "X-Iceberg-Access-Delegation"
PYICEBERG = {"User-Agent": "PyIceberg/0.12.0", DELEGATION: "vended-credentials"}


@pytest.mark.parametrize(
    ("headers", "signs"),
    [
        ({}, True),  # Java says nothing unless it is told to
        ({DELEGATION: "remote-signing"}, True),
        ({DELEGATION: "vended-credentials, Remote-Signing"}, True),
        (PYICEBERG, True),
        ({DELEGATION: "vended-credentials"}, False),  # DuckDB takes any key for credentials
        ({DELEGATION: "client-managed"}, False),
    ],
)
def test_what_a_client_is_told(store: Signing, headers: dict[str, str], signs: bool) -> None:
    loaded = store.server.ok("GET", f"{TABLE}orders", headers=headers)
    assert "storage-credentials" not in loaded
    if not signs:
        assert loaded["config"] == {}
        assert "remote-signing-config" not in loaded
        return
    endpoint = "v1/default/namespaces/ns/tables/orders/sign"
    expected = {
        "client.region": store.region,
        "s3.region": store.region,
        "s3.endpoint": store.endpoint,
        "s3.path-style-access": "true",
        "s3.remote-signing-enabled": "true",
        "s3.chunked-encoding-enabled": "false",
        "signer.endpoint": endpoint,
        "s3.signer.endpoint": endpoint,
    }
    if headers == PYICEBERG:
        expected["s3.signer"] = "S3V4RestSigner"
        expected["py-io-impl"] = "pyiceberg.io.fsspec.FsspecFileIO"
    assert loaded["config"] == expected
    assert loaded["remote-signing-config"] == {"properties": {}}
    body = {"region": store.region, "method": "GET", "uri": store.uri(HOME + "/x"), "headers": {}}
    store.server.ok("POST", f"/{endpoint}", body)


def test_names_in_the_address_are_encoded(store: Signing) -> None:
    for levels in (["a/b"], ["a/b", "c d"]):
        store.server.ok("POST", "/v1/namespaces", {"namespace": levels})
    path = "/v1/namespaces/a%2Fb%1Fc%20d/tables"
    store.server.ok("POST", path, {"name": "é%/+", "schema": SCHEMA})
    loaded = store.server.ok("GET", f"{path}/%C3%A9%25%2F%2B")
    endpoint = loaded["config"]["signer.endpoint"]
    uri = store.uri(f"{loaded['metadata']['location']}/data/x")
    body = {"region": store.region, "method": "GET", "uri": uri, "headers": {}}
    store.server.ok("POST", f"/{endpoint}", body)


# Staged tables, whose files are written before there is a row


def stage(store: Signing, name: str, **fields: Any) -> tuple[str, dict[str, str]]:
    """Return the location of a staged table, and the properties that its client brings back."""
    body = {"name": name, "schema": SCHEMA, "stage-create": True, **fields}
    staged = store.server.ok("POST", TABLE.removesuffix("/"), body)
    location: str = staged["metadata"]["location"]
    properties: dict[str, str] = staged["remote-signing-config"]["properties"]
    assert staged["config"]["s3.remote-signing-enabled"] == "true"
    return location, properties


def test_a_staged_table_is_written_before_it_is_created(store: Signing) -> None:
    location, properties = stage(store, "staged")
    uri = store.uri(f"{location}/data/x")
    assert store.ask("staged", "PUT", uri).status_code == 404
    signature = store.signed("staged", "PUT", uri, properties=properties)
    assert store.deliver("PUT", signature, data=b"x").status == 200
    outside = store.uri(f"{HOME}/data/x")
    assert store.ask("staged", "PUT", outside, properties=properties).status_code == 403
    for name, value in properties.items():
        assert store.ask("other", "PUT", uri, properties={name: value}).status_code == 403
        assert store.ask("staged", "PUT", uri, properties={name: value[:-2]}).status_code == 403
        assert store.ask("staged", "PUT", uri, properties={name: ""}).status_code == 403


def test_a_staged_table_loses_its_location_to_another(store: Signing) -> None:
    home = "s3://lake/wh/contended"
    location, properties = stage(store, "slow", location=home)
    uri = store.uri(f"{location}/data/x")
    assert store.ask("slow", "PUT", uri, properties=properties).status_code == 200
    store.server.table("quick", location=home)
    assert store.ask("slow", "PUT", uri, properties=properties).status_code == 403
    assert store.ask("slow", "GET", uri, properties=properties).status_code == 403


def test_a_table_of_that_name_is_what_counts(store: Signing) -> None:
    location, properties = stage(store, "overtaken")
    uri = store.uri(f"{location}/data/x")
    store.server.table("overtaken")
    assert store.ask("overtaken", "PUT", uri, properties=properties).status_code == 403


def test_a_staged_table_at_a_foreign_location_gets_nothing(store: Signing) -> None:
    for location in (HOME, f"{HOME}/data", "s3://lake", "s3://other/x", "s3://lake/elsewhere"):
        body = {"name": "f", "schema": SCHEMA, "stage-create": True, "location": location}
        answer = store.server.call("POST", TABLE.removesuffix("/"), body)
        assert answer.status_code == 403
        assert "remote-signing-config" not in answer.text
