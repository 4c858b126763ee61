"""A client's store has the vended credential and nothing else: no field of it may be missing."""

import pytest

from falcon_catalog.fileio.client import MissingFieldError, open_client_store
from falcon_catalog.settings import StorageSettings

SECRET = "only-for-tests"  # noqa: S105
HOST = "lake.dfs.core.windows.net"
COMPLETE = {
    "s3://lake/t": {
        "s3.access-key-id": "id",
        "s3.secret-access-key": SECRET,
        "s3.session-token": SECRET,
        "s3.session-token-expires-at-ms": "4102444800000",
    },
    "gs://lake/t": {
        "gcs.oauth2.token": SECRET,
        "gcs.oauth2.token-expires-at": "4102444800000",
    },
    f"abfss://files@{HOST}/t": {
        f"adls.sas-token.{HOST}": SECRET,
        f"adls.sas-token-expires-at-ms.{HOST}": "4102444800000",
    },
}
FIELDS = [(location, name) for location, config in COMPLETE.items() for name in config]


@pytest.fixture(autouse=True)
def _credentials_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a library would take instead."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "another-token")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "another-token")


def settings(location: str) -> StorageSettings:
    return StorageSettings(location=location, region="us-east-1")


@pytest.mark.parametrize(("location", "name"), FIELDS)
def test_each_field_is_needed(location: str, name: str) -> None:
    for config in (
        {each: value for each, value in COMPLETE[location].items() if each != name},
        {**COMPLETE[location], name: ""},
    ):
        with pytest.raises(MissingFieldError, match=name):
            open_client_store(location, config, settings(location))


@pytest.mark.parametrize("location", COMPLETE)
def test_no_secret_is_shown(location: str) -> None:
    store = open_client_store(location, COMPLETE[location], settings(location))
    assert store.expires_at == 4102444800000
    assert SECRET not in repr(store)


@pytest.mark.parametrize("location", COMPLETE)
def test_an_end_that_is_no_number(location: str) -> None:
    config = dict(COMPLETE[location])
    expiry = next(name for name in config if "expires-at" in name)
    config[expiry] = "tomorrow"
    with pytest.raises(MissingFieldError, match="is not a number"):
        open_client_store(location, config, settings(location))
