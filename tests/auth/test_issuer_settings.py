"""Settings of identity providers: what is accepted, what is refused, and how they are shown."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from falcon_catalog.app import create_app
from falcon_catalog.cli import main
from falcon_catalog.settings import Settings, SettingsError, load

GOOD: dict[str, Any] = {"url": "https://idp.example/realm", "audiences": ["catalog"]}


def written(
    folder: Path, *, name: str = "corp", auth: str = "required = true", **more: Any
) -> Path:
    values = {key: value for key, value in {**GOOD, **more}.items() if value is not None}
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    path = folder / "catalog.toml"
    path.write_text("\n".join(["[auth]", auth, f"[auth.issuer.{name}]", *lines]), encoding="utf-8")
    return path


def test_a_section(tmp_path: Path) -> None:
    settings = load(written(tmp_path, groups_claim="groups"), {}, {})
    issuer = settings.auth.issuers["corp"]
    assert (issuer.url, issuer.audiences) == ("https://idp.example/realm", ("catalog",))
    assert (issuer.subject_claim, issuer.groups_claim, issuer.auto_create) == (
        "sub",
        "groups",
        True,
    )
    assert settings.value("auth.issuer.corp.url") == issuer.url
    assert settings.origins["auth.issuer.corp.url"] == str(tmp_path / "catalog.toml")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"url": None}, "it needs url"),
        ({"audiences": None}, "it needs audiences"),
        ({"audiences": []}, "at least one"),
        ({"url": "http://idp.example"}, "must be https://"),
        ({"url": "http://127.0.0.1.evil.example"}, "must be https://"),
        ({"url": "http://localhost@evil.example/"}, "must be https://"),
        ({"url": "https://user:pw@idp.example"}, "must be https://"),
        ({"url": "https://idp.example/?tenant=1"}, "must be https://"),
        ({"url": "https://idp.example/#x"}, "must be https://"),
        ({"url": "https://idp.example/{tenantid}/v2.0"}, "must be https://"),
        ({"url": "ftp://idp.example"}, "must be https://"),
        ({"algorithms": ["HS256"]}, "not HS256"),
        ({"algorithms": ["none"]}, "not none"),
        ({"algorithms": []}, "at least one"),
        ({"max_lifetime": 0}, "from 60"),
        ({"required_claims": ["token_use"]}, "NAME=VALUE"),
        ({"ca_file": "ca.pem"}, "absolute path"),
        ({"audience": ["x"]}, "did you mean audience"),
        ({"name": "Corp"}, "[auth.issuer.Corp]"),
        ({"name": "local"}, "not local"),
        ({"auth": "required = false"}, "it needs auth.required = true"),
        ({"auth": 'required = true\nadmins = ["other~x"]'}, "[auth.issuer.other]"),
        ({"auth": 'required = true\nadmins = ["corp~"]'}, "ISSUER~SUBJECT"),
        ({"auth": 'required = true\nunix_users = ["alice=etl"]'}, "UID a number"),
        ({"aliases": ["https://idp.example/realm"]}, "is named twice"),
    ],
)
def test_what_is_refused(tmp_path: Path, given: dict[str, Any], reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(written(tmp_path, **given), {}, {})
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert ":pw@" not in str(caught.value)


def test_what_is_shown_can_be_read(tmp_path: Path) -> None:
    config = written(
        tmp_path,
        auth='required = true\nadmins = ["corp~x"]\nunix_users = ["1000=etl"]',
        required_claims=["token_use=access"],
        login_parameters=["audience=https://catalog"],
        max_lifetime=600,
    )
    shown = CliRunner().invoke(main, ["config", "show", "--config", str(config)])
    assert shown.exit_code == 0, shown.output
    again = tmp_path / "again.toml"
    again.write_text(shown.output, encoding="utf-8")
    first, second = load(config, {}, {}), load(again, {}, {})
    assert isinstance(first, Settings)
    assert second.auth == first.auth
    as_json = CliRunner().invoke(main, ["config", "show", "--json", "--config", str(config)])
    assert json.loads(as_json.output)["auth.issuer.corp.max_lifetime"]["value"] == 600


def test_without_the_extra_the_error_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "falcon_catalog.auth.oidc", None)
    settings = load(written(tmp_path), {"STATE_DIRECTORY": str(tmp_path / "state")}, {})
    with pytest.raises(SettingsError, match=r"corp\]: it needs an extra that is not installed"):
        create_app(settings)
    assert not (tmp_path / "state").exists()
