"""A PostgreSQL cluster of the tests' own, on loopback, that ends with them."""

import atexit
import functools

import pytest

from benchmarks import cluster


def require() -> None:
    """Skip the test where PostgreSQL cannot run."""
    if reason := cluster.missing():
        pytest.skip(reason)


class Cluster(cluster.Cluster):
    """A cluster, running or not; the test is skipped where there is none."""

    def __init__(self, *options: str, durable: bool = False) -> None:
        require()
        super().__init__(*options, durable=durable)


@functools.cache
def shared() -> Cluster:
    """Return the cluster of this process's tests, which runs until the process ends."""
    cluster = Cluster()
    atexit.register(remove_shared)  # where no pytest runs
    cluster.create()
    cluster.start()
    return cluster


def remove_shared() -> None:
    """Remove the cluster of this process's tests, if there is one."""
    if shared.cache_info().currsize:
        shared().remove()
        shared.cache_clear()


def store_url(name: str) -> str:
    """Return the URL of a store in a schema of its own, which is made if it is new."""
    return shared().schema(name)
