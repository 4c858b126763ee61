"""The stores of the tests refuse what a real one would: else no test of vending could fail.

SeaweedFS was written by others, so that it also judges how our emulator reads policies.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.clouds import emulators
from tests.clouds.emulators import S3
from tests.clouds.seaweedfs import seaweedfs

POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            "Resource": "arn:aws:s3:::lake/emulator/a/*",
        },
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": "arn:aws:s3:::lake",
            "Condition": {"StringLike": {"s3:prefix": ["emulator/a/*"]}},
        },
    ],
}


def client(s3: S3, service: str = "s3", **keys: str) -> Any:
    own = {
        "aws_access_key_id": s3.access_key_id,
        "aws_secret_access_key": s3.secret_access_key,
    }
    return boto3.client(service, endpoint_url=s3.url, region_name=s3.region, **{**own, **keys})


@pytest.fixture(scope="module", params=["emulator", "seaweedfs"])
def s3(request: pytest.FixtureRequest) -> Iterator[S3]:
    with emulators.s3() if request.param == "emulator" else seaweedfs("lake") as store:
        yield store


@pytest.fixture
def session(s3: S3) -> Any:
    """A client with the credentials of a session that may use ``emulator/a/`` only."""
    keys = client(s3, "sts").assume_role(
        RoleArn=s3.role_arn, RoleSessionName="test", Policy=json.dumps(POLICY), DurationSeconds=900
    )["Credentials"]
    root = client(s3)
    for key in ("emulator/a/x", "emulator/ab/x"):
        root.put_object(Bucket="lake", Key=key, Body=b"x")
    return client(
        s3,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


def code(request: Callable[[], Any]) -> str:
    """Return the code of a refusal, also of one key among many; nothing if there is none."""
    try:
        answer = request()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return next((str(each["Code"]) for each in answer.get("Errors", [])), "")


def test_a_wrong_secret_is_refused(s3: S3) -> None:
    wrong = client(s3, aws_secret_access_key=s3.access_key_id)
    assert code(lambda: wrong.list_objects_v2(Bucket="lake")) == "SignatureDoesNotMatch"


def test_a_second_write_is_refused(s3: S3) -> None:
    own = client(s3)
    own.put_object(Bucket="lake", Key="emulator/once", Body=b"x")
    again = {"Bucket": "lake", "Key": "emulator/once", "Body": b"y", "IfNoneMatch": "*"}
    assert code(lambda: own.put_object(**again)) == "PreconditionFailed"


def test_a_session_may_do_what_its_policy_allows(session: Any) -> None:
    session.get_object(Bucket="lake", Key="emulator/a/x")
    session.put_object(Bucket="lake", Key="emulator/a/ü d+e", Body=b"x")
    session.list_objects_v2(Bucket="lake", Prefix="emulator/a/")
    several = {"Objects": [{"Key": "emulator/a/ü d+e"}]}
    assert "Errors" not in session.delete_objects(Bucket="lake", Delete=several)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(lambda c: c.get_object(Bucket="lake", Key="emulator/ab/x"), id="get"),
        pytest.param(lambda c: c.put_object(Bucket="lake", Key="emulator/ab/y"), id="put"),
        pytest.param(lambda c: c.delete_object(Bucket="lake", Key="emulator/ab/x"), id="delete"),
        pytest.param(
            lambda c: c.delete_objects(
                Bucket="lake",
                Delete={"Objects": [{"Key": "emulator/a/x"}, {"Key": "emulator/ab/x"}]},
            ),
            id="delete-one-of-many",
        ),
        pytest.param(lambda c: c.list_objects_v2(Bucket="lake"), id="list-bucket"),
        pytest.param(
            lambda c: c.list_objects_v2(Bucket="lake", Prefix="emulator/a"), id="list-no-slash"
        ),
        pytest.param(
            lambda c: c.copy_object(
                Bucket="lake", Key="emulator/a/copy", CopySource="lake/emulator/ab/x"
            ),
            id="copy",
        ),
        pytest.param(lambda c: c.get_object_acl(Bucket="lake", Key="emulator/a/x"), id="acl"),
    ],
)
def test_a_session_may_do_nothing_else(session: Any, request_: Callable[[Any], object]) -> None:
    assert code(lambda: request_(session)) == "AccessDenied"


def test_objects_are_kept_in_a_folder(tmp_path: Path) -> None:
    folder = ("--folder", str(tmp_path))
    with emulators.s3(*folder) as store:
        for key in ("a/b%20c=1/d", "a/gone", "a/folder/"):
            client(store).put_object(Bucket="lake", Key=key, Body=b"" if key[-1] == "/" else b"d")
        client(store).delete_object(Bucket="lake", Key="a/gone")
    with emulators.s3(*folder) as store:
        found = client(store).list_objects_v2(Bucket="lake")["Contents"]
        assert [(each["Key"], each["Size"]) for each in found] == [("a/b%20c=1/d", 1)]
        client(store).delete_object(Bucket="lake", Key="a/b%20c=1/d")
    with emulators.s3(*folder) as store:
        assert "Contents" not in client(store).list_objects_v2(Bucket="lake")
