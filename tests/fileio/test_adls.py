"""Azure Data Lake Storage with tokens and signatures, by an account of our own that checks them."""

import datetime as dt
import json
import logging
import subprocess
import sys
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import obstore
import pytest
import requests
from obstore.exceptions import BaseError
from obstore.store import AzureStore

from falcon_catalog.catalog.storage_check.check import Target, check
from falcon_catalog.errors import BadRequestError, CatalogError, ServiceUnavailableError
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.fileio.delegation import Credential, Permission, Scope
from falcon_catalog.fileio.opening import open_storage
from falcon_catalog.fileio.storage import Storage
from falcon_catalog.settings import SettingsError, StorageSettings
from tests.clouds import sas
from tests.clouds.azure import ACCOUNT, CLIENT, SECRET, TENANT, Azure, azure
from tests.fileio.contract import Contract

HOST = f"{ACCOUNT}.dfs.core.windows.net"
ROOT = f"abfss://lake@{HOST}"
TABLE = f"{ROOT}/wh/orders"
TOKEN_PATH = f"/{TENANT}/oauth2/v2.0/token"
KEY_PATH = f"/{ACCOUNT}/"
MISMATCH = "AuthorizationPermissionMismatch"
Storages = Callable[..., Storage]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Azure]:
    with azure(tmp_path) as cloud:
        for name in ("wh/orders/x", "wh/orders2/x", "wh/orders-old/x", "wh/x", "other"):
            cloud.blobs["lake"][name] = b"x"
        yield cloud


@pytest.fixture
def secret(cloud: Azure, tmp_path: Path) -> Path:
    """The file with the app registration's secret."""
    path = tmp_path / "credential.json"
    path.write_text(json.dumps(cloud.credential()))
    return path


@pytest.fixture
def storages(cloud: Azure, secret: Path) -> Storages:
    def opened(**settings: Any) -> Storage:
        given = {
            "location": f"{ROOT}/wh",
            "server_endpoint": cloud.endpoint,
            "credential": f"file:{secret}",
            "ca_file": str(cloud.certificate),
            "timeout": 5,
        }
        return open_storage("lake", StorageSettings(**(given | settings)))

    return opened


def vend(storage: Storage, permission: Permission = "write", *locations: str) -> Credential:
    assert storage.vends is not None
    return storage.vends.vend(Scope(locations or (TABLE,), permission), session="amy")


def token(credential: Credential) -> str:
    return credential.config["adls.sas-token"]


def client(cloud: Azure, credential: Credential) -> AzureStore:
    return AzureStore(
        "lake",
        account_name=ACCOUNT,
        endpoint=cloud.endpoint,
        sas_key=token(credential),
        client_options={"root_certificate": cloud.certificate.read_bytes()},
        retry_config={"max_retries": 0},
    )


def delete(cloud: Azure, credential: Credential, name: str) -> int:
    """Delete a blob as clients do; obstore would send a batch."""
    url = f"{cloud.endpoint}/lake/{name}?{token(credential)}"
    return requests.delete(url, verify=str(cloud.certificate), timeout=30).status_code


class TestFiles(Contract):
    @pytest.fixture
    def files(self, storages: Storages) -> FileIO:
        return storages().files

    @pytest.fixture
    def root(self) -> str:
        return f"{ROOT}/wh/{uuid.uuid4()}"


def test_the_server_reads_and_writes_with_a_token(cloud: Azure, storages: Storages) -> None:
    files = storages().files
    assert files.read(f"{TABLE}/x") == b"x"
    assert files.create(f"{TABLE}/y", b"1")
    assert not files.create(f"{TABLE}/y", b"2")
    assert cloud.log.count(f"POST {TOKEN_PATH}") == 1


def test_a_credential_has_what_clients_read(storages: Storages) -> None:
    storage = storages()
    credential = vend(storage)
    assert credential.prefix == TABLE
    ends = str(credential.expires_at)
    assert credential.config == {
        "adls.account-name": ACCOUNT,
        f"adls.sas-token.{HOST}": token(credential),
        f"adls.sas-token-expires-at-ms.{HOST}": ends,
        f"adls.sas-token.{ACCOUNT}": token(credential),
        "adls.sas-token": token(credential),
    }
    assert storage.client_config == {"adls.account-name": ACCOUNT}


