"""A real catalog on a port of its own."""

from tests.tasks.conftest import (  # noqa: F401  # fixtures
    calm_weather,
    catalog_server,
    make_catalog,
    make_pipeline,
    port,
    service,
    settings,
    wait,
)
