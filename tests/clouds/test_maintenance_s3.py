"""Maintenance of tables in an S3 store, with the credentials that the catalog vends for each."""

import contextlib
import datetime as dt
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.expressions import EqualTo
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform

from jobs.lake import credentials, iceberg
from jobs.lake.credentials import RenewingCatalog
from jobs.lake.merging import Definition
from jobs.maintenance import (
    RefusedError,
    UncheckedError,
    check_partitions,
    compact,
    expire_snapshots,
    old_metadata,
    remove_orphans,
    rewrite_manifests,
)
from jobs.maintenance.command import main
from jobs.maintenance.files import list_files
from jobs.maintenance.reach import everything
from tests.catalog.serving import Server
from tests.clouds import emulators
from tests.clouds.lake import Lake, knowing_keys
from tests.maintenance.lake import (
    SCHEMA,
    Wire,
    append_each,
    in_order,
    observations,
    with_extensions,
)
from tests.processes import wait_for

NOW = dt.timedelta(0)


@dataclass
class Maintained:
    """A served lake in the store, a client that has no keys of its own, and DuckDB."""

    lake: Lake
    server: Server
    catalog: RenewingCatalog
    wire: Wire
    duck: duckdb.DuckDBPyConnection

    def make(self, name: str = "ns.t", batches: int = 3, **properties: str) -> Table:
        table = self.catalog.create_table(name, SCHEMA, properties=properties)
        append_each(table, batches)
        return table

    def rows(self, name: str) -> list[Any]:
        """Read a table with PyIceberg and with DuckDB, which must agree."""
        rows = in_order(self.catalog.load_table(name).scan().to_arrow().to_pylist())
        duck = self.duck.execute(f"SELECT * FROM lake.{name}").to_arrow_table().to_pylist()
        assert rows == in_order(duck)
        return rows

    def files(self, name: str) -> set[str]:
        """List the objects below a table's location, with the keys of the store's owner."""
        location = self.catalog.load_table(name).location()
        below = location.removeprefix(f"s3://{self.lake.s3.bucket}/{self.lake.prefix}/")
        keys = self.lake.all_keys(f"{below}/")
        return {
            f"s3://{self.lake.s3.bucket}/{self.lake.prefix}/{key}"
            for key in keys
            if not key.endswith("/")
        }

    def litter(self, name: str) -> set[str]:
        """Leave what crashed writers leave."""
        location = self.catalog.load_table(name).location()
        left = {
            f"{location}/data/left.parquet",
            f"{location}/data/day=1/deep %20.parquet",
            f"{location}/metadata/snap-1-left.avro",
            f"{location}/metadata/99999-left.metadata.json",
        }
        for path in left:
            self.lake.put(path, b"left")
        return left

    def owner(self) -> RestCatalog:
        """A client with the keys of the store, to which the catalog vends nothing."""
        header = {"header.X-Iceberg-Access-Delegation": "client-managed"}
        return RestCatalog("owner", uri=self.server.url, **header, **self.lake.properties)

    def missing(self, name: str) -> set[str]:
        return set(everything(self.catalog.load_table(name))) - self.files(name)


@pytest.fixture(scope="module")
def extensions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return with_extensions(tmp_path_factory.mktemp("extensions"))


@pytest.fixture
def kept(lake: Lake, extensions: dict[str, str]) -> Iterator[Maintained]:
    with maintained(lake, extensions) as kept:
        yield kept


@contextlib.contextmanager
def maintained(lake: Lake, extensions: dict[str, str]) -> Iterator[Maintained]:
    wire = Wire()
    with lake.serving(around=wire.around) as server, duckdb.connect(config=extensions) as duck:
        catalog = RenewingCatalog("lake", uri=server.url, warehouse="default")
        catalog.create_namespace("ns")
        duck.execute("LOAD iceberg; SET TimeZone = 'UTC'")
        duck.execute(
            f"ATTACH 'default' AS lake (TYPE iceberg, ENDPOINT '{server.url}',"
            " AUTHORIZATION_TYPE 'none')"
        )
        yield Maintained(lake, server, catalog, wire, duck)
        catalog.close()


