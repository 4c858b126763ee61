"""The credential that systemd hands to the pipeline's units."""

from pathlib import Path

import pytest

from jobs import config


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for name in ("CATALOG_TOKEN", "CATALOG_CREDENTIAL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_unit_s_credential_is_used(folder: Path) -> None:
    (folder / "catalog").write_text("weather:secret\n", encoding="utf-8")
    assert config.settings().catalog.credential == "weather:secret"


def test_a_unit_without_one_has_none(folder: Path) -> None:
    assert folder.is_dir()
    assert config.settings().catalog.credential == ""


def test_one_that_is_given_is_used_instead(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "catalog").write_text("weather:secret\n", encoding="utf-8")
    monkeypatch.setenv("CATALOG_TOKEN", "given")
    assert (config.settings().catalog.token, config.settings().catalog.credential) == ("given", "")
