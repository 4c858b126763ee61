"""Opening of the storage that settings name."""

import subprocess
import sys
from pathlib import Path

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


def test_nothing_of_a_cloud_is_imported_for_a_local_warehouse(tmp_path: Path) -> None:
    program = f"""
import sys
from falcon_catalog.app import create_app
from falcon_catalog.settings import load
flags = {{"store.url": "sqlite:///{tmp_path}/c.db", "warehouse.location": "{tmp_path}/w"}}
create_app(load(None, {{}}, flags)).close()
clouds = {{"obstore", "botocore", "boto3", "google", "azure", "pyarrow", "pyiceberg"}}
print(sorted(clouds & {{name.partition(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
