"""The services of compose.yaml as an engine runs them, where no container engine is needed.

All share one network of their own, in which each service's name is an address of the loopback.
Those of our images run in them, as ``image.py`` builds them. Debian's PostgreSQL and Prometheus and
our emulator of S3 stand in for the other images; Grafana's is not run.
"""

import contextlib
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import cluster
from tests.deploy.image import LOOPBACK_UP, REPOSITORY, Builder, Container, Place
from tests.processes import DEADLINE, wait_for

COMPOSE = yaml.safe_load((REPOSITORY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
_GET = """
import sys, urllib.request
sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())
"""
SIMULATOR = "simulator"
"""The weather service's stand-in, which has a name like a service."""


def interpolated(value: Any) -> str:
    """Return a value as compose reads it, with no variable set."""
    text = str(value)
    return re.sub(
        r"\$\$|\$\{\w+:-([^}]*)\}", lambda found: "$" if found[0] == "$$" else found[1], text
    )


def environment(service: str) -> dict[str, str]:
    given = SERVICES[service].get("environment", {})
    return {key: interpolated(value) for key, value in given.items()}


def listed(service: str, key: str) -> list[str]:
    return [interpolated(each) for each in SERVICES[service].get(key, [])]


def files(service: str, secrets: Path) -> dict[str, Path]:
    """Return the files of this machine that a service is given, by their path inside."""
    found = {
        each["target"]: REPOSITORY / COMPOSE["configs"][each["source"]]["file"]
        for each in SERVICES[service].get("configs", [])
    }
    for name in SERVICES[service].get("secrets", []):
        file = Path(COMPOSE["secrets"][name]["file"])
        found[f"/run/secrets/{name}"] = secrets / file.name
    return found


@dataclass
class Composed:
    """The services that run, and what they keep in a folder."""

    folder: Path
    builder: Builder
    network: "subprocess.Popen[bytes]"
    containers: dict[str, Container] = field(default_factory=dict)
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    storage: dict[str, str] = field(default_factory=dict)
    """Settings of the catalog for the store that stands in."""

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def hosts(self) -> Path:
        return self.folder / "hosts"

    def inside(self, *command: str) -> list[str]:
        """Return a command of this machine's, run in the services' network."""
        bind = f"mount --bind {shlex.quote(str(self.hosts))} /etc/hosts"
        return ["nsenter", f"--net=/proc/{self.network.pid}/ns/net", "unshare", "--mount",
                "sh", "-c", f'{bind} && exec "$@"', "sh", *command]  # fmt: skip

    def get(self, url: str) -> str:
        """Return what a service answers in its network; "" if it does not."""
        done = subprocess.run(
            self.inside(sys.executable, "-c", _GET, url),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout

    def start(self, service: str, **environ: str) -> Container:
        """Start a service of our own images with what compose.yaml gives it."""
        given = SERVICES[service]
        stage = self.builder.build(given["build"]["target"])
        if "entrypoint" in given:
            stage = replace(stage, entrypoint=tuple(given["entrypoint"]))
        volumes = {}
        for each in given.get("volumes", []):
            name, _, path = each.partition(":")
            volumes[path] = self.folder / "volumes" / name
        place = Place(
            network=self.network.pid,
            volumes=volumes,
            files={"/etc/hosts": self.hosts, **files(service, self.secrets)},
        )
        kept = self.folder / service
        kept.mkdir()
        container = Container(
            stage,
            kept,
            *listed(service, "command"),
            place=place,
            **{**environment(service), **environ},
        )
        self.stack.callback(container.close)
        self.containers[service] = container
        return container

    def wait_until_healthy(self, service: str) -> None:
        check = SERVICES[service].get("healthcheck", {}).get("test", [])
        self.containers[service].wait_until_healthy(*map(str, check[1:]))

    def run(self, name: str, *command: str, **popen: Any) -> "subprocess.Popen[bytes]":
        """Start a program of this machine's in the network, which ends with the others."""
        log = self.stack.enter_context((self.folder / f"{name}.log").open("wb"))
        options = {"stdout": log, "stderr": log, "cwd": REPOSITORY, **popen}
        process = subprocess.Popen(self.inside(*command), start_new_session=True, **options)
        self.stack.callback(_end, process)
        return process

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def network(folder: Path, builder: Builder) -> Iterator[Composed]:
    """Make the services' network and their secrets; yield what starts services in it."""
    names = " ".join([*SERVICES, SIMULATOR])
    (folder / "hosts").write_text(f"127.0.0.1 localhost {names}\n")
    subprocess.run(
        [sys.executable, REPOSITORY / "deploy/compose/secrets", folder / "secrets"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    process = subprocess.Popen(
        ["unshare", "--net", "sh", "-c",
         f'"{sys.executable}" -c "$0" && echo up && exec sleep infinity', LOOPBACK_UP],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        composed = Composed(folder, builder, process)
        with composed.stack:
            yield composed
    finally:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]


def start_postgres(composed: Composed) -> None:
    """Start Debian's PostgreSQL as the image's entry point does: user, database, password."""
    if reason := cluster.missing():
        pytest.skip(reason)
    given = environment("postgres")
    user = pwd.getpwnam("postgres")
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # pytest's folders are closed to other users
    composed.stack.callback(shutil.rmtree, folder, ignore_errors=True)
    password = folder / "password"
    shutil.copy(files("postgres", composed.secrets)[given["POSTGRES_PASSWORD_FILE"]], password)
    for path in (folder, password):
        os.chown(path, user.pw_uid, user.pw_gid)
    options = {"user": "postgres", "group": "postgres", "extra_groups": [], "cwd": "/"}
    data = folder / "data"
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", given["POSTGRES_USER"], f"--pwfile={password}",
         "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync"],
        check=True, stdout=subprocess.DEVNULL, **options,
    )  # fmt: skip
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all all scram-sha-256\n")
    # Privileges are given up inside the network, which root alone can enter.
    composed.run(
        "postgres", "setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
        str(programs / "postgres"), "-D", str(data), "-k", str(folder), "-c", "listen_addresses=*",
        cwd="/",
    )  # fmt: skip
    check = [*map(str, SERVICES["postgres"]["healthcheck"]["test"][1:]), f"--host={folder}"]

    def ready() -> bool:
        return subprocess.run(check, check=False, capture_output=True).returncode == 0

    wait_for(ready, "PostgreSQL")
    subprocess.run(
        [programs / "createdb", f"--host={folder}", "-U", given["POSTGRES_USER"],
         given["POSTGRES_DB"]],
        check=True,
    )  # fmt: skip


def start_objects(composed: Composed) -> None:
    """Start the emulator of S3 on SeaweedFS's port, with its bucket; its keys replace ours."""
    (bucket,) = (each for each in listed("objects", "command") if each.startswith("-bucket="))
    (port,) = (each.split(":")[1] for each in SERVICES["objects"]["ports"])
    process = composed.run(
        "objects", sys.executable, "-m", "jobs.s3_emulator", "--listen", f"127.0.0.1:{port}",
        "--bucket", bucket.removeprefix("-bucket="), stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    composed.stack.callback(process.stdout.close)
    line = process.stdout.readline()
    assert line, composed.log("objects")
    made = json.loads(line)
    keys = {key: made[key] for key in ("access_key_id", "secret_access_key")}
    (composed.secrets / "s3-credential").write_text(json.dumps(keys))
    composed.storage = {"CATALOG_WAREHOUSE_ROLE_ARN": made["role_arn"]}


def start_simulator(composed: Composed) -> str:
    """Start the simulator of the weather service, whose year ends now; return its URL."""
    process = composed.run(
        SIMULATOR, sys.executable, "-m", "jobs.nws_simulator", "--listen", "127.0.0.1:8182",
        "--shift-to-now", stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    composed.stack.callback(process.stdout.close)
    assert process.stdout.readline(), composed.log(SIMULATOR)
    return f"http://{SIMULATOR}:8182"


def start_prometheus(composed: Composed) -> None:
    """Start Debian's Prometheus with the files that the image is given."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian: prometheus)")
    folder = composed.folder / "prometheus"
    folder.mkdir()
    for target, file in files("prometheus", composed.secrets).items():
        shutil.copy(file, folder / Path(target).name)
    (port,) = (each.split(":")[2] for each in SERVICES["prometheus"]["ports"])
    composed.run(
        "prometheus", program, f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data", f"--web.listen-address=0.0.0.0:{port}",
    )  # fmt: skip
