"""Kill -9 at any request: no referenced file is missing, no row changed, the rest is litter."""

import datetime as dt
import os
import signal
import subprocess
import sys

import pytest

from jobs.maintenance import compact, remove_orphans
from tests.maintenance.lake import SCHEMA, Lake, append_each

COMMANDS = {
    "compact": ["compact", "--groups-per-commit", "1", "--target-size", "6K"],
    "rewrite-manifests": ["rewrite-manifests"],
    "expire-snapshots": ["expire-snapshots", "--older-than", "0s"],
    "remove-orphans": ["remove-orphans", "--older-than", "0s", "--allow-young", "--delete"],
}


def run(lake: Lake, command: str, kill_at: int | None, *, after: bool) -> tuple[int, int]:
    """Run a command, killed before or after a request is served; give status and requests."""
    seen: list[str] = []
    words = [sys.executable, "-m", "jobs.maintenance", "--catalog-uri", lake.url]
    with subprocess.Popen(
        [*words, *COMMANDS[command], "ns.t"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:

        def kill() -> None:
            os.kill(process.pid, signal.SIGKILL)

        def before(_verb: str, path: str) -> None:
            seen.append(path)
            if len(seen) == kill_at and not after:
                kill()

        def lose(_verb: str, _path: str) -> bool:
            if len(seen) == kill_at and after:
                kill()
                return True
            return False

        lake.wire.before, lake.wire.lose = [before], lose
        output, _ = process.communicate()
        lake.wire.before, lake.wire.lose = [], lambda _verb, _path: False
    assert process.returncode in {0, -signal.SIGKILL}, output.decode()
    return process.returncode, len(seen)


def make(lake: Lake) -> None:
    append_each(lake.catalog.create_table("ns.t", SCHEMA), 8)
    lake.sql("DELETE FROM lake.ns.t WHERE id % 9 = 2")


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_every_request(lake: Lake, command: str) -> None:
    make(lake)
    rows = lake.rows("ns.t")
    if command != "compact":
        compact(lake.catalog, "ns.t")
        append_each(lake.load("ns.t"), 2, first=500)
        rows = lake.rows("ns.t")
    kills = 0
    for number in range(1, 30):
        status, _ = run(lake, command, number, after=number % 2 == 0)
        kills += status == -signal.SIGKILL
        assert lake.rows("ns.t") == rows
        assert not lake.missing("ns.t")
        if status == 0:
            break
    else:
        pytest.fail("the command never came to its end")
    assert kills >= 2
    assert lake.duck_rows("ns.t") == rows
    young = dt.timedelta(0)
    remove_orphans(lake.catalog, "ns.t", older_than=young, dry_run=False, allow_young=True)
    assert not lake.unreferenced("ns.t")
    assert not lake.missing("ns.t")
    assert lake.rows("ns.t") == lake.duck_rows("ns.t") == rows
