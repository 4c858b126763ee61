"""The steps of the Dockerfile, executed in a chroot: no container engine is needed, but root is.

Debian's own Python stands in for that of the base image. Everything else is as the file says:
stages, what is copied and left out, commands, users, the environment.
"""

import contextlib
import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.processes import DEADLINE, wait_for, workers

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "falcon-catalog-tests"
REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = REPOSITORY / "Dockerfile"
_PACKAGES = "python3,python3-venv,ca-certificates"
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_HOST_VARIABLES = ("PIP_CERT", "PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT", "SSL_CERT_FILE")
_LISTS = {
    "VOLUME": "volumes",
    "ENTRYPOINT": "entrypoint",
    "CMD": "command",
    "HEALTHCHECK": "healthcheck",
}
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
# Sets IFF_UP and IFF_RUNNING of the loopback interface with SIOCSIFFLAGS.
LOOPBACK_UP = (
    "import fcntl, socket, struct;"
    "fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh14x', b'lo', 0x41))"
)


@dataclass(frozen=True)
class Stage:
    """An image: its files and its configuration."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    volumes: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, each a name and its text."""
    lines = [
        line
        for line in DOCKERFILE.read_text(encoding="utf-8").splitlines()
        if not line.lstrip().startswith("#")
    ]
    text = re.sub(r"\\\n", " ", "\n".join(lines))
    return [
        (name.upper(), rest.strip())
        for name, _, rest in (line.partition(" ") for line in text.splitlines() if line.strip())
    ]


