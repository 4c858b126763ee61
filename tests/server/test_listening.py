"""Where the server listens, and what it says when it cannot."""

import socket
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
import requests

TIMEOUT = 60


def test_port_zero_picks_a_free_port_and_tells_it(program: Any) -> None:
    first, second = program(), program()
    urls = {first.url(), second.url()}
    assert len(urls) == 2
    for url in urls:
        assert requests.get(f"{url}/big?3", timeout=TIMEOUT).text == "xxx"


def test_a_port_in_use_is_one_clear_line(program: Any) -> None:
    port = program().port()
    second = program(f"127.0.0.1:{port}")
    assert second.status() == 1
    (line,) = second.errors
    assert line.startswith(f"Cannot listen on 127.0.0.1:{port}: another process listens there")


@pytest.mark.parametrize("address", ["192.0.2.1:8181", "no-such-host.invalid:8181"])
def test_an_address_that_is_not_ours_is_one_clear_line(program: Any, address: str) -> None:
    server = program(address)
    assert server.status() == 1
    assert len(server.errors) == 1
    assert server.errors[0].startswith(f"Cannot listen on {address}: ")


def test_the_application_is_closed_when_listening_fails(program: Any) -> None:
    server = program("192.0.2.1:8181")
    assert server.status() == 1
    assert server.line() == "closed"


def test_ipv6(program: Any) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    url = program("[::1]:0").url()
    assert url.startswith("http://[::1]:")
    assert requests.get(f"{url}/big?3", timeout=TIMEOUT).text == "xxx"


def test_a_name_is_resolved(program: Any) -> None:
    url = program("localhost:0").url()
    assert urllib.parse.urlsplit(url).hostname in {"127.0.0.1", "::1"}
    assert requests.get(f"{url}/big?3", timeout=TIMEOUT).text == "xxx"


def test_a_unix_socket_is_served_replaced_when_stale_and_removed(
    program: Any, tmp_path: Path
) -> None:
    path = tmp_path / "catalog.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    server = program(f"unix:{path}")
    assert server.url() == f"unix:{path}"
    second = program(f"unix:{path}")
    assert second.status() == 1
    assert "another process listens there" in second.errors[0]
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(TIMEOUT)
        client.connect(str(path))
        client.sendall(b"GET /big?3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"".join(iter(lambda: client.recv(65536), b"")).endswith(b"\r\n\r\nxxx")
    assert server.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_other_machines_reach_no_catalog_without_tokens_by_accident(cli: Any, address: str) -> None:
    server = cli("serve", "--listen", address)
    assert server.status() == 1
    (line,) = server.errors
    assert "without auth.required: everybody who reaches it could read and change" in line
    assert "--insecure" in line


@pytest.mark.parametrize(
    ("flags", "environ"), [(["--insecure"], {}), ([], {"CATALOG_AUTH_REQUIRED": "true"})]
)
def test_other_machines_reach_a_catalog_on_purpose(
    cli: Any, flags: list[str], environ: dict[str, str]
) -> None:
    server = cli("serve", "--listen", "0.0.0.0:0", *flags, environ=environ)
    assert server.url().startswith("http://0.0.0.0:")
    assert server.stop() == 0
