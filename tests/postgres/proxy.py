"""A proxy before a database that cuts a connection at its COMMIT."""

import contextlib
import socket
import threading
from typing import Literal

from tests.processes import DEADLINE

Cut = Literal["before", "after", "late"]


class Proxy:
    """Passes bytes on to a database; cuts a connection at its COMMIT on request."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut: Cut | None = None
        """``before`` the COMMIT is passed on, or ``after`` it was done; or it comes ``late``."""
        self.is_closed = False
        """Whether it ends new connections, as a host that is gone."""
        self.was_cut = threading.Event()
        self.released = threading.Event()
        """Set: a late COMMIT is passed on."""
        self.late_answer: bytes | None = None
        self._dropping: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.is_closed:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._to))
                threading.Thread(target=self._up, args=(client, server), daemon=True).start()
                threading.Thread(target=self._down, args=(client, server), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if b"COMMIT\0" in data and self.cut is not None:
                    cut, self.cut = self.cut, None
                    if cut == "before":
                        break
                    self._dropping.add(server)
                    if cut == "late":
                        _end(client)
                        self.was_cut.set()
                        assert self.released.wait(DEADLINE)
                server.sendall(data)
        if server not in self._dropping:
            self.was_cut.set()
            _end(client, server)

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if server in self._dropping:  # the answer to the COMMIT, which is done
                    self.late_answer = data
                    break
                client.sendall(data)
        self.was_cut.set()
        _end(client, server)


def _end(*pair: socket.socket) -> None:
    for each in pair:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
