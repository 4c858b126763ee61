"""Remote signing: what is signed, for whom, and everything that is not."""

import hashlib
import random
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from falcon_catalog.errors import BadRequestError, CatalogError, ForbiddenError
from falcon_catalog.fileio.delegation import Credential, Scope, SignedRequest, SignRequest
from falcon_catalog.fileio.s3_signing import S3Signer
from falcon_catalog.fileio.sigv4 import Keys
from falcon_catalog.settings import StorageSettings
from tests.fileio.attacks import BODIES, HEADERS, KEY, MINE, OPERATIONS, STORE, URIS, deletion

REGION = "eu-central-1"
TABLE = "s3://lake/wh/orders"
FILE = f"{STORE}/lake/wh/orders/data/f.parquet"
KMS = "arn:aws:kms:eu-central-1:123456789012:key/k"
OWN = Keys("OWN", "own-secret")
REFUSED = (BadRequestError, ForbiddenError)


def sign(
    method: str,
    uri: str,
    *,
    headers: dict[str, str] | None = None,
    body: str | None = None,
    locations: tuple[str, ...] = (TABLE,),
    permission: str = "write",
    credential: Credential | None = None,
    region: str = REGION,
    endpoint: str = STORE,
    is_amazon: bool = False,
    **settings: Any,
) -> SignedRequest:
    given: dict[str, Any] = {"path_style": not is_amazon, "region": REGION, **settings}
    signer = S3Signer(
        StorageSettings(location="s3://lake/wh", **given),
        endpoint,
        is_amazon=is_amazon,
        keys=lambda: OWN,
    )
    many = {name: (value,) for name, value in (headers or {}).items()}
    request = SignRequest(method, uri, region, many, body)
    return signer.sign(request, Scope(locations, permission), credential)  # type: ignore[arg-type]


def expected(
    method: str, uri: str, headers: dict[str, str], keys: Keys = OWN, region: str = REGION
) -> str:
    """Return the Authorization that botocore makes of the same headers."""
    request = AWSRequest(method, uri, headers=headers)
    request.context["timestamp"] = headers["x-amz-date"]
    given = Credentials(keys.access_key, keys.secret_key, keys.token)
    auth = S3SigV4Auth(given, "s3", region)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    signed = auth.signed_headers(auth.headers_to_sign(request))
    return (
        f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, SignedHeaders={signed},"
        f" Signature={auth.signature(text, request)}"
    )


def joined(signed: SignedRequest, headers: dict[str, str] | None = None) -> dict[str, str]:
    """Return the headers that a client sends, without the signature."""
    own = {name: value for name, (value,) in signed.headers.items() if name != "Authorization"}
    return {**(headers or {}), **own}


# Signatures


