"""Google Cloud Storage with tokens, by an emulator of our own that evaluates them."""

import datetime as dt
import json
import logging
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import GCSStore

from falcon_catalog.catalog.storage_check.check import Target, check
from falcon_catalog.errors import BadRequestError, CatalogError, ServiceUnavailableError
from falcon_catalog.fileio.delegation import Credential, Permission, Scope
from falcon_catalog.fileio.opening import open_storage
from falcon_catalog.fileio.storage import Storage
from falcon_catalog.settings import SettingsError, StorageSettings
from tests.clouds.google import CATALOG, CLIENTS, Google, google

TABLE = "gs://lake/wh/orders"
Storages = Callable[..., Storage]


@pytest.fixture
def cloud() -> Iterator[Google]:
    with google("lake", "other", check_tokens=True) as cloud:
        for name in ("wh/orders/x", "wh/orders2/x", "wh/orders-old/x", "other"):
            cloud.put("lake", name, b"x", "text/plain", None)
        yield cloud


@pytest.fixture
def key(cloud: Google, tmp_path: Path) -> Path:
    """The file of the service account's key."""
    path = tmp_path / "key.json"
    path.write_text(json.dumps(cloud.service_account()))
    return path


@pytest.fixture
def storages(cloud: Google, key: Path) -> Storages:
    def opened(**settings: Any) -> Storage:
        given = {
            "location": "gs://lake/wh",
            "endpoint": cloud.url,
            "sts_endpoint": cloud.url,
            "credential": f"file:{key}",
            "timeout": 5,
        }
        return open_storage("lake", StorageSettings(**(given | settings)))

    return opened


def vend(storage: Storage, permission: Permission = "write", *locations: str) -> Credential:
    assert storage.vends is not None
    return storage.vends.vend(Scope(locations or (TABLE,), permission), session="amy")


def client(credential: Credential) -> GCSStore:
    token = credential.config["gcs.oauth2.token"]
    return GCSStore(
        "lake",
        base_url=credential.config["gcs.service.host"],
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
        credential_provider=lambda: {"token": token, "expires_at": None},
    )


def test_the_server_reads_and_writes_with_its_own_token(cloud: Google, storages: Storages) -> None:
    files = storages().files
    assert files.read(f"{TABLE}/x") == b"x"
    assert files.create(f"{TABLE}/y", b"1")
    assert not files.create(f"{TABLE}/y", b"2")
    assert cloud.log.count("POST /token") == 1


def test_a_credential_has_what_clients_read(cloud: Google, storages: Storages) -> None:
    storage = storages(project="p1")
    credential = vend(storage)
    assert credential.prefix == TABLE
    token, expires = credential.config["gcs.oauth2.token"], cloud.tokens
    assert credential.config == {
        "gcs.service.host": cloud.url,
        "gcs.project-id": "p1",
        "gcs.oauth2.token": token,
        "gcs.oauth2.token-expires-at": str(credential.expires_at),
    }
    end = dt.datetime.fromtimestamp(credential.expires_at / 1000, dt.UTC)
    assert abs(end - expires[token].expires_at) < dt.timedelta(seconds=2)
    assert storage.client_config == {"gcs.service.host": cloud.url, "gcs.project-id": "p1"}


def test_a_reader_reads_and_lists_the_table(storages: Storages) -> None:
    reader = client(vend(storages(), "read"))
    assert obstore.get(reader, "wh/orders/x").bytes() == b"x"
    assert [e["path"] for e in obstore.list(reader, "wh/orders").collect()] == ["wh/orders/x"]


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(lambda s: obstore.put(s, "wh/orders/y", b""), id="put"),
        pytest.param(lambda s: obstore.delete(s, "wh/orders/x"), id="delete"),
    ],
)
def test_a_reader_does_not_write(storages: Storages, request_: Callable[..., object]) -> None:
    with pytest.raises(BaseError, match="<Code>AccessDenied</Code>"):
        request_(client(vend(storages(), "read")))


def test_a_writer_writes_and_deletes(cloud: Google, storages: Storages) -> None:
    writer = client(vend(storages()))
    obstore.put(writer, "wh/orders/data/big", b"x" * 20_000_000, use_multipart=True)
    obstore.put(writer, "wh/orders/x", b"new")
    obstore.delete(writer, ["wh/orders/data/big", "wh/orders/x"])
    assert not [name for name in cloud.buckets["lake"] if name.startswith("wh/orders/")]


