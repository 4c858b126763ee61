"""``falcon-catalog principals``, beside a server that runs."""

import stat
from pathlib import Path
from typing import Any

import requests

TIMEOUT = 60
STORE = "sqlite:///c.db"


def run(cli: Any, *words: str) -> tuple[int, list[str], list[str]]:
    """Run to the end; return the status and the lines of stdout and stderr."""
    process = cli("principals", *words, f"--store={STORE}")
    status = process.status()
    return status, list(iter(process.line, None)), process.errors


def token_status(url: str, credential: str) -> int:
    name, _, secret = credential.partition(":")
    form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
    return requests.post(f"{url}/v1/oauth/tokens", form, timeout=TIMEOUT).status_code


def test_a_running_server_learns_of_it(cli: Any, tmp_path: Path) -> None:
    environ = {"CATALOG_AUTH_REQUIRED": "true"}
    server = cli("serve", "--listen=127.0.0.1:0", f"--store={STORE}", environ=environ)
    url = server.url()
    assert requests.get(f"{url}/v1/config", timeout=TIMEOUT).status_code == 401
    status, (credential,), told = run(cli, "add", "etl")
    assert status == 0
    assert told == ["Keep it: the secret after the colon is not shown again"]
    assert token_status(url, credential) == 200
    status, (*_, line), _ = run(cli, "list")
    assert status == 0
    assert line.startswith("etl  ")
    assert credential.partition(":")[2] not in line
    assert run(cli, "remove", "etl") == (0, [], [])
    assert token_status(url, credential) == 401
    assert not any("etl" in line for line in run(cli, "list")[1])
    assert server.stop() == 0
    assert not any(credential.partition(":")[2] in error for error in server.errors)
    assert stat.S_IMODE((tmp_path / "c.db").stat().st_mode) == 0o600


def test_a_running_server_follows_rotations(cli: Any) -> None:
    environ = {"CATALOG_AUTH_REQUIRED": "true"}
    server = cli("serve", "--listen=127.0.0.1:0", f"--store={STORE}", environ=environ)
    url = server.url()
    _, (first,), _ = run(cli, "add", "etl")
    status, (second,), (told,) = run(cli, "rotate", "etl")
    assert status == 0
    assert second.startswith("etl:")
    assert told.endswith("The old one is valid for 86400 more seconds")
    assert [token_status(url, credential) for credential in (first, second)] == [200, 200]
    _, (third,), _ = run(cli, "rotate", "etl", "--overlap=0")
    statuses = [token_status(url, credential) for credential in (first, second, third)]
    assert statuses == [401, 401, 200]
    form = {"grant_type": "client_credentials", "client_id": "etl"}
    secret = {"client_secret": third.partition(":")[2]}
    answer = requests.post(f"{url}/v1/oauth/tokens", form | secret, timeout=TIMEOUT).json()
    bearer = {"Authorization": f"Bearer {answer['access_token']}"}
    for overlap, expected in (("--overlap=60", 200), ("--overlap=60", 200), ("--overlap=0", 401)):
        status, (line,), _ = run(cli, "rotate-key", overlap)
        assert status == 0
        assert line.startswith("New tokens have a new key")
        found = requests.get(f"{url}/management/v1/whoami", headers=bearer, timeout=TIMEOUT)
        assert found.status_code == expected
    assert token_status(url, third) == 200
    assert run(cli, "rotate", "no") == (1, [], ["Error: Principal does not exist: no"])
    assert run(cli, "rotate", "etl", "--overlap=-1")[0] == 2
    assert server.stop() == 0


def test_what_cannot_be_is_one_line_and_status_1(cli: Any) -> None:
    assert cli("migrate", f"--store={STORE}").status() == 0
    assert run(cli, "add", "etl")[0] == 0
    assert run(cli, "add", "etl") == (1, [], ["Error: Principal already exists: etl"])
    assert run(cli, "remove", "no") == (1, [], ["Error: Principal does not exist: no"])
    for name in ("a:b", "a b", "", "ä", "x" * 65, ".x"):
        status, lines, (told,) = run(cli, "add", name)
        assert (status, lines) == (1, [])
        assert told.startswith(f"Error: Invalid principal name {name!r}: it must be 1 to 64 ")


def test_tokens_are_revoked_on_a_running_server(cli: Any) -> None:
    environ = {"CATALOG_AUTH_REQUIRED": "true"}
    server = cli("serve", "--listen=127.0.0.1:0", f"--store={STORE}", environ=environ)
    url = server.url()
    assert any("nobody is an administrator" in line for line in server.errors)
    _, (credential,), _ = run(cli, "add", "etl", "--admin")
    name, _, secret = credential.partition(":")

    def token() -> str:
        form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
        answer = requests.post(f"{url}/v1/oauth/tokens", form, timeout=TIMEOUT)
        return str(answer.json()["access_token"])

    def status(token: str) -> int:
        bearer = {"Authorization": f"Bearer {token}"}
        whoami = f"{url}/management/v1/whoami"
        return requests.get(whoami, headers=bearer, timeout=TIMEOUT).status_code

    one, two = token(), token()
    assert (status(one), status(two)) == (200, 200)
    assert run(cli, "revoke", "etl")[0] == 0
    assert (status(one), status(two)) == (401, 401)
    assert status(token()) == 200
    status_of_unknown, _, (told,) = run(cli, "revoke", "no")
    assert status_of_unknown == 1
    assert told.startswith("Error: Principal does not exist: no")
    assert server.stop() == 0
    again = cli("serve", "--listen=127.0.0.1:0", f"--store={STORE}", environ=environ)
    again.url()
    assert again.stop() == 0
    assert not any("nobody is an administrator" in line for line in again.errors)
    logged = "\n".join([*server.errors, *again.errors])
    assert one not in logged
    assert secret not in logged
