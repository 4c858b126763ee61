"""mock-oauth2-server, whose tokens have any content: many issuers, by path."""

import contextlib
import fcntl
import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.processes import Running, free_port, wait_for

POM = Path(__file__).with_name("pom.xml")
FETCHING = 900  # seconds, in which Maven fetches it where it is not
MAIN = "no.nav.security.mock.oauth2.StandaloneMockOAuth2ServerKt"
_VAR = Path(__file__).parents[2] / "var"


def jars() -> Path:
    """Return the folder of its jars, fetched the first time, or skip and say what is missing."""
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"there is no {', no '.join(missing)}: mock-oauth2-server is not tried")
    folder = _VAR / f"mock-oauth2-server-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    _VAR.mkdir(exist_ok=True)
    with (_VAR / "mock-oauth2-server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=_VAR) as fresh:
                command = ["mvn", "--batch-mode", "--quiet", f"--file={POM}"]
                goal = ["dependency:copy-dependencies", f"-DoutputDirectory={fresh}/jars"]
                subprocess.run([*command, *goal], check=True, timeout=FETCHING)
                (Path(fresh) / "jars").rename(folder)
    return folder


class MockServer:
    """The server: the token of a client has the claims that were given for it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def issuer(self, name: str) -> str:
        return f"{self.url}/{name}"

    def token(self, issuer: str, client: str) -> str:
        form = {
            "grant_type": "client_credentials",
            "scope": "x",
            "client_id": client,
            "client_secret": "x",
        }
        url = f"{self.issuer(issuer)}/token"
        answer = requests.post(url, form, timeout=30)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


@contextlib.contextmanager
def mock_server(tokens: dict[str, dict[str, dict[str, Any]]]) -> Iterator[MockServer]:
    """Start it: the claims of tokens, by issuer and client."""
    callbacks = [
        {
            "issuerId": issuer,
            "tokenExpiry": 300,
            "requestMappings": [
                {"requestParam": "client_id", "match": client, "claims": claims}
                for client, claims in clients.items()
            ],
        }
        for issuer, clients in tokens.items()
    ]
    port = free_port()
    settings = {"interactiveLogin": False, "tokenCallbacks": callbacks}
    environ = {
        "SERVER_HOSTNAME": "127.0.0.1",
        "SERVER_PORT": str(port),
        "JSON_CONFIG": json.dumps(settings),
    }
    running = Running(["java", "-Xmx256m", "-cp", f"{jars()}/*", MAIN], environ)
    made = MockServer(f"http://127.0.0.1:{port}")

    def is_there() -> bool:
        assert running.alive(), running.errors
        try:
            return requests.get(f"{made.url}/isalive", timeout=30).status_code == 200
        except requests.ConnectionError:
            return False

    try:
        wait_for(is_there, "mock-oauth2-server")
        yield made
    finally:
        running.kill()
