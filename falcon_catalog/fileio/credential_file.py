"""A credential as a JSON object, found where the setting ``credential`` says.

``file:/PATH`` and ``systemd:NAME`` name a file, which is read again when another one takes its
place; ``env:PREFIX`` the variable PREFIX_CREDENTIALS, which has the JSON itself or the path of a
file. ``ambient`` has none.
"""

import json
import os
import threading
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from falcon_catalog.errors import ServiceUnavailableError
from falcon_catalog.settings import SettingsError

_MAX_BYTES = 64 * 1024


class CredentialFile:
    """The credential of one warehouse. Safe to use from many threads."""

    def __init__(self, warehouse: str, reference: str) -> None:
        """Read the credential that a setting names.

        Raises:
            SettingsError: it is not there, or is no JSON object.
        """
        self._text = f"warehouse {warehouse}: credential = {reference!r}"
        self._guard = threading.Lock()
        self._path: Path | None = None
        self._values: Mapping[str, Any] = {}
        kind, _, name = reference.partition(":")
        try:
            if kind == "env":
                variable = f"{name}_CREDENTIALS"
                text = os.environ.get(variable, "").strip()
                if not text:
                    raise ValueError(f"the environment has no {variable}")
                if text.startswith("{"):
                    self._values = _parsed(text, variable)
                else:
                    self._path = Path(text)
            elif kind == "file":
                self._path = Path(name)
            elif kind == "systemd":
                folder = os.environ.get("CREDENTIALS_DIRECTORY")
                if not folder:
                    raise ValueError(
                        "$CREDENTIALS_DIRECTORY is not set: the unit has no LoadCredential, or"
                        " this is not started by systemd"
                    )
                self._path = Path(folder) / name
            self._version = self.version()
            if self._path is not None:
                self._values = _read(self._path)
        except (OSError, ValueError) as error:
            raise SettingsError(f"{self._text}: {_reason(error)}") from None

    def version(self) -> Hashable:
        """Return what changes when another file takes the place of this one."""
        if self._path is None:
            return None
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def read(self) -> tuple[Hashable, Mapping[str, Any]]:
        """Return the version of the credential and its values; none where it is ambient.

        Raises:
            ServiceUnavailableError: its file cannot be read any more.
        """
        with self._guard:
            if self._path is not None and self._version != (now := self.version()):
                try:
                    self._values = _read(self._path)
                except (OSError, ValueError) as error:
                    raise ServiceUnavailableError(f"{self._text}: {_reason(error)}") from None
                self._version = now
            return self._version, self._values


def _read(path: Path) -> Mapping[str, Any]:
    with path.open("rb") as file:
        return _parsed(file.read(_MAX_BYTES), str(path))


def _parsed(text: str | bytes, origin: str) -> Mapping[str, Any]:
    try:
        values = json.loads(text)
    except ValueError:  # its text would show the secret
        values = None
    if not isinstance(values, dict):
        raise ValueError(f"{origin} has no JSON object")  # noqa: TRY004 - as all that is wrong with it
    return values


def _reason(error: OSError | ValueError) -> str:
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
