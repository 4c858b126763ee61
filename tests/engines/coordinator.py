"""A Trino of one process, from the packages that its project puts into Maven's repository."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

Sql = Callable[[str], list[list[Any]]]
_UNPACKED = Path(__file__).parents[2] / "var" / "trino"
VERSION = "476"
OLDEST_JAVA = 24
MAVEN_GET = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:get"
DOWNLOAD_TIMEOUT = 600
DEADLINE = 240  # seconds that Trino has to start
JVM = "-Xmx1G\n-XX:+ExitOnOutOfMemoryError\n--sun-misc-unsafe-memory-access=allow\n"


def java_home() -> Path:
    """Return the home of a Java that is new enough, or skip and say so."""
    homes = [Path(home) for home in (os.environ.get("JAVA_HOME"),) if home]
    homes += sorted(Path("/usr/lib/jvm").glob("*"))
    for home in homes:
        java = home / "bin" / "java"
        if not java.is_file():
            continue
        told = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr
        found = re.search(r'version "(\d+)', told)
        if found and int(found[1]) >= OLDEST_JAVA:
            return home
    pytest.skip(f"Trino needs Java {OLDEST_JAVA}, in JAVA_HOME or /usr/lib/jvm")


def unpack(folder: Path) -> Path:
    """Have Trino with its Iceberg connector in a folder; return where, or skip and say so."""
    home = folder / f"trino-server-core-{VERSION}"
    connector = home / "plugin" / f"trino-iceberg-{VERSION}"
    if connector.is_dir():
        return home
    maven = shutil.which("mvn")
    if maven is None:
        pytest.skip("there is no mvn, which fetches Trino")
    repository = Path.home() / ".m2" / "repository" / "io" / "trino"
    for name, kind in (("trino-server-core", "tar.gz"), ("trino-iceberg", "zip")):
        command = [maven, "--batch-mode", "--quiet", MAVEN_GET, "-Dtransitive=false"]
        command.append(f"-Dartifact=io.trino:{name}:{VERSION}:{kind}")
        subprocess.run(command, check=True, timeout=DOWNLOAD_TIMEOUT)
        package = repository / name / VERSION / f"{name}-{VERSION}.{kind}"
        if kind == "zip":
            # shutil.unpack_archive would leave out names with "..." in them.
            with zipfile.ZipFile(package) as packed:
                packed.extractall(folder / "half")
        else:
            shutil.unpack_archive(package, folder, filter="data")
    # The connector is put in its place when all of it is there.
    (folder / "half" / connector.name).rename(connector)
    return home


@contextmanager
def connected(uri: str, folder: Path) -> Iterator[Sql]:
    """Run Trino with the settings that are printed for a catalog.

    Yields a function that runs a statement and returns its rows.
    """
    client = pytest.importorskip("trino", reason="trino is not installed: tox -e trino installs it")
    java = java_home()
    home = unpack(_UNPACKED)
    program = [sys.executable, "-c", "from falcon_catalog.cli import main; main()"]
    command = [*program, "engines", "trino", "--uri", uri]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    with trino(home, java, folder, printed) as port:
        connection = client.dbapi.connect(
            host="127.0.0.1", port=port, user="tester", catalog="lake"
        )

        def run(statement: str) -> list[list[Any]]:
            cursor = connection.cursor()
            cursor.execute(statement)
            return [list(row) for row in cursor.fetchall()]

        # It answers before it has made itself known as a worker.
        deadline = time.monotonic() + DEADLINE
        while run("SELECT count(*) FROM system.runtime.nodes WHERE state = 'active'") == [[0]]:
            assert time.monotonic() < deadline, "no node of Trino became active"
        yield run


@contextmanager
def trino(home: Path, java: Path, folder: Path, catalog: str) -> Iterator[int]:
    """Run Trino with one catalog, ``lake``, whose settings are given; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = {
        "catalog/lake.properties": catalog,
        "jvm.config": JVM,
        "node.properties": f"node.environment=test\nnode.data-dir={folder}/data\n",
        "config.properties": (
            "coordinator=true\nnode-scheduler.include-coordinator=true\n"
            "node.internal-address=127.0.0.1\nhttp-server.http.enabled=true\n"
            f"http-server.http.port={port}\ndiscovery.uri=http://127.0.0.1:{port}\n"
            "query.max-memory-per-node=256MB\n"
        ),
    }
    for name, text in settings.items():
        path = folder / "etc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    command = [str(home / "bin" / "launcher"), "run", "--etc-dir", str(folder / "etc")]
    command += ["--data-dir", str(folder / "data"), "--jvm-dir", str(java)]
    environment = {**os.environ, "JAVA_HOME": str(java)}
    with (folder / "trino.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        _wait_until_up(process, port, folder / "trino.log")
        yield port
    finally:
        process.terminate()
        process.wait(60)


def _wait_until_up(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-5000:]
        try:
            told = requests.get(f"http://127.0.0.1:{port}/v1/info", timeout=5)
        except (requests.ConnectionError, requests.Timeout):
            told = None
        if told is not None and told.ok and told.json()["starting"] is False:
            return
        time.sleep(0.1)
    pytest.fail(f"Trino did not start within {DEADLINE} s: {log.read_text()[-5000:]}")
