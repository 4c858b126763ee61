"""How the buckets of an S3 warehouse are reached, and what clients hear of it. Nothing answers."""

from typing import Any

import pytest

from falcon_catalog.fileio.s3 import S3
from falcon_catalog.settings.storage import StorageSettings

KEY = "arn:aws:kms:eu-central-1:123456789012:key/1"
AMAZON = "s3.eu-central-1.amazonaws.com"


def s3(**settings: Any) -> S3:
    own: dict[str, Any] = {"region": "eu-central-1", "access": "client"}
    return S3("lake", StorageSettings(location="s3://lake/x", **{**own, **settings}))


@pytest.mark.parametrize(
    ("settings", "bucket", "url", "in_path"),
    [
        ({}, "lake", f"https://lake.{AMAZON}", False),
        ({}, "dotted.lake", f"https://{AMAZON}", True),  # the certificate holds for one label
        ({"path_style": True}, "lake", f"https://{AMAZON}", True),
        ({"endpoint": f"https://{AMAZON}"}, "lake", f"https://lake.{AMAZON}", False),
        ({"endpoint": "http://minio:9000", "path_style": True}, "lake", "http://minio:9000", True),
        ({"endpoint": "https://oss.example"}, "lake", "https://lake.oss.example", False),
        (
            {"endpoint": "http://a:9000", "server_endpoint": "http://b:9000", "path_style": True},
            "lake",
            "http://b:9000",
            True,
        ),
    ],
)
def test_the_url_of_a_bucket(
    settings: dict[str, Any], bucket: str, url: str, in_path: bool
) -> None:
    store = s3(**settings).object_store(bucket)
    assert store.config["endpoint"] == url
    style = store.config["virtual_hosted_style_request"]
    assert str(style) == str(not in_path).lower()
    assert store.client_options is not None
    assert store.client_options["allow_http"] == str(url.startswith("http:")).lower()


def test_other_stores_are_not_asked_to_delete_many() -> None:
    assert s3().object_store("lake").config["disable_bulk_delete"] == "false"
    other = s3(endpoint="https://oss.example").object_store("lake")
    assert other.config["disable_bulk_delete"] == "true"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, {"s3.endpoint": f"https://{AMAZON}", "s3.path-style-access": "false"}),
        (
            {"endpoint": "http://a:9000", "server_endpoint": "http://b:9000", "path_style": True},
            {"s3.endpoint": "http://a:9000", "s3.path-style-access": "true"},
        ),
        (
            {"endpoint": "https://oss.example"},
            {
                "s3.endpoint": "https://oss.example",
                "s3.path-style-access": "false",
                "s3.force-virtual-addressing": "true",
            },
        ),
        (
            {"kms_keys": (KEY, "other")},
            {
                "s3.endpoint": f"https://{AMAZON}",
                "s3.path-style-access": "false",
                "s3.sse.type": "kms",
                "s3.sse.key": KEY,
            },
        ),
    ],
)
def test_what_clients_hear(settings: dict[str, Any], said: dict[str, str]) -> None:
    region = {"client.region": "eu-central-1", "s3.region": "eu-central-1"}
    assert s3(**settings).client_config() == region | said


def test_the_first_key_encrypts_what_the_server_writes() -> None:
    config = s3(kms_keys=(KEY, "other")).object_store("lake").config
    assert config["server_side_encryption"] == "aws:kms"
    assert config["sse_kms_key_id"] == KEY


@pytest.mark.parametrize(
    ("settings", "has_sts"),
    [
        ({"access": "vended"}, False),  # AWS needs a role
        ({"access": "vended", "role_arn": "arn:aws:iam::1:role/r"}, True),
        ({"access": "vended", "endpoint": "http://minio:9000"}, True),
        ({"access": "signed", "endpoint": "https://x.r2.cloudflarestorage.com"}, False),
        ({"access": "signed", "endpoint": "http://minio:9000", "sts_endpoint": "http://minio:9000"},
         True),
        ({"access": "signed", "role_arn": "arn:aws:iam::1:role/r"}, True),
    ],
)  # fmt: skip
def test_whether_there_are_temporary_credentials(settings: dict[str, Any], has_sts: bool) -> None:
    assert s3(**settings).has_sts == has_sts
