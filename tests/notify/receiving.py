"""Real receivers of messages: a web server and a mail server, each on a port of its own."""

import base64
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def _served(server: socketserver.BaseServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def webhook(bodies: list[Any], status: int = 200) -> Iterator[str]:
    """Take POSTs of JSON, which are added to the list, and answer with the status."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with _served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}/hook"


@contextmanager
def mailbox(mails: list[str], *, password: str = "") -> Iterator[int]:
    """Take mails by SMTP (RFC 5321), which are added to the list; with AUTH PLAIN if asked."""

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            self.say("220 mailbox")
            trusted = not password
            while line := self.rfile.readline().decode().strip():
                verb = line.split(maxsplit=1)[0].upper()
                if verb == "EHLO":
                    self.say("250-mailbox\r\n250 AUTH PLAIN" if password else "250 mailbox")
                elif verb == "AUTH":
                    secret = base64.b64decode(line.split()[-1]).decode()
                    trusted = secret.split("\0")[-1] == password
                    self.say("235 welcome" if trusted else "535 who are you")
                elif verb == "DATA" and trusted:
                    self.say("354 go on")
                    lines = iter(lambda: self.rfile.readline().decode().rstrip("\r\n"), ".")
                    mails.append("\n".join(lines))
                    self.say("250 taken")
                elif verb == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 fine" if trusted else "530 who are you")

    with _served(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        yield port


@contextmanager
def silence() -> Iterator[int]:
    """Listen on a port, and never say a word."""
    held = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            held.wait()

    with _served(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        try:
            yield port
        finally:
            held.set()
