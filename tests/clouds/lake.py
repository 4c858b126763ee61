"""A catalog whose warehouse is in an S3 store, beside one in a folder, and its operator."""

import contextlib
import json
import os
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from click.testing import CliRunner

from falcon_catalog.cli import main
from tests.catalog.serving import Server, serving
from tests.clouds import emulators


@dataclass
class Lake:
    """The folder of a catalog, and the prefix in a bucket that holds its tables."""

    folder: Path
    s3: emulators.S3
    prefix: str = field(default_factory=lambda: str(uuid.uuid4()))
    more: dict[str, Any] = field(default_factory=dict)
    """More settings of the warehouse."""

    @property
    def location(self) -> str:
        return f"s3://{self.s3.bucket}/{self.prefix}/warehouse"

    @property
    def warehouse(self) -> dict[str, Any]:
        """The settings of the warehouse."""
        return {
            "location": self.location,
            "credential": "env:LAKE",
            "allowed_locations": [f"s3://{self.s3.bucket}/{self.prefix}/more"],
            **self.s3.settings(),
            "timeout": 3,
            **self.more,
        }

    @contextlib.contextmanager
    def serving(self, **settings: Any) -> Iterator[Server]:
        """Serve the catalog, with a local warehouse ``local`` beside it."""
        own = {f"warehouse__{name}": value for name, value in self.warehouse.items()}
        beside = {"warehouse__more": [f"local={self.folder}/local"]}
        with serving(self.folder, **{**own, **beside, **settings}) as server:
            yield server

    @property
    def config(self) -> Path:
        """A settings file that says the same as ``serving``."""
        values = {**self.warehouse, "more": [f"local={self.folder}/local"]}
        path = self.folder / "catalog.toml"
        lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
        store = f'[store]\nurl = "sqlite:///{self.folder}/catalog.db"\n'
        path.write_text(store + "[warehouse]\n" + "\n".join(lines) + "\n", encoding="utf-8")
        return path

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run a command; return its status, and what it wrote to stdout and stderr."""
        command, *more = words
        told = [command, "--config", str(self.config), *more]
        result = CliRunner().invoke(main, told, catch_exceptions=False)
        return result.exit_code, result.stdout, result.stderr

    def findings(self, *words: str) -> list[tuple[str, str, str | None]]:
        """Run the doctor; return check, subject and repair of what it found."""
        _, out, err = self.run("doctor", "--json", *words)
        assert out, err
        found = json.loads(out)["findings"]
        return [(one["check"], one["subject"], one["repair"]) for one in found]

    def sql(self, statement: str, *parameters: Any) -> list[Any]:
        """Read or change the database behind everybody's back."""
        with contextlib.closing(
            sqlite3.connect(self.folder / "catalog.db", isolation_level=None)
        ) as connection:
            return connection.execute(statement, parameters).fetchall()

    @property
    def client(self) -> Any:
        """A client of the store that may do everything."""
        return boto3.client(
            "s3",
            endpoint_url=self.s3.url,
            region_name=self.s3.region,
            aws_access_key_id=self.s3.access_key_id,
            aws_secret_access_key=self.s3.secret_access_key,
        )

    def all_keys(self, below: str = "") -> list[str]:
        """Return the keys of all objects below the lake's prefix, without it."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.s3.bucket, Prefix=f"{self.prefix}/{below}"
        )
        found = (each["Key"] for page in pages for each in page.get("Contents", ()))
        return sorted(key.removeprefix(f"{self.prefix}/") for key in found)

    def put(self, location: str, content: bytes) -> None:
        bucket, _, key = location.removeprefix("s3://").partition("/")
        self.client.put_object(Bucket=bucket, Key=key, Body=content)

    def get(self, location: str) -> bytes:
        bucket, _, key = location.removeprefix("s3://").partition("/")
        return bytes(self.client.get_object(Bucket=bucket, Key=key)["Body"].read())

    def delete(self, location: str) -> None:
        bucket, _, key = location.removeprefix("s3://").partition("/")
        self.client.delete_object(Bucket=bucket, Key=key)

    @property
    def properties(self) -> dict[str, str]:
        """What PyIceberg needs to reach the store with keys of its own."""
        return {
            "s3.endpoint": self.s3.url,
            "s3.region": self.s3.region,
            "s3.access-key-id": self.s3.access_key_id,
            "s3.secret-access-key": self.s3.secret_access_key,
            "s3.path-style-access": "true",
        }


@contextlib.contextmanager
def knowing_keys(s3: emulators.S3) -> Iterator[None]:
    """Let ``env:LAKE`` name the store's keys, in this process and those that it starts."""
    own = s3.environ("LAKE")
    os.environ |= own
    try:
        yield
    finally:
        for name in own:
            del os.environ[name]
