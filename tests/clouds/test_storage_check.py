"""``storage check`` finds out what is wrong with a store, and says what to do about it."""

import json
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
import pytest

from falcon_catalog.catalog.storage_check.check import FOLDER, Target, check
from falcon_catalog.catalog.storage_check.results import CHECKS, Report, Result
from falcon_catalog.settings import StorageSettings
from tests.catalog.serving import Server
from tests.clouds.answering import Answer, Asked, answering, s3_error, sts_error
from tests.clouds.emulators import S3
from tests.clouds.lake import Lake
from tests.processes import wait_for

ROLE_USER = "arn:aws:iam::123456789012:user/catalog"
WRONG = "no-key-of-any-user"
Check = Callable[..., Report]


@pytest.fixture
def run(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Return a function that checks a warehouse on the emulator, some settings being others."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3.environ("LAKE").items():
        monkeypatch.setenv(name, value)

    def run(**more: Any) -> Report:
        location = f"s3://{s3.bucket}/check-{uuid.uuid4()}"
        given = {"location": location, "credential": "env:LAKE", "timeout": 5, **s3.settings()}
        return check(Target("lake", StorageSettings(**{**given, **more})))

    return run


def client(s3: S3, service: str = "s3") -> Any:
    return boto3.client(
        service,
        endpoint_url=s3.url,
        region_name=s3.region,
        aws_access_key_id=s3.access_key_id,
        aws_secret_access_key=s3.secret_access_key,
    )


def result(report: Report, name: str) -> Result:
    return next(each for each in report.results if each.check == name)


def failed(report: Report) -> dict[str, str]:
    """Return the remedies of the checks that failed, by check."""
    return {each.check: each.remedy for each in report.results if each.outcome == "failed"}


def left(s3: S3) -> list[str]:
    found = client(s3).list_objects_v2(Bucket=s3.bucket, Prefix="check-")
    return [each["Key"] for each in found.get("Contents", [])]


def host(url: str) -> str:
    return url.partition("//")[2]


def test_a_good_store_passes_every_check(s3: S3, run: Check) -> None:
    report = run()
    assert failed(report) == {}
    skipped = {each.check for each in report.results if each.outcome == "skipped"}
    assert skipped == {"marker", "signing", "signing-copy"}
    assert [each.check for each in report.results] == list(CHECKS)
    assert left(s3) == []


def test_signed_requests_are_tried_too(s3: S3, run: Check) -> None:
    report = run(access="signed")
    assert failed(report) == {}
    assert result(report, "signing-copy").detail == "refused with 403"
    assert result(report, "vended-outside").outcome == "passed"
    assert left(s3) == []


def test_a_store_that_obeys_a_header_which_was_not_signed(s3: S3, run: Check) -> None:
    """moto does, as MinIO once did; a session of one table protects from it, see above."""
    report = run(access="signed", role_arn="")
    assert set(failed(report)) == {"signing-copy"}
    assert result(report, "signing-copy").detail == "the store copied a foreign file"
    assert failed(report)["signing-copy"].startswith(
        "Upgrade the store: it obeys a header that was added after signing"
    )
    assert result(report, "vend").detail == "access = signed"
    assert left(s3) == []


# The twelve misconfigurations.


def test_a_wrong_key(s3: S3, run: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_SECRET_ACCESS_KEY", WRONG)
    report = run()
    assert failed(report) == {
        "reach": "Correct the credential that warehouse.lake.credential = env:LAKE refers to:"
        f" {host(s3.url)} does not accept it."
    }
    assert result(report, "reach").detail == "SignatureDoesNotMatch"
    assert result(report, "create").outcome == "skipped"


def test_a_wrong_region(run: Check) -> None:
    def rule(_asked: Asked) -> Answer:
        text = "The authorization header is malformed; the region 'us-east-1' is wrong;"
        return s3_error(
            400,
            "AuthorizationHeaderMalformed",
            f"{text} expecting 'eu-central-1'",
            "<Region>eu-central-1</Region>",
        )

    with answering(rule) as url:
        report = run(endpoint=url)
    assert failed(report) == {
        "reach": 'Set warehouse.lake.region = "eu-central-1": the bucket lake is there, not in'
        " us-east-1."
    }


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(s3_error(501, "NotImplemented"), id="not-implemented"),
        pytest.param(s3_error(405, "MethodNotAllowed"), id="no-such-method"),
        pytest.param(s3_error(403, "AccessDenied"), id="takes-it-for-s3"),
        pytest.param(sts_error(400, "InvalidAction", "no AssumeRole"), id="another-service"),
        pytest.param(Answer(404, b"<html>"), id="a-web-server"),
    ],
)
def test_no_sts(s3: S3, run: Check, answer: Answer) -> None:
    with answering(lambda _: answer) as url:
        report = run(sts_endpoint=url)
    assert failed(report) == {
        "vend": f'Set warehouse.lake.access = "signed": {host(url)} has no AssumeRole, or takes no'
        " session policy. Or set warehouse.lake.sts_endpoint to a service that does."
    }
    assert result(report, "vended-outside").outcome == "skipped"
    assert left(s3) == []


