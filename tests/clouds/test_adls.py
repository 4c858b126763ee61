"""Azure's blob storage, by Azurite: files, signatures with the account's key, and clients."""

import json
import logging
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import duckdb
import obstore
import pytest
import requests
from duckdb_extensions import import_extension
from obstore.exceptions import BaseError
from obstore.store import AzureStore

from falcon_catalog.catalog.storage_check.check import Target, check
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.fileio.delegation import Credential, Permission, Scope
from falcon_catalog.fileio.opening import open_storage
from falcon_catalog.fileio.storage import Storage
from falcon_catalog.settings import StorageSettings
from tests.catalog.serving import SCHEMA, Server, creation, serving
from tests.clouds.azure import SECRET, Azure, azure
from tests.clouds.azurite import ACCOUNT, Azurite
from tests.clouds.java_library import ADLS, FETCHING, rows
from tests.clouds.warehouses import VENDED
from tests.fileio.contract import Contract

HOST = f"{ACCOUNT}.dfs.core.windows.net"
TABLES = "/v1/namespaces/ns/tables"


@pytest.fixture
def storage(azurite: Azurite, tmp_path: Path) -> Storage:
    (tmp_path / "key.json").write_text(json.dumps(azurite.credential))
    settings = StorageSettings(
        location=azurite.location("wh"),
        credential=f"file:{tmp_path}/key.json",
        **azurite.settings(),
    )
    return open_storage("lake", settings)


class TestFiles(Contract):
    @pytest.fixture
    def files(self, storage: Storage) -> FileIO:
        return storage.files

    @pytest.fixture
    def root(self, azurite: Azurite) -> str:
        return azurite.location(str(uuid.uuid4()))


def vend(storage: Storage, location: str, permission: Permission) -> Credential:
    assert storage.vends is not None
    return storage.vends.vend(Scope((location,), permission), session="amy")