@pytest.mark.parametrize("permission", ["read", "write"])
@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(lambda s: obstore.get(s, "wh/orders2/x"), id="get-orders2"),
        pytest.param(lambda s: obstore.get(s, "wh/orders-old/x"), id="get-orders-old"),
        pytest.param(lambda s: obstore.get(s, "other"), id="get"),
        pytest.param(lambda s: obstore.put(s, "wh/orders2/y", b""), id="put-orders2"),
        pytest.param(lambda s: obstore.put(s, "wh/orders", b""), id="put-orders"),
        pytest.param(lambda s: obstore.delete(s, "wh/orders2/x"), id="delete-orders2"),
        pytest.param(lambda s: obstore.list(s).collect(), id="list-bucket"),
        pytest.param(lambda s: obstore.list(s, "wh").collect(), id="list-warehouse"),
        pytest.param(lambda s: obstore.list(s, "wh/orders2").collect(), id="list-orders2"),
    ],
)
def test_case_4_siblings_are_closed(
    storages: Storages, permission: Permission, request_: Callable[..., object]
) -> None:
    with pytest.raises(BaseError, match="<Code>AccessDenied</Code>"):
        request_(client(vend(storages(), permission)))


def test_case_5_a_hostile_name_opens_nothing_else(cloud: Google, storages: Storages) -> None:
    folder = "wh/') || resource.name.startsWith('"
    cloud.put("lake", f"{folder}/x", b"y", "text/plain", None)
    reader = client(vend(storages(), "read", f"gs://lake/{folder}"))
    assert obstore.get(reader, f"{folder}/x").bytes() == b"y"
    with pytest.raises(BaseError, match="<Code>AccessDenied</Code>"):
        obstore.get(reader, "wh/orders/x")


@pytest.mark.parametrize("location", ["gs://lake", "gs://lake/a/../b", "gs://lake/a#b", "s3://a/b"])
def test_case_10_nothing_is_asked_for_a_wrong_location(
    cloud: Google, storages: Storages, location: str
) -> None:
    with pytest.raises(BadRequestError):
        vend(storages(), "read", location)
    assert cloud.log == []


def test_case_19_each_token_is_new_and_for_one_permission(
    cloud: Google, storages: Storages
) -> None:
    storage = storages()
    several = [vend(storage, permission) for permission in ("read", "read", "write")]
    tokens = [each.config["gcs.oauth2.token"] for each in several]
    assert len(set(tokens)) == 3
    roles = [cloud.tokens[token].rules[0]["availablePermissions"] for token in tokens]  # type: ignore[index]
    assert roles == [["inRole:roles/storage.objectViewer"]] * 2 + [
        ["inRole:roles/storage.objectUser"]
    ]
    assert cloud.log.count("POST /token") == 1  # the server's own token is used again


def test_a_token_lives_half_its_time_at_least(cloud: Google, storages: Storages) -> None:
    cloud.lifetime = 1700
    storage = storages()
    for _ in range(2):
        vend(storage)
    assert cloud.log.count("POST /token") == 2  # less is left than half of vend_seconds


def test_the_end_is_that_of_the_source_where_the_exchange_names_none(
    cloud: Google, storages: Storages
) -> None:
    cloud.names_lifetime = False
    left = vend(storages()).expires_at / 1000 - dt.datetime.now(dt.UTC).timestamp()
    assert 3500 < left <= 3600


def test_another_service_account_is_impersonated_for_clients(
    cloud: Google, storages: Storages
) -> None:
    storage = storages(service_account=CLIENTS, vend_seconds=900)
    credential = vend(storage)
    token = cloud.tokens[credential.config["gcs.oauth2.token"]]
    assert token.email == CLIENTS
    left = credential.expires_at / 1000 - dt.datetime.now(dt.UTC).timestamp()
    assert 890 < left <= 900
    assert storage.files.read(f"{TABLE}/x") == b"x"  # as the server itself
    assert f"POST /v1/projects/-/serviceAccounts/{CLIENTS}:generateAccessToken" in cloud.log