def test_no_conditional_writes(s3: S3, run: Check) -> None:
    own = client(s3)

    def rule(asked: Asked) -> None:
        if "if-none-match" in {name.lower() for name in asked.headers}:  # what is there is gone
            bucket, _, key = asked.path.partition("?")[0].lstrip("/").partition("/")
            own.delete_object(Bucket=bucket, Key=key)

    with answering(rule, s3.url) as url:
        report = run(endpoint=url, sts_endpoint=s3.url)
    assert failed(report) == {
        "conditional-write": "Upgrade the store, or use another one: it ignores If-None-Match, so"
        " that commits can overwrite each other. docs/storage.md has the versions."
    }
    assert left(s3) == []


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_path_style(s3: S3, run: Check, name: str) -> None:
    url = s3.url.replace("127.0.0.1", name)
    report = run(endpoint=url, path_style=False)
    assert failed(report) == {
        "reach": f"Set warehouse.lake.path_style = true: there is no host lake.{host(url)}."
    }


def test_clock_skew(run: Check) -> None:
    text = "The difference between the request time and the current time is too large."
    with answering(lambda _: s3_error(403, "RequestTimeTooSkewed", text)) as url:
        report = run(endpoint=url)
    assert failed(report) == {
        "reach": "Set this machine's clock, for example with timedatectl set-ntp true: the store"
        " refuses requests whose time differs from its own by more than 15 minutes."
    }