def client(azurite: Azurite, credential: Credential, container: str = "lake") -> AzureStore:
    return AzureStore(
        container,
        account_name=ACCOUNT,
        endpoint=azurite.url,
        sas_key=credential.config["adls.sas-token"],
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


def test_a_signature_with_the_accounts_key_opens_what_it_says(
    azurite: Azurite, storage: Storage
) -> None:
    table = azurite.location(f"wh/{uuid.uuid4()}")
    storage.files.write(f"{table}/x", b"1")
    key = table.partition(".net/")[2]
    reader = client(azurite, vend(storage, table, "read"))
    assert obstore.get(reader, f"{key}/x").bytes() == b"1"
    assert [entry["path"] for entry in obstore.list(reader, key).collect()] == [f"{key}/x"]
    with pytest.raises(BaseError, match="AuthorizationPermissionMismatch"):
        obstore.put(reader, f"{key}/y", b"")
    credential = vend(storage, table, "write")
    obstore.put(client(azurite, credential), f"{key}/y", b"2" * 12_000_000)
    url = f"{azurite.url}/lake/{key}/y?{credential.config['adls.sas-token']}"
    assert requests.delete(url, timeout=30).status_code == 202
    assert not storage.files.exists(f"{table}/y")


def test_a_signature_is_for_one_container_and_as_it_was_signed(
    azurite: Azurite, storage: Storage
) -> None:
    table = azurite.location("wh/orders")
    credential = vend(storage, table, "read")
    with pytest.raises(BaseError, match="AuthorizationFailure"):
        obstore.list(client(azurite, credential, "other")).collect()
    token = credential.config["adls.sas-token"]
    for changed in (token.replace("sp=rl", "sp=rawdl"), token.replace("se=20", "se=21")):
        assert changed != token
        url = f"{azurite.url}/lake?restype=container&comp=list&{changed}"
        assert requests.get(url, timeout=30).status_code == 403


@pytest.fixture
def catalog(azurite: Azurite, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "key.json").write_text(json.dumps(azurite.credential))
    settings = {
        "location": azurite.location(str(uuid.uuid4())),
        "allowed_locations": (),
        "credential": f"file:{tmp_path}/key.json",
        **azurite.settings(),
    }
    named = {f"warehouse__{name}": value for name, value in settings.items()}
    with serving(tmp_path, **named) as server:
        server.namespace("ns")
        yield server


def test_pyiceberg_writes_and_reads_with_vended_signatures(catalog: Server) -> None:
    program = [sys.executable, "-m", "tests.clouds.rows", catalog.url, "t"]
    ran = subprocess.run(program, capture_output=True, text=True, check=True, timeout=120)
    assert ran.stdout.split(maxsplit=1) == ["FsspecFileIO", "[1, 1, 2, 2, 3, 3]\n"]


@pytest.mark.timeout(FETCHING)
def test_java_uses_vended_signatures(jars: Path, catalog: Server) -> None:
    """Azurite has no directories, so that the signature opens what is beside the table."""
    assert rows(jars, catalog, ADLS) == ["read 3", "exists false", "not refused"]


def test_a_load_has_one_credential_in_both_places(azurite: Azurite, catalog: Server) -> None:
    catalog.table("t")
    loaded = catalog.ok("GET", f"{TABLES}/t", headers=VENDED)
    (credential,) = loaded["storage-credentials"]
    assert credential["config"] == loaded["config"]
    assert credential["prefix"] == loaded["metadata"]["location"]
    host, config = azurite.host, loaded["config"]
    token, ends = config["adls.sas-token"], config["expiration-time"]
    authority = azurite.url.removeprefix("http://").partition("/")[0]
    assert config == {
        "adls.account-name": ACCOUNT,
        f"adls.sas-token.{host}": token,
        f"adls.sas-token-expires-at-ms.{host}": ends,
        f"adls.sas-token.{ACCOUNT}": token,
        "adls.sas-token": token,
        f"adls.connection-string.{host}": azurite.url,
        "adls.connection-string": f"BlobEndpoint={azurite.url};SharedAccessSignature={token}",
        "adls.blob-storage-authority": authority,
        "adls.dfs-storage-authority": authority,
        "adls.blob-storage-scheme": "http",
        "adls.dfs-storage-scheme": "http",
        "adls.refresh-credentials-endpoint": "v1/default/namespaces/ns/tables/t/credentials",
        "expiration-time": ends,
    }
    refreshed = catalog.ok("GET", f"{TABLES}/t/credentials")["storage-credentials"]
    assert [entry["config"].keys() for entry in refreshed] == [config.keys()]


def test_duckdb_makes_a_secret_for_the_table_of_a_signature(catalog: Server) -> None:
    """It goes to the account's own host, so that no emulator can answer it."""
    location = catalog.table("t")["metadata"]["location"]
    with duckdb.connect() as duck:
        for extension in ("httpfs", "avro", "iceberg", "azure"):
            import_extension(extension)
            duck.execute(f"LOAD {extension}")
        duck.execute(
            f"ATTACH '' AS lake (TYPE iceberg, ENDPOINT '{catalog.url}', AUTHORIZATION_TYPE 'none')"
        )
        assert duck.execute("SELECT * FROM lake.ns.t").fetchall() == []
        secrets = duck.execute("SELECT type, scope, secret_string FROM duckdb_secrets()").fetchall()
    ((kind, scope, text),) = secrets
    assert (kind, scope) == ("azure", [location])
    assert f"account_name={ACCOUNT}" in text


def test_the_storage_check_says_that_a_container_is_open(azurite: Azurite, tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text(json.dumps(azurite.credential))
    settings = StorageSettings(
        location=azurite.location(str(uuid.uuid4())),
        credential=f"file:{tmp_path}/key.json",
        **azurite.settings(),
    )
    report = check(Target("lake", settings))
    failed = {each.check: each.remedy for each in report.results if each.outcome == "failed"}
    assert failed.keys() == {"vended-outside", "vended-sibling"}
    assert all("hierarchical = true" in remedy for remedy in failed.values())


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Azure]:
    """An account with directories and user delegation keys, which Azurite has not."""
    with azure(tmp_path) as account:
        yield account


@pytest.fixture
def directories(account: Azure, tmp_path: Path) -> Iterator[Server]:
    """A catalog on such an account."""
    (tmp_path / "secret.json").write_text(json.dumps(account.credential()))
    settings = {
        "location": f"abfss://lake@{HOST}/wh",
        "allowed_locations": (),
        "credential": f"file:{tmp_path}/secret.json",
        "endpoint": account.endpoint,
        "ca_file": str(account.certificate),
    }
    named = {f"warehouse__{name}": value for name, value in settings.items()}
    with serving(tmp_path, **named) as server:
        server.namespace("ns")
        yield server


def test_a_signature_of_one_table_does_not_open_another(
    account: Azure, directories: Server
) -> None:
    directories.table("t")
    other = directories.table("t2")["metadata-location"].partition(".net/")[2]
    loaded = directories.ok("GET", f"{TABLES}/t", headers=VENDED)
    own = loaded["metadata-location"].partition(".net/")[2]
    token = loaded["config"]["adls.sas-token"]
    verify = str(account.certificate)
    answers = [
        requests.get(f"{account.endpoint}/lake/{path}?{token}", verify=verify, timeout=30)
        for path in (own, other)
    ]
    assert [answer.status_code for answer in answers] == [200, 403]


NO_SIGNATURE = (
    r"Invalid locations of table ns\.t: Credentials cannot be issued for .*: a signature opens one"
    " directory, and none of these holds the others"
)


@pytest.mark.parametrize("headers", [VENDED, None], ids=["vended", "nothing"])
@pytest.mark.parametrize("name", ["write.data.path", "write.metadata.path"])
def test_a_table_in_two_directories_would_get_no_signature_and_is_refused(
    account: Azure, directories: Server, name: str, headers: dict[str, str] | None
) -> None:
    """Whether or not the client that makes it asks for a signature: others will."""

    def refused(path: str, body: object) -> None:
        answer = directories.call("POST", path, body, headers=headers)
        assert answer.status_code == 400, answer.text
        assert re.match(NO_SIGNATURE, answer.json()["error"]["message"])

    def files() -> list[str]:
        return [name for name in account.blobs["lake"] if name.endswith(".metadata.json")]

    elsewhere = {name: f"abfss://lake@{HOST}/wh/elsewhere"}
    for staged in (False, True):
        fields = {"properties": elsewhere, "stage-create": staged}
        refused(TABLES, {"name": "t", "schema": SCHEMA, **fields})
    assert directories.call("HEAD", f"{TABLES}/t").status_code == 404
    body = {"name": "t", "schema": SCHEMA, "stage-create": True}
    metadata = directories.ok("POST", TABLES, body)["metadata"]
    place = {"action": "set-location", "location": metadata["location"]}
    updates = [*creation(metadata), place]
    away = {"action": "set-properties", "updates": elsewhere}
    required = [{"type": "assert-create"}]
    refused(f"{TABLES}/t", {"requirements": required, "updates": [*updates, away]})
    assert files() == []

    made = directories.table("t")
    change = {"requirements": [], "updates": [away]}
    refused(f"{TABLES}/t", change)
    part = {"identifier": {"namespace": ["ns"], "name": "t"}, **change}
    refused("/v1/transactions/commit", {"table-changes": [part]})
    assert len(files()) == 1
    inside = {name: f"{made['metadata']['location']}/elsewhere"}
    good = {"action": "set-properties", "updates": inside}
    directories.ok("POST", f"{TABLES}/t", {"requirements": [], "updates": [good]})
    assert directories.ok("GET", f"{TABLES}/t", headers=VENDED)["storage-credentials"]

    metadata = directories.ok("POST", f"{TABLES}/t/unregister")["metadata"]
    metadata["properties"] = elsewhere
    file = f"abfss://lake@{HOST}/wh/moved.metadata.json"
    account.blobs["lake"]["wh/moved.metadata.json"] = json.dumps(metadata).encode()
    refused("/v1/namespaces/ns/register", {"name": "t", "metadata-location": file})


def test_a_table_that_gets_no_signature_can_still_be_changed(
    directories: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that is older than the rule: clients with credentials of their own go on."""
    elsewhere = {"write.data.path": f"abfss://lake@{HOST}/wh/elsewhere"}
    with monkeypatch.context() as older:
        older.setattr(directories.catalog.storage.vends, "check", lambda _: None)
        directories.table("t", properties=elsewhere)
    set_one = {"action": "set-properties", "updates": {"k": "v"}}
    directories.ok("POST", f"{TABLES}/t", {"requirements": [], "updates": [set_one]})
    assert directories.fails("GET", f"{TABLES}/t", headers=VENDED)[0] == 400
    remove = {"action": "remove-properties", "removals": list(elsewhere)}
    directories.ok("POST", f"{TABLES}/t", {"requirements": [], "updates": [remove]})
    assert directories.ok("GET", f"{TABLES}/t", headers=VENDED)["storage-credentials"]


def test_case_25_no_signature_is_in_the_log(
    account: Azure, directories: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    directories.table("t")
    directories.ok("GET", f"{TABLES}/t", headers=VENDED)
    assert "sig=" not in caplog.text
    assert "eyJ0" not in caplog.text
    assert SECRET not in caplog.text
    assert not [key.value for key in account.keys if key.value in caplog.text]
