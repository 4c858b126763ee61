"""PyIceberg's FileIO on files that the server reads."""

import io
from typing import Any

from pyiceberg.io import FileIO, InputFile, OutputFile

from falcon_catalog.query.server import Server


class ServerFiles(FileIO):
    """The files of one table, read-only."""

    def __init__(self, server: Server, table: int) -> None:
        super().__init__()
        self._server = server
        self._table = table

    def new_input(self, location: str) -> InputFile:
        """Return a file that can be opened."""
        return _Input(self._server, self._table, location)

    def new_output(self, location: str) -> OutputFile:
        """Raise OSError: nothing is written."""
        raise OSError(f"{location} cannot be written")

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Raise OSError: nothing is deleted."""
        raise OSError(f"{location} cannot be deleted")


class _Input(InputFile):
    def __init__(self, server: Server, table: int, location: str) -> None:
        super().__init__(location)
        self._server = server
        self._table = table

    def __len__(self) -> int:
        return self._server.size(self._table, self.location)

    def exists(self) -> bool:
        try:
            len(self)
        except FileNotFoundError:
            return False
        return True

    def open(self, seekable: bool = True) -> Any:  # noqa: ARG002, FBT001, FBT002 - PyIceberg's
        return io.BufferedReader(_Raw(self._server, self._table, self.location), 64 * 1024)


class _Raw(io.RawIOBase):
    """An open file: its parts are requested as they are read."""

    def __init__(self, server: Server, table: int, location: str) -> None:
        self._server = server
        self._table = table
        self._location = location
        self._size = server.size(table, location)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), self._size - self._at)
        if length <= 0:
            return 0
        part = self._server.read(self._table, self._location, self._at, length)
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)
