"""Azurite refuses what Azure would: else no test of SAS could fail."""

import base64

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, PermissionDeniedError
from obstore.store import AzureStore

from tests.clouds.azurite import ACCOUNT, Azurite


def store(azurite: Azurite, key: str) -> AzureStore:
    return AzureStore(
        "lake",
        account_name=ACCOUNT,
        account_key=key,
        endpoint=azurite.url,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


def test_a_wrong_key_is_refused(azurite: Azurite) -> None:
    wrong = store(azurite, base64.b64encode(bytes(64)).decode())
    with pytest.raises(PermissionDeniedError):
        obstore.put(wrong, "azurite/x", b"")


def test_a_blob_is_created_once(azurite: Azurite) -> None:
    own = store(azurite, azurite.account_key)
    obstore.put(own, "azurite/once", b"1", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(own, "azurite/once", b"2", mode="create")
    assert obstore.get(own, "azurite/once").bytes() == b"1"
