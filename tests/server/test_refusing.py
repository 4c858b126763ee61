"""What waitress refuses by itself is told in Iceberg's error shape, and reaches the client."""

import json
from typing import Any

import pytest
import requests

TIMEOUT = 60


def answer_to(client: Any, request: bytes) -> tuple[bytes, bytes]:
    """Send raw bytes, read until the server hangs up; return head and body."""
    client.sendall(request)
    head, _, body = b"".join(iter(lambda: client.recv(65536), b"")).partition(b"\r\n\r\n")
    return head, body


def test_a_body_too_large_is_refused_while_it_is_still_being_sent(program: Any) -> None:
    server = program("127.0.0.1:0", "max_body_bytes=1024")
    url = server.url()
    # Sent in full before the answer is looked at, as most clients do: far more than the
    # sockets' buffers hold, so it only works when the server keeps reading.
    refused = requests.post(f"{url}/echo", data=b"x" * 30_000_000, timeout=TIMEOUT)
    assert refused.status_code == 413
    assert refused.headers["Content-Type"] == "application/json"
    assert refused.headers["Connection"] == "close"
    assert refused.json() == {
        "error": {
            "message": "The request body is larger than the 1024 bytes this server takes",
            "type": "PayloadTooLargeException",
            "code": 413,
        }
    }
    largest = requests.post(f"{url}/echo", data=b"x" * 1024, timeout=TIMEOUT)
    assert (largest.status_code, largest.text) == (200, "1024")
    assert server.stop() == 0


def test_a_chunked_body_too_large_is_refused(program: Any) -> None:
    server = program("127.0.0.1:0", "max_body_bytes=1024")
    chunks = (b"x" * 100_000 for _ in range(100))
    refused = requests.post(f"{server.url()}/echo", data=chunks, timeout=TIMEOUT)
    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == 413
    assert server.stop() == 0


def test_the_rest_of_a_refused_body_is_never_taken_for_a_request(
    program: Any, connect: Any, get: Any
) -> None:
    server = program("127.0.0.1:0", "max_body_bytes=1024", "threads=1")
    port = server.port()
    inner = b"GET /gate?/dev/null HTTP/1.1\r\nHost: x\r\n\r\n"  # tells when it is run
    outer = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n"
    client = connect(port)
    head, body = answer_to(client, outer + inner)
    assert head.startswith(b"HTTP/1.1 413 ")
    assert json.loads(body)["error"]["code"] == 413  # one answer, nothing after it
    client.sendall(inner)
    # By the time that a later request has its answer, the only thread has done all before it.
    assert get(port, "/big?1").getresponse().read() == b"x"
    assert server.stop() == 0
    assert server.line() == "closed"


@pytest.mark.parametrize(
    ("request_bytes", "code", "kind"),
    [
        (b"this is not HTTP\r\n\r\n", 400, "BadRequestException"),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400, "BadRequestException"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
            501,
            "UnsupportedOperationException",
        ),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 300_000 + b"\r\n\r\n", 431, "BadRequestException"),
        (b"GET /fail HTTP/1.1\r\nHost: x\r\n\r\n", 500, "InternalServerError"),
    ],
)
def test_each_refusal_has_the_one_shape(
    program: Any, connect: Any, request_bytes: bytes, code: int, kind: str
) -> None:
    server = program()
    head, body = answer_to(connect(server.port()), request_bytes)
    assert f" {code} ".encode() in head.splitlines()[0]
    error = json.loads(body)["error"]
    assert (error["code"], error["type"]) == (code, kind)
    assert error["message"]
    assert b"secret" not in body
    assert b"Server: falcon-catalog" in head
    assert server.stop() == 0


def test_a_failure_is_one_line_in_the_log_with_its_traceback(program: Any) -> None:
    server = program()
    requests.get(f"{server.url()}/fail", timeout=TIMEOUT)
    assert server.stop() == 0
    told = [line for line in server.errors if "a secret that belongs in the log only" in line]
    assert len(told) == 1
    assert "level=error" in told[0]
    assert "Traceback (most recent call last)" in told[0]


def test_many_waiting_requests_are_no_warning(program: Any, get: Any) -> None:
    server = program("127.0.0.1:0", "threads=1")
    port = server.port()
    answers = [get(port, "/big?1000") for _ in range(20)]
    assert all(len(each.getresponse().read()) == 1000 for each in answers)
    assert server.stop() == 0
    assert server.errors == []