def test_a_location_is_found_by_its_other_host_as_well(storages: Storages) -> None:
    blob = HOST.replace(".dfs.", ".blob.")
    credential = vend(storages(), "read", TABLE.replace(".dfs.", ".blob."))
    assert credential.config[f"adls.sas-token.{blob}"] == token(credential)
    assert credential.config[f"adls.sas-token.{HOST}"] == token(credential)


def test_another_cloud_is_named(storages: Storages) -> None:
    place = f"abfss://lake@{ACCOUNT}.dfs.core.chinacloudapi.cn/wh"
    assert storages(location=place).client_config == {
        "adls.account-name": ACCOUNT,
        "adls.account-host": f"{ACCOUNT}.blob.core.chinacloudapi.cn",
        "adls.blob-storage-authority": ".blob.core.chinacloudapi.cn",
        "adls.dfs-storage-authority": ".dfs.core.chinacloudapi.cn",
    }


def test_an_endpoint_of_its_own_is_named_to_clients(cloud: Azure, storages: Storages) -> None:
    credential = vend(storages(endpoint=cloud.endpoint))
    assert credential.config[f"adls.connection-string.{HOST}"] == cloud.endpoint
    assert credential.config["adls.connection-string"] == (
        f"BlobEndpoint={cloud.endpoint};SharedAccessSignature={token(credential)}"
    )
    assert credential.config["adls.blob-storage-authority"] == cloud.url.removeprefix("https://")


@pytest.mark.parametrize(
    ("permission", "hierarchical", "expected"),
    [
        ("read", True, {"sp": "rl", "sr": "d", "sdd": "2"}),
        ("write", True, {"sp": "rawdl", "sr": "d", "sdd": "2"}),
        ("read", False, {"sp": "rl", "sr": "c"}),
        ("write", False, {"sp": "rawdl", "sr": "c"}),
    ],
)
def test_a_signature_is_a_delegated_one_with_these_fields(
    cloud: Azure,
    storages: Storages,
    permission: Permission,
    hierarchical: bool,
    expected: dict[str, str],
) -> None:
    credential = vend(storages(hierarchical=hierarchical), permission)
    fields = sas.parse(token(credential))
    (key,) = cloud.keys
    assert fields == {
        **expected,
        **key.fields,
        **{name: fields[name] for name in ("st", "se", "sv", "sig")},
        "spr": "https",
    }
    start, end = (dt.datetime.fromisoformat(fields[name]) for name in ("st", "se"))
    now = dt.datetime.now(dt.UTC)
    assert dt.timedelta(seconds=59) < now - start < dt.timedelta(seconds=70)
    assert dt.timedelta(seconds=3590) < end - now <= dt.timedelta(seconds=3600)
    assert credential.expires_at == int(end.timestamp() * 1000)
    assert fields["skt"] <= fields["st"]
    assert fields["se"] <= fields["ske"]


def test_a_reader_reads_and_lists_the_table(cloud: Azure, storages: Storages) -> None:
    reader = client(cloud, vend(storages(), "read"))
    assert obstore.get(reader, "wh/orders/x").bytes() == b"x"
    assert [e["path"] for e in obstore.list(reader, "wh/orders").collect()] == ["wh/orders/x"]


def test_a_reader_does_not_write(cloud: Azure, storages: Storages) -> None:
    credential = vend(storages(), "read")
    with pytest.raises(BaseError, match="AuthorizationFailure"):
        obstore.put(client(cloud, credential), "wh/orders/y", b"")
    assert delete(cloud, credential, "wh/orders/x") == 403


def test_a_writer_writes_and_deletes(cloud: Azure, storages: Storages) -> None:
    credential = vend(storages())
    obstore.put(client(cloud, credential), "wh/orders/data/ü +.parquet", b"y")
    assert cloud.blobs["lake"]["wh/orders/data/ü +.parquet"] == b"y"
    assert delete(cloud, credential, "wh/orders/x") == 202


