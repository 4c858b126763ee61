"""What needs nothing that only Linux has, run by a Python without it: see ``python/``."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.linux_only import LINUX_ONLY
from tests.processes import Running

REPOSITORY = Path(__file__).parents[2]
ENVIRON = {"PYTHONPATH": str(Path(__file__).parent / "python")}


def run(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=REPOSITORY, env={**os.environ, **ENVIRON}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.serverless
def test_every_test_that_needs_linux_says_so() -> None:
    """Those that name what only Linux has are skipped elsewhere, and each entry has its test."""
    tests = REPOSITORY / "tests"
    # Suites of their own, helpers, what skips by itself, and a path that is refused unopened.
    others = {"clouds", "deploy", "durability", "macos", "postgres", "spark"}
    skipping = {"catalog/test_storage_check.py", "web/test_sql.py"}
    names = set()
    for path in sorted(tests.rglob("test_*.py")):
        name = str(path.relative_to(tests))
        text = path.read_text(encoding="utf-8")
        names |= {f"{name}::{test}" for test in re.findall(r"(?:def|class) ([Tt]est\w+)", text)} | {
            name
        }
        is_other = path.relative_to(tests).parts[0] in others
        if not is_other and re.search(r"/proc/|os\.fdatasync|pidfd", text):
            assert name in skipping or any(key.startswith(name) for key in LINUX_ONLY), name
    for key in LINUX_ONLY:
        file, *within = key.partition("[")[0].split("::")
        own = "::".join([file, *within[-1:]])
        assert any(name.startswith(own) for name in names), key


@pytest.mark.serverless
def test_this_python_lacks_what_macos_lacks() -> None:
    program = (
        "import os; assert not hasattr(os, 'O_PATH') and not hasattr(os, 'fdatasync');"
        "assert not os.path.exists('/proc/self/stat')"
    )
    run(program)


@pytest.mark.serverless
def test_files_are_written_read_and_deleted_inside_their_roots_only(tmp_path: Path) -> None:
    program = """
import os, sys
from falcon_catalog.errors import ForbiddenError, NotFoundError
from falcon_catalog.fileio.local import LocalFileIO

root = os.path.realpath(sys.argv[1])
files = LocalFileIO().within([f"file://{root}/inside"])
files.write(f"file://{root}/inside/a/b", b"con", b"tent")
assert files.read(f"file://{root}/inside/a/b") == b"content"
os.mkdir(f"{root}/outside")
with open(f"{root}/outside/secret", "w") as file:
    file.write("secret")
os.symlink(f"{root}/outside", f"{root}/inside/link")
for attempt in (
    lambda: files.read(f"file://{root}/inside/link/secret"),
    lambda: files.write(f"file://{root}/inside/link/new", b""),
    lambda: files.delete(f"file://{root}/inside/link/secret"),
):
    try:
        attempt()
    except ForbiddenError:
        continue
    raise AssertionError("a link leads outside")
assert os.listdir(f"{root}/outside") == ["secret"]
os.mkfifo(f"{root}/inside/fifo")
try:
    files.read(f"file://{root}/inside/fifo")
except NotFoundError:
    files.delete(f"file://{root}/inside/a/b")
print(files.exists(f"file://{root}/inside/a/b"))
"""
    assert run(program, str(tmp_path)) == "False\n"


@pytest.mark.serverless
def test_a_daemon_is_found_again_and_stopped(tmp_path: Path) -> None:
    program = """
import os, signal, sys, time
from pathlib import Path
from jobs.stack.processes import Running, find, launch, stop

assert not hasattr(os, "pidfd_open")
file = Path(sys.argv[1], "daemon.json")
running = launch(["sleep", "600"], dict(os.environ), file.with_suffix(".log"), file)
assert running.ticks > 0
assert find(file) == running
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # as for a daemon: nobody waits for it
another = Running(running.pid, running.ticks - 60, "", 0)  # its pid was of a program before
assert stop(another, 5)
assert find(file) == running
assert stop(running, 30)
print(find(file))
"""
    assert run(program, str(tmp_path)) == "None\n"


@pytest.mark.serverless
def test_failures_are_counted_over_processes() -> None:
    program = """
import os
from jobs.notify.ledger import Ledger
from jobs.notify.message import Failure

assert not hasattr(os, "memfd_create")
ledger = Ledger()
if (pid := os.fork()) == 0:
    ledger.done("a")
    ledger.notified("b")
    os._exit(0)
os.waitpid(pid, 0)
print(ledger.was_notified("b"), ledger.messages())
"""
    assert run(program) == "True 1\n"


@pytest.mark.serverless
def test_it_serves(tmp_path: Path) -> None:
    server = Running(
        [sys.executable, "-m", "falcon_catalog", "serve", "--listen", "127.0.0.1:0"],
        {**ENVIRON, "STATE_DIRECTORY": str(tmp_path)},
    )
    try:
        url = server.url()
        made = requests.post(f"{url}/v1/namespaces", json={"namespace": ["ns"]}, timeout=30)
        assert made.status_code == 200
        schema = {"type": "struct", "fields": []}
        table = {"name": "t", "schema": schema}
        assert requests.post(f"{url}/v1/namespaces/ns/tables", json=table, timeout=30).ok
        change = {"action": "set-properties", "updates": {"a": "b"}}
        body = {"requirements": [], "updates": [change]}
        path = f"{url}/v1/namespaces/ns/tables/t"
        assert requests.post(path, json=body, timeout=30).ok
        loaded = requests.get(path, timeout=30).json()["metadata"]
        assert loaded["properties"]["a"] == "b"
        assert requests.get(f"{url}/health/ready", timeout=30).ok
        assert requests.get(f"{url}/metrics", timeout=30).ok
    finally:
        assert server.stop() == 0


@pytest.mark.slow
@pytest.mark.serverless
def test_the_demo_runs_is_served_and_is_stopped(tmp_path: Path) -> None:
    demo = [sys.executable, "-m", "jobs.demo"]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    environ = {**os.environ, **ENVIRON}
    where = ["--state", str(tmp_path / "demo")]
    served = subprocess.run(
        [*demo, "serve", *where, "--listen", listen],
        cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert served.returncode == 0, served.stdout + served.stderr
    assert "0 duplicates" in served.stdout
    stopped = subprocess.run(
        [*demo, "stop", *where],
        cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "catalog  stopped" in stopped.stdout, stopped.stderr