@pytest.mark.parametrize("is_ambient", [False, True])
def test_workload_identity_federation(
    cloud: Google,
    storages: Storages,
    key: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_ambient: bool,
) -> None:
    subject, path = key.with_name("subject"), key.with_name("federation.json")
    subject.write_text("from-kubernetes")
    path.write_text(
        json.dumps(
            {
                "type": "external_account",
                "audience": "//iam.googleapis.com/projects/1/locations/global/x",
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "token_url": f"{cloud.url}/v1/token",
                "credential_source": {"file": str(subject)},
            }
        )
    )
    settings = {"credential": f"file:{path}"}
    if is_ambient:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        settings = {"credential": "ambient", "server_endpoint": "https://127.0.0.1:1"}
    credential = vend(storages(**settings))
    assert cloud.tokens[credential.config["gcs.oauth2.token"]].email == "from-kubernetes"


def test_ambient_is_what_googles_library_finds(
    storages: Storages, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    storage = storages(credential="ambient", endpoint="", server_endpoint="https://127.0.0.1:1")
    assert vend(storage).config["gcs.service.host"] == "https://storage.googleapis.com"


def test_ambient_is_the_metadata_server_in_googles_cloud(cloud: Google, tmp_path: Path) -> None:
    program = (
        "import datetime as dt\n"
        "from falcon_catalog.fileio.gcs_identity import Identity\n"
        "from falcon_catalog.settings import StorageSettings\n"
        "identity = Identity('lake', StorageSettings(location='gs://lake/wh'))\n"
        "print(identity.token().text)"
    )
    plain = {n: v for n, v in os.environ.items() if not n.startswith(("GOOGLE_", "GCE_"))}
    host = cloud.url.removeprefix("http://")
    place = {"GCE_METADATA_HOST": host, "GCE_METADATA_IP": host, "HOME": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=plain | place | {"CLOUDSDK_CONFIG": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert cloud.tokens[ran.stdout.strip()].email == CATALOG


@pytest.mark.parametrize("kind", ["env-text", "env-path", "systemd"])
def test_a_credential_is_where_the_settings_say(
    storages: Storages, key: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(key.parent))
    monkeypatch.setenv("LAKE_CREDENTIALS", key.read_text() if kind == "env-text" else str(key))
    credential = "systemd:key.json" if kind == "systemd" else "env:LAKE"
    assert storages(credential=credential).files.read(f"{TABLE}/x") == b"x"


def test_a_new_key_is_used_when_it_takes_the_place_of_the_old(
    cloud: Google, storages: Storages, key: Path
) -> None:
    storage = storages()
    assert storage.vends is not None
    before = storage.vends.version()
    vend(storage)
    new = {**cloud.service_account(), "client_email": "new@lake.iam.gserviceaccount.com"}
    (key.parent / "new").write_text(json.dumps(new))
    (key.parent / "new").replace(key)
    assert storage.vends.version() != before
    credential = vend(storage)
    token = cloud.tokens[credential.config["gcs.oauth2.token"]]
    assert token.email == "new@lake.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        ("", "has no JSON object"),
        ('{"private_key": "SECRET"', "has no JSON object"),
        ('["SECRET"]', "has no JSON object"),
    ],
)
def test_a_credential_that_is_none_is_a_wrong_setting(
    storages: Storages, key: Path, content: str | None, says: str
) -> None:
    key.unlink()
    if content is not None:
        key.write_text(content)
    with pytest.raises(SettingsError, match=f"warehouse lake: .*{says}") as raised:
        storages()
    assert "SECRET" not in str(raised.value)


def test_a_key_that_cannot_sign_is_no_answer_with_the_key(storages: Storages, key: Path) -> None:
    broken = {**json.loads(key.read_text()), "private_key": "SECRET"}
    key.write_text(json.dumps(broken))
    with pytest.raises(ServiceUnavailableError, match="for warehouse lake") as raised:
        vend(storages())
    assert "SECRET" not in raised.value.message


@pytest.mark.parametrize(
    ("path", "answer", "says"),
    [
        ("/v1/token", (400, {"error": "invalid_scope", "x": "ya29.T"}), "invalid_scope"),
        ("/v1/token", (400, {"error": "invalid_request"}), "invalid_request"),
        ("/v1/token", (500, {"x": "ya29.T"}), "OAuthError"),
        ("/v1/token", (500, "ya29.T"), "TypeError"),
        ("/v1/token", (200, {"token": "ya29.T"}), "KeyError"),
        ("/token", (401, {"error": "invalid_grant"}), "invalid_grant"),
        (
            f"/v1/projects/-/serviceAccounts/{CLIENTS}:generateAccessToken",
            (403, {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "ya29.T"}}),
            "PERMISSION_DENIED",
        ),
    ],
)
def test_a_refusal_is_named_without_what_was_answered(
    cloud: Google, storages: Storages, path: str, answer: tuple[int, object], says: str
) -> None:
    cloud.failing[path] = answer
    with pytest.raises(ServiceUnavailableError) as raised:
        vend(storages(service_account=CLIENTS))
    text = raised.value.message
    assert says in text
    assert "warehouse lake" in text
    assert "ya29" not in text
    assert raised.value.__cause__ is None


