"""Credentials that an S3 warehouse issues, used against a store that enforces session policies.

Cases 1, 2, 3, 4 and 25 of the handbook on object stores.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from falcon_catalog.errors import BadRequestError, ServiceUnavailableError
from falcon_catalog.fileio.delegation import Permission, Scope
from falcon_catalog.fileio.s3 import S3, open_storage, session_name
from falcon_catalog.settings import SettingsError
from falcon_catalog.settings.storage import StorageSettings
from tests.catalog.serving import SCHEMA
from tests.clouds import emulators
from tests.clouds.warehouses import VENDED, on_s3

ROOT = "vending"
PART = 5 << 20


@pytest.fixture
def settings(s3: emulators.S3, monkeypatch: pytest.MonkeyPatch) -> StorageSettings:
    for name, value in s3.environ("LAKE").items():
        monkeypatch.setenv(name, value)
    return StorageSettings(
        location=f"s3://{s3.bucket}/{ROOT}", credential="env:LAKE", **s3.settings()
    )


@pytest.fixture
def own(s3: emulators.S3) -> Any:
    """A client that may do everything."""
    return boto3.client(
        "s3",
        endpoint_url=s3.url,
        region_name=s3.region,
        aws_access_key_id=s3.access_key_id,
        aws_secret_access_key=s3.secret_access_key,
    )


def client_with(config: Any) -> Any:
    """Return a client that knows nothing but what was vended."""
    return boto3.client(
        "s3",
        endpoint_url=config["s3.endpoint"],
        region_name=config["s3.region"],
        aws_access_key_id=config["s3.access-key-id"],
        aws_secret_access_key=config["s3.secret-access-key"],
        aws_session_token=config["s3.session-token"],
    )


def vended(settings: StorageSettings, table: str, permission: Permission = "write") -> Any:
    scope = Scope((f"{settings.location}/{table}",), permission)
    return client_with(S3("lake", settings).vend(scope, session="ada-1").config)


def refusal(request: Callable[[], object]) -> str:
    """Return the store's code for a request that must fail."""
    with pytest.raises(ClientError) as raised:
        request()
    return str(raised.value.response["Error"]["Code"])


SIBLINGS = ["orders2/x", "orders-old/x", "orderz", "x", "orders"]


@pytest.fixture
def orders(own: Any, s3: emulators.S3) -> str:
    for key in ["orders/a", "orders/x/b", *SIBLINGS]:
        own.put_object(Bucket=s3.bucket, Key=f"{ROOT}/{key}", Body=b"secret")
    return s3.bucket


def test_case_01_read_only_credentials(settings: StorageSettings, orders: str) -> None:
    client = vended(settings, "orders", "read")
    assert client.get_object(Bucket=orders, Key=f"{ROOT}/orders/a")["Body"].read() == b"secret"
    listed = client.list_objects_v2(Bucket=orders, Prefix=f"{ROOT}/orders/")["Contents"]
    assert [each["Key"] for each in listed] == [f"{ROOT}/orders/a", f"{ROOT}/orders/x/b"]
    for request in (
        lambda: client.put_object(Bucket=orders, Key=f"{ROOT}/orders/new", Body=b"x"),
        lambda: client.delete_object(Bucket=orders, Key=f"{ROOT}/orders/a"),
        lambda: client.create_multipart_upload(Bucket=orders, Key=f"{ROOT}/orders/new"),
        lambda: client.list_objects_v2(Bucket=orders, Prefix=f"{ROOT}/orders"),
        lambda: client.list_objects_v2(Bucket=orders),
        lambda: client.list_objects_v2(Bucket="other"),
    ):
        assert refusal(request) == "AccessDenied"


def test_case_02_read_write_credentials_and_multipart(
    settings: StorageSettings, orders: str
) -> None:
    client = vended(settings, "orders")
    where = {"Bucket": orders, "Key": f"{ROOT}/orders/large"}
    upload = {**where, "UploadId": client.create_multipart_upload(**where)["UploadId"]}
    parts = [
        {
            "PartNumber": number,
            "ETag": client.upload_part(**upload, PartNumber=number, Body=bytes([number]) * PART)[
                "ETag"
            ],
        }
        for number in (1, 2, 3, 4)
    ]
    assert len(client.list_parts(**upload)["Parts"]) == 4
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert client.head_object(**where)["ContentLength"] == 4 * PART
    given_up = client.create_multipart_upload(**where)["UploadId"]
    client.abort_multipart_upload(**where, UploadId=given_up)
    client.delete_objects(Bucket=orders, Delete={"Objects": [{"Key": where["Key"]}]})
    assert refusal(lambda: client.get_object(**where)) == "NoSuchKey"


