"""Opening of the storage that settings name."""

import sys

import pytest

from falcon_catalog.fileio.opening import open_storage
from falcon_catalog.settings import SettingsError, StorageSettings

pytestmark = pytest.mark.serverless


@pytest.mark.parametrize(
    ("location", "module", "extra"),
    [
        ("s3://lake/x", "obstore", "s3"),
        ("s3://lake/x", "botocore", "s3"),
        ("gs://lake/x", "google.auth", "gcs"),
    ],
)
def test_what_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, location: str, module: str, extra: str
) -> None:
    for name in list(sys.modules):
        if name.startswith(("falcon_catalog.fileio.", module)) and name not in (
            "falcon_catalog.fileio.opening",
            "falcon_catalog.fileio.storage",
        ):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsError) as caught:
        open_storage("lake", StorageSettings(location=location, region="r"))
    assert str(caught.value).startswith(
        f"warehouse lake: {location} needs an extra that is not installed: pip install '.[{extra}]'"
    )
