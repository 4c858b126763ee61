"""Lakes: real catalogs, filled by PyIceberg and built by dbt."""

from collections.abc import Callable, Iterator

import pytest

from jobs import config
from tests.tasks.conftest import (  # noqa: F401  # fixtures
    CatalogServer,
    calm_weather,
    make_catalog,
    make_pipeline,
    port,
    records,
    wait,
)
from tests.transform.lake import Lake


@pytest.fixture(scope="module")
def make_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Lake]]:
    """Make a lake; the settings are those of the one made last."""
    servers: list[CatalogServer] = []
    with pytest.MonkeyPatch.context() as patch:

        def make() -> Lake:
            server = CatalogServer(tmp_path_factory.mktemp("catalog"))
            servers.append(server)
            server.start()
            patch.setenv("CATALOG_URI", server.uri)
            patch.setenv("CATALOG_WAREHOUSE", "default")
            config.settings.cache_clear()
            return Lake(server, tmp_path_factory.mktemp("lake"))

        yield make
    for server in servers:
        server.stop()
