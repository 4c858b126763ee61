"""Run dbt in a process of its own, one at a time, and follow its progress."""

import collections
import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import duckdb
import duckdb_extensions

from jobs import config

EXTENSIONS = ("httpfs", "avro", "iceberg")
# DuckDB loads it for tables in Azure.
_OPTIONAL = "azure"

# Log events of something that is done.
_DONE = frozenset(["LogModelResult", "LogTestResult", "LogSnapshotResult", "LogNodeResult"])

# Takes a line of progress, and the percentage of the whole where it is known.
Progress = Callable[[str, float | None], None]


class TransformError(Exception):
    """dbt failed; the message names the models and tests that did, or its last words."""


def install_extensions(folder: Path) -> None:
    """Install DuckDB's extensions from their wheels into a folder, if they are missing."""
    optional = [_OPTIONAL] if find_spec(f"duckdb_extension_{_OPTIONAL}") else []
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(config={"extension_directory": str(folder)}) as connection:
        for name in (*EXTENSIONS, *optional):
            duckdb_extensions.import_extension(name, con=connection)


@contextlib.contextmanager
def alone(state: Path, progress: Progress) -> Iterator[IO[bytes]]:
    """Hold the lock of dbt's DuckDB file, which allows one writing process only.

    dbt inherits the lock: when this process is killed, the next run waits for the orphan.
    """
    path = state / "dbt" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"another dbt build is running (lock {path}): waiting for its end", None)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def run(
    state: Path,
    lock: IO[bytes],
    commands: Iterable[list[str]],
    progress: Progress,
    **environment: str,
) -> None:
    """Run dbt commands, one after the other until one fails, on the project of the settings.

    Args:
        state: the folder of the pipeline's files; dbt's own go to ``dbt/`` in it.
        lock: the lock that the process inherits.
        commands: lists of arguments, such as ``["source", "freshness"]``.
        progress: called for every model and test that is done.
        environment: more variables for the project.

    Raises:
        TransformError: dbt failed; the message has the last lines of its log.
    """
    folder = state / "dbt"
    options = [*folders(state), "--log-format", "json", "--log-format-file", "text"]
    arguments = json.dumps([[*command, *options] for command in commands])
    process = subprocess.Popen(  # noqa: S603 - our own dbt on our own project
        # -P: the program's folder holds modules of other names than its own.
        [sys.executable, "-P", str(Path(__file__).with_name("commands.py")), arguments],
        env={**environment_of(state), **environment},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pass_fds=(lock.fileno(),),
    )
    with process:
        words = _follow(process.stdout or [], progress)
    if process.returncode:
        last = "; ".join(words) or "no reason given"
        raise TransformError(f"dbt ended with {process.returncode}: {last} ({folder}/logs/dbt.log)")


def folders(state: Path) -> list[str]:
    """Return dbt's options for the project of the settings and for its files below ``state``."""
    project, folder = str(config.dbt_dir()), state / "dbt"
    options = ["--project-dir", project, "--profiles-dir", project]
    return [*options, "--target-path", str(folder / "target"), "--log-path", str(folder / "logs")]


def environment_of(state: Path) -> dict[str, str]:
    """Return the environment of a dbt process."""
    catalog = config.settings().catalog
    return {
        **os.environ,
        "CATALOG_URI": catalog.uri,
        "CATALOG_WAREHOUSE": catalog.warehouse,
        "CATALOG_TOKEN": catalog.token,
        "CATALOG_CREDENTIAL": catalog.credential,
        "WEATHER_ALERT_STATUSES": ",".join(config.settings().weather.alert_statuses),
        "WEATHER_DUCKDB": str(state / "dbt" / "weather.duckdb"),
        "WEATHER_DUCKDB_EXTENSIONS": str(state / "duckdb-extensions"),
        "DO_NOT_TRACK": "1",
    }


def _follow(lines: Iterable[str], progress: Progress) -> list[str]:
    """Report progress from dbt's log; return its last errors, or else its last message."""
    last: collections.deque[str] = collections.deque(maxlen=1)
    errors: collections.deque[str] = collections.deque(maxlen=3)
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict) or "info" not in event:
            event = {"info": {"msg": line}}  # a traceback, say, is its own message
        words = " ".join(str(event["info"]["msg"]).split())
        if words:
            (errors if event["info"].get("level") == "error" else last).append(words)
        data = event.get("data", {})
        if event["info"].get("name") in _DONE and data.get("total"):
            done, total = int(data["index"]), int(data["total"])
            node = data.get("node_info", {}).get("node_name", "")
            progress(f"dbt: {done} of {total}, {node}", 100 * done / total)
    return list(errors or last)
