"""s3proxy, an S3 server in Java: a second opinion of signatures. Maven fetches it."""

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import wait_for

VERSION = "4.1.0"  # the last one that takes headers of Amazon's which are not signed
_ARTIFACT = f"org.gaul:s3proxy:{VERSION}:jar:jar-with-dependencies"
_GET = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:get"
_SECONDS = 240  # that a download has, and that a start has on a busy machine
KEYS = ("s3proxy", "s3proxy-secret")
REGION = "us-east-1"


@dataclass(frozen=True)
class S3Proxy:
    """A running server with a bucket ``lake``."""

    address: str
    domain: str
    """The host below which its buckets are host names; empty: they are in paths."""


def jar() -> Path:
    """Return the program, or skip and say what is missing."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program}, which s3proxy needs")
    home = Path("~/.m2/repository/org/gaul/s3proxy").expanduser() / VERSION
    path = home / f"s3proxy-{VERSION}-jar-with-dependencies.jar"
    if not path.exists():
        command = ["mvn", "--batch-mode", "--quiet", _GET, f"-Dartifact={_ARTIFACT}"]
        subprocess.run([*command, "-Dtransitive=false"], check=True, timeout=_SECONDS)
    return path


@contextlib.contextmanager
def s3proxy(folder: Path, domain: str = "") -> Iterator[S3Proxy]:
    """Serve a bucket from a folder, in path style or below a domain."""
    program = jar()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address = f"127.0.0.1:{port}"
    (folder / "buckets").mkdir(parents=True)
    lines = [
        "s3proxy.authorization=aws-v2-or-v4",
        f"s3proxy.endpoint=http://{address}",
        f"s3proxy.identity={KEYS[0]}",
        f"s3proxy.credential={KEYS[1]}",
        "jclouds.provider=filesystem-nio2",
        "jclouds.identity=unused",
        "jclouds.credential=unused",
        f"jclouds.filesystem.basedir={folder}/buckets",
        *([f"s3proxy.virtual-host={domain}"] if domain else []),
    ]
    (folder / "s3proxy.conf").write_text("\n".join(lines))
    (folder / "buckets/lake").mkdir()
    command = ["java", "-Xmx256m", "-jar", program, "--properties", folder / "s3proxy.conf"]
    log = folder / "s3proxy.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output) as process,
    ):
        try:
            _wait(address, process, log)
            yield S3Proxy(address, f"{domain}:{port}" if domain else "")
        finally:
            process.terminate()


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    host, _, port = address.partition(":")

    def listens() -> bool:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
            return True
        return False

    wait_for(listens, f"s3proxy at {address}")
