"""s3proxy, an S3 server in Java that keeps objects in files. Maven fetches it."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jobs.stack import processes

VERSION = "4.1.0"  # the last one that takes headers of Amazon's which are not signed
KEYS = ("s3proxy", "s3proxy-secret")
REGION = "us-east-1"
BUCKET = "lake"
_ARTIFACT = f"org.gaul:s3proxy:{VERSION}:jar:jar-with-dependencies"
_GET = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:get"
_DOWNLOAD_SECONDS = 240


@dataclass(frozen=True)
class S3Proxy:
    """A running server with a bucket ``lake``."""

    address: str
    domain: str
    """The host below which its buckets are host names; empty: they are in paths."""
    pid: int


def missing_tools() -> str:
    """Return what this machine lacks to run s3proxy, or ""."""
    absent = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    return f"there is no {', no '.join(absent)}, which s3proxy needs" if absent else ""


def jar() -> Path:
    """Return the program, which Maven fetches once.

    Raises:
        subprocess.CalledProcessError: Maven failed; it has said why.
    """
    home = Path("~/.m2/repository/org/gaul/s3proxy").expanduser() / VERSION
    path = home / f"s3proxy-{VERSION}-jar-with-dependencies.jar"
    if not path.exists():
        command = ["mvn", "--batch-mode", "--quiet", _GET, f"-Dartifact={_ARTIFACT}"]
        # What is run is what this file says.
        subprocess.run([*command, "-Dtransitive=false"], check=True, timeout=_DOWNLOAD_SECONDS)  # noqa: S603
    return path


@contextlib.contextmanager
def serving(folder: Path, domain: str = "") -> Iterator[S3Proxy]:
    """Serve a bucket from a folder, in path style or below a domain."""
    address = processes.free_address()
    (folder / "buckets" / BUCKET).mkdir(parents=True)
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
    settings = folder / "s3proxy.conf"
    settings.write_text("\n".join(lines))
    command = ["java", "-Xmx256m", "-jar", str(jar()), "--properties", str(settings)]
    log = folder / "s3proxy.log"
    with processes.Server("s3proxy", command, log, address=address) as server:
        port = address.rpartition(":")[2]
        pid = server.process.pid if server.process else 0
        yield S3Proxy(address, f"{domain}:{port}" if domain else "", pid)