def restricted(s3: S3, monkeypatch: pytest.MonkeyPatch, *actions: str) -> None:
    """Let the server have a session that may do these actions only."""
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}],
    }
    keys = client(s3, "sts").assume_role(
        RoleArn=s3.role_arn, RoleSessionName="server", Policy=json.dumps(policy)
    )["Credentials"]
    monkeypatch.setenv("LAKE_ACCESS_KEY_ID", keys["AccessKeyId"])
    monkeypatch.setenv("LAKE_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
    monkeypatch.setenv("LAKE_SESSION_TOKEN", keys["SessionToken"])


def test_no_permission_to_list(s3: S3, run: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    restricted(s3, monkeypatch, "s3:GetObject", "s3:PutObject", "s3:DeleteObject")
    report = run(access="client")
    assert failed(report) == {
        "list": "Allow s3:ListBucket on arn:aws:s3:::lake to the identity of"
        " warehouse.lake.credential = env:LAKE."
    }
    assert left(s3) == []


def test_no_permission_to_delete(s3: S3, run: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    restricted(s3, monkeypatch, "s3:GetObject", "s3:PutObject", "s3:ListBucket")
    report = run(access="client")
    remedy = (
        f"Allow s3:DeleteObject on arn:aws:s3:::lake/{report.location.rpartition('/')[2]}/* to the"
        " identity of warehouse.lake.credential = env:LAKE."
    )
    assert failed(report)["delete"] == remedy
    clean_up = failed(report)["clean-up"]
    assert clean_up.startswith(f"{remedy} Delete {report.location}/.falcon-catalog-check-")
    assert set(failed(report)) == {"delete", "clean-up"}
    for key in left(s3):
        client(s3).delete_object(Bucket=s3.bucket, Key=key)


def test_kms(run: Check, s3: S3) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd"
    text = f"User: {ROLE_USER} is not authorized to perform: kms:GenerateDataKey on {key}"

    def rule(asked: Asked) -> Answer | None:
        return s3_error(403, "AccessDenied", text) if asked.method == "PUT" else None

    with answering(rule, s3.url) as url:
        report = run(endpoint=url, kms_keys=(key,), access="client")
    assert failed(report) == {
        "create": f"Allow kms:GenerateDataKey and kms:Decrypt on {key} to {ROLE_USER}, in its own"
        " policy and in the key's."
    }


def test_a_missing_bucket(s3: S3, run: Check) -> None:
    report = run(location="s3://nothing-here/lake")
    assert failed(report) == {
        "reach": f"Create the bucket nothing-here, or correct warehouse.lake.location:"
        f" {host(s3.url)} has no such bucket."
    }


def test_a_missing_bucket_of_another_allowed_location(s3: S3, run: Check) -> None:
    report = run(allowed_locations=("s3://other/x", "s3://nothing-here/x"))
    assert failed(report) == {
        "reach": "Create the bucket nothing-here, or correct warehouse.lake.allowed_locations:"
        f" {host(s3.url)} has no such bucket."
    }


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody trusts, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
            *("-keyout", str(key), "-out", str(made)),
        ],
        check=True,
        capture_output=True,
    )
    return made, key


def test_tls(s3: S3, run: Check, certificate: tuple[Path, Path]) -> None:
    with answering(lambda _: None, s3.url, certificate) as url:
        report = run(endpoint=url, sts_endpoint=s3.url)
        assert failed(report) == {
            "reach": "Set warehouse.lake.ca_file to the certificate of the authority that"
            f" {host(url)} has its certificate from, or correct warehouse.lake.endpoint: its TLS is"
            " not trusted."
        }
        mended = run(endpoint=url, sts_endpoint=s3.url, ca_file=str(certificate[0]))
    assert failed(mended) == {}


def test_a_proxy_that_does_not_answer(
    s3: S3, run: Check, monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path]
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        proxy = f"127.0.0.1:{closed.getsockname()[1]}"
        with answering(lambda _: None, s3.url, certificate) as url:
            monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy}")
            monkeypatch.setenv("NO_PROXY", "")
            report = run(endpoint=url, ca_file=str(certificate[0]))
    assert failed(report) == {
        "reach": f"Start the proxy {proxy} or correct HTTPS_PROXY and HTTP_PROXY, or add the"
        " store's host to NO_PROXY: the proxy does not answer."
    }


# What nobody would notice without the check.


def sts_without_policy(s3: S3) -> Callable[[Asked], Answer | None]:
    """Return a token service that ignores the session policy, as some stores do."""

    def rule(asked: Asked) -> Answer | None:
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        if form.get("Action") != "AssumeRole":
            return None
        keys = client(s3, "sts").assume_role(RoleArn=s3.role_arn, RoleSessionName="wide")
        made = keys["Credentials"]
        fields = "".join(
            f"<{name}>{made[name]}</{name}>"
            for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")
        )
        expires = f"<Expiration>{made['Expiration']:%Y-%m-%dT%H:%M:%SZ}</Expiration>"
        space = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
        text = (
            f"<AssumeRoleResponse {space}><AssumeRoleResult><Credentials>{fields}{expires}"
            "</Credentials></AssumeRoleResult></AssumeRoleResponse>"
        )
        return Answer(200, text.encode())

    return rule


def test_a_store_that_ignores_session_policies(s3: S3, run: Check) -> None:
    with answering(sts_without_policy(s3), s3.url) as url:
        report = run(sts_endpoint=url)
    assert set(failed(report)) == {"vended-outside", "vended-sibling", "vended-read-only"}
    assert result(report, "vended-outside").detail == "reading was not refused"
    assert failed(report)["vended-outside"].startswith(
        "Do not use this store with vended credentials"
    )
    assert left(s3) == []


def test_a_role_that_may_not_be_assumed(run: Check) -> None:
    text = f"User: {ROLE_USER} is not authorized to perform: sts:AssumeRole"
    with answering(lambda _: sts_error(403, "AccessDenied", text)) as url:
        report = run(sts_endpoint=url, external_id="lake-1")
    assert failed(report) == {
        "vend": "Allow sts:AssumeRole on arn:aws:iam::123456789012:role/lakehouse to"
        f" {ROLE_USER}, in its policy and in the role's trust policy at {host(url)}, and check that"
        " it asks for warehouse.lake.external_id."
    }


