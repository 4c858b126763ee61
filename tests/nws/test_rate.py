"""The rate limit, by a clock that only moves when someone sleeps, and across processes."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.nws.client import WeatherClient
from jobs.nws.rate import RateLimit
from jobs.nws_simulator import Source, make_app


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_a_burst_then_an_even_pace() -> None:
    clock = Clock()
    limit = RateLimit(4, sleep=clock.sleep, clock=clock)
    for _ in range(10):
        limit.take()
    assert clock.slept == [0.25] * 6


def test_less_than_one_a_second() -> None:
    clock = Clock()
    limit = RateLimit(0.5, sleep=clock.sleep, clock=clock)
    limit.take()
    limit.take()
    assert clock.slept == [2.0]


def test_a_rest_gives_one_burst_and_no_more() -> None:
    clock = Clock()
    limit = RateLimit(2, sleep=clock.sleep, clock=clock)
    clock.now = 1000.0
    for _ in range(3):
        limit.take()
    assert clock.slept == [0.5]


def test_threads_share_it() -> None:
    slept: list[float] = []
    limit = RateLimit(5, sleep=slept.append, clock=lambda: 0.0)
    threads = [threading.Thread(target=limit.take) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(slept) == pytest.approx([turn / 5 for turn in range(1, 16)])


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_is_above_nothing(rate: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        RateLimit(rate)


def test_processes_of_a_machine_share_a_file(tmp_path: Path) -> None:
    """Five processes take a hundred turns of a clock that stands still: none is given twice."""
    file = tmp_path / "rates" / "host.rate"
    command = [sys.executable, "-c", TAKER, str(file), "20"]
    takers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    slept: list[float] = []
    limit = RateLimit(4, file=file, sleep=slept.append, clock=lambda: 1000.0)
    for _ in range(20):
        limit.take()
    for taker in takers:
        slept.extend(json.loads(taker.communicate(timeout=60)[0]))
    assert sorted(slept) == [turn / 4 for turn in range(1, 97)]


TAKER = """
import json, sys
from pathlib import Path
from jobs.nws.rate import RateLimit
slept = []
limit = RateLimit(4, file=Path(sys.argv[1]), sleep=slept.append, clock=lambda: 1000.0)
for _ in range(int(sys.argv[2])):
    limit.take()
print(json.dumps(slept))
"""


def test_a_process_killed_in_its_turn_holds_nobody_back(tmp_path: Path) -> None:
    file = tmp_path / "host.rate"
    holding = "import fcntl, sys, time; handle = open(sys.argv[1], 'a');"
    holding += "fcntl.flock(handle, fcntl.LOCK_EX); print('held', flush=True); time.sleep(600)"
    command = [sys.executable, "-c", holding, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        limit = RateLimit(5, file=file, clock=lambda: 0.0)
        taker = threading.Thread(target=limit.take)
        taker.start()
        holder.kill()
        taker.join(60)
    assert not taker.is_alive()


@pytest.mark.parametrize(
    "content",
    [b"", b"abc", struct.pack("<d", float("nan")), struct.pack("<d", 1e300), struct.pack("<d", -1)],
)
def test_a_damaged_file_is_a_full_bucket(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "host.rate"
    file.write_bytes(content)
    slept: list[float] = []
    limit = RateLimit(2, file=file, sleep=slept.append, clock=lambda: 50_000.0)
    for _ in range(3):
        limit.take()
    assert slept == [0.5]


def test_after_a_reboot_the_bucket_is_full(tmp_path: Path) -> None:
    """The clock begins at zero then, and the file tells of a time far ahead."""
    file = tmp_path / "host.rate"
    before, after = Clock(), Clock()
    before.now = 1e6
    limit = RateLimit(1, file=file, sleep=before.sleep, clock=before)
    for _ in range(10):
        limit.take()
    limit = RateLimit(1, file=file, sleep=after.sleep, clock=after)
    limit.take()
    limit.take()
    assert after.slept == [1.0]


def test_a_file_that_cannot_be_used_leaves_the_process_its_own_limit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    slept: list[float] = []
    limit = RateLimit(2, file=tmp_path / "file" / "x", sleep=slept.append, clock=lambda: 0.0)
    for _ in range(3):
        limit.take()
    assert slept == [0.5]
    assert caplog.text.count("cannot share the rate limit") == 1


def test_clients_of_one_host_share_a_folder_and_others_do_not(
    connect: Callable[..., WeatherClient], year: Source, tmp_path: Path
) -> None:
    client = connect(make_app(year), rate_folder=tmp_path)
    other = connect(make_app(year), rate_folder=tmp_path)
    for one in (client, other):
        list(one.stations())
    assert len(list(tmp_path.glob("127.0.0.1-*.rate"))) == 2


def test_a_client_waits_for_the_turns_others_took(
    connect: Callable[..., WeatherClient], year: Source, tmp_path: Path, waits: list[float]
) -> None:
    slow = connect(make_app(year), rate_folder=tmp_path, requests_per_second=0.01)
    list(slow.stations())  # a page, and the empty one after it
    assert waits == pytest.approx([100], abs=60)
