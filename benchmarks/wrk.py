"""The load generator ``wrk``, where the distribution has put it."""

import functools
import re
import shutil
import subprocess
import tempfile

from benchmarks.client import Address, Request

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@functools.cache
def path() -> str | None:
    """Return where wrk is, or None."""
    return shutil.which("wrk")


def run(
    wrk: str, address: Address, request: Request, connections: int, seconds: int
) -> tuple[int, float]:
    """Ask one request over and over; return how many answers came, and in how many seconds.

    Raises:
        ValueError: an answer was an error, or wrk failed.
    """
    headers = [f"--header={name}: {value}" for name, value in request.headers]
    url = f"http://{address[0]}:{address[1]}{request.path}"
    numbers = ["--threads=1", f"--connections={connections}", f"--duration={seconds}s"]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        if request.body is not None:
            body = request.body.decode()
            script.write(f'wrk.method = "POST"\nwrk.body = [==[{body}]==]\n')
            script.flush()
            headers += ["--header=Content-Type: application/json", f"--script={script.name}"]
        command = [wrk, *numbers, "--timeout=30s", *headers, url]
        # What is run is wrk with the benchmark's own arguments.
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
    found = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m),", said)
    if found is None or "Non-2xx" in said or re.search(r"Socket errors: .*[1-9]", said):
        raise ValueError(f"wrk {url}: {said}")
    return int(found[1]), float(found[2]) * _SECONDS[found[3]]
