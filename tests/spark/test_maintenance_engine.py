"""``jobs.maintenance`` with ``--engine spark``: results and safeguards of the built-in engine."""

import datetime as dt
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.rest import RestCatalog

from falcon_catalog.engines import SPARK_PACKAGE
from jobs.maintenance import (
    Plan,
    RefusedError,
    expire_snapshots,
    spark,
)
from jobs.maintenance.errors import LostRaceError, OutcomeUnknownError, SparkError
from jobs.maintenance.names import parse
from jobs.maintenance.spark.calls import explained
from jobs.spark import session
from tests.spark.conftest import REPOSITORY, SPARK_DEFAULTS
from tests.spark.running import Lake

DAY = 86_400  # seconds
NOW = dt.timedelta(0)
ROWS = [(0,), (1,), (2,), (3,)]


@pytest.fixture(scope="session")
def catalog(lake: Lake) -> RestCatalog:
    return RestCatalog("lake", uri=lake.url, warehouse="default")


@pytest.fixture(scope="session")
def engine(spark: Any, catalog: RestCatalog) -> Any:
    """A session of its own in the running Spark, with the settings of ``--engine spark``."""
    return make_engine(spark, catalog)


def make_engine(running: Any, catalog: RestCatalog) -> spark.Spark:
    return spark.Spark(session.connect(running.newSession(), catalog.properties))


@pytest.fixture
def small(request: pytest.FixtureRequest, ns: str, sql: Any) -> str:
    """A table of four files with a row each, the last of which is deleted, as ``ns.s``."""
    version = getattr(request, "param", 2)
    sql(
        f"CREATE TABLE {ns}.s (id INT) TBLPROPERTIES "
        f"('format-version' = '{version}', 'write.delete.mode' = 'merge-on-read')"
    )
    for number in range(3):
        sql(f"INSERT INTO {ns}.s VALUES ({number})")
    sql(f"INSERT INTO {ns}.s SELECT /*+ COALESCE(1) */ * FROM VALUES (3), (99)")
    sql(f"DELETE FROM {ns}.s WHERE id = 99")
    return f"{ns}.s".removeprefix("lake.")


def test_the_runtime_is_the_one_that_the_catalog_recommends() -> None:
    assert session.RUNTIME == SPARK_PACKAGE
    bundles = session.packages(["s3://a/b", "s3a://a/c", "abfss://x@y/z"])
    assert [name.split(":")[1] for name in bundles.split(",")] == [
        "iceberg-spark-runtime-4.1_2.13",
        "iceberg-aws-bundle",
        "iceberg-azure-bundle",
    ]


@pytest.mark.parametrize("small", [2, 3], ids=["v2", "v3"], indirect=True)
def test_compact(small: str, engine: Any, catalog: RestCatalog, sql: Any) -> None:
    lines: list[str] = []
    result = spark.compact(engine, catalog, small, Plan(rewrite_all=True), progress=lines.append)
    assert result.before["data files"].files == 4
    assert result.before["delete files"].files == 1
    assert result.after["data files"].files == 1
    assert result.after["delete files"].files == 0
    assert result.after["data files"].bytes > 0
    table = catalog.load_table(small)
    assert result.snapshots[-1] == table.metadata.current_snapshot_id
    assert result.changed
    assert "4 data files" in result.notes[0]
    assert lines
    assert sql(f"SELECT * FROM lake.{small} ORDER BY id") == ROWS
    again = spark.compact(engine, catalog, small)
    assert (again.snapshots, again.changed) == ((), False)


def test_compact_sorts_and_keeps_to_a_branch(
    ns: str, engine: Any, catalog: RestCatalog, sql: Any
) -> None:
    sql(f"CREATE TABLE {ns}.t (id INT, `odd name` STRING)")
    sql(f"INSERT INTO {ns}.t SELECT /*+ COALESCE(1) */ * FROM VALUES (1, 'b'), (2, NULL)")
    sql(f"ALTER TABLE {ns}.t CREATE BRANCH side")
    sql(
        f"INSERT INTO {ns}.t.branch_side SELECT /*+ COALESCE(1) */ * FROM VALUES (3, 'c'), (4, 'a')"
    )
    name = f"{ns}.t".removeprefix("lake.")
    main = catalog.load_table(name).metadata.current_snapshot_id
    plan = Plan(rewrite_all=True, sort="odd name desc nulls last")
    result = spark.compact(engine, catalog, name, plan, branch="side")
    assert (result.before["data files"].files, result.after["data files"].files) == (2, 1)
    table = catalog.load_table(name)
    assert table.metadata.current_snapshot_id == main
    rows = table.scan().use_ref("side").to_arrow()
    assert rows.column("odd name").to_pylist() == ["c", "b", "a", None]
    with pytest.raises(RefusedError, match="no branch 'none'"):
        spark.compact(engine, catalog, name, branch="none")
    with pytest.raises(RefusedError, match="cannot sort by 'x'"):
        spark.compact(engine, catalog, name, Plan(sort="x"))


