"""Catalogs on an S3 store, for what is measured on an object store."""

import contextlib
import importlib.util
import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import s3proxy, servers
from benchmarks.processes import Server, python
from benchmarks.tables import open_namespace

if TYPE_CHECKING:
    from obstore.store import S3Store

MISSING = "" if importlib.util.find_spec("moto") else "moto is missing: pip install .[emulators]"
"""Why there is no store that vends credentials, or nothing."""


@dataclass(frozen=True)
class Store:
    """A running S3 store with a bucket ``lake``."""

    name: str
    pid: int
    url: str
    region: str
    keys: tuple[str, str]
    role: str = ""
    """The ARN of a role that its keys may assume."""

    def location(self, name: str) -> str:
        """Return a location in the bucket."""
        return f"s3://{s3proxy.BUCKET}/{name}"

    def bucket(self) -> "S3Store":
        """Return the bucket as obstore reaches it."""
        from obstore.store import S3Store  # noqa: PLC0415 - in the extra s3

        return S3Store(
            s3proxy.BUCKET,
            endpoint=self.url,
            region=self.region,
            access_key_id=self.keys[0],
            secret_access_key=self.keys[1],
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )

    def holding(self, server: Server, location: str) -> Server:
        """Return a server of which the tables are at a location in the bucket."""
        bucket = self.bucket()

        def write(file: str, content: bytes) -> None:
            bucket.put(file.removeprefix(self.location("")), content)

        return replace(server, warehouse=location, write=write)


@contextlib.contextmanager
def emulator() -> Iterator[Store]:
    """Run the S3 emulator of the tests, which has roles and sessions."""
    command = python("jobs.s3_emulator", "--bucket", s3proxy.BUCKET)
    # The benchmark's own arguments.
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603
        try:
            made = json.loads(process.stdout.readline() if process.stdout else b"")
            keys = (made["access_key_id"], made["secret_access_key"])
            yield Store("moto", process.pid, made["url"], made["region"], keys, made["role_arn"])
        finally:
            process.terminate()


@contextlib.contextmanager
def proxy(folder: Path) -> Iterator[Store]:
    """Run s3proxy, which has no roles, and answers eight clients five times as fast."""
    with s3proxy.serving(folder) as served:
        name, url = f"s3proxy {s3proxy.VERSION}", f"http://{served.address}"
        yield Store(name, served.pid, url, s3proxy.REGION, s3proxy.KEYS)


@contextlib.contextmanager
def ours(
    place: Path,
    store: Store,
    *,
    access: str,
    role: str = "",
    database: str | None = None,
    processes: int = 1,
) -> Iterator[Server]:
    """Serve our catalog with a warehouse of its own in a store's bucket.

    ``database`` is the URL of the catalog's own store, if that is no file.
    """
    settings = {
        "warehouse.access": access,
        "warehouse.credential": "env:BENCH",
        "warehouse.region": store.region,
        "warehouse.endpoint": store.url,
        "warehouse.path_style": "true",
        **({"warehouse.role_arn": role} if role else {}),
    }
    variables = ("BENCH_ACCESS_KEY_ID", "BENCH_SECRET_ACCESS_KEY")
    environ = dict(zip(variables, store.keys, strict=True))
    location = store.location(place.name)
    serving = servers.ours(
        place,
        store=database,
        location=location,
        settings=settings,
        processes=processes,
        environ=environ,
    )
    with serving as server:
        open_namespace(server)
        yield store.holding(server, location)


@contextlib.contextmanager
def naive(place: Path, store: Store) -> Iterator[Server]:
    """Serve the naive wrapper with a warehouse of its own in a store's bucket."""
    prefix = "PYICEBERG_CATALOG__NAIVE__S3__"
    environ = _variables(prefix, store, "ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
    location = store.location(place.name)
    with servers.naive(place, location=location, environ=environ) as server:
        open_namespace(server)
        yield store.holding(server, location)


@contextlib.contextmanager
def apache(place: Path, store: Store, classpath: str) -> Iterator[Server]:
    """Serve Apache's catalog with a warehouse of its own in a store's bucket."""
    prefix = "CATALOG_S3_"  # two underscores are a hyphen
    environ = {
        **_variables(prefix, store, "ACCESS__KEY__ID", "SECRET__ACCESS__KEY"),
        "CATALOG_CLIENT_REGION": store.region,
        "CATALOG_S3_PATH__STYLE__ACCESS": "true",
        "CATALOG_IO__IMPL": "org.apache.iceberg.aws.s3.S3FileIO",
    }
    location = store.location(place.name)
    with servers.apache(place, classpath, location=location, environ=environ) as server:
        open_namespace(server)
        yield store.holding(server, location)


def _variables(prefix: str, store: Store, *keys: str) -> Mapping[str, str]:
    """Return variables with a catalog's properties: where the store is, its region and keys."""
    names = ("ENDPOINT", "REGION", *keys)
    values = (store.url, store.region, *store.keys)
    return {f"{prefix}{name}": value for name, value in zip(names, values, strict=True)}
