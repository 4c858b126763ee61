"""Where the server's own AWS credentials come from. Nothing here reaches AWS."""

import json
import os
import socket
from pathlib import Path

import pytest

from falcon_catalog.errors import ServiceUnavailableError
from falcon_catalog.fileio.s3_identity import Identity
from falcon_catalog.settings import SettingsError

SHOWN_NOWHERE = "not-to-be-shown"


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def written(path: Path, key: str, **more: object) -> Path:
    """Put a new file in the place of a file, as rotation does."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"access_key_id": key, "secret_access_key": SHOWN_NOWHERE, **more}))
    return new.replace(path)


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = written(tmp_path / "key.json", "ONE")
    identity = Identity("lake", f"file:{path}")
    before = identity.version()
    assert identity.keys()[:3] == ("ONE", SHOWN_NOWHERE, None)
    written(path, "TWO", session_token="token")  # noqa: S106 - it is none
    assert identity.keys()[:3] == ("TWO", SHOWN_NOWHERE, "token")
    assert identity.version() != before


def test_a_file_that_goes_away_is_said_without_its_content(tmp_path: Path) -> None:
    path = written(tmp_path / "key.json", "ONE")
    identity = Identity("lake", f"file:{path}")
    path.unlink()
    with pytest.raises(ServiceUnavailableError, match=r"warehouse lake: .*No such file"):
        identity.keys()
    path.write_text(f"{{{SHOWN_NOWHERE}")
    with pytest.raises(ServiceUnavailableError, match="no JSON object") as raised:
        identity.keys()
    assert SHOWN_NOWHERE not in str(raised.value)
    assert SHOWN_NOWHERE not in repr(raised.getrepr())


def test_a_credential_of_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="CREDENTIALS_DIRECTORY is not set"):
        Identity("lake", "systemd:s3")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(SettingsError, match=r"lake.*systemd:s3.*No such file"):
        Identity("lake", "systemd:s3")
    written(tmp_path / "s3", "UNIT")
    assert Identity("lake", "systemd:s3").keys().access_key == "UNIT"


def test_variables_of_a_prefix_never_get_the_token_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-somebody-else")
    monkeypatch.setenv("LAKE_ACCESS_KEY_ID", "KEY")
    with pytest.raises(SettingsError, match=r"env:LAKE.*no secret_access_key"):
        Identity("lake", "env:LAKE")
    monkeypatch.setenv("LAKE_SECRET_ACCESS_KEY", SHOWN_NOWHERE)
    assert Identity("lake", "env:LAKE").keys()[:3] == ("KEY", SHOWN_NOWHERE, None)
    monkeypatch.setenv("LAKE_SESSION_TOKEN", "own")
    assert Identity("lake", "env:LAKE").keys()[2] == "own"


def test_ambient_ones_are_those_of_botocore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = Identity("lake", "ambient")
    with pytest.raises(ServiceUnavailableError, match="found none in the environment"):
        identity.keys()
    (tmp_path / "credentials").write_text(
        f"[default]\naws_access_key_id = FILE\naws_secret_access_key = {SHOWN_NOWHERE}\n"
    )
    assert Identity("lake", "ambient").keys().access_key == "FILE"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SHOWN_NOWHERE)
    assert Identity("lake", "ambient").keys().access_key == "ENV"


def test_incomplete_ambient_ones_are_said_without_the_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENV")
    with pytest.raises(ServiceUnavailableError, match="PartialCredentialsError"):
        Identity("lake", "ambient").keys()


@pytest.mark.parametrize("content", ["[]", "{}", '{"access_key_id": 1}', "", "\0"])
def test_a_file_that_holds_no_credentials(content: str, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(content)
    with pytest.raises(SettingsError, match="warehouse lake: credential = "):
        Identity("lake", f"file:{path}")


@pytest.mark.timeout(60)  # botocore's own patience is five minutes
def test_a_token_service_that_does_not_answer_is_waited_for_shortly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("of-a-pod")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/server")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        identity = Identity("lake", "ambient", timeout=1)
        with pytest.raises(ServiceUnavailableError, match="ReadTimeoutError"):
            identity.keys()