def test_a_service_that_does_not_answer_is_not_waited_for_one_by_one(
    cloud: Google, storages: Storages
) -> None:
    cloud.hold = threading.Event()
    storage = storages(timeout=1)
    began = dt.datetime.now(dt.UTC)

    def refused() -> str:
        with pytest.raises(ServiceUnavailableError) as raised:
            vend(storage)
        return raised.value.message

    with ThreadPoolExecutor(8) as threads:
        messages = [each.result() for each in [threads.submit(refused) for _ in range(8)]]
    assert dt.datetime.now(dt.UTC) - began < dt.timedelta(seconds=5)
    assert {"no answer from the token service" in message for message in messages} == {True}
    cloud.hold.set()
    assert vend(storage).config["gcs.oauth2.token"]


def test_why_the_server_has_no_token_is_in_the_log(
    cloud: Google, storages: Storages, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.failing["/token"] = 401, {"error": "invalid_grant", "x": "ya29.T"}
    with pytest.raises(ServiceUnavailableError, match="own credentials cannot be obtained"):
        storages().files.read(f"{TABLE}/x")
    assert "got no token for warehouse lake" in caplog.text
    assert "invalid_grant" in caplog.text
    assert "ya29" not in caplog.text


def test_case_25_no_secret_is_shown(
    cloud: Google, storages: Storages, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    storage = storages(service_account=CLIENTS)
    credential = vend(storage)
    storage.files.read(f"{TABLE}/x")
    secrets = [*cloud.tokens, cloud.service_account()["private_key"][40:80]]
    shown = [repr(storage), repr(vars(storage.vends)), repr(credential), caplog.text]
    assert len(cloud.tokens) >= 3
    assert not [secret for secret in secrets for text in shown if secret in text]


def test_case_25_a_token_in_the_environment_is_not_used(
    storages: Storages, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOOGLE_BEARER_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    assert storages().files.read(f"{TABLE}/x") == b"x"


def test_case_25_a_key_in_the_environment_is_not_shown(
    storages: Storages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", "SECRET")
    with pytest.raises(ServiceUnavailableError, match="Unset GOOGLE_SERVICE_ACCOUNT") as raised:
        storages().files.read(f"{TABLE}/x")
    assert "SECRET" not in "".join(traceback.format_exception(raised.value))


def test_an_emulator_gets_no_token(cloud: Google, storages: Storages) -> None:
    cloud.check_tokens = False
    storage = storages(credential="ambient")
    assert storage.files.create(f"{TABLE}/y", b"1")
    assert storage.vends is None
    assert storage.client_config["gcs.no-auth"] == "true"
    assert cloud.tokens == {}


def test_access_by_clients_themselves_vends_nothing(storages: Storages) -> None:
    assert storages(access="client").vends is None


def test_the_server_without_rights_is_unavailable(cloud: Google, storages: Storages) -> None:
    storage = storages()
    del cloud.buckets["lake"]
    with pytest.raises(CatalogError) as raised:
        storage.files.read(f"{TABLE}/x")
    assert raised.value.status == 503


def test_the_storage_check_passes(cloud: Google, key: Path) -> None:
    settings = StorageSettings(
        location="gs://lake/wh",
        endpoint=cloud.url,
        sts_endpoint=cloud.url,
        credential=f"file:{key}",
    )
    outcomes = {each.check: each.outcome for each in check(Target("lake", settings)).results}
    assert "failed" not in outcomes.values(), outcomes
    vended = {name: outcome for name, outcome in outcomes.items() if name.startswith("vend")}
    assert set(vended.values()) == {"passed"}
    assert len(vended) == 5
