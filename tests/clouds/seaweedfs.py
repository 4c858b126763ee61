"""SeaweedFS: an S3 store with STS whose authors are not ours, so that vending has another judge.

The program is that of ``SEAWEEDFS`` or ``weed`` on the PATH. With ``SEAWEEDFS=build`` Go builds it
once, which takes some minutes and gigabytes, into ``var/seaweedfs``.
"""

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clouds.emulators import S3
from tests.processes import DEADLINE, wait_for

_MODULE = "github.com/seaweedfs/seaweedfs/weed"
_VERSION = "v0.0.0-20261109003541-7506e5f91cd6"
_HOME = Path(__file__).parents[2] / "var/seaweedfs"
_SERVICES = ("s3", "master", "volume", "filer", "admin")
_ROLE = "arn:aws:iam::000000000000:role/lakehouse"


def program() -> str:
    """Return the path of ``weed``; skip the test if there is none."""
    told = os.environ.get("SEAWEEDFS", "")
    found = told if told not in ("", "build") else shutil.which("weed") or str(_HOME / "weed")
    if Path(found).exists():
        return found
    if told != "build" or shutil.which("go") is None:
        pytest.skip("weed is not installed; SEAWEEDFS=build builds it where Go is")
    _HOME.mkdir(parents=True, exist_ok=True)
    (_HOME / "go.mod").write_text("module tools\n\ngo 1.26\n")
    # The module replaces others, which `go install` refuses: it is built as a tool of ours.
    for command in (["get", "-tool", f"{_MODULE}@{_VERSION}"], ["build", "-o", "weed", _MODULE]):
        subprocess.run(["go", *command], cwd=_HOME, check=True, timeout=1800)
    return str(_HOME / "weed")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        # gRPC's port may not be derived from another: it would be beyond 65535.
        found = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in found]


def _config(key: str, secret: str) -> dict[str, object]:
    everything = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }
    trust = [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]
    return {
        "identities": [
            {
                "name": "catalog",
                "credentials": [{"accessKey": key, "secretKey": secret}],
                "actions": ["Admin", "Read", "List", "Tagging", "Write"],
            }
        ],
        "sts": {
            "tokenDuration": "1h",
            "maxSessionLength": "12h",
            "issuer": "seaweedfs-sts",
            "signingKey": base64.b64encode(b"only for tests, on 127.0.0.1").decode(),
        },
        "roles": [
            {
                "roleName": "lakehouse",
                "roleArn": _ROLE,
                "trustPolicy": {"Version": "2012-10-17", "Statement": trust},
                "attachedPolicies": ["all"],
            }
        ],
        "policies": [{"name": "all", "document": everything}],
    }


@contextlib.contextmanager
def seaweedfs(*buckets: str, config: Callable[[str, str], object] = _config) -> Iterator[S3]:
    """Serve a store with these buckets from a new folder, and end it.

    ``config`` returns identities and roles for a key and its secret, which is the server's.
    """
    weed, key, secret = program(), "seaweed", "a secret of the tests"
    with tempfile.TemporaryDirectory() as folder:
        iam = Path(folder, "iam.json")
        iam.write_text(json.dumps(config(key, secret)))
        ports = _free_ports(2 * len(_SERVICES))
        arguments = ["-s3.port.iceberg=0", "-s3.port.lance=0", "-admin.port.legacy=0"]
        for name, port, grpc in zip(_SERVICES, ports[::2], ports[1::2], strict=True):
            arguments += [f"-{name}.port={port}", f"-{name}.port.grpc={grpc}"]
        url = f"http://127.0.0.1:{ports[0]}"
        process = subprocess.Popen(
            [
                *[weed, "mini", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}"],
                *["-webdav=false", "-master.telemetry=false", f"-bucket={','.join(buckets)}"],
                *[f"-s3.config={iam}", f"-s3.iam.config={iam}", *arguments],
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
        )
        try:
            _wait_for(url, process)
            yield S3(
                url=url,
                region="us-east-1",
                buckets=buckets,
                access_key_id=key,
                secret_access_key=secret,
                role_arn=_ROLE,
                process=process,
            )
        finally:
            process.terminate()
            process.wait(DEADLINE)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    def serves() -> bool:
        assert process.poll() is None, "weed ended before it served"
        try:
            urllib.request.urlopen(url, timeout=1)  # noqa: S310 - our own process
        except urllib.error.HTTPError:
            return True  # it asks for credentials
        except OSError:
            pass
        return False

    wait_for(serves, "weed")
