"""A catalog with pages, and a lakehouse of a few tables."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
import requests
from pyiceberg.catalog.rest import RestCatalog

from tests.processes import DEADLINE, Running

CLI = [sys.executable, "-c", "from falcon_catalog.cli import main; main()"]
WARM = pa.table({"station": ["KJFK", "KLGA"], "temperature": [20.5, 21.0]})


@dataclass(frozen=True)
class Served:
    """A running catalog."""

    url: str
    folder: Path

    @property
    def lake(self) -> RestCatalog:
        """A client of the catalog."""
        return RestCatalog("lake", uri=self.url)

    def lake_of(self, credential: str) -> RestCatalog:
        """A client of the catalog, with a credential."""
        tokens = {"oauth2-server-uri": f"{self.url}/v1/oauth/tokens"}
        return RestCatalog("lake", uri=self.url, credential=credential, **tokens)

    def get(self, path: str, **headers: str) -> requests.Response:
        """Open a page."""
        return requests.get(
            self.url + path, headers=headers, timeout=DEADLINE, allow_redirects=False
        )


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Return a function that starts a catalog; its environment has the settings."""
    running: list[Running] = []

    def start(**environ: str) -> Served:
        folder = tmp_path_factory.mktemp("catalog")
        flags = ("--listen", "127.0.0.1:0", "--store", f"{folder}/catalog.db")
        running.append(
            Running([*CLI, "serve", *flags, "--warehouse", f"{folder}/tables"], environ, cwd=folder)
        )
        return Served(running[-1].url(), folder)

    yield start
    for each in running:
        each.kill()


@pytest.fixture(scope="module")
def served(serve: Callable[..., Served]) -> Served:
    """A catalog with the table weather.observations of two snapshots, and sales, which is empty."""
    catalog = serve()
    lake = catalog.lake
    lake.create_namespace("weather")
    lake.create_namespace("sales")
    table = lake.create_table("weather.observations", WARM.schema)
    table.append(WARM)
    table.append(WARM)
    return catalog


@pytest.fixture(scope="module")
def beside() -> Iterator[Callable[..., str]]:
    """Return a function that starts another process on the store of a catalog."""
    running: list[Running] = []

    def start(served: Served, **more: str) -> str:
        flags = ("--listen", "127.0.0.1:0", "--store", f"{served.folder}/catalog.db")
        environ = {"CATALOG_AUTH_REQUIRED": "true", **more}
        command = [*CLI, "serve", *flags, "--warehouse", f"{served.folder}/tables"]
        running.append(Running(command, environ, cwd=served.folder))
        return running[-1].url()

    yield start
    for each in running:
        each.kill()
