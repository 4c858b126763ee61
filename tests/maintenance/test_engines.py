"""The choice of the engine: what the built-in one refuses, and what Spark is not asked for."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jobs.config import SettingError
from jobs.config import maintenance as maintenance_settings
from jobs.config import spark as spark_settings
from jobs.maintenance.command import main
from jobs.spark import session
from tests.maintenance.lake import SCHEMA, Lake, append_each


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


@pytest.fixture
def six(lake: Lake) -> Lake:
    """A table of six files."""
    append_each(lake.catalog.create_table("ns.t", SCHEMA), 6)
    return lake


def test_a_table_that_outgrows_the_built_in_engine_is_maintained_with_a_warning(six: Lake) -> None:
    done = run("--catalog-uri", six.url, "--json", "--warn-files", "5", "compact", "ns.t")
    assert done.exit_code == 0
    warning = "6 files, about 162.0 KiB of memory for the built-in engine, more than warn_files (5)"
    (result,) = json.loads(done.stdout)
    assert result["warnings"] == [f"{warning}: consider --engine spark"]
    assert f"ns.t: warning: {warning}" in done.stderr
    assert result["after"]["data files"]["files"] == 1
    done = run("--catalog-uri", six.url, "--warn-files", "1", "expire-snapshots", "ns.t")
    assert "warning" not in done.output


def test_a_table_above_the_limit_is_refused_and_left(six: Lake) -> None:
    before = six.load("ns.t").metadata_location
    limited = ("--catalog-uri", six.url, "--max-files", "5")
    for words in (("compact",), ("rewrite-manifests",), ("remove-orphans", "--delete")):
        done = run(*limited, *words, "ns.t")
        assert done.exit_code == 1
        assert "more than max_files (5): use --engine spark, or allow more" in done.stderr
    assert six.load("ns.t").metadata_location == before
    assert run("--catalog-uri", six.url, "--max-files", "0", "compact", "ns.t").exit_code == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("compact", "--memory", "1G"), "--memory is not for --engine spark: its memory is"),
        (("compact", "--groups-per-commit", "9"), "--groups-per-commit is not for --engine spark"),
        (("compact", "--dry-run"), "rewrite_data_files has no dry run"),
        (("rewrite-manifests", "--branch", "b"), "--branch is not for --engine spark"),
        (("rewrite-manifests", "--target-size", "8M"), "commit.manifest.target-size-bytes"),
        (("expire-snapshots", "--keep-files"), "--keep-files is not for --engine spark"),
        (("remove-orphans", "--allow-young"), "--allow-young is not for --engine spark"),
        (("old-metadata",), "not with --engine spark: remove-orphans deletes such files, too"),
        (("check-partitions",), "not with --engine spark: no procedure of Iceberg does this"),
    ],
)
def test_what_no_procedure_does_is_refused_before_anything_starts(
    words: tuple[str, ...], reason: str
) -> None:
    done = run("--engine", "spark", *words, "ns.t")
    assert (done.exit_code, done.stdout) == (2, "")
    assert reason in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--spark-conf", "spark.master=local", "compact"), "--spark-conf needs --engine spark"),
        (("compute-stats",), "the built-in engine writes no statistics: give --engine spark"),
        (("--engine", "spark", "--spark-conf", "local", "compact"), "'local' must be NAME=VALUE"),
        (("--engine", "flink", "compact"), "'flink' is not one of 'builtin', 'spark'"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], reason: str) -> None:
    done = run(*words, "ns.t")
    assert done.exit_code == 2
    assert reason in " ".join(done.stderr.split())


def test_without_pyspark_or_java_it_says_what_to_install(
    six: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found: dict[str, Any] = {"pyspark": None}
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found.get(name, real(name)))
    command = ("--catalog-uri", six.url, "--engine", "spark", "compact", "ns.t")
    done = run(*command)
    assert done.exit_code == 1
    assert "pyspark is not installed: pip install '.[spark]'" in done.stderr
    found["pyspark"] = real("click")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run(*command)
    assert done.exit_code == 1
    assert "no java in PATH. Spark needs Java 17 or newer" in done.stderr
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    done = run(*command)
    assert 'says openjdk version "11.0.2" 2019-01-15. Spark needs Java 17' in done.stderr
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.2\" 2024-01-16' >&2\n")
    session.require()
    assert "pyspark" not in sys.modules


def test_secrets_are_set_on_the_session_only_and_redacted() -> None:
    properties = {"uri": "http://c", "credential": "me:s3cret", "type": "rest", "s3.region": "x"}
    static = session.static_settings({"spark.master": "local"}, ["file:///w"])
    assert "s3cret" not in str(static)
    assert "credential" in static["spark.redaction.regex"]
    assert static["spark.jars.packages"] == session.RUNTIME
    assert "spark.jars.packages" not in session.static_settings({"spark.jars": "a.jar"}, [])
    dynamic = session.catalog_settings(properties)
    assert dynamic["spark.sql.catalog.lake.credential"] == "me:s3cret"
    assert dynamic["spark.sql.catalog.lake.s3.region"] == "x"
    assert dynamic["spark.sql.catalog.lake.type"] == "rest"


def test_settings_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINTENANCE_ENGINE", "spark")
    assert maintenance_settings().engine == "spark"
    monkeypatch.setenv("MAINTENANCE_ENGINE", "flink")
    with pytest.raises(SettingError, match="'flink' in engine: the engine is builtin or spark"):
        maintenance_settings()
    monkeypatch.setenv("SPARK_MASTER", "local[4]")
    monkeypatch.setenv("SPARK_DRIVER_MEMORY", "4g")
    monkeypatch.setenv("SPARK_CONF", "spark.ui.enabled=false | spark.a=b=c")
    assert spark_settings().settings() == {
        "spark.master": "local[4]",
        "spark.driver.memory": "4g",
        "spark.ui.enabled": "false",
        "spark.a": "b=c",
    }
    monkeypatch.setenv("SPARK_CONF", "spark.ui.enabled")
    with pytest.raises(SettingError, match=r"'spark.ui.enabled' in conf: give NAME=VALUE"):
        spark_settings().settings()