def test_signatures_are_those_of_botocore() -> None:
    draw = random.Random(13)  # noqa: S311 - it can be repeated
    characters = "ab Z9-._~+%é=,'()*!@:&?#[]{}^`|<>\"$;日\u00a0"
    operations = [
        ("GET", "", {}),
        ("HEAD", "versionId=v.1~%2B&x-id=HeadObject", {}),
        ("PUT", "", {"Content-Type": "application/x  parquet ", "x-amz-meta-a": " b  c "}),
        ("PUT", "uploadId=a%2Fb%3D&partNumber=7", {"x-amz-checksum-crc32": "AAAAAA=="}),
        ("POST", "uploads", {"x-amz-storage-class": "STANDARD", "If-None-Match": "*"}),
        ("POST", "uploadId=x", {"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}),
        ("DELETE", "", {"User-Agent": "not signed", "Range": "bytes=0-1", "X-Other": "y"}),
    ]
    for number in range(300):
        method, query, headers = operations[number % len(operations)]
        name = "".join(draw.choices(characters, k=draw.randint(1, 30))).strip(" .\u00a0") or "x"
        uri = f"{STORE}/lake/wh/orders/{quote(f'data/{name}', safe='/~')}"
        uri += f"?{query}" if query else ""
        signed = sign(method, uri, headers=headers)
        covered = {n: v for n, v in headers.items() if n not in ("User-Agent", "Range", "X-Other")}
        authorization = signed.headers["Authorization"][0]
        assert authorization == expected(method, uri, joined(signed, covered)), (method, uri)
        assert signed.uri == uri
        assert signed.key == f"wh/orders/data/{name}"


def test_a_listing_has_the_signature_of_botocore() -> None:
    query = "prefix=wh%2Forders%2F&list-type=2&delimiter=%2F&max-keys=5&start-after=a%20b%C3%A9"
    uri = f"{STORE}/lake?{query}"
    signed = sign("GET", uri)
    assert signed.operation == "ListObjectsV2"
    assert signed.key is None
    assert signed.headers["Authorization"][0] == expected("GET", uri, joined(signed))


def test_the_body_of_a_deletion_is_covered_by_the_signature() -> None:
    body = deletion("wh/orders/data/a", "wh/orders/data/b &amp; c")
    uri = f"{STORE}/lake?delete"
    signed = sign("POST", uri, body=body, headers={"Content-Type": "application/xml"})
    headers = joined(signed, {"Content-Type": "application/xml"})
    assert headers["x-amz-content-sha256"] == hashlib.sha256(body.encode()).hexdigest()
    assert signed.headers["Authorization"][0] == expected("POST", uri, headers)


def test_temporary_credentials_of_the_table_sign_where_there_are_some() -> None:
    config = {"s3.access-key-id": "TMP", "s3.secret-access-key": "s", "s3.session-token": "t"}
    signed = sign("GET", FILE, credential=Credential(TABLE, config, 0))
    assert signed.headers["x-amz-security-token"] == ("t",)
    wanted = expected("GET", FILE, joined(signed), Keys("TMP", "s"))
    assert signed.headers["Authorization"][0] == wanted
    assert "x-amz-security-token" in signed.headers["Authorization"][0]


def test_only_new_headers_come_back() -> None:
    headers = {"Content-Type": "a/b", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    signed = sign("PUT", FILE, headers=headers)
    assert set(signed.headers) == {"Authorization", "x-amz-date"}
    assert "secret" not in repr(signed)
    assert "AWS4" not in repr(signed)


@pytest.mark.parametrize(
    ("method", "headers", "cached"),
    [
        ("GET", {}, True),
        ("HEAD", {"Range": "bytes=0-4"}, True),
        ("GET", {"Range": "bytes=0-4", "x-amz-te": "append-md5"}, True),  # as Java reads
        ("GET", {"If-Match": '"e"'}, False),  # another call may have another one
        ("PUT", {}, False),
        ("DELETE", {}, False),
    ],
)
def test_only_reads_may_be_cached(method: str, headers: dict[str, str], cached: bool) -> None:
    assert sign(method, FILE, headers=headers).may_be_cached is cached


# Operations (case 14)


@pytest.mark.parametrize(("method", "target", "operation"), OPERATIONS)
def test_operations_that_are_signed(method: str, target: str, operation: str) -> None:
    assert sign(method, STORE + target, body=deletion("wh/orders/x")).operation == operation


AWS = "https://s3.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    "uri",
    [
        f"{AWS}/lake/wh/orders/x",
        "https://lake.s3.eu-central-1.amazonaws.com/wh/orders/x",
        "https://lake.s3.eu-central-1.amazonaws.com:443/wh/orders/x",
    ],
)
def test_both_styles_of_amazon(uri: str) -> None:
    signed = sign("GET", uri, endpoint=AWS, is_amazon=True)
    wanted = expected("GET", uri, joined(signed))
    assert signed.headers["Authorization"][0] == wanted


def test_the_global_hosts_of_amazon_are_those_of_its_first_region() -> None:
    settings = StorageSettings(location="s3://lake/wh", region="us-east-1")
    endpoint = "https://s3.us-east-1.amazonaws.com"
    signer = S3Signer(settings, endpoint, is_amazon=True, keys=lambda: OWN)
    for host in ("s3.amazonaws.com/lake", "lake.s3.amazonaws.com"):
        request = SignRequest("GET", f"https://{host}/wh/orders/x", "us-east-1", {})
        assert signer.sign(request, Scope((TABLE,), "read"), None).key == "wh/orders/x"
        with pytest.raises(ForbiddenError, match="host"):
            sign("GET", request.uri, endpoint=AWS, is_amazon=True)


def test_a_bucket_in_the_host_name_only_where_the_store_knows_them() -> None:
    uri = "http://lake.store.example:9000/wh/orders/x"
    assert sign("GET", uri, path_style=False).key == "wh/orders/x"
    # A store in path style would take wh for the bucket.
    with pytest.raises(ForbiddenError, match="host"):
        sign("GET", uri, path_style=True)


def test_an_endpoint_with_a_path() -> None:
    endpoint = "https://gateway.example/s3"
    assert sign("GET", f"{endpoint}/lake/wh/orders/x", endpoint=endpoint).key == "wh/orders/x"
    for path in ("/lake/wh/orders/x", "/s33/lake/wh/orders/x", "/"):
        with pytest.raises(ForbiddenError):
            sign("GET", f"https://gateway.example{path}", endpoint=endpoint)


def test_every_folder_of_the_table() -> None:
    locations = (TABLE, "s3://other/data/orders", "s3a://third/x")
    for path in ("/lake/wh/orders/x", "/other/data/orders/x", "/third/x/y"):
        assert sign("GET", STORE + path, locations=locations)
    for path in ("/other/wh/orders/x", "/lake/data/orders/x", "/third/xx/y"):
        with pytest.raises(ForbiddenError, match="not in the table's locations"):
            sign("GET", STORE + path, locations=locations)


@pytest.mark.parametrize("name", ["p=a%2Fb", "p=%5C", "p=100%25", "p=é", "p=..", "p=a b+c", "a..b"])
def test_names_of_partitions_are_signed(name: str) -> None:
    """Engines percent-encode the values of partitions: that is the key's own text."""
    uri = f"{STORE}/lake/wh/orders/data/{quote(name, safe='/~')}/f.parquet"
    assert sign("GET", uri).key == f"wh/orders/data/{name}/f.parquet"


# Attacks on the URI (case 15)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize("attack", URIS)
def test_attack_by_uri(attack: str, method: str) -> None:
    with pytest.raises(REFUSED) as refusal:
        sign(method, URIS[attack])
    check_message(refusal.value, URIS[attack])


def check_message(error: CatalogError, uri: str) -> None:
    assert "very-secret" not in error.message
    assert not uri or uri not in error.message
    assert len(error.message) < 400
    assert error.message.isprintable()


@pytest.mark.parametrize("method", ["POST", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("target", [KEY, "/lake", f"{KEY}?restore", f"{KEY}?select&select-type=2"])
def test_attack_by_method(method: str, target: str) -> None:
    with pytest.raises(ForbiddenError):
        sign(method, STORE + target)


@pytest.mark.parametrize("region", ["us-east-1", "", "eu-central-1/s3/aws4_request"])
def test_attack_by_region(region: str) -> None:
    with pytest.raises(ForbiddenError, match="region"):
        sign("GET", FILE, region=region)


# Attacks on DeleteObjects (case 16)


@pytest.mark.parametrize("attack", BODIES)
def test_attack_by_body_of_a_deletion(attack: str) -> None:
    with pytest.raises(REFUSED) as refusal:
        sign("POST", f"{STORE}/lake?delete", body=BODIES[attack])
    assert "customers" not in refusal.value.message


@pytest.mark.parametrize("query", ["xdelete=1", "delete=1", "delete&versionId=v", "delete&delete"])
def test_attack_by_query_of_a_deletion(query: str) -> None:
    with pytest.raises(REFUSED):
        sign("POST", f"{STORE}/lake?{query}", body=deletion(MINE))


def test_a_deletion_in_another_bucket() -> None:
    with pytest.raises(ForbiddenError, match="not in the table's locations"):
        sign("POST", f"{STORE}/lake2?delete", body=deletion(MINE))


def test_a_deletion_whose_body_is_said_to_be_another() -> None:
    for said in ("UNSIGNED-PAYLOAD", hashlib.sha256(b"x").hexdigest()):
        with pytest.raises(BadRequestError, match="x-amz-content-sha256"):
            sign(
                "POST",
                f"{STORE}/lake?delete",
                body=deletion(MINE),
                headers={"x-amz-content-sha256": said},
            )


@pytest.mark.parametrize(
    "around", ["{}<Quiet>true</Quiet>", "\n  <Quiet>false</Quiet>\n  {}\n", "{}"]
)
def test_a_deletion_as_clients_send_it(around: str) -> None:
    body = '<?xml version="1.0" encoding="UTF-8"?>\n' + deletion(
        *(f"{MINE}{number}" for number in range(1000)), around=around
    )
    assert sign("POST", f"{STORE}/lake?delete", body=body).operation == "DeleteObjects"


# Attacks by headers (case 17)


@pytest.mark.parametrize("name", HEADERS)
def test_attack_by_header(name: str) -> None:
    with pytest.raises(ForbiddenError):
        sign("PUT", FILE, headers={name: HEADERS[name]})


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Content-Type": "a\r\nx-amz-copy-source: /b"},
        {"Content-Type": "é"},
        {"Content-Type": "a", "content-type": "b"},
        {"x-amz-meta-a\nb": "c"},
        {"x-amz-meta-a:b": "c"},
    ],
)
def test_malformed_headers(headers: dict[str, str]) -> None:
    with pytest.raises(REFUSED):
        sign("PUT", FILE, headers=headers)


def test_a_header_with_two_values() -> None:
    signer = S3Signer(
        StorageSettings(location="s3://lake/wh", region=REGION, path_style=True),
        STORE,
        is_amazon=False,
        keys=lambda: OWN,
    )
    for values in (("a", "b"), ()):
        request = SignRequest("PUT", FILE, REGION, {"content-type": values})
        with pytest.raises(BadRequestError, match="once"):
            signer.sign(request, Scope((TABLE,), "write"), None)


def test_headers_that_are_signed() -> None:
    headers = {
        "Host": "store.example:9000",
        "content-type": "application/octet-stream",
        "content-md5": "1B2M2Y8AsgTpgAmY7PhCfg==",
        "if-none-match": "*",
        "x-amz-checksum-crc32": "AAAAAA==",
        "x-amz-sdk-checksum-algorithm": "CRC32",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": KMS,
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-acl": "bucket-owner-full-control",
        "x-amz-meta-a": "b",
    }
    signed = sign("PUT", FILE, headers=headers, kms_keys=(KMS,))
    wanted = expected("PUT", FILE, joined(signed, headers))
    assert signed.headers["Authorization"][0] == wanted


def test_a_body_in_chunks() -> None:
    headers = {"x-amz-trailer": "x-amz-checksum-crc32", "x-amz-decoded-content-length": "7"}
    signed = sign("PUT", FILE, headers=headers)
    assert signed.headers["x-amz-content-sha256"] == ("STREAMING-UNSIGNED-PAYLOAD-TRAILER",)


def test_headers_that_are_left_alone() -> None:
    names = "range user-agent expect accept amz-sdk-invocation-id amz-sdk-request connection"
    headers = dict.fromkeys([*names.split(), "content-length", "x-amzn-trace-id"], "1")
    signed = sign("GET", FILE, headers=headers)
    covered = "SignedHeaders=host;x-amz-content-sha256;x-amz-date,"
    assert covered in signed.headers["Authorization"][0]
    assert signed.may_be_cached


# Rights (case 18) and metadata files


@pytest.mark.parametrize(("method", "target", "operation"), OPERATIONS)
def test_a_reader_only_reads(method: str, target: str, operation: str) -> None:
    reads = operation in ("GetObject", "HeadObject", "ListObjectsV2")
    if reads:
        assert sign(method, STORE + target, permission="read").operation == operation
    else:
        with pytest.raises(ForbiddenError, match="needs write access"):
            sign(method, STORE + target, permission="read", body=deletion(MINE))


@pytest.mark.parametrize(
    "name", ["00001-a.metadata.json", "v1.gz.metadata.json", "00001-a.metadata.json.gz"]
)
def test_only_the_catalog_writes_metadata_files(name: str) -> None:
    uri = f"{STORE}/lake/wh/orders/metadata/{name}"
    sign("GET", uri)
    for method, query in (("PUT", ""), ("DELETE", ""), ("POST", "?uploads")):
        with pytest.raises(ForbiddenError, match="metadata files"):
            sign(method, uri + query)
    sign("PUT", f"{STORE}/lake/wh/orders/metadata/snap-1.avro")