@pytest.mark.parametrize("permission", ["read", "write"])
@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(lambda s: obstore.get(s, "wh/orders2/x"), id="get-orders2"),
        pytest.param(lambda s: obstore.get(s, "wh/orders-old/x"), id="get-orders-old"),
        pytest.param(lambda s: obstore.get(s, "wh/x"), id="get-above"),
        pytest.param(lambda s: obstore.get(s, "other"), id="get"),
        pytest.param(lambda s: obstore.put(s, "wh/orders2/y", b""), id="put-orders2"),
        pytest.param(lambda s: obstore.list(s).collect(), id="list-container"),
        pytest.param(lambda s: obstore.list(s, "wh").collect(), id="list-warehouse"),
        pytest.param(lambda s: obstore.list(s, "wh/orders2").collect(), id="list-orders2"),
    ],
)
def test_case_4_siblings_are_closed(
    cloud: Azure, storages: Storages, permission: Permission, request_: Callable[..., object]
) -> None:
    with pytest.raises(BaseError, match=r"<Code>(Denied|AuthorizationFailure)</Code>"):
        request_(client(cloud, vend(storages(), permission)))


def test_case_4_a_table_within_another_does_not_open_it(cloud: Azure, storages: Storages) -> None:
    inner = vend(storages(), "read", f"{TABLE}/x/y")
    assert sas.parse(token(inner))["sdd"] == "4"
    with pytest.raises(BaseError):
        obstore.get(client(cloud, inner), "wh/orders/x")
    assert delete(cloud, vend(storages()), "wh/orders2/x") == 403


def test_without_directories_the_container_is_open_and_no_other(
    cloud: Azure, storages: Storages
) -> None:
    credential = vend(storages(hierarchical=False), "read")
    assert obstore.get(client(cloud, credential), "other").bytes() == b"x"
    url = f"{cloud.endpoint}/other/x?{token(credential)}"
    assert requests.get(url, verify=str(cloud.certificate), timeout=30).status_code == 403


@pytest.mark.parametrize("name", ["it's", '"', "') || true", "a b+c", "ü", "*", "$", "&sig=x"])
def test_case_5_a_hostile_name_opens_itself_only(
    cloud: Azure, storages: Storages, name: str
) -> None:
    cloud.blobs["lake"][f"{name}/t/x"] = b"y"
    reader = client(cloud, vend(storages(), "read", f"{ROOT}/{name}/t"))
    assert obstore.get(reader, f"{name}/t/x").bytes() == b"y"
    with pytest.raises(BaseError):
        obstore.get(reader, "wh/orders/x")


@pytest.mark.parametrize(
    "location",
    [
        ROOT,
        f"{ROOT}/",
        f"{ROOT}/a/../b",
        f"{ROOT}/a//b",
        f"{ROOT}/a%2e%2e/b",
        f"{ROOT}/a#b",
        f"{ROOT}/a?sr=c",
        f"{ROOT}/a\\b",
        f"{ROOT}/a\nb",
        f"abfss://lake@{HOST}:443/a",
        f"abfss://lake@{HOST}./a",
        f"abfss://Lake@{HOST}/a",
        f"abfss://{HOST}/a",
        f"s3://lake@{HOST}/a",
        f"{ROOT}/" + "a" * 5000,
    ],
)
def test_case_10_nothing_is_asked_for_a_wrong_location(
    cloud: Azure, storages: Storages, location: str
) -> None:
    with pytest.raises(BadRequestError):
        vend(storages(), "read", location)
    assert cloud.log == []


@pytest.mark.parametrize(
    ("location", "says"),
    [
        (f"{ROOT}/elsewhere", "one directory"),
        (f"abfss://other@{HOST}/wh/orders", "one container"),
        ("abfss://lake@another.dfs.core.windows.net/wh/orders", "one container"),
    ],
)
def test_a_signature_is_for_one_directory(
    cloud: Azure, storages: Storages, location: str, says: str
) -> None:
    with pytest.raises(BadRequestError, match=says):
        vend(storages(), "read", TABLE, location)
    assert cloud.log == []
    assert vend(storages(), "read", TABLE, f"{TABLE}/data").prefix == TABLE


def test_case_19_each_signature_ends_later_and_is_for_one_permission(
    cloud: Azure, storages: Storages
) -> None:
    storage = storages(vend_seconds=900)
    first, second = vend(storage, "read"), vend(storage, "write")
    assert token(first) != token(second)
    assert first.expires_at <= second.expires_at
    assert len(cloud.key_requests) == 1  # signatures are short, keys are used for an hour
    ((start, end),) = cloud.key_requests
    assert end - start == dt.timedelta(hours=1, seconds=900, minutes=10)