def test_every_operation_works_with_vended_credentials(kept: Maintained) -> None:
    kept.make(batches=6, **{"write.metadata.previous-versions-max": "2"})
    kept.duck.execute("DELETE FROM lake.ns.t WHERE id < 7")
    rows = kept.rows("ns.t")
    left = kept.litter("ns.t")
    merged = compact(kept.catalog, "ns.t")
    assert merged.changed
    assert merged.after["data files"].files == 1
    append_each(kept.catalog.load_table("ns.t"), 3, first=100)
    assert rewrite_manifests(kept.catalog, "ns.t").changed
    expired = expire_snapshots(kept.catalog, "ns.t", older_than=NOW, keep_last=1)
    assert expired.deleted["data files"].files == 6
    assert expired.after["snapshots"].files == 1
    old = old_metadata(kept.catalog, "ns.t", older_than=NOW, allow_young=True, dry_run=False)
    assert set(old.deleted) == {"metadata files"}
    orphans = remove_orphans(kept.catalog, "ns.t", older_than=NOW, allow_young=True, dry_run=False)
    assert orphans.deleted["other files"].files == 3
    assert not left & kept.files("ns.t")
    assert not kept.missing("ns.t")
    assert kept.rows("ns.t") == in_order(
        [dict(zip(("id", "station", "temperature"), row, strict=True)) for row in rows]
        + observations(100, 30).to_pylist()
    )
    # Nothing is left that nothing refers to.
    assert kept.files("ns.t") == set(everything(kept.catalog.load_table("ns.t")))


def test_the_command_needs_the_catalogs_address_alone(
    kept: Maintained, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    kept.make()
    kept.make("ns.other")
    arguments = ["--catalog-uri", kept.server.url, "--json", "compact", "--all", "ns.*"]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    results = json.loads(done.stdout)
    assert [result["after"]["data files"]["files"] for result in results] == [1, 1]


def test_a_dry_run_and_a_young_orphan_delete_nothing(kept: Maintained) -> None:
    kept.make()
    left = kept.litter("ns.t")
    would = remove_orphans(kept.catalog, "ns.t", older_than=NOW, allow_young=True)
    assert would.deleted["other files"].files == 3
    young = remove_orphans(kept.catalog, "ns.t", dry_run=False)
    assert young.skipped[0].what == "4 unreferenced files"
    assert left <= kept.files("ns.t")


def test_a_sibling_whose_name_begins_alike_is_not_listed(kept: Maintained) -> None:
    location = f"{kept.lake.location}/ns/orders"
    names = {"ns.a": location, "ns.b": f"{location}2", "ns.c": f"{location}-old"}
    for name, where in names.items():
        append_each(kept.catalog.create_table(name, SCHEMA, location=where), 1)
    others = kept.files("ns.b") | kept.files("ns.c")
    left = kept.litter("ns.a") | kept.litter("ns.b")
    remove_orphans(kept.catalog, "ns.a", older_than=NOW, allow_young=True, dry_run=False)
    assert others <= kept.files("ns.b") | kept.files("ns.c")
    assert len(left & kept.files("ns.b")) == 4
    assert not left & kept.files("ns.a")


def test_credentials_of_one_table_list_no_other(kept: Maintained) -> None:
    mine, other = kept.make(), kept.make("ns.other")
    assert list_files(mine.io, mine.location())
    for location in (other.location(), kept.lake.location, f"s3://{kept.lake.s3.bucket}"):
        with pytest.raises(RefusedError, match="cannot list"):
            list_files(mine.io, location)


def test_files_that_another_table_took_over_stay(kept: Maintained) -> None:
    """``add_files`` needs keys of its own: vended credentials open one table."""
    table = kept.make()
    taken = table.inspect.files().to_pylist()[0]["file_path"]
    kept.catalog.create_table("ns.taker", SCHEMA)
    owner = kept.owner()
    owner.load_table("ns.taker").add_files([taken])
    table.delete(EqualTo("station", "KA"))  # type: ignore[arg-type, call-arg]
    table.overwrite(observations(0, 1))
    expired = expire_snapshots(kept.catalog, "ns.t", older_than=NOW, keep_last=1)
    assert taken in kept.files("ns.t")
    assert any("another table reaches them" in skip.why for skip in expired.skipped)
    remove_orphans(kept.catalog, "ns.t", older_than=NOW, allow_young=True, dry_run=False)
    assert taken in kept.files("ns.t")
    assert len(owner.load_table("ns.taker").scan().to_arrow()) == 10
    owner.close()


def test_what_cannot_be_compared_is_refused(kept: Maintained) -> None:
    kept.make().overwrite(observations(0, 1))
    other = kept.make("ns.other")
    snapshot = other.current_snapshot()
    assert snapshot is not None
    kept.lake.delete(snapshot.manifest_list)
    left, files = kept.litter("ns.t"), kept.files("ns.t")
    with pytest.raises(UncheckedError, match=r"the manifests of ns\.other cannot be read"):
        remove_orphans(kept.catalog, "ns.t", older_than=NOW, allow_young=True, dry_run=False)
    with pytest.raises(UncheckedError, match="deleted nothing"):
        expire_snapshots(kept.catalog, "ns.t", older_than=NOW, keep_last=1)
    assert left <= kept.files("ns.t") == files


def test_the_empty_object_that_arrow_leaves_for_a_folder_is_no_finding(lake: Lake) -> None:
    with lake.serving() as server:
        server.namespace("ns")
        marker = f"{lake.location}/ns/purged-1/metadata/"
        lake.put(marker, b"")
        assert "warehouse/ns/purged-1/metadata/" in lake.all_keys()
        assert lake.findings() == []


def test_partitions_are_checked(kept: Maintained) -> None:
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "station"))
    table = kept.catalog.create_table("ns.t", SCHEMA, partition_spec=spec)
    append_each(table, 2)
    checked = check_partitions(kept.catalog, "ns.t")
    assert not checked.found
    assert checked.before["data files"].files == 6
    compact(kept.catalog, "ns.t")
    assert not check_partitions(kept.catalog, "ns.t").found


