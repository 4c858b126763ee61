"""Azurite, Microsoft's emulator of blob storage, in a process of its own.

It checks the signatures of shared keys and of SAS. It has no hierarchical namespace, no dfs API and
no ``sr=d``, and takes no SAS of a user delegation key without https and OAuth: what clients of a
real account are given is checked against Azure's documentation in tests/fileio/test_adls.py.
"""

import base64
import contextlib
import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from tests import npm

VERSION = "3.35.0"
ACCOUNT = "lakehouse"


@dataclass(frozen=True)
class Azurite:
    """A storage account with containers."""

    url: str
    """With the account in its path."""
    containers: tuple[str, ...]
    account_key: str = field(repr=False)

    @property
    def host(self) -> str:
        """The host of the account in locations."""
        return f"{ACCOUNT}.dfs.core.windows.net"

    def location(self, path: str, container: int = 0) -> str:
        return f"abfss://{self.containers[container]}@{self.host}/{path}"

    def settings(self) -> dict[str, Any]:
        """Return settings of a warehouse on it, but for its location and credential."""
        return {"endpoint": self.url, "hierarchical": False}

    @property
    def credential(self) -> dict[str, str]:
        """What the file of ``credential = "file:…"`` has."""
        return {"account_key": self.account_key}


def program() -> Path:
    """Return Azurite's program, installed with npm the first time, or skip and say why."""
    return npm.install("azurite", VERSION) / "node_modules" / ".bin" / "azurite-blob"


@contextlib.contextmanager
def azurite(*containers: str) -> Iterator[Azurite]:
    """Start it with these containers, and end it."""
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    command = [str(program()), "--blobHost=127.0.0.1", "--blobPort=0", "--inMemoryPersistence"]
    process = subprocess.Popen(
        # Azure's libraries are ahead of it: they sign with versions that it does not know yet.
        [*command, "--skipApiVersionCheck", "--disableTelemetry", "--silent"],
        env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        found = None
        for line in process.stdout:
            if found := re.search(r"successfully listens on (http://127\.0\.0\.1:\d+)", line):
                break
        assert found, "Azurite ended before it served"
        store = Azurite(f"{found[1]}/{ACCOUNT}", containers, key)
        with BlobServiceClient(store.url, credential=key) as client:
            for container in containers:
                client.create_container(container)
        yield store
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


if __name__ == "__main__":  # before the tests, each of which has less time than npm may need
    with contextlib.suppress(pytest.skip.Exception):
        program()
