"""What compose.yaml gives SeaweedFS and its catalog, on the store itself."""

import importlib.machinery
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.clouds.seaweedfs import seaweedfs

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def secrets() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader(
        "compose_secrets", str(REPOSITORY / "deploy/compose/secrets")
    )
    spec = importlib.util.spec_from_loader("compose_secrets", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_seaweedfs_vends_what_the_catalog_of_compose_needs(
    secrets: ModuleType, tmp_path: Path
) -> None:
    text = (REPOSITORY / "deploy/compose/catalog.toml").read_text(encoding="utf-8")
    credential = tmp_path / "credential"
    with seaweedfs("lake", config=secrets.identities) as store:
        keys = {
            "access_key_id": store.access_key_id,
            "secret_access_key": store.secret_access_key,
        }
        credential.write_text(json.dumps(keys))
        text = text.replace("http://objects:8333", store.url)
        text = text.replace("/run/secrets/s3-credential", str(credential))
        text = re.sub(r"(?s)\[store\].*?\n\n", "", text)
        config = tmp_path / "catalog.toml"
        config.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/catalog.db"\n\n{text}')
        for command in (["migrate"], ["storage", "check"]):
            done = subprocess.run(
                [sys.executable, "-m", "falcon_catalog", *command, "--config", str(config)],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
    assert "vended" in done.stdout