def test_rewrite_manifests(small: str, engine: Any, catalog: RestCatalog, sql: Any) -> None:
    result = spark.rewrite_manifests(engine, catalog, small)
    assert result.before["manifests of data files"].files == 4
    assert result.after["manifests of data files"].files == 1
    assert result.snapshots == (catalog.load_table(small).metadata.current_snapshot_id,)
    again = spark.rewrite_manifests(engine, catalog, small)
    assert not again.changed
    assert "would not become fewer" in again.skipped[0].why
    assert sql(f"SELECT * FROM lake.{small} ORDER BY id") == ROWS


def test_compute_stats(small: str, engine: Any, catalog: RestCatalog) -> None:
    result = spark.compute_stats(engine, catalog, small, columns=("id",))
    assert (result.before["statistics files"].files, result.after["statistics files"].files) == (
        0,
        1,
    )
    assert result.changed
    with pytest.raises(RefusedError, match="no column 'x'; it has id"):
        spark.compute_stats(engine, catalog, small, columns=("x",))


def test_expire_snapshots_keeps_refs_and_says_what_it_deleted(
    small: str, engine: Any, catalog: RestCatalog, sql: Any, lake: Lake
) -> None:
    first = catalog.load_table(small).snapshots()[0].snapshot_id
    sql(f"ALTER TABLE lake.{small} CREATE TAG kept AS OF VERSION {first}")
    spark.compact(engine, catalog, small, Plan(rewrite_all=True))
    before = lake.data_files(f"lake.{small}")
    preview = spark.expire_snapshots(
        engine, catalog, small, older_than=NOW, keep_last=1, dry_run=True
    )
    own = expire_snapshots(catalog, small, older_than=NOW, keep_last=1, dry_run=True)
    assert preview.notes[0].startswith(own.notes[0])
    assert lake.data_files(f"lake.{small}") == before
    result = spark.expire_snapshots(engine, catalog, small, older_than=NOW, keep_last=1)
    table = catalog.load_table(small)
    assert {s.snapshot_id for s in table.snapshots()} == {first, table.metadata.current_snapshot_id}
    assert result.after["snapshots"].files == 2
    assert result.deleted.keys() == {kind for kind in own.deleted if kind != "metadata files"}
    assert {k: v.files for k, v in result.deleted.items()} == {
        k: v.files for k, v in own.deleted.items()
    }
    assert len(lake.data_files(f"lake.{small}")) == 2 < len(before)
    assert sql(f"SELECT * FROM lake.{small} VERSION AS OF 'kept'") == [(0,)]
    again = spark.expire_snapshots(engine, catalog, small, older_than=NOW, keep_last=1)
    assert again.skipped[0].why == "no snapshot is old enough and not needed"


def test_expire_snapshots_refuses_what_would_take_files_from_others(
    ns: str, engine: Any, catalog: RestCatalog, sql: Any, lake: Lake
) -> None:
    """The built-in engine keeps such files; a procedure on one table cannot."""
    name, other = f"{ns}.t".removeprefix("lake."), f"{ns}.other".removeprefix("lake.")
    for table in (name, other):
        sql(f"CREATE TABLE lake.{table} (id INT)")
    sql(f"INSERT INTO lake.{name} VALUES (1)")
    (path,) = lake.data_files(f"lake.{name}")
    catalog.load_table(other).add_files([f"file://{path}"])
    sql(f"INSERT OVERWRITE lake.{name} VALUES (2)")
    for dry_run in (True, False):
        with pytest.raises(RefusedError, match=rf"{other} reaches 1 files of {name}, .*builtin"):
            spark.expire_snapshots(engine, catalog, name, older_than=NOW, dry_run=dry_run)
        # Nor may the table that took the file delete it.
        sql(f"INSERT INTO lake.{other} VALUES (3)")
        with pytest.raises(RefusedError, match=rf"1 files of {other} lie outside .*builtin"):
            spark.expire_snapshots(engine, catalog, other, older_than=NOW, dry_run=dry_run)
    assert path.exists()
    assert len(catalog.load_table(name).snapshots()) > 1
    catalog.drop_table(other)
    assert spark.expire_snapshots(engine, catalog, name, older_than=NOW).deleted
    assert not path.exists()


