"""Emulators of object stores, each a process of its own on 127.0.0.1 that the tests end."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class S3:
    """An S3 store with STS that checks signatures, policies and session policies."""

    url: str
    region: str
    buckets: tuple[str, ...]
    access_key_id: str
    secret_access_key: str = field(repr=False)
    role_arn: str
    process: subprocess.Popen[str] = field(repr=False)

    @property
    def bucket(self) -> str:
        """The first bucket."""
        return self.buckets[0]

    def settings(self) -> dict[str, Any]:
        """Return settings of a warehouse on it, but for its location and credential."""
        return {
            "region": self.region,
            "endpoint": self.url,
            "path_style": True,
            "role_arn": self.role_arn,
        }

    def environ(self, prefix: str = "AWS") -> dict[str, str]:
        """Return the variables that ``credential = "env:PREFIX"`` reads; AWS: those of ambient."""
        return {
            f"{prefix}_ACCESS_KEY_ID": self.access_key_id,
            f"{prefix}_SECRET_ACCESS_KEY": self.secret_access_key,
        }


@contextlib.contextmanager
def s3(*arguments: str) -> Iterator[S3]:
    """Start ``jobs.s3_emulator`` with these arguments, and end it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.s3_emulator", *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, "the emulator ended before it served"
        made = json.loads(line)
        yield S3(**{**made, "buckets": tuple(made["buckets"])}, process=process)
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()