def test_credentials_are_renewed_amid_an_operation(
    kept: Maintained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock says that they end soon, so the catalog is asked for others."""
    kept.make()
    table = kept.catalog.load_table("ns.t")
    asked: list[str] = []
    kept.wire.before.append(lambda _verb, path: asked.append(path))
    # Only that module's clock: the server of this process would close idle connections by it.
    soon = SimpleNamespace(time=lambda: time.time() + 3500)
    monkeypatch.setattr(credentials, "time", soon)
    assert len(table.scan().to_arrow()) == 30
    assert [path.rpartition("/")[2] for path in asked] == ["credentials"]


TABLE = Definition(
    name="ns.t",
    doc="a table",
    schema=pa.schema([pa.field("id", pa.string(), nullable=False)]),
    key=("id",),
    prefer="newest",
)


def test_a_load_starts_over_when_its_credentials_have_ended(
    tmp_path: Path, extensions: dict[str, str]
) -> None:
    """A store that ends sessions earlier than it promised, as AWS does when they are revoked."""
    with (
        emulators.s3("--session-seconds", "2") as store,
        knowing_keys(store),
        maintained(Lake(tmp_path, store), extensions) as kept,
    ):
        first, second = (pa.table([[name]], schema=TABLE.schema) for name in "ab")
        assert iceberg.load(kept.catalog, TABLE, first, load_id="1").committed
        _wait_until_refused(kept.catalog.load_table("ns.t"))
        loads: list[str] = []

        def forget(verb: str, path: str) -> None:
            if (verb, path.rpartition("/")[2]) == ("GET", "t"):
                loads.append(path)
                if len(loads) == 2:  # the catalog vends others, as it does after half of their life
                    issued = kept.server.catalog.issued._kept
                    issued.forget(*issued._values)

        kept.wire.before.append(forget)
        assert iceberg.load(kept.catalog, TABLE, second, load_id="2").committed
        assert len(loads) >= 2
        kept.wire.before.clear()
        rows = kept.catalog.load_table("ns.t").scan().to_arrow()
        assert sorted(rows.column("id").to_pylist()) == ["a", "b"]


def _wait_until_refused(table: Table) -> None:
    """Wait until the store takes a table's credentials no more."""

    def is_refused() -> bool:
        try:
            len(table.io.new_input(table.metadata_location))
        except OSError as error:
            return credentials.refused(error)
        return False

    wait_for(is_refused)