def test_remove_orphans_deletes_what_the_built_in_engine_would(
    small: str, engine: Any, catalog: RestCatalog, sql: Any, lake: Lake
) -> None:
    live = lake.data_files(f"lake.{small}")
    folder = next(iter(live)).parent
    orphan, fresh, hidden = (folder / name for name in ("a.parquet", "b.parquet", "_c.parquet"))
    namesake = folder / "copy" / next(iter(live)).name
    link = folder / "link.parquet"
    namesake.parent.mkdir()
    for path in (orphan, fresh, hidden, namesake):
        path.write_bytes(b"nothing refers to this")
    link.symlink_to(next(iter(live)))
    (folder / "again").symlink_to(folder)
    for path in (orphan, hidden, namesake, *live):
        os.utime(path, (time.time() - 4 * DAY,) * 2)
    dry = spark.remove_orphans(engine, catalog, small)
    assert orphan.exists()
    result = spark.remove_orphans(engine, catalog, small, dry_run=False)
    assert dry.deleted == result.deleted
    assert {kind: (s.files, s.bytes) for kind, s in result.deleted.items()} == {
        "other files": (1, len(b"nothing refers to this"))
    }
    assert not orphan.exists()
    assert all(path.exists() for path in (fresh, hidden, namesake, link, *live))
    assert any("bear the names" in skip.why for skip in result.skipped)
    assert sql(f"SELECT * FROM lake.{small} ORDER BY id") == ROWS


def test_remove_orphans_refuses_what_the_built_in_engine_refuses(
    ns: str, engine: Any, catalog: RestCatalog, sql: Any, lake: Lake
) -> None:
    name, other = f"{ns}.t".removeprefix("lake."), f"{ns}.other".removeprefix("lake.")
    for table in (name, other):
        sql(f"CREATE TABLE lake.{table} (id INT)")
        sql(f"INSERT INTO lake.{table} VALUES (1)")
    home = Path(lake.metadata(f"lake.{name}")["location"].removeprefix("file://"))
    orphan = home / "data" / "a.parquet"
    orphan.write_bytes(b"")
    os.utime(orphan, (time.time() - 4 * DAY,) * 2)
    with pytest.raises(RefusedError, match="younger than 1 day"):
        spark.remove_orphans(engine, catalog, name, older_than=dt.timedelta(hours=1))
    # A file that another table has taken over is no orphan, though this table has forgotten it.
    (taken,) = lake.data_files(f"lake.{name}") - {orphan}
    catalog.load_table(other).add_files([f"file://{taken}"])
    sql(f"INSERT OVERWRITE lake.{name} VALUES (2)")
    expire_snapshots(catalog, name, older_than=NOW, keep_files=True)
    os.utime(taken, (time.time() - 4 * DAY,) * 2)
    result = spark.remove_orphans(engine, catalog, name, dry_run=False)
    assert result.deleted["other files"].files >= 1
    assert ("1 unreferenced files", "another table reaches them") in {
        (skip.what, skip.why) for skip in result.skipped
    }
    assert taken.exists()
    assert not orphan.exists()
    # The metadata of a table that is not listed, such as a dropped one, however young it is.
    inside = home / "data" / "lost" / "metadata"
    inside.mkdir(parents=True)
    (inside / "00000-x.metadata.json").write_text('{"table-uuid": "another"}')
    orphan = inside.parent / "old.parquet"
    orphan.write_bytes(b"")
    os.utime(orphan, (time.time() - 4 * DAY,) * 2)
    with pytest.raises(RefusedError, match="the metadata of another table"):
        spark.remove_orphans(engine, catalog, name, dry_run=False)
    assert orphan.exists()
    with catalog.load_table(name).transaction() as change:
        change.set_properties({"gc.enabled": "false"})
    for operation in (spark.remove_orphans, spark.expire_snapshots):
        with pytest.raises(RefusedError, match=r"gc\.enabled=false"):
            operation(engine, catalog, name)


def test_failures_are_told_apart(small: str, engine: Any) -> None:
    with pytest.raises(SparkError, match=r"rewrite_data_files: .*PARSE_SYNTAX_ERROR"):
        engine.call(parse(small), "rewrite_data_files", lambda _: None, where="'no ( sql'")
    iceberg = engine.session._jvm.org.apache.iceberg.rest

    def answer(status: int) -> None:
        builder = iceberg.responses.ErrorResponse.builder()
        response = builder.responseCode(status).withType("x").withMessage("the catalog's words")
        with explained("ns.t: expire_snapshots"):
            iceberg.ErrorHandlers.tableCommitHandler().accept(response.build())

    with pytest.raises(LostRaceError, match=r"expire_snapshots: .*the catalog's words"):
        answer(409)
    with pytest.raises(OutcomeUnknownError, match="whether it was committed is unknown"):
        answer(500)
    with pytest.raises(SparkError, match=r"ForbiddenException.*the catalog's words"):
        answer(403)


def test_the_command_line(small: str, lake: Lake, sql: Any) -> None:
    """Spark is started by the process itself, whose stdout is JSON and nothing else."""
    conf = {key: str(value) for key, value in SPARK_DEFAULTS.items()}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "jobs.maintenance", "--catalog-uri", lake.url, "--json"),
            *("--engine", "spark"),
            *(word for key, value in conf.items() for word in ("--spark-conf", f"{key}={value}")),
            *("compact", "--all", small),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    assert (result["operation"], result["table"]) == ("compact", small)
    assert result["after"]["data files"]["files"] == 1
    assert f"{small}: Spark runs rewrite_data_files" in done.stderr
    assert sql(f"SELECT * FROM lake.{small} ORDER BY id") == ROWS