def test_a_key_is_replaced_after_an_hour(
    cloud: Azure, storages: Storages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("falcon_catalog.fileio.adls._KEY_USE", dt.timedelta(0))
    storage = storages()
    for _ in range(2):
        vend(storage)
    assert len(cloud.keys) == 2


def test_many_at_once_ask_for_one_key(cloud: Azure, storages: Storages) -> None:
    storage = storages()
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: vend(storage), range(50)))
    assert len(cloud.key_requests) == 1


def test_a_federated_token_is_an_identity(cloud: Azure, storages: Storages, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("assertion")
    values = {name: text for name, text in cloud.credential().items() if name != "client_secret"}
    path = tmp_path / "federated.json"
    path.write_text(json.dumps({**values, "federated_token_file": str(tmp_path / "token")}))
    assert storages(credential=f"file:{path}").files.read(f"{TABLE}/x") == b"x"


def test_ambient_is_what_azures_library_finds(
    cloud: Azure, storages: Storages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://127.0.0.1:1")
    with pytest.raises(ServiceUnavailableError, match="credential = 'ambient'") as raised:
        vend(storages(credential="ambient"))
    assert SECRET not in raised.value.message
    assert cloud.log == []


@pytest.mark.parametrize("kind", ["env-text", "env-path", "systemd"])
def test_a_credential_is_where_the_settings_say(
    storages: Storages, secret: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(secret.parent))
    monkeypatch.setenv(
        "LAKE_CREDENTIALS", secret.read_text() if kind == "env-text" else str(secret)
    )
    credential = "systemd:credential.json" if kind == "systemd" else "env:LAKE"
    assert storages(credential=credential).files.read(f"{TABLE}/x") == b"x"


def test_a_new_secret_is_used_when_it_takes_the_place_of_the_old(
    cloud: Azure, storages: Storages, secret: Path
) -> None:
    secret.write_text(json.dumps({**cloud.credential(), "client_secret": "old"}))
    storage = storages()
    assert storage.vends is not None
    before = storage.vends.version()
    with pytest.raises(ServiceUnavailableError, match="AADSTS7000215"):
        vend(storage)
    secret.write_text(json.dumps(cloud.credential()))
    assert storage.vends.version() != before
    assert vend(storage)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "none, or more than one"),
        ({"account_key": "SECRET", "client_secret": "SECRET"}, "more than one"),
        ({"account_key": 7}, "account_key is no text"),
        ({"client_secret": "SECRET"}, "no client_id"),
        ({"client_secret": "SECRET", "client_id": "x"}, "no tenant_id"),
    ],
)
def test_a_credential_that_is_none_is_a_wrong_setting(
    storages: Storages, secret: Path, values: dict[str, object], says: str
) -> None:
    secret.write_text(json.dumps(values))
    with pytest.raises(SettingsError, match=f"warehouse lake: .*{says}") as raised:
        storages()
    assert "SECRET" not in str(raised.value)


def test_a_tenant_may_stand_in_the_settings(cloud: Azure, storages: Storages, secret: Path) -> None:
    values = cloud.credential()
    del values["tenant_id"]
    secret.write_text(json.dumps(values))
    assert vend(storages(tenant_id=TENANT))


def test_tokens_are_not_sent_in_the_clear(storages: Storages) -> None:
    with pytest.raises(SettingsError, match="no https:// URL"):
        storages(server_endpoint="http://127.0.0.1:1/lakehouse")


def test_a_key_opens_one_account(storages: Storages, secret: Path) -> None:
    secret.write_text('{"account_key": "Zm9v"}')
    with pytest.raises(SettingsError, match="another storage account"):
        storages(allowed_locations=("abfss://lake@another.dfs.core.windows.net/x",))


@pytest.mark.parametrize(
    ("path", "answer", "says"),
    [
        (
            KEY_PATH,
            (403, f"<Error><Code>{MISMATCH}</Code><Message>eyJ0</Message></Error>", {}),
            f"{MISMATCH} 403",
        ),
        (KEY_PATH, (500, "eyJ0.T", {}), "500"),
        (KEY_PATH, (200, "eyJ0.T", {}), "got no user delegation key"),
        (TOKEN_PATH, (401, '{"error": "x", "error_description": "AADSTS1 eyJ0"}', {}), "AADSTS1"),
        (TOKEN_PATH, (500, "eyJ0.T", {}), "got no token from Entra"),
    ],
)
def test_a_refusal_is_named_without_what_was_answered(
    cloud: Azure, storages: Storages, path: str, answer: tuple[int, str, dict[str, str]], says: str
) -> None:
    kind = "application/xml" if path == KEY_PATH else "application/json"
    cloud.failing[path] = answer[0], answer[1], {"Content-Type": kind}
    with pytest.raises(ServiceUnavailableError) as raised:
        vend(storages())
    text = "".join(traceback.format_exception(raised.value))
    assert says in raised.value.message
    assert "warehouse lake" in raised.value.message
    assert "eyJ0" not in text
    assert SECRET not in text


