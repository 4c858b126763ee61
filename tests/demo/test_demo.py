"""The demo on a terminal, twice, served and crashed."""

import contextlib
import fcntl
import os
import pty
import re
import shutil
import socket
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import requests

from jobs.demo.proof import Proof

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]


def demo(*arguments: str, cwd: Path = REPOSITORY) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "jobs.demo", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def on_terminal(command: list[str]) -> str:
    """Run a command on a terminal of 24 x 100 characters; return all that it writes there."""
    terminal, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=inner, stderr=subprocess.PIPE)
    os.close(inner)
    written = bytearray()
    try:
        with contextlib.suppress(OSError):  # which is how a terminal tells that it was closed
            while piece := os.read(terminal, 65536):
                written += piece
        _, errors = process.communicate()
    finally:
        process.terminate()
        os.close(terminal)
    assert (process.returncode, errors) == (0, b""), (written.decode(), errors)
    return written.decode().replace("\r\n", "\n")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "state"


@pytest.fixture(scope="module")
def written(state: Path) -> str:
    return on_terminal([sys.executable, "-m", "jobs.demo", "--state", str(state)])


@pytest.fixture(scope="module")
def shown(written: str) -> str:
    """What is left on the terminal of the lines that were rewritten."""
    return re.sub(r"(?m)^.*\r\x1b\[K", "", written)


def test_it_fits_on_sixty_lines_and_shows_progress(written: str, shown: str) -> None:
    assert len(shown.splitlines()) <= 60
    rewritten = re.findall(r"\r\x1b\[K([^\r\n]*)(?=\r)", written)
    assert max(map(len, rewritten)) < 100  # none continues on the next line
    for title, result in (
        ("Hours", "6 hours ingested, one by one"),
        ("Days", "4 days ingested, marts built and tested, report written"),
        ("Maintenance", "small files merged, old snapshots removed"),
    ):
        assert len(re.findall(rf"\r\x1b\[K{title} +\d+ s  \S", written)) > 2
        assert re.search(rf"(?m)^{title} +{result}, \d+ s$", shown)


def test_nothing_goes_wrong_without_being_asked_to(shown: str) -> None:
    assert "warning" not in shown
    assert "expected:" not in shown
    assert "kill" not in shown


PROOF = re.compile(r"(?m)^Proof +300 rows expected, 300 found, 0 duplicates$")


def test_it_ends_with_a_proof(shown: str) -> None:
    assert PROOF.search(shown)
    assert len(re.findall(r"(?m)^K\w{3} +2013-07-1[6-9] ", shown)) == 12
    assert re.search(r"(?m)^KEWR +2013-07-19 +24 +27\.8 +32\.8 +37\.8 +0\.0 +42\.8 ", shown)
    assert re.search(r"(?m)^Lakehouse +\d+ tables with \d+ snapshots$", shown)


def test_a_row_that_is_lost_or_twice_spoils_the_proof() -> None:
    assert Proof(288, 288, 0).holds
    for proof in (Proof(288, 287, 0), Proof(288, 288, 1), Proof(0, 0, 0)):
        assert not proof.holds


def test_the_report_is_a_page_of_the_day(shown: str) -> None:
    (path,) = re.findall(r"(?m)^Report +(\S+report\.html)$", shown)
    page = (REPOSITORY / path).read_text()
    assert "2013-07-19" in page or "19 July 2013" in page
    assert "Heat" in page


def test_a_second_run_finds_everything_done(shown: str, state: Path) -> None:
    done = demo("--state", str(state))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything is done already" in done.stdout
    tables = shown.index("The daily mart"), shown.index("Done in")
    assert shown[slice(*tables)] in done.stdout


def test_it_serves_and_the_three_commands_work(shown: str, state: Path) -> None:
    following = shown[shown.index("Next, three") :]
    served, listed, sql = re.findall(r"(?m)^  (\S.*)$", following)
    assert f"jobs.demo serve --state {state}" in served
    (uri,) = re.findall(r"Its pages are then at (http://127\.0\.0\.1:\d+)/", following)

    def run(command: str) -> str:
        return subprocess.run(
            ["bash", "-c", command], cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout

    report = REPOSITORY / re.findall(r"(?m)^Report +(\S+report\.html)$", shown)[0]
    assert f'href="{uri}/ui/' in report.read_text()
    output = run(f"{served} --listen 127.0.0.1:0")
    try:
        (port,) = re.findall(
            r"The catalog keeps running at http://127\.0\.0\.1:(\d+); .* To stop it: ", output
        )
        stop = output.splitlines()[-1].partition("To stop it: ")[2]
        now = f"http://127.0.0.1:{port}"
        stations = run(sql.replace(uri, now))
        assert all(station in stations for station in ("KEWR", "KJFK", "KLGA"))
        assert "weather.observations" in run(listed.replace(uri, now))
        (link,) = re.findall(r'href="([^"]*/ui/[^"]*)"', report.read_text())
        assert link.startswith(f"{now}/ui/")
        assert "observations" in requests.get(link, timeout=60).text
    finally:
        stopped = demo("stop", "--state", str(state))
    assert "stopped in" in stopped.stdout
    assert "catalog  did not run" in run(stop)


def test_the_crash_is_recovered_from_and_its_failures_are_labelled(tmp_path: Path) -> None:
    done = demo("crash", "--state", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "  expected: kill -9 of the catalog, amid the loads" in done.stdout
    assert "warning:" not in done.stdout
    (faults,) = re.findall(
        r"(?m)^Recovered +from (\d+) injected API failures and one kill -9 of the catalog$",
        done.stdout,
    )
    assert int(faults) > 0
    assert PROOF.search(done.stdout)
    again = demo("crash", "--state", str(tmp_path))
    assert again.returncode == 1
    assert "holds an earlier demo" in again.stderr


def test_a_wiped_catalog_is_filled_again(shown: str, state: Path) -> None:
    for path in state.glob("catalog.db*"):
        path.unlink()
    # A new store beside a warehouse that holds tables is refused: they would be forgotten.
    done = demo("--state", str(state))
    assert done.returncode != 0
    assert "--adopt-warehouse" in done.stdout + done.stderr
    shutil.rmtree(state / "warehouse")
    done = demo("--state", str(state))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything is done already" not in done.stdout
    # Nothing is fetched again.
    assert "/observations" not in (state / "simulator.log").read_text()
    mart = shown.index("The daily mart"), shown.index("Lakehouse")
    assert shown[slice(*mart)] in done.stdout


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = demo("--state", str(tmp_path), "--listen", address)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: the demo stopped: the catalog did not start: ")
    assert address in line


def test_a_port_to_serve_at_is_tried_before_anything_else(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = demo("serve", "--state", str(tmp_path / "new"), "--listen", address)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: the demo stopped: catalog cannot listen on {address}: ")
    assert not (tmp_path / "new").exists()


def test_a_place_that_cannot_be_written_is_one_clear_line() -> None:
    done = demo("--state", "/proc/demo")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: the demo stopped: ")
    assert "/proc/demo" in line