def is_ignored(path: str) -> bool:
    """Return whether .dockerignore keeps a file out of the build; the last line that fits wins."""
    ignored = False
    for line in (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        parts = path.split("/")
        if any(_fits("/".join(parts[:end]), pattern) for end in range(1, len(parts) + 1)):
            ignored = not line.startswith("!")
    return ignored


def _fits(path: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch.fnmatchcase(path.rpartition("/")[2], pattern[3:])
    same_depth = path.count("/") == pattern.count("/")
    return same_depth and fnmatch.fnmatchcase(path, pattern)


def base_root() -> Path:
    """Return a Debian with Python, which is made once; skip without the means."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to change the root directory")
    for program in ("debootstrap", "unshare", "nsenter", "chroot"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    namespaces = ["unshare", "--mount", "--pid", "--net", "--fork", "true"]
    if subprocess.run(namespaces, check=False).returncode:
        pytest.skip("this machine allows no namespaces")
    root = CACHE / "debian-bookworm"
    if not root.exists():
        making = root.with_name("debian-bookworm.new")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        # In a namespace of mounts, so that nothing stays mounted below a folder to be deleted.
        subprocess.run(
            ["unshare", "--mount", "debootstrap", "--variant=minbase", f"--include={_PACKAGES}",
             "bookworm", str(making)],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        (making / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        making.rename(root)
    return root


class Builder:
    """Executes the stages that an image needs, below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stages: dict[str, Stage] = {}
        self._globals: dict[str, str] = {}

    def build(self, target: str) -> Stage:
        """Return the image of a stage."""
        if target in self._stages:
            return self._stages[target]
        stages = {name: (base, body) for base, name, body in self._parsed()}
        assert target in stages, f"the Dockerfile has no stage {target}"
        base, body = stages[target]
        root = self._folder / target
        if base.startswith("python:"):
            stage = Stage(root, {"PATH": _PATH})
            subprocess.run(["cp", "-a", str(base_root()), str(root)], check=True)
            shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
            shutil.copy(_CERTIFICATES, root / _CERTIFICATES[1:])
        else:
            stage = replace(self.build(base), root=root)
            _link(self.build(base).root, root)
        variables: dict[str, str] = {}
        for word, text in body:
            stage = self._execute(stage, variables, word, text)
        self._stages[target] = stage
        return stage

    def _parsed(self) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
        """Yield each stage: what it is from, its name, its instructions."""
        found: list[tuple[str, str, list[tuple[str, str]]]] = []
        for word, text in instructions():
            if word == "FROM":
                base, _, name = text.partition(" AS ")
                found.append((_expanded(base, self._globals), name, []))
            elif found:
                found[-1][2].append((word, text))
            else:
                assert word == "ARG"
                name, _, default = text.partition("=")
                self._globals[name] = default
        yield from found

    def _execute(self, stage: Stage, variables: dict[str, str], word: str, text: str) -> Stage:
        new: dict[str, Any] = {}
        match word:
            case "ARG":
                name, _, default = text.partition("=")
                variables[name] = default
            case "ENV":
                values = {**variables, **stage.environ}
                pairs = (each.split("=", 1) for each in shlex.split(text))
                given = {key: _expanded(value, values) for key, value in pairs}
                new["environ"] = {**stage.environ, **given}
            case "RUN":
                self._run(stage, {**variables, **stage.environ}, text)
            case "COPY":
                self._copy(stage, text.split())
            case "WORKDIR":
                (stage.root / text[1:]).mkdir(parents=True, exist_ok=True)
                new["folder"] = text
            case "VOLUME" | "ENTRYPOINT" | "CMD" | "HEALTHCHECK":
                new[_LISTS[word]] = tuple(json.loads(text[text.index("[") :]))
            case "USER":
                new["user"] = text
            case "EXPOSE":
                new["ports"] = tuple(text.split())
            case _:
                assert (word, text) == ("STOPSIGNAL", "SIGTERM")
        return replace(stage, **new)

    def _run(self, stage: Stage, environ: dict[str, str], text: str) -> None:
        mounts = ""
        while mount := re.match(r"--mount=type=cache,target=(\S+)\s+", text):
            kept, place = CACHE / "image" / mount[1].strip("/"), stage.root / mount[1][1:]
            kept.mkdir(parents=True, exist_ok=True)
            place.mkdir(parents=True, exist_ok=True)
            mounts += f"mount --bind {shlex.quote(str(kept))} {shlex.quote(str(place))} && "
            text = text[mount.end() :]
        host = {name: os.environ[name] for name in _HOST_VARIABLES if name in os.environ}
        inner = f"cd {shlex.quote(stage.folder)} && {text}"
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", f'{mounts}exec chroot "$@"', "sh",
             f"--userspec={stage.user}", str(stage.root), "/bin/sh", "-c", inner],
            env={"HOME": "/root", **host, **environ},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"RUN {text}\n{done.stdout}\n{done.stderr}"

    def _copy(self, stage: Stage, words: list[str]) -> None:
        source = REPOSITORY
        ignore = None
        if words[0].startswith("--from="):
            source = self.build(words.pop(0).removeprefix("--from=")).root
        else:
            ignore = _left_out
        *names, destination = words
        there = stage.root / os.path.join(stage.folder, destination).lstrip("/")  # noqa: PTH118
        for name in names:
            path = source / name.lstrip("/")
            if ignore:
                assert not is_ignored(name), f".dockerignore leaves {name} out"
            if path.is_dir() and not ignore:
                there.parent.mkdir(parents=True, exist_ok=True)
                _link(path, there)
            elif path.is_dir():
                shutil.copytree(path, there, symlinks=True, ignore=ignore, dirs_exist_ok=True)
            else:
                target = there / path.name if destination.endswith("/") else there
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)


def _link(source: Path, destination: Path) -> None:
    """Copy a folder by hard links: nothing changes a file in place, and a copy takes minutes."""
    subprocess.run(["cp", "-al", str(source), str(destination)], check=True)


def _left_out(folder: str, names: list[str]) -> set[str]:
    parent = Path(folder).relative_to(REPOSITORY)
    return {name for name in names if is_ignored(str(parent / name))}


def _expanded(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: values[found[1]], text)


@dataclass(frozen=True)
class Place:
    """What a container has besides its image."""

    network: int | None = None
    """The process whose network it shares; None: it has one of its own."""
    volumes: Mapping[str, Path] = field(default_factory=dict)
    """Folders of this machine that it may write to, by their path inside."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Files of this machine that it may read, by their path inside."""


