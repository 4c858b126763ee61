"""The cases that only a real cloud can prove, on one that environment variables name.

``CLOUD_AWS_LOCATION``, ``CLOUD_GCP_LOCATION`` or ``CLOUD_AZURE_LOCATION`` is a prefix for the tests
to write to; each other setting of a warehouse is named in the same way (``CLOUD_AWS_REGION`` …).
What is on an emulator here proves only that the cases themselves are right.
"""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import obstore
import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog

from falcon_catalog.catalog.storage_check.check import Target, check
from falcon_catalog.catalog.storage_check.symptoms import is_refusal
from falcon_catalog.errors import BadRequestError, ServiceUnavailableError
from falcon_catalog.fileio.base import FileIO
from falcon_catalog.fileio.client import ClientStore, open_client_store
from falcon_catalog.fileio.delegation import Credential, Permission, Scope
from falcon_catalog.fileio.opening import open_storage
from falcon_catalog.fileio.storage import Storage
from falcon_catalog.locations import OBJECT_STORES, parse
from falcon_catalog.settings import StorageSettings
from falcon_catalog.settings.sections import STORAGE_SETTINGS
from tests.catalog.serving import serving
from tests.clouds.emulators import S3
from tests.clouds.lake import knowing_keys
from tests.fileio.contract import Contract

REAL = [
    pytest.param(name, marks=getattr(pytest.mark, f"cloud_{name}"), id=name)
    for name in ("aws", "gcp", "azure")
]


def named_by_environment(cloud: str) -> StorageSettings:
    """Return the settings of the warehouse that the environment names; skip if there is none."""
    prefix = f"CLOUD_{cloud.upper()}_"
    given = {
        name: setting.rule(os.environ[f"{prefix}{name.upper()}"])
        for setting in STORAGE_SETTINGS
        if f"{prefix}{(name := setting.key.partition('.')[2]).upper()}" in os.environ
    }
    if "location" not in given:
        pytest.skip(f"{prefix}LOCATION is not set, see docs/storage.md")
    return StorageSettings(**given)


@pytest.fixture(params=["emulator", *REAL])
def warehouse(request: pytest.FixtureRequest) -> Iterator[StorageSettings]:
    """The settings of a warehouse in a folder of the test's own, which is emptied in the end."""
    if request.param == "emulator":
        s3: S3 = request.getfixturevalue("s3")
        with knowing_keys(s3):
            own = {"location": f"s3://{s3.bucket}/{uuid.uuid4()}", "credential": "env:LAKE"}
            yield StorageSettings(**own, **s3.settings())
        return
    settings = named_by_environment(request.param)
    root = f"{settings.location}/{uuid.uuid4()}"
    yield replace(settings, location=root)
    empty(open_storage("lake", settings), root)


def empty(storage: Storage, root: str) -> None:
    """Delete all that is left in a folder."""
    folders = [root]
    while folders:
        for entry in list(storage.files.list(folders.pop())):
            if entry.kind == "folder":
                folders.append(entry.location)
            else:
                storage.files.delete(entry.location)


@pytest.fixture
def storage(warehouse: StorageSettings) -> Storage:
    return open_storage("lake", warehouse)


def vended(
    storage: Storage, settings: StorageSettings, table: str, permission: Permission = "write"
) -> tuple[Credential, ClientStore]:
    """Return a new credential for a table, and a store that has nothing else."""
    if storage.vends is None:
        pytest.skip(f"access = {settings.access}")
    credential = storage.vends.vend(Scope((table,), permission), session="real-clouds")
    return credential, open_client_store(table, credential.config, settings)


def key(location: str) -> str:
    return parse(location, OBJECT_STORES).path


def test_every_check_passes(warehouse: StorageSettings) -> None:
    report = check(Target("lake", warehouse))
    # A credential for a container opens other tables: the check is right to fail.
    is_open = warehouse.kind == "abfss" and not warehouse.hierarchical
    expected = {"vended-outside", "vended-sibling"} if is_open else set()
    assert {each.check for each in report.results if each.outcome == "failed"} == expected


