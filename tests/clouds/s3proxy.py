"""s3proxy as a second opinion of signatures, where Java and Maven are."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.s3proxy import KEYS, REGION, S3Proxy, missing_tools, serving

__all__ = ["KEYS", "REGION", "S3Proxy", "s3proxy"]


@contextlib.contextmanager
def s3proxy(folder: Path, domain: str = "") -> Iterator[S3Proxy]:
    """Serve a bucket from a folder, in path style or below a domain; skip where that cannot be."""
    if missing := missing_tools():
        pytest.skip(missing)
    with serving(folder, domain) as served:
        yield served
