"""A server between a test and a store: answers some requests itself, passes the others on."""

import http.client
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """A response."""

    status: int
    body: bytes = b""


def s3_error(status: int, code: str, message: str = "", more: str = "") -> Answer:
    """Return an error as S3 words it."""
    text = f"<Error><Code>{code}</Code><Message>{message or code}</Message>{more}</Error>"
    return Answer(status, f"<?xml version='1.0' encoding='UTF-8'?>\n{text}".encode())


def sts_error(status: int, code: str, message: str) -> Answer:
    """Return an error as STS words it."""
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, f"<ErrorResponse>{error}</ErrorResponse>".encode())


Rule = Callable[[Asked], Answer | None]
"""Returns the answer to a request, or None to pass it on."""


class _Server(ThreadingHTTPServer):
    def __init__(self, rule: Rule, store: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.rule = rule
        self.store = store

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that gave up has closed its connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        asked = Asked(self.command, self.path, dict(self.headers), self.rfile.read(length))
        answer = self.server.rule(asked)
        if answer is None:
            self._pass_on(asked)
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

    def _pass_on(self, asked: Asked) -> None:
        # The Host header stays: it is signed.
        to = http.client.HTTPConnection(urlsplit(self.server.store).netloc, timeout=30)
        to.request(asked.method, asked.path, asked.body or None, asked.headers)
        answered = to.getresponse()
        content = answered.read()
        self.send_response(answered.status)
        for name, value in answered.getheaders():
            if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                self.send_header(name, value)
        length = answered.getheader("Content-Length") if asked.method == "HEAD" else None
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if asked.method != "HEAD":
            self.wfile.write(content)
        to.close()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering(
    rule: Rule, store: str = "", certificate: tuple[Path, Path] | None = None
) -> Iterator[str]:
    """Serve on a free port, with TLS if there is a certificate and its key; yield the URL."""
    server, scheme = _Server(rule, store), "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{scheme}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