class TestFiles(Contract):
    """The contract of FileIO; that of the emulators is in test_fileio.py and its like."""

    @pytest.fixture(params=REAL)
    def settings(self, request: pytest.FixtureRequest) -> StorageSettings:
        return named_by_environment(request.param)

    @pytest.fixture
    def files(self, settings: StorageSettings) -> FileIO:
        return open_storage("lake", settings).files

    @pytest.fixture
    def root(self, settings: StorageSettings) -> Iterator[str]:
        root = f"{settings.location}/{uuid.uuid4()}"
        yield root
        empty(open_storage("lake", settings), root)


def test_twenty_megabytes_are_uploaded_in_parts(
    warehouse: StorageSettings, storage: Storage
) -> None:
    table = f"{warehouse.location}/parts"
    _, client = vended(storage, warehouse, table)
    content = uuid.uuid4().bytes * (20 << 16)
    chunk = 5 << 20
    obstore.put(client.store, key(f"{table}/x"), content, use_multipart=True, chunk_size=chunk)
    assert client.read(key(f"{table}/x")) == content


@pytest.mark.parametrize("name", ["a*b", "a?b", "a'b", 'a"b', "a$b", "a b", "ä"])
def test_what_a_language_of_policies_would_read_otherwise(
    warehouse: StorageSettings, storage: Storage, name: str
) -> None:
    """Case 3 and 5: a name is a name, and opens no other table."""
    table = f"{warehouse.location}/{name}"
    try:
        storage.files.create(f"{table}/x", b"own")
    except BadRequestError:
        pytest.skip("no location may have this name")
    other = f"{warehouse.location}/axb"
    storage.files.create(f"{other}/x", b"foreign")
    _, client = vended(storage, warehouse, table)
    assert client.read(key(f"{table}/x")) == b"own"
    if warehouse.kind == "abfss" and not warehouse.hierarchical:
        return
    with pytest.raises(Exception) as refused:  # noqa: PT011 - obstore's
        client.read(key(f"{other}/x"))
    assert is_refusal(refused.value)


def test_the_longest_location_of_our_own(warehouse: StorageSettings, storage: Storage) -> None:
    """AWS packs a session policy, and nobody else knows how long it may be."""
    depth = 512 - len(key(warehouse.location)) - 1
    table = f"{warehouse.location}/{'n' * (depth // 2)}/{'t' * (depth - depth // 2 - 1)}"
    assert len(key(table)) == 512
    _, client = vended(storage, warehouse, table)
    client.write(key(f"{table}/x"), b"1")
    assert client.read(key(f"{table}/x")) == b"1"


def test_each_credential_is_new_and_lives_long_enough(
    warehouse: StorageSettings, storage: Storage
) -> None:
    table = f"{warehouse.location}/t"
    first, _ = vended(storage, warehouse, table)
    time.sleep(1.1)  # a signature of the same second is the same
    second, _ = vended(storage, warehouse, table)
    assert first.config != second.config
    assert second.expires_at - time.time() * 1000 > 0.9 * 1000 * min(warehouse.vend_seconds, 3600)


def test_a_wrong_external_id_is_refused(warehouse: StorageSettings) -> None:
    if not warehouse.external_id:
        pytest.skip("external_id is not set")
    wrong = open_storage("lake", replace(warehouse, external_id=f"not-{warehouse.external_id}"))
    assert wrong.vends is not None
    with pytest.raises(ServiceUnavailableError, match="AssumeRole"):
        wrong.vends.vend(Scope((f"{warehouse.location}/t",), "read"), session="real-clouds")


def test_a_client_that_knows_the_catalog_alone(warehouse: StorageSettings, tmp_path: Path) -> None:
    defaults = asdict(StorageSettings(location="s3://x"))
    given = {n: v for n, v in asdict(warehouse).items() if n != "given" and v != defaults[n]}
    served = {f"warehouse__{name}": value for name, value in given.items()}
    none: dict[str, Any] = {"warehouse__allowed_locations": ()}
    with serving(tmp_path, **{**none, **served}) as server:
        catalog = load_catalog("real", type="rest", uri=server.url)
        catalog.create_namespace("ns")
        rows = pa.table({"n": pa.array(range(1000), pa.int64())})
        table = catalog.create_table("ns.t", rows.schema)
        table.append(rows)
        table.append(rows)
        assert catalog.load_table("ns.t").scan().to_arrow().num_rows == 2000
        catalog.purge_table("ns.t")
        with suppress(Exception):  # the credential of the client ends by itself
            catalog.close()
