"""Iceberg's library for Java, and ``java/Rows.java`` on it."""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.catalog.serving import Server

GCS = "org.apache.iceberg.gcp.gcs.GCSFileIO"
ADLS = "org.apache.iceberg.azure.adlsv2.ADLSFileIO"
FETCHING = 900  # seconds, in which Maven fetches the library where it is not
_PROGRAM = Path(__file__).parent / "java"
_VAR = Path(__file__).parents[2] / "var"


def jars() -> Path:
    """Return the folder of its jars, fetched the first time, or skip and say what is missing."""
    missing = [tool for tool in ("java", "javac", "mvn") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"there is no {', no '.join(missing)}: Java's library is not tried")
    pom = _PROGRAM / "pom.xml"
    folder = _VAR / f"java-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    _VAR.mkdir(exist_ok=True)
    with (_VAR / "java.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=_VAR) as fresh:
                command = ["mvn", "--batch-mode", "--quiet", f"--file={pom}"]
                goal = ["dependency:copy-dependencies", f"-DoutputDirectory={fresh}/jars"]
                subprocess.run([*command, *goal], check=True, timeout=FETCHING)
                (Path(fresh) / "jars").rename(folder)
    return folder


def rows(folder: Path, catalog: Server, file_io: str) -> list[str]:
    """Run the program on a new table; return its lines."""
    program = str(_PROGRAM / "Rows.java")
    command = ["java", "-cp", f"{folder}/*", program, catalog.url, "t", file_io]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()
