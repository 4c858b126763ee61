"""Conditional requests: what is unchanged costs a 304, what is changed is read anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobs.nws.cache import AnswerCache
from jobs.nws.client import Refused, WeatherClient
from jobs.nws_simulator import Faults, Source, airports, make_app

Connect = Callable[..., WeatherClient]

DAY = datetime(2013, 7, 2, tzinfo=UTC)
NEXT_DAY = DAY + timedelta(days=1)
CHANGED = {"Last-Modified": "Tue, 02 Jul 2013 12:00:00 GMT"}


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

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        version = left.pop(0) if len(left) > 1 else left[0]
        if environ.get("HTTP_IF_NONE_MATCH") == f'"{version}"':
            start_response("304 Not Modified", [("ETag", f'"{version}"')])
            return []
        start_response("200 OK", [("ETag", f'"{version}"')])
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
    assert statuses == [200, 304]
    assert client.observations("KLGA", DAY, NEXT_DAY) != first
    assert statuses == [200, 304, 200]


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
    assert statuses == [200, 200]


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
    now = [1e9]
    aging = partial(AnswerCache, clock=lambda: now[0])
    monkeypatch.setattr("jobs.nws.service.AnswerCache", aging)
    clock = [DAY.replace(hour=12, minute=30)]
    faults = Faults({"stale-modified": 1.0})
    client = connect(make_app(year, faults, now=lambda: clock[0]), cache=tmp_path)
    counts = []
    for hours in (0, 1, 23, 1):
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
    url = one._service.url("", {})
    with WeatherClient(url, user_agent="another", cache=cache) as other:
        assert other.observations("KJFK", DAY, NEXT_DAY) == kept
    assert statuses == [200, 304]


def test_what_is_damaged_is_read_anew(
    connect: Connect, year: Source, tmp_path: Path, watched: Any, statuses: list[int]
) -> None:
    client = connect(watched(make_app(year)), cache=tmp_path)
    whole = client.observations("KJFK", DAY, NEXT_DAY)
    (path,) = tmp_path.rglob("*.gz")
    content = path.read_bytes()
    for damage in (b"", b"x", content[:-9], content[:40] + b"\xff" * 9 + content[49:]):
        path.write_bytes(damage)
        statuses.clear()
        assert client.observations("KJFK", DAY, NEXT_DAY) == whole
        assert client.observations("KJFK", DAY, NEXT_DAY) == whole
        assert statuses == [200, 304]


def test_an_unreadable_answer_is_not_kept(connect: Connect, year: Source, tmp_path: Path) -> None:
    faults = Faults(script=["null-features", "truncate"])
    assert connect(make_app(year, faults), cache=tmp_path).observations("KJFK", DAY, NEXT_DAY)
    assert len(list(tmp_path.rglob("*.gz"))) == 1


def test_what_may_not_or_cannot_be_named_is_not_kept(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    cache.put("a", {}, b"{}")
    cache.put("b", CHANGED | {"Cache-Control": "private, no-store"}, b"{}")
    cache.put("c", CHANGED, b"{}")
    assert cache.get("a") is None
    assert cache.get("b") is None
    kept = cache.get("c")
    assert kept is not None
    assert (kept.body, kept.conditions()) == (
        b"{}",
        {"If-Modified-Since": CHANGED["Last-Modified"]},
    )


def test_an_answer_of_tomorrow_or_the_day_before_is_not_trusted(tmp_path: Path) -> None:
    now = [1e9]
    cache = AnswerCache(tmp_path, clock=lambda: now[0])
    cache.put("a", CHANGED, b"{}")
    now[0] += 86_399
    assert cache.get("a")
    now[0] += 2
    assert cache.get("a") is None
    now[0] = 1e9 - 1  # the clock was set back
    assert cache.get("a") is None


def test_the_folder_is_bounded_and_the_oldest_go(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path, max_bytes=64 * 4000)
    for number in range(2000):
        cache.put(f"https://example.org/{number}", CHANGED, os.urandom(800))
        if number == 0:
            (first,) = tmp_path.rglob("*.gz")
            os.utime(first, (0, 0))
    files = list(tmp_path.rglob("*"))
    assert 64 * 2000 < sum(path.stat().st_size for path in files if path.is_file()) <= 64 * 4000
    assert cache.get("https://example.org/1999")
    assert cache.get("https://example.org/0") is None


def test_one_too_large_is_not_kept_and_pushes_nothing_out(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path, max_bytes=64 * 4000)
    cache.put("a", CHANGED, b"{}")
    cache.put("b", CHANGED, os.urandom(5000))
    assert cache.get("a")
    assert cache.get("b") is None


def test_a_folder_that_cannot_be_written_costs_nothing(
    connect: Connect, year: Source, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    client = connect(make_app(year), cache=tmp_path / "file" / "answers")
    assert len(client.observations("KJFK", DAY, NEXT_DAY)) == 24
    assert "cannot keep answers in" in caplog.text


WRITER = """
import os, sys
from pathlib import Path
from jobs.nws.cache import AnswerCache
cache = AnswerCache(Path(sys.argv[1]), max_bytes=64 * 20_000)
for number in range(300):
    url = f"https://example.org/{number % 40}"
    cache.put(url, {"ETag": "x"}, url.encode() + os.urandom(900))
    kept = cache.get(url)
    assert kept is None or kept.body.startswith(url.encode()), kept
"""


def test_processes_share_the_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    assert [writer.communicate(timeout=60)[1] for writer in writers] == [b""] * 4
    names = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert len(names) == 40
    assert not [name for name in names if name.startswith(".new-")]