@pytest.mark.fault(number=6)
@pytest.mark.fault(number=35)
@pytest.mark.parametrize("permission", ["read", "write"])
@pytest.mark.parametrize("sibling", SIBLINGS)
def test_case_04_siblings_are_closed(
    settings: StorageSettings, orders: str, sibling: str, permission: Permission
) -> None:
    client = vended(settings, "orders", permission)
    where = {"Bucket": orders, "Key": f"{ROOT}/{sibling}"}
    folder = where["Key"].rpartition("/")[0] + "/"
    for request in (
        lambda: client.get_object(**where),
        lambda: client.put_object(**where, Body=b"x"),
        lambda: client.delete_object(**where),
        lambda: client.list_objects_v2(Bucket=orders, Prefix=folder),
        lambda: client.copy_object(
            Bucket=orders, Key=f"{ROOT}/orders/stolen", CopySource=f"{orders}/{where['Key']}"
        ),
    ):
        assert refusal(request) == "AccessDenied"


@pytest.mark.fault(number=2)
@pytest.mark.parametrize("table", ["a*", "a${x}", "*.*", "*", "$", "a${*}"])
def test_case_03_names_with_wildcards(
    settings: StorageSettings, own: Any, s3: emulators.S3, table: str
) -> None:
    own.put_object(Bucket=s3.bucket, Key=f"{ROOT}/ab/x", Body=b"secret")
    client = vended(settings, table)
    client.put_object(Bucket=s3.bucket, Key=f"{ROOT}/{table}/own", Body=b"x")
    client.list_objects_v2(Bucket=s3.bucket, Prefix=f"{ROOT}/{table}/")
    for request in (
        lambda: client.get_object(Bucket=s3.bucket, Key=f"{ROOT}/ab/x"),
        lambda: client.list_objects_v2(Bucket=s3.bucket, Prefix=f"{ROOT}/ab/"),
        lambda: client.put_object(Bucket=s3.bucket, Key=f"{ROOT}/ab/x", Body=b"y"),
    ):
        assert refusal(request) == "AccessDenied"


def test_what_is_vended(settings: StorageSettings, s3: emulators.S3) -> None:
    location = f"{settings.location}/orders"
    credential = S3("lake", settings).vend(Scope((location,), "write"), session="ada")
    assert credential.prefix == location
    assert credential.config.keys() == {
        "client.region",
        "s3.region",
        "s3.endpoint",
        "s3.path-style-access",
        "s3.access-key-id",
        "s3.secret-access-key",
        "s3.session-token",
        "s3.session-token-expires-at-ms",
    }
    assert credential.config["s3.endpoint"] == s3.url
    assert credential.config["s3.path-style-access"] == "true"
    assert credential.config["s3.session-token-expires-at-ms"] == str(credential.expires_at)
    assert credential.config["s3.access-key-id"] != s3.access_key_id


def test_case_25_a_token_of_the_environment_is_not_used_with_other_keys(
    settings: StorageSettings, orders: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-somebody-else")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-somebody-else")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-somebody-else")
    storage = open_storage("lake", settings)
    assert storage.files.read(f"s3://{orders}/{ROOT}/orders/a") == b"secret"
    assert vended(settings, "orders").head_object(Bucket=orders, Key=f"{ROOT}/orders/a")


