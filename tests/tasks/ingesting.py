"""Run an hour's ingestion in this process, against a simulator that can break."""

import datetime as dt
import json
import re
from collections import Counter
from typing import Any
from urllib.parse import parse_qs

import luigi
from luigi.scheduler import Scheduler
from luigi.worker import Worker

from jobs import config
from jobs.lake import rest
from jobs.registered import WeatherIngestion

HOUR = dt.datetime(2013, 7, 2, 14)  # noqa: DTZ001 - Luigi's hours carry no zone
STATIONS = ("KEWR", "KJFK", "KLGA")


class Service:
    """The simulator behind a door that counts the requests and can break for some stations."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.broken: set[str] = set()
        self.broken_later_pages: set[str] = set()
        self.broken_alerts = self.refusing = False
        self.down_after: int | None = None
        self.page_size: int | None = None
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.url = ""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        self.asked.append((path, parse_qs(environ.get("QUERY_STRING", ""))))
        if self.page_size and "/observations" in path:
            query = re.sub("&limit=[0-9]+", "", environ["QUERY_STRING"])
            environ["QUERY_STRING"] = f"{query}&limit={self.page_size}"
        broken = set(self.broken)
        if "cursor" in environ.get("QUERY_STRING", ""):
            broken |= self.broken_later_pages
        if self.refusing:
            start_response("401 Unauthorized", [("Content-Type", "text/plain")])
            return [b"who are you?"]
        observed = sum(self.observed().values())
        down = self.down_after is not None and observed > self.down_after
        if (
            ("/observations" in path and down)
            or (path == "/alerts" and self.broken_alerts)
            or any(f"/{station}/" in path for station in broken)
        ):
            start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
            return [b"broken"]
        return self.app(environ, start_response)

    def observed(self) -> Counter[str]:
        """Count the times each station's observations were asked for, first pages only."""
        return Counter(
            path.split("/")[2]
            for path, query in self.asked
            if path.endswith("/observations") and "cursor" not in query
        )


class Once:
    """Luigi as on the command line, but that nothing is tried again."""

    def create_local_scheduler(self) -> Scheduler:
        return Scheduler(retry_count=1, prune_on_get_work=True)

    def create_worker(self, scheduler: Scheduler, worker_processes: int, *_: Any, **__: Any) -> Any:
        return Worker(scheduler=scheduler, worker_processes=worker_processes, keep_alive=False)


def ingest(hour: dt.datetime = HOUR) -> bool:
    """Run an hour's ingestion; says whether it succeeded."""
    tasks = [WeatherIngestion(hour=hour)]
    return luigi.build(tasks, worker_scheduler_factory=Once(), local_scheduler=True)


def summary(hour: dt.datetime = HOUR) -> dict[str, Any]:
    """Read an hour's summary."""
    return json.loads(WeatherIngestion(hour=hour).path().read_text())


class Settings:
    """The pipeline's settings in this process's environment, and the catalog they name."""

    def __init__(self, monkeypatch: Any, uri: str) -> None:
        self._monkeypatch = monkeypatch
        self.catalog = rest.connect(uri, "default")
        self(catalog_uri=uri)

    def __call__(self, **values: Any) -> None:
        for name, value in values.items():
            self._monkeypatch.setenv(name.upper(), str(value))
        config.settings.cache_clear()

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Read a table."""
        return self.catalog.load_table(table).scan().to_arrow().to_pylist()
