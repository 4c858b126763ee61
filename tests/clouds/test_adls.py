"""Azure's blob storage, by Azurite: files, signatures with the account's key, and clients."""

import json
import uuid
from pathlib import Path

import obstore
import pytest
import requests
from obstore.exceptions import BaseError
from obstore.store import AzureStore

from falcon_catalog.fileio.base import FileIO
from falcon_catalog.fileio.delegation import Credential, Permission, Scope
from falcon_catalog.fileio.opening import open_storage
from falcon_catalog.fileio.storage import Storage
from falcon_catalog.settings import StorageSettings
from tests.clouds.azurite import ACCOUNT, Azurite
from tests.fileio.contract import Contract


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
