"""Session policies, asked what they allow."""

import pytest

from falcon_catalog.errors import BadRequestError
from falcon_catalog.fileio.delegation import Permission, Scope, common_prefix
from falcon_catalog.fileio.s3_policy import session_policy
from tests.fileio.iam import allowed, matches

ORDERS = "s3://lake/sales/orders"
BUCKET = "arn:aws:s3:::lake"
OBJECT_READS = ["s3:GetObject"]
OBJECT_WRITES = [
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
]
NEVER = [
    "s3:PutObjectAcl",
    "s3:GetObjectAcl",
    "s3:PutBucketPolicy",
    "s3:DeleteBucket",
    "s3:PutObjectTagging",
    "s3:BypassGovernanceRetention",
    "sts:AssumeRole",
    "kms:Decrypt",
]


def policy(*locations: str, permission: Permission = "write", **more: object) -> str:
    return session_policy(Scope(locations, permission), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("permission", ["read", "write"])
def test_actions_below_the_prefix(permission: Permission) -> None:
    document = policy(ORDERS, permission=permission)
    one = f"{BUCKET}/sales/orders/data/a.parquet"
    assert all(allowed(document, action, one) for action in OBJECT_READS)
    assert {allowed(document, action, one) for action in OBJECT_WRITES} == {permission == "write"}
    assert not any(allowed(document, action, one) for action in NEVER)
    assert not any(allowed(document, action, BUCKET) for action in NEVER)
    assert allowed(document, "s3:GetBucketLocation", BUCKET)


@pytest.mark.fault(number=6)
@pytest.mark.parametrize(
    "key", ["orders", "sales/orders2/a", "sales/orders-old/a", "sales/ordersa", "sales/order", ""]
)
def test_siblings_are_closed(key: str) -> None:
    document = policy(ORDERS)
    for action in OBJECT_READS + OBJECT_WRITES:
        assert not allowed(document, action, f"{BUCKET}/{key}")
        assert not allowed(document, action, f"arn:aws:s3:::other/sales/orders/{key}")
    assert not allowed(document, "s3:ListBucket", BUCKET, prefix=key)


@pytest.mark.parametrize("prefix", [None, "", "sales/orders", "sales/", "sales/orders2/"])
def test_lists_outside_are_closed(prefix: str | None) -> None:
    assert not allowed(policy(ORDERS), "s3:ListBucket", BUCKET, prefix=prefix)


@pytest.mark.parametrize("prefix", ["sales/orders/", "sales/orders/data/x"])
def test_lists_inside_are_open(prefix: str) -> None:
    for permission in ("read", "write"):
        document = policy(ORDERS, permission=permission)
        assert allowed(document, "s3:ListBucket", BUCKET, prefix=prefix)
        assert not allowed(document, "s3:ListBucket", "arn:aws:s3:::other", prefix=prefix)


@pytest.mark.fault(number=2)
@pytest.mark.parametrize("name", ["a*", "a?b", "a${x}", "*.*", "${*}", "$", "${aws:username}"])
def test_wildcards_in_names_mean_themselves(name: str) -> None:
    # A location with ? is refused long before; the document must not rely on that.
    document = policy(f"s3://lake/{name.replace('?', 'ß')}").replace("ß", "${?}")
    for other in ("ab", "a1b", "axyz", "x.y", "ax", "*", "anyone"):
        if other != name:
            assert not allowed(document, "s3:GetObject", f"{BUCKET}/{other}/secret")
            assert not allowed(document, "s3:ListBucket", BUCKET, prefix=f"{other}/")
    assert allowed(document, "s3:GetObject", f"{BUCKET}/{name}/own")
    assert allowed(document, "s3:ListBucket", BUCKET, prefix=f"{name}/")


def test_several_locations_and_buckets() -> None:
    document = policy(ORDERS, "s3a://lake/fast/orders", "s3://other/meta")
    for key in ("lake/sales/orders/x", "lake/fast/orders/x", "other/meta/x"):
        assert allowed(document, "s3:PutObject", f"arn:aws:s3:::{key}")
    assert not allowed(document, "s3:PutObject", "arn:aws:s3:::other/sales/orders/x")
    assert not allowed(document, "s3:ListBucket", "arn:aws:s3:::other", prefix="sales/orders/")
    assert allowed(document, "s3:ListBucket", "arn:aws:s3:::other", prefix="meta/")


@pytest.mark.parametrize("permission", ["read", "write"])
def test_keys_that_encrypt(permission: Permission) -> None:
    key = "arn:aws:kms:eu-central-1:123456789012:key/1"
    document = policy(ORDERS, permission=permission, kms_keys=(key,))
    assert allowed(document, "kms:Decrypt", key)
    assert allowed(document, "kms:GenerateDataKey", key) == (permission == "write")
    assert not allowed(document, "kms:Decrypt", key.replace("key/1", "key/12"))


@pytest.mark.parametrize("partition", ["aws-cn", "aws-us-gov"])
def test_partitions(partition: str) -> None:
    document = policy(ORDERS, partition=partition)
    assert allowed(document, "s3:GetObject", f"arn:{partition}:s3:::lake/sales/orders/x")
    assert "arn:aws:" not in document


def test_the_length_that_aws_takes() -> None:
    key = "arn:aws:kms:eu-central-1:123456789012:key/12345678-1234-1234-1234-123456789012"
    assert len(policy(f"s3://lake/{'x' * 40}")) < 700
    assert len(policy(f"s3://lake/{'x' * 500}", kms_keys=(key,))) <= 2048
    with pytest.raises(BadRequestError, match="characters, and AWS takes at most 2048"):
        policy(f"s3://lake/{'x' * 900}")


@pytest.mark.parametrize(
    ("locations", "prefix"),
    [
        ([ORDERS], ORDERS),
        ([f"{ORDERS}/"], ORDERS),
        (["s3://lake/a/t", "s3://lake/a/t2"], "s3://lake/a"),
        (["s3://lake/a/t", "s3://lake/b"], "s3://lake/"),
        (["s3://lake/a", "s3://lake2/a"], "s3"),
        (["s3://lake/a", "s3a://lake/a"], "s3"),
        (["s3://lake"], "s3://lake"),
        (["s3://lake", "s3://lake/a"], "s3://lake"),
        (["gs://lake/a/t", "gs://lake/a/t/metadata/v1.json"], "gs://lake/a/t"),
        (["abfss://c@a.dfs.core.windows.net/x", "abfss://c@a.dfs.core.windows.net/y"],
         "abfss://c@a.dfs.core.windows.net/"),
    ],
)  # fmt: skip
def test_the_prefix_of_several_locations(locations: list[str], prefix: str) -> None:
    assert common_prefix(locations) == prefix
    assert all(location.startswith(prefix) for location in locations)


def test_the_evaluator_itself() -> None:
    assert matches("a*c?", "abbcd")
    assert not matches("a*c?", "abbc")
    assert matches("${*}${?}${$}", "*?$")
    assert not matches("${*}", "x")
