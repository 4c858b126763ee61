"""Clients of a Unix socket: the kernel says who they are."""

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from falcon_catalog.catalog import accounts
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.store import open_database
from tests.processes import Running

NOBODY = 65534
Serve = Callable[..., Path]


def call(path: Path, verb: str, target: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Send one request over a Unix socket."""
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    with contextlib.closing(connection):
        content = None if body is None else json.dumps(body)
        kind = {} if body is None else {"Content-Type": "application/json"}
        connection.request(verb, target, content, {**kind, **headers})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")


AS_USER = """
import http.client, socket, sys
connection = http.client.HTTPConnection("localhost")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(sys.argv[1])
connection.request("GET", "/management/v1/whoami")
answer = connection.getresponse()
print(answer.status, answer.read().decode())
"""


def as_user(path: Path, uid: int) -> tuple[int, Any]:
    done = subprocess.run(
        ["/usr/bin/python3", "-c", AS_USER, str(path)],
        user=uid,
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    status, _, body = done.stdout.partition(" ")
    return int(status), json.loads(body)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can enter, with a path short enough for a socket."""
    made = Path(tempfile.mkdtemp(prefix="catalog-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    running: list[Running] = []

    def start(**environ: str) -> Path:
        listen = folder / "socket"
        given = {
            "CATALOG_STORE_URL": f"sqlite:///{folder}/catalog.db",
            "CATALOG_WAREHOUSE_LOCATION": f"file://{folder}/warehouse",
            "CATALOG_SERVER_LISTEN": f"unix:{listen}",
            "CATALOG_AUTH_REQUIRED": "true",
            **environ,
        }
        running.append(Running([sys.executable, "-m", "falcon_catalog", "serve"], given))
        running[-1].url()
        listen.chmod(0o666)
        return listen

    yield start
    for each in running:
        each.kill()


def test_the_servers_own_user_owns_it(serve: Serve) -> None:
    listen, uid = serve(), os.geteuid()
    name = f"local~{uid}"
    # The first request has a body, which must not be refused by its head.
    assert call(listen, "POST", "/v1/namespaces", {"namespace": ["a"]})[0] == 200
    status, found = call(listen, "GET", "/management/v1/whoami")
    assert (status, found["name"], found["authenticated-by"]) == (200, name, f"local:{uid}")
    status, _ = call(listen, "GET", "/v1/config", Authorization="Bearer x")
    assert status == 401  # a token is judged, whoever sends it


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_other_users_need_a_token(serve: Serve) -> None:
    status, found = as_user(serve(), NOBODY)
    assert status == 401
    assert str(NOBODY) in found["error"]["message"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_users_of_the_settings(serve: Serve, folder: Path) -> None:
    with contextlib.closing(open_database(f"sqlite:///{folder}/catalog.db")) as database:
        accounts.add(StoreCall(database), "etl")
        accounts.add(StoreCall(database), "least")
        listen = serve(CATALOG_AUTH_UNIX_USERS=f"{NOBODY}=etl,0=least,1=no-such")
        assert as_user(listen, NOBODY)[1]["name"] == "etl"
        assert call(listen, "GET", "/management/v1/whoami")[1]["name"] == "least"
        assert as_user(listen, 1)[0] == 401
        accounts.set_disabled(StoreCall(database), "etl", disabled=True)
        assert as_user(listen, NOBODY)[0] == 401