def test_case_25_no_secret_in_texts(settings: StorageSettings, s3: emulators.S3) -> None:
    opened = S3("lake", settings)
    credential = opened.vend(Scope((f"{settings.location}/t",), "read"), session="ada")
    shown = f"{credential!r} {opened!r} {opened.identity!r} {settings!r} {vars(opened)!r}"
    token = credential.config["s3.session-token"]
    for secret in (s3.secret_access_key, credential.config["s3.secret-access-key"], token):
        assert secret not in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"credential": "env:WRONG"}, "refused AssumeRole with .* for role .*env:WRONG"),
        ({"sts_endpoint": "http://127.0.0.1:9"}, "127.0.0.1:9 did not answer"),
    ],
)
def test_refusals_of_the_token_service(
    settings: StorageSettings,
    change: dict[str, str],
    message: str,
    s3: emulators.S3,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in s3.environ("WRONG").items():
        monkeypatch.setenv(name, value[::-1] if "SECRET" in name else value)
    opened = S3("lake", replace(settings, timeout=1, **change))
    with pytest.raises(ServiceUnavailableError, match=message) as raised:
        opened.vend(Scope((f"{settings.location}/t",), "read"), session="ada")
    assert "warehouse lake" in str(raised.value)
    assert raised.value.__cause__ is None
    for secret in (s3.secret_access_key, s3.access_key_id, "<", "Signature="):
        assert secret not in str(raised.value)


def test_a_policy_that_is_too_long_is_the_clients_mistake(settings: StorageSettings) -> None:
    scope = Scope((f"{settings.location}/{'x' * 900}",), "write")
    with pytest.raises(BadRequestError, match="at most 2048"):
        S3("lake", settings).vend(scope, session="ada")


def test_aws_needs_a_role_to_vend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "AWS_EC2_METADATA_DISABLED", "true")
    settings = StorageSettings(location="s3://lake/x", region="eu-central-1")
    with pytest.raises(SettingsError, match="warehouse lake: access = 'vended' needs role_arn"):
        open_storage("lake", settings)
    assert open_storage("lake", replace(settings, access="client")).vends is None


@pytest.mark.parametrize(
    ("region", "endpoint", "partition"),
    [
        ("eu-central-1", "https://s3.eu-central-1.amazonaws.com", "aws"),
        ("cn-north-1", "https://s3.cn-north-1.amazonaws.com.cn", "aws-cn"),
        ("us-gov-west-1", "https://s3.us-gov-west-1.amazonaws.com", "aws-us-gov"),
    ],
)
def test_the_endpoint_is_said_on_aws_as_well(region: str, endpoint: str, partition: str) -> None:
    s3 = S3("lake", StorageSettings(location="s3://lake/x", region=region))
    assert s3.client_config() == {
        "client.region": region,
        "s3.region": region,
        "s3.endpoint": endpoint,
        "s3.path-style-access": "false",
    }
    assert s3.partition == partition


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("ada-1", "ada-1"),
        ("a/b c\n", "a-b-c-"),
        ("ä", "--"),
        ("", "--"),
        ("x" * 64, "x" * 64),
    ],
)
def test_session_names(wanted: str, name: str) -> None:
    assert session_name(wanted) == name


def test_long_session_names_differ() -> None:
    one, two = session_name("x" * 70 + "1"), session_name("x" * 70 + "2")
    assert len(one) == len(two) == 64
    assert one != two


def test_what_the_server_writes_is_encrypted_with_the_key(
    settings: StorageSettings, s3: emulators.S3, own: Any
) -> None:
    key = f"arn:aws:kms:{s3.region}:123456789012:key/1"
    location = f"{settings.location}/encrypted"
    open_storage("lake", replace(settings, kms_keys=(key,))).files.write(location, b"x")
    head = own.head_object(Bucket=s3.bucket, Key=f"{ROOT}/encrypted")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)


def test_a_location_that_no_policy_can_express_creates_nothing(
    tmp_path: Path, s3: emulators.S3
) -> None:
    with on_s3(tmp_path, s3) as server:
        body = {"name": "t", "schema": SCHEMA}
        body["location"] = f"{server.catalog.location}/{'x' * 900}"
        path = "/v1/namespaces/ns/tables"
        for headers in (VENDED, {}):  # others could not load it with credentials
            status, _, message = server.fails("POST", path, body, headers=headers)
            assert (status, "at most 2048" in message) == (400, True)
        assert server.fails("GET", f"{path}/t")[0] == 404


def test_the_external_id_of_the_trust_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    scope = Scope(("s3://lake/x/t",), "read")
    with emulators.s3("--bucket", "lake", "--external-id", "ours") as store:
        for name, value in store.environ("LAKE").items():
            monkeypatch.setenv(name, value)
        own = StorageSettings(location="s3://lake/x", credential="env:LAKE", **store.settings())
        assert S3("lake", replace(own, external_id="ours")).vend(scope, session="ada")
        with pytest.raises(ServiceUnavailableError, match=r"AccessDenied for role .*lakehouse"):
            S3("lake", replace(own, external_id="of-others")).vend(scope, session="ada")
