"""``storage check`` on stores that others wrote, or that speak another protocol than S3."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from azure.storage import filedatalake
from azure.storage.blob import BlobServiceClient

from falcon_catalog.catalog.storage_check.check import Target, check
from falcon_catalog.catalog.storage_check.results import Report
from falcon_catalog.settings import StorageSettings, load
from tests.clouds.azurite import Azurite
from tests.clouds.google import Google, google
from tests.clouds.seaweedfs import seaweedfs

REPOSITORY = Path(__file__).parents[2]
NEED_A_STORE = {"marker"}
OF_SIGNING = {"signing", "signing-copy"}


def outcomes(report: Report, outcome: str) -> set[str]:
    return {each.check for each in report.results if each.outcome == outcome}


def remedies(report: Report) -> dict[str, str]:
    return {each.check: each.remedy for each in report.results if each.outcome == "failed"}


def of_the_page(key: str, secret: str) -> Any:
    """Return the configuration that the page of SeaweedFS shows, and an owner of the bucket."""
    page = (REPOSITORY / "docs/storage/seaweedfs.md").read_text(encoding="utf-8")
    shown = json.loads(page.split("```json\n")[1].split("```")[0])
    shown["identities"][0]["credentials"] = [{"accessKey": key, "secretKey": secret}]
    owner = {"name": "owner", "credentials": [{"accessKey": "owner", "secretKey": secret}]}
    shown["identities"].append(owner | {"actions": ["Admin"]})
    shown["sts"]["signingKey"] = base64.b64encode(bytes(32)).decode()
    return shown


def test_seaweedfs_vends_and_signs_as_its_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with seaweedfs("acme-lake", config=of_the_page) as store:
        for name, value in store.environ("LAKE").items():
            monkeypatch.setenv(name, value)
        owner = boto3.client(
            "s3",
            endpoint_url=store.url,
            region_name=store.region,
            aws_access_key_id="owner",
            aws_secret_access_key=store.secret_access_key,
        )
        owner.get_waiter("bucket_exists").wait(Bucket="acme-lake", WaiterConfig={"Delay": 1})
        sample = load(REPOSITORY / "conf/warehouse-seaweedfs.toml", {}, {}).warehouse
        for access, skipped in (("vended", OF_SIGNING), ("signed", set())):
            settings = replace(sample, endpoint=store.url, access=access)
            report = check(Target("lake", settings))
            assert remedies(report) == {}
            assert outcomes(report, "skipped") == NEED_A_STORE | skipped
        found = owner.list_objects_v2(Bucket="acme-lake")
    assert "Contents" not in found


@pytest.fixture
def cloud() -> Iterator[Google]:
    with google("lake", check_tokens=True) as cloud:
        yield cloud


def on_google(cloud: Google, folder: Path, **more: object) -> StorageSettings:
    key = folder / "key.json"
    key.write_text(json.dumps(cloud.service_account()), encoding="utf-8")
    given = {
        "location": "gs://lake/warehouse",
        "credential": f"file:{key}",
        "endpoint": cloud.url,
        "sts_endpoint": cloud.url,
        "timeout": 5,
    }
    return StorageSettings(**{**given, **more})  # type: ignore[arg-type]


def test_google_vends(cloud: Google, tmp_path: Path) -> None:
    report = check(Target("lake", on_google(cloud, tmp_path)))
    assert remedies(report) == {}
    assert outcomes(report, "skipped") == NEED_A_STORE | OF_SIGNING
    assert cloud.buckets["lake"] == {}


def test_google_has_no_such_bucket(cloud: Google, tmp_path: Path) -> None:
    report = check(Target("lake", on_google(cloud, tmp_path, location="gs://other-lake/x")))
    assert remedies(report) == {
        "reach": "Create the bucket other-lake, or correct warehouse.lake.location:"
        f" {cloud.url.removeprefix('http://')} has no such bucket."
    }


def test_a_token_of_google_that_is_not_narrowed(
    cloud: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue = cloud.issue
    monkeypatch.setattr(cloud, "issue", lambda *told: issue(*told[:3]))  # without the boundary
    report = check(Target("lake", on_google(cloud, tmp_path)))
    assert outcomes(report, "failed") == {"vended-outside", "vended-sibling", "vended-read-only"}
    assert cloud.buckets["lake"] == {}


def on_azurite(azurite: Azurite, folder: Path, **more: object) -> StorageSettings:
    key = folder / "key.json"
    key.write_text(json.dumps(azurite.credential), encoding="utf-8")
    given = {
        "location": azurite.location("warehouse"),
        "credential": f"file:{key}",
        "timeout": 5,
        **azurite.settings(),
    }
    return StorageSettings(**{**given, **more})


def test_a_signature_of_azure_that_opens_more_than_a_directory(
    azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = filedatalake.generate_file_system_sas

    def of_container(account: str, container: str, _folder: str, key: str, **more: Any) -> str:
        return sign(account, container, key, **more)

    monkeypatch.setattr(filedatalake, "generate_directory_sas", of_container)
    report = check(Target("lake", on_azurite(azurite, tmp_path, hierarchical=True)))
    assert outcomes(report, "failed") == {"vended-outside", "vended-sibling"}
    assert left(azurite) == []


def test_azure_has_no_such_container(azurite: Azurite, tmp_path: Path) -> None:
    nothing = azurite.location("x").replace("lake@", "nothing@")
    report = check(Target("lake", on_azurite(azurite, tmp_path, location=nothing)))
    assert remedies(report) == {
        "reach": "Create the container nothing, or correct warehouse.lake.location:"
        f" {urlsplit(azurite.url).netloc} has no such container."
    }


def test_a_wrong_key_of_azure(azurite: Azurite, tmp_path: Path) -> None:
    settings = on_azurite(azurite, tmp_path)
    wrong = {"account_key": base64.b64encode(bytes(64)).decode()}
    (tmp_path / "key.json").write_text(json.dumps(wrong), encoding="utf-8")
    report = check(Target("lake", settings))
    assert remedies(report) == {
        "reach": f"Admit this machine in the network rules of the account {azurite.host}, or"
        " correct the credential that warehouse.lake.credential ="
        f" {settings.credential} refers to."
    }


def left(azurite: Azurite) -> list[str]:
    with BlobServiceClient(azurite.url, credential=azurite.account_key) as client:
        return [each.name for each in client.get_container_client("lake").list_blobs("warehouse")]
