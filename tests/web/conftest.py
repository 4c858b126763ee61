"""A catalog with pages, and a lakehouse of a few tables.

It is on the processes that TEST_STORE, TEST_PROCESSES and TEST_BALANCER ask for (tests/several.py).
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
import requests
from pyiceberg.catalog.rest import RestCatalog

from tests import several
from tests.catalog.serving import store_url
from tests.processes import DEADLINE, Running

CLI = [sys.executable, "-c", "from falcon_catalog.cli import main; main()"]
WARM = pa.table({"station": ["KJFK", "KLGA"], "temperature": [20.5, 21.0]})


@dataclass(frozen=True)
class Served:
    """A running catalog."""

    url: str
    folder: Path

    @property
    def store(self) -> str:
        """The URL of its store."""
        return store_url(self.folder)

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


def _process(folder: Path, environ: dict[str, str]) -> Running:
    """Start a process on the catalog of a folder."""
    flags = ("--listen", "127.0.0.1:0", "--store", store_url(folder))
    command = [*CLI, "serve", *flags, "--warehouse", f"{folder}/tables"]
    return Running(command, environ, cwd=folder)


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Return a function that starts a catalog; its environment has the settings."""
    with contextlib.ExitStack() as stack:

        def start(**environ: str) -> Served:
            folder = tmp_path_factory.mktemp("catalog")
            running = []
            for _ in range(several.PROCESSES if several.BALANCED else 1):
                running.append(_process(folder, environ))
                stack.callback(running[-1].kill)
            urls = [each.url() for each in running]
            if not several.BALANCED:
                return Served(urls[0], folder)
            return Served(stack.enter_context(several.balanced(urls, folder / "haproxy")), folder)

        yield start


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
    with contextlib.ExitStack() as stack:

        def start(served: Served, **more: str) -> str:
            running = _process(served.folder, {"CATALOG_AUTH_REQUIRED": "true", **more})
            stack.callback(running.kill)
            return running.url()

        yield start
