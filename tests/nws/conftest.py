"""The simulator over real records, a client of it, and where the recorded answers are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from jobs.nws.client import WeatherClient
from jobs.nws_simulator import Source, airports, network, recordings, running
from tests.reference import RECORDED

Connect = Callable[..., WeatherClient]


@pytest.fixture(scope="session")
def year() -> Source:
    return airports()


@pytest.fixture(scope="session")
def states() -> Source:
    return network()


@pytest.fixture(scope="session")
def recorded_folder() -> Path:
    return RECORDED


@pytest.fixture(scope="session")
def recorded(recorded_folder: Path) -> Source:
    return recordings(recorded_folder)


@pytest.fixture
def waits() -> list[float]:
    """Collect the sleeps a client asked for; none of them takes time."""
    return []


@pytest.fixture
def asked() -> list[str]:
    """Collect the path and query of each request that reached the server."""
    return []


@pytest.fixture
def connect(waits: list[float], asked: list[str]) -> Iterator[Connect]:
    """Serve a WSGI app and give a client of it."""
    with ExitStack() as stack:

        def start(app: Any, **options: Any) -> WeatherClient:
            def observed(environ: dict[str, Any], start_response: Any) -> Any:
                asked.append(environ["REQUEST_URI"])
                return app(environ, start_response)

            settings = {
                "user_agent": "(falcon-catalog tests, tests@example.org)",
                "requests_per_second": 10_000.0,
                "sleep": waits.append,
            }
            url = stack.enter_context(running(observed))
            return stack.enter_context(WeatherClient(url, **(settings | options)))

        yield start
