"""A real identity provider: discovery, every way to log in, rotation of its keys."""

import contextlib
import json
import os
import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from falcon_catalog.catalog.privileges import OWN
from falcon_catalog.cli import main
from falcon_catalog.logins import files, flows
from falcon_catalog.store import grants, open_database
from falcon_catalog.store import principals as rows
from tests.auth.issuer import SigningKey, write_config
from tests.catalog.serving import Server, serving, store_url
from tests.identity.providers import OidcProvider, as_person, oidc_provider


@pytest.fixture(scope="module")
def idp() -> Iterator[OidcProvider]:
    with oidc_provider() as made:
        yield made


@pytest.fixture
def server(idp: OidcProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("CATALOG_TOKEN", "CATALOG_CREDENTIAL"):
        monkeypatch.delenv(name, raising=False)
    config = write_config(tmp_path, {"corp": idp.settings()})
    with serving(tmp_path, auth__required=True, config=config) as made:
        yield made


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def whoami(server: Server, token: str) -> Any:
    return server.ok("GET", "/management/v1/whoami", headers=bearer(token))


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(words))
    return done.exit_code, done.output


def test_client_credentials(server: Server, idp: OidcProvider) -> None:
    assert whoami(server, idp.token()) == {
        "name": "corp~etl",
        "authenticated-by": "oidc:corp",
        "groups": [{"issuer": "corp", "value": "data"}],
    }


def test_a_token_exchanged_for_ours(server: Server, idp: OidcProvider) -> None:
    token = idp.token()
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    answer = requests.post(f"{server.url}/v1/oauth/tokens", form, timeout=30).json()
    assert answer["expires_in"] <= idp.lifetime
    assert whoami(server, answer["access_token"])["name"] == "corp~etl"


def test_rotation(tmp_path: Path) -> None:
    with oidc_provider() as idp:
        config = write_config(tmp_path, {"corp": idp.settings()})
        with serving(tmp_path, auth__required=True, config=config) as server:
            old = idp.token()
            assert whoami(server, old)["name"] == "corp~etl"
            idp.stop()
            assert whoami(server, old)["name"] == "corp~etl"  # while it is down
            idp.keys.insert(0, SigningKey("two", "ES256"))
            idp.start()
            assert whoami(server, idp.token())["name"] == "corp~etl"
            assert whoami(server, old)["name"] == "corp~etl"


def test_login_with_a_device_code(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if found := re.search(r"or open (\S+)", text):
            page = as_person(found[1], "alice")
            assert "Sign-in Success" in page

    monkeypatch.setattr("falcon_catalog.cli.login.echo", say)
    monkeypatch.setattr(flows, "_INTERVAL", 0.05)
    status, output = run("login", "--uri", server.url)
    assert status == 0, output
    assert said[-1] == f"Logged in to {server.url} as corp~alice"
    check_login(server, said)


def test_login_with_a_browser(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    threads: list[threading.Thread] = []

    def open_browser(url: str) -> None:
        threads.append(threading.Thread(target=as_person, args=(url, "alice")))
        threads[0].start()

    monkeypatch.setattr("falcon_catalog.cli.login.echo", said.append)
    with_browser = flows.with_browser
    monkeypatch.setattr(
        flows, "with_browser", lambda *given: with_browser(*given, open_browser=open_browser)
    )
    status, output = run("login", "--uri", server.url, "--browser")
    assert status == 0, output
    threads[0].join()
    assert said[-1] == f"Logged in to {server.url} as corp~alice"
    check_login(server, said)


def own(server: Server, name: str) -> None:
    """Let a user own the catalog."""
    database = open_database(store_url(server.folder))
    with contextlib.closing(database), database.write() as tx:
        row = rows.find(tx, name)
        assert row is not None
        grants.set_bits(tx, grants.SERVER, row.id, OWN, by="test")


def check_login(server: Server, said: list[str]) -> None:
    """Check that other commands use a login, renew it, and that logout forgets it."""
    path = files.path()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    kept = json.loads(path.read_text(encoding="utf-8"))[server.url]
    assert kept["token"] not in " ".join(said)
    said.clear()
    assert run("whoami", "--uri", f"{server.url}/") == (0, "")
    assert said[0] == "corp~alice (oidc:corp)"
    own(server, "corp~alice")
    status, output = run("engines", "pyiceberg", "--uri", server.url)
    assert status == 0, output
    assert kept["token"] in output
    expired = {**kept, "expires_at": 0}
    path.write_text(json.dumps({server.url: expired}), encoding="utf-8")
    assert run("whoami", "--uri", server.url)[0] == 0
    renewed = json.loads(path.read_text(encoding="utf-8"))[server.url]
    assert renewed["token"] != kept["token"]
    path.write_text(
        json.dumps({server.url: {**expired, "refresh_token": "wrong"}}), encoding="utf-8"
    )
    status, output = run("whoami", "--uri", server.url)
    assert status == 1
    assert "has expired: falcon-catalog login" in output
    path.chmod(0o644)
    status, output = run("whoami", "--uri", server.url)
    assert (status, "can be read by others" in output) == (1, True)
    path.chmod(0o600)
    assert run("logout", "--uri", server.url)[0] == 0
    assert json.loads(path.read_text(encoding="utf-8")) == {}
    assert run("whoami", "--uri", server.url)[0] == 1
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108
