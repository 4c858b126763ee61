"""Conditional requests: what is unchanged costs a 304, what is changed is read anew."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import requests

from jobs.nws.cache import CachingAdapter
from jobs.nws.client import WeatherClient
from jobs.nws.errors import Refused
from jobs.nws_simulator import Faults, Source, airports, make_app

Connect = Callable[..., WeatherClient]

DAY = datetime(2013, 7, 2, tzinfo=UTC)
NEXT_DAY = DAY + timedelta(days=1)
CHANGED = "Tue, 02 Jul 2013 12:00:00 GMT"


@pytest.fixture
def statuses() -> list[int]:
    return []


@pytest.fixture
def watched(statuses: list[int]) -> Callable[[Any], Any]:
    """Wrap an app so that its statuses are noted."""

    def wrap(app: Any) -> Any:
        def observed(environ: dict[str, Any], start_response: Any) -> Any:
            def noting(status: str, headers: Any, *rest: Any) -> Any:
                statuses.append(int(status[:3]))
                return start_response(status, headers, *rest)

            return app(environ, noting)

        return observed

    return wrap


def tagged(*versions: str) -> Any:
    """Serve a list whose state has only a name, each version once and the last for ever."""
    left = list(versions)
    # Of two responses the cache knows the later one by its Date, in whole seconds.
    seconds = itertools.count(time.time() - 3600)

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        version = left.pop(0) if len(left) > 1 else left[0]
        headers = [("ETag", f'"{version}"'), ("Date", formatdate(next(seconds), usegmt=True))]
        if environ.get("HTTP_IF_NONE_MATCH") == f'"{version}"':
            start_response("304 Not Modified", headers)
            return []
        start_response("200 OK", headers)
        return [json.dumps({"features": [{"id": version}]}).encode()]

    return app


def test_an_unchanged_window_costs_a_304(
    connect: Connect, year: Source, tmp_path: Path, watched: Any, statuses: list[int]
) -> None:
    client = connect(watched(make_app(year)), cache=tmp_path / "answers")
    first = client.observations("KJFK", DAY, NEXT_DAY)
    again = client.observations("KJFK", DAY, NEXT_DAY)
    assert first == again
    assert len(first) == 24
    # The page after the last is empty, and has no date to revalidate it by.
    assert statuses == [200, 200, 304, 200]
    assert client.observations("KLGA", DAY, NEXT_DAY) != first
    assert statuses[4:] == [200, 200]


def test_stations_and_alerts_are_kept_too(
    connect: Connect, year: Source, tmp_path: Path, watched: Any, statuses: list[int]
) -> None:
    client = connect(watched(make_app(year)), cache=tmp_path)
    for expected in (200, 304):
        statuses.clear()
        assert len(list(client.stations(states=["NY"]))) == 2
        assert client.alerts(
            "NY", datetime(2013, 7, 14, tzinfo=UTC), datetime(2013, 7, 21, tzinfo=UTC)
        )
        assert statuses[0] == statuses[-1] == expected


def test_without_a_folder_nothing_is_kept(
    connect: Connect, year: Source, watched: Any, statuses: list[int]
) -> None:
    client = connect(watched(make_app(year)))
    client.observations("KJFK", DAY, NEXT_DAY)
    client.observations("KJFK", DAY, NEXT_DAY)
    assert statuses == [200] * 4


def test_a_new_report_is_read(connect: Connect, tmp_path: Path, watched: Any) -> None:
    hour = iter([12, 12, 13, 13])
    clock = [DAY.replace(hour=next(hour), minute=30)]
    client = connect(watched(make_app(airports(), now=lambda: clock[0])), cache=tmp_path)
    counts = []
    for _ in range(3):
        counts.append(len(client.observations("KJFK", DAY, NEXT_DAY)))
        clock[0] = DAY.replace(hour=next(hour), minute=30)
    assert counts == [13, 13, 14]


def test_an_etag_does_as_well(
    connect: Connect, tmp_path: Path, watched: Any, statuses: list[int]
) -> None:
    client = connect(watched(tagged("a", "a", "b", "b")), cache=tmp_path)
    found = [[f["id"] for f in client.observations("KJFK", DAY, NEXT_DAY)] for _ in range(4)]
    assert found == [["a"], ["a"], ["b"], ["b"]]
    assert statuses == [200, 304, 200, 304]


def test_a_304_nobody_asked_for_is_refused(connect: Connect, tmp_path: Path) -> None:
    def app(_: Any, start_response: Any) -> list[bytes]:
        start_response("304 Not Modified", [])
        return []

    with pytest.raises(Refused):
        list(connect(app, cache=tmp_path).stations())


def test_a_stale_last_modified_hides_a_change_for_a_day_at_most(
    connect: Connect, year: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [time.time()]
    monkeypatch.setattr("hishel._core._storages._sync_sqlite.time.time", lambda: now[0])
    clock = [DAY.replace(hour=12, minute=30)]
    faults = Faults({"stale-modified": 1.0})
    client = connect(make_app(year, faults, now=lambda: clock[0]), cache=tmp_path)
    counts = []
    for hours in (0, 1, 22, 2):
        clock[0] += timedelta(hours=hours)
        now[0] += hours * 3600
        counts.append(len(client.observations("KJFK", DAY, NEXT_DAY)))
    assert counts == [13, 13, 13, 24]


def test_another_client_uses_what_one_kept(
    connect: Connect, year: Source, tmp_path: Path, watched: Any, statuses: list[int]
) -> None:
    app = watched(make_app(year))
    cache = tmp_path / "answers"
    one = connect(app, cache=cache)
    kept = one.observations("KJFK", DAY, NEXT_DAY)
    url = one.url("", {})
    with WeatherClient(url, user_agent="another", cache=cache) as other:
        assert other.observations("KJFK", DAY, NEXT_DAY) == kept
    assert statuses == [200, 200, 304, 200]


def test_what_is_damaged_is_read_anew(
    connect: Connect, year: Source, tmp_path: Path, watched: Any, statuses: list[int]
) -> None:
    app = watched(make_app(year))
    client = connect(app, cache=tmp_path)
    whole = client.observations("KJFK", DAY, NEXT_DAY)
    for damage in (b"x", b"x" * 5000):
        client.close()
        (tmp_path / "responses.db").write_bytes(damage)
        statuses.clear()
        client = connect(app, cache=tmp_path)
        assert client.observations("KJFK", DAY, NEXT_DAY) == whole
        assert client.observations("KJFK", DAY, NEXT_DAY) == whole
        assert statuses == [200, 200, 304, 200]


@pytest.mark.parametrize("fault", ["null-features", "truncate"])
def test_an_unreadable_answer_is_not_kept(
    connect: Connect, tmp_path: Path, watched: Any, statuses: list[int], fault: str
) -> None:
    app = watched(make_app(airports(), Faults(script=[fault])))
    client = connect(app, cache=tmp_path)
    assert client.observations("KJFK", DAY, NEXT_DAY)
    assert client.observations("KJFK", DAY, NEXT_DAY)
    assert statuses == [200, 200, 200, 304, 200]


def test_an_unreadable_answer_that_has_a_tag_is_not_kept(connect: Connect, tmp_path: Path) -> None:
    bodies = [b'{"features": null}']

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ.get("HTTP_IF_NONE_MATCH") == '"a"':
            start_response("304 Not Modified", [("ETag", '"a"')])
            return []
        start_response("200 OK", [("ETag", '"a"')])
        return [bodies.pop() if bodies else b'{"features": []}']

    assert list(connect(app, cache=tmp_path).stations()) == []


@pytest.mark.parametrize(
    "headers",
    [[], [("Last-Modified", CHANGED), ("Cache-Control", "private, no-store")]],
    ids=["nothing to ask by", "no-store"],
)
def test_what_may_not_or_cannot_be_kept_is_requested_whole(
    connect: Connect, tmp_path: Path, headers: list[tuple[str, str]]
) -> None:
    conditional: list[bool] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        conditional.append(any(name.startswith("HTTP_IF_") for name in environ))
        start_response("200 OK", headers)
        return [b'{"features": [{"id": "a"}]}']

    client = connect(app, cache=tmp_path)
    for _ in range(2):
        client.observations("KJFK", DAY, NEXT_DAY)
    assert not any(conditional)


def test_freshness_never_answers_in_the_services_stead(connect: Connect, tmp_path: Path) -> None:
    seen: list[str | None] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ.get("HTTP_CACHE_CONTROL"))
        fresh = [("Last-Modified", CHANGED), ("Cache-Control", "public, max-age=3600")]
        start_response("200 OK", fresh)
        return [json.dumps({"features": [{"id": str(len(seen))}]}).encode()]

    client = connect(app, cache=tmp_path)
    found = [client.observations("KJFK", DAY, NEXT_DAY) for _ in range(2)]
    assert found == [[{"id": "1"}], [{"id": "2"}]]
    # What is meant for the cache in this process does not reach the service.
    assert seen == [None, None]


def test_the_database_is_bounded(tmp_path: Path, connect: Connect) -> None:
    def app(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("ETag", '"a"')])
        return [json.dumps({"features": [{"id": os.urandom(50_000).hex()}]}).encode()]

    base_url = connect(app).url("", {})
    with requests.Session() as session:
        session.mount("http://", CachingAdapter(tmp_path, max_bytes=2**20))
        for number in range(60):
            assert session.get(f"{base_url}{number}").ok
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert 2**19 < size < 2**22


def test_a_folder_that_cannot_be_written_costs_nothing(
    connect: Connect, year: Source, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    client = connect(make_app(year), cache=tmp_path / "file" / "answers")
    assert len(client.observations("KJFK", DAY, NEXT_DAY)) == 24
    assert "cannot keep responses in" in caplog.text


READER = """
import sys
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from jobs.nws.client import WeatherClient
url, folder = sys.argv[1:]
agent = {"user_agent": "a test", "requests_per_second": 1000.0}
day = datetime(2013, 7, 2, tzinfo=UTC)
with WeatherClient(url, cache=Path(folder), **agent) as client:
    for number in range(40):
        hour = day + timedelta(hours=number % 20)
        found = client.observations("KJFK", hour, hour + timedelta(hours=1))
        assert len(found) == 1, found
"""


def test_processes_share_the_database(connect: Connect, year: Source, tmp_path: Path) -> None:
    url = connect(make_app(year)).url("", {})
    command = [sys.executable, "-c", READER, url, str(tmp_path)]
    readers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    assert [reader.communicate(timeout=120)[1] for reader in readers] == [b""] * 4