class Container:
    """A process that has an image as its read-only root, and namespaces of its own."""

    def __init__(
        self,
        stage: Stage,
        volumes: Path,
        *command: str,
        place: Place = Place(),
        **environ: str,
    ) -> None:
        self._stage = stage
        self._environ = {**stage.environ, **environ}
        root = shlex.quote(str(stage.root))
        steps = ["mount --make-rprivate /", f"mount --bind {root} {root}"]
        uid, gid = map(int, stage.user.split(":"))
        unnamed = {path: volumes / str(number) for number, path in enumerate(stage.volumes)}
        for path, kept in {**unnamed, **place.volumes}.items():
            if not kept.exists():  # as an engine does: with the owner of what is in the image
                kept.mkdir(parents=True)
                os.chown(kept, uid, gid)
            steps.append(f"mount --bind {shlex.quote(str(kept))} {root}{path}")
        for path, file in place.files.items():
            inside = stage.root / path[1:]
            inside.parent.mkdir(parents=True, exist_ok=True)
            inside.touch()
            steps.append(f"mount --bind {shlex.quote(str(file))} {root}{path}")
        shared = ["nsenter", f"--net=/proc/{place.network}/ns/net"] if place.network else []
        own = [] if place.network else ["--net"]
        steps += [
            f"mount -t tmpfs tmpfs {root}/tmp",
            f"mount -t tmpfs tmpfs {root}/dev/shm",
            f"mount -t proc proc {root}/proc",
            f"mount -o remount,bind,ro {root}",
            f"{shlex.quote(sys.executable)} -c {shlex.quote(LOOPBACK_UP)}",
            f'exec chroot --userspec={stage.user} --groups= {root} env -C {stage.folder} "$@"',
        ]
        self.lines: list[str] = []
        self.log = (volumes / "log").open("ab")
        self._path = volumes / "log"
        self.process = subprocess.Popen(
            [*shared, "unshare", "--mount", "--pid", *own, "--fork", "--kill-child", "sh", "-c",
             " && ".join(steps), "sh", *stage.entrypoint, *(command or stage.command)],
            env=self._environ, stdout=self.log, stderr=self.log,
        )  # fmt: skip

    def output(self) -> str:
        return self._path.read_text(encoding="utf-8", errors="replace")

    @property
    def pid(self) -> int:
        """The id of the first process inside, as this machine sees it."""
        found: set[int] = wait_for(lambda: workers(self.process.pid), "the container")
        return found.pop()

    def entering(self, *command: str) -> list[str]:
        """Return the command that runs another one inside, as the image's user."""
        uid, gid = self._stage.user.split(":")
        inside = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--root", "--wd"]
        variables = [f"{name}={value}" for name, value in self._environ.items()]
        return [*inside, f"--setuid={uid}", f"--setgid={gid}", "env", "-i", *variables, *command]

    def run(self, *command: str, seconds: float = DEADLINE) -> "subprocess.CompletedProcess[str]":
        """Run a command inside, which ends within some seconds; return its result."""
        return subprocess.run(
            self.entering(*command), capture_output=True, text=True, check=False, timeout=seconds
        )

    def wait_until_healthy(self, *check: str) -> None:
        """Wait as an engine does: until the health check succeeds."""

        def healthy() -> bool:
            assert self.process.poll() is None, self.output()
            return self.run(*(check or self._stage.healthcheck)).returncode == 0

        wait_for(healthy, "health")

    def signal(self, number: int = signal.SIGTERM) -> None:
        os.kill(self.pid, number)

    def status(self) -> int:
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        if self.process.poll() is None:
            # unshare's own signal to its child was forgotten when that changed its user.
            for pid in workers(self.process.pid):
                os.kill(pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait()
        self.log.close()


@contextlib.contextmanager
def running(
    stage: Stage,
    volumes: Path,
    *command: str,
    place: Place = Place(),
    **environ: str,
) -> Iterator[Any]:
    """Run a container until the end of the block."""
    volumes.mkdir(parents=True, exist_ok=True)
    container = Container(stage, volumes, *command, place=place, **environ)
    try:
        yield container
    finally:
        container.close()