def test_the_command_prints_a_table_and_json(s3: S3, tmp_path: Path) -> None:
    config = tmp_path / "catalog.toml"
    prefix = f"check-{uuid.uuid4()}"
    config.write_text(
        f"""
[store]
url = "sqlite:///{tmp_path}/catalog.db"
[warehouse]
location = "{tmp_path}/local"
[warehouse.lake]
location = "s3://{s3.bucket}/{prefix}"
endpoint = "{s3.url}"
region = "{s3.region}"
path_style = true
role_arn = "{s3.role_arn}"
credential = "env:LAKE"
""",
        encoding="utf-8",
    )

    def command(*more: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(sys.executable, "-m", "falcon_catalog", "storage", "check"),
                *("lake", "--config", str(config), *more),
            ],
            env={"PATH": "/usr/bin:/bin", **s3.environ("LAKE"), **environ},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    good = command()
    assert good.returncode == 0, good.stdout + good.stderr
    assert f"Warehouse lake: s3://{s3.bucket}/{prefix}, access = vended" in good.stdout
    assert "The storage is ready: " in good.stdout
    assert [line.split()[1] for line in good.stdout.splitlines() if line.startswith("  ")] == list(
        CHECKS
    )
    wrong = command("--json", LAKE_SECRET_ACCESS_KEY=WRONG)
    assert wrong.returncode == 1
    (report,) = json.loads(wrong.stdout)
    assert report["passed"] is False
    assert report["checks"][1]["check"] == "reach"
    assert report["checks"][1]["outcome"] == "failed"
    for secret in (WRONG, s3.access_key_id, "<Error>", "X-Amz-Signature"):
        assert secret not in wrong.stdout + wrong.stderr
    assert command("other").returncode == 2
    assert left(s3) == []


# On a running server.


def test_a_server_checks_on_request(lake: Lake) -> None:
    with lake.serving() as server:
        report = server.ok("POST", "/management/v1/warehouses/default/check")
        local = server.ok("POST", "/management/v1/warehouses/local/check")
    assert {each["check"] for each in report["checks"] if each["outcome"] != "passed"} == {
        "signing",
        "signing-copy",
    }
    assert report["passed"] is True
    assert local["location"] == f"file://{lake.folder}/local"
    assert lake.all_keys() == ["warehouse/_falcon-catalog.json"]


def test_a_server_checks_one_storage_at_a_time(lake: Lake) -> None:
    hanging, release = threading.Event(), threading.Event()

    def rule(asked: Asked) -> None:
        if f"{FOLDER}" in asked.path:
            hanging.set()
            release.wait(30)

    with answering(rule, lake.s3.url) as url:
        lake.more.update(endpoint=url, sts_endpoint=lake.s3.url, timeout=60)
        with lake.serving() as server, ThreadPoolExecutor(1) as pool:
            path = "/management/v1/warehouses/default/check"
            first = pool.submit(server.ok, "POST", path)
            try:
                assert hanging.wait(30)
                status, _, message = server.fails("POST", path)
            finally:
                release.set()
            assert first.result()["passed"] is True
    assert (status, message) == (
        503,
        "Cannot check the storage of warehouse default: another check is running",
    )


def test_a_server_says_at_its_start_what_is_wrong(lake: Lake) -> None:
    with answering(lambda _: s3_error(501, "NotImplemented")) as url:
        lake.more["sts_endpoint"] = url
        with lake.serving(apart=True) as server:
            server.ok("GET", "/v1/config")
            warning = awaited(server, "storage check of warehouse default: vend failed")
    assert "Set warehouse.access = " in warning


def awaited(server: Server, text: str) -> str:
    """Return the line of a server's log that has a text, once it is there."""
    lines = lambda: [line for line in server.log.splitlines() if text in line]  # noqa: E731
    return str(wait_for(lines, f"{text!r} in the log")[0])


def test_a_server_starts_although_the_check_gets_no_answer(lake: Lake) -> None:
    release = threading.Event()

    def rule(_asked: Asked) -> Answer:
        release.wait(60)
        return s3_error(503, "SlowDown")

    with lake.serving():  # so that the warehouse is a known one
        pass
    with answering(rule) as url:
        lake.more.update(endpoint=url, timeout=1)
        try:
            with lake.serving(apart=True) as server:
                server.ok("GET", "/v1/local/namespaces")
                awaited(server, "storage check of warehouse default: reach failed: timeout")
        finally:
            release.set()