def test_a_service_that_does_not_answer_is_not_waited_for_one_by_one(
    cloud: Azure, storages: Storages
) -> None:
    storage = storages(timeout=1)
    cloud.hold = threading.Event()
    began = dt.datetime.now(dt.UTC)

    def refused() -> str:
        with pytest.raises(ServiceUnavailableError) as raised:
            vend(storage)
        return raised.value.message

    with ThreadPoolExecutor(8) as threads:
        messages = [each.result() for each in [threads.submit(refused) for _ in range(8)]]
    assert dt.datetime.now(dt.UTC) - began < dt.timedelta(seconds=6)
    assert {"warehouse lake" in message for message in messages} == {True}
    cloud.hold.set()
    assert vend(storage)


def test_why_the_server_has_no_token_is_in_the_log(
    cloud: Azure, storages: Storages, secret: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret.write_text(json.dumps({**cloud.credential(), "client_secret": "wrong-one"}))
    with pytest.raises(ServiceUnavailableError, match="own credentials cannot be obtained"):
        storages().files.read(f"{TABLE}/x")
    assert "got no token from Entra for warehouse lake" in caplog.text
    assert "AADSTS7000215" in caplog.text
    assert "wrong-one" not in caplog.text


def test_case_25_no_secret_is_shown(
    cloud: Azure, storages: Storages, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    storage = storages()
    credential = vend(storage)
    storage.files.read(f"{TABLE}/x")
    signature = sas.parse(token(credential))["sig"]
    secrets = [SECRET, signature, *cloud.tokens, *(key.value for key in cloud.keys)]
    shown = [repr(storage), repr(vars(storage.vends)), repr(credential), caplog.text]
    assert len(secrets) >= 4
    assert not [secret for secret in secrets for text in shown if secret in text]


def test_case_25_a_credential_in_the_environment_is_not_used(
    storages: Storages, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STORAGE_ACCOUNT_KEY", "STORAGE_SAS_KEY", "STORAGE_TOKEN", "CLIENT_SECRET"):
        monkeypatch.setenv(f"AZURE_{name}", "Zm9v")
    for name in ("SKIP_SIGNATURE", "STORAGE_USE_EMULATOR", "USE_FABRIC_ENDPOINT"):
        monkeypatch.setenv(f"AZURE_{name}", "true")
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", "https://127.0.0.1:1")
    assert storages().files.read(f"{TABLE}/x") == b"x"


def test_access_by_clients_themselves_vends_nothing(storages: Storages) -> None:
    assert storages(access="client").vends is None


def test_a_container_that_is_missing_is_unavailable(cloud: Azure, storages: Storages) -> None:
    storage = storages()
    del cloud.blobs["lake"]
    with pytest.raises(CatalogError) as raised:
        storage.files.read(f"{TABLE}/x")
    assert raised.value.status == 503


def test_azures_library_for_signatures_is_loaded_when_one_is_made(storages: Storages) -> None:
    """It takes more than a second, which no start may."""
    del storages
    program = (
        "import sys\n"
        "import falcon_catalog.fileio.adls\n"
        "print('azure.storage.filedatalake' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "False\n"


def test_the_storage_check_passes(cloud: Azure, secret: Path) -> None:
    settings = StorageSettings(
        location=f"{ROOT}/wh",
        server_endpoint=cloud.endpoint,
        endpoint=cloud.endpoint,
        credential=f"file:{secret}",
        ca_file=str(cloud.certificate),
    )
    outcomes = {each.check: each.outcome for each in check(Target("lake", settings)).results}
    assert "failed" not in outcomes.values(), outcomes
    vended = {name: outcome for name, outcome in outcomes.items() if name.startswith("vend")}
    assert set(vended.values()) == {"passed"}
    assert len(vended) == 5
