"""The commands, as people type them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobs.maintenance.command import main
from tests.maintenance.lake import SCHEMA, Lake, age, append_each


def run(lake: Lake, *words: str) -> Result:
    return CliRunner().invoke(main, ["--catalog-uri", lake.url, *words])


@pytest.fixture
def tables(lake: Lake) -> Lake:
    for name in ("ns.one", "ns.two"):
        append_each(lake.catalog.create_table(name, SCHEMA), 6)
    return lake


def test_a_nights_work(tables: Lake) -> None:
    rows = tables.rows("ns.one")
    for words in (
        ["compact", "ns.*"],
        ["rewrite-manifests", "ns.*"],
        ["expire-snapshots", "ns.*", "--older-than", "0s"],
        ["old-metadata", "ns.*", "--delete"],
        ["remove-orphans", "ns.*", "--delete"],
    ):
        done = run(tables, *words)
        assert done.exit_code == 0, done.output
        assert "ns.one" in done.stdout
        assert "ns.two" in done.stdout
    assert tables.rows("ns.one") == tables.duck_rows("ns.one") == rows
    assert len(tables.load("ns.one").snapshots()) == 1


def test_a_table_for_people(tables: Lake) -> None:
    done = run(tables, "--quiet", "compact", "ns.one")
    assert done.stderr == ""
    assert re.search(r"ns\.one +compact +data files +6 +[\d.]+ KiB +1 +[\d.]+ KiB", done.stdout)


def test_json_for_machines(tables: Lake) -> None:
    done = run(tables, "--json", "compact", "ns.one", "ns.two", "--dry-run")
    results = json.loads(done.stdout)
    assert [result["table"] for result in results] == ["ns.one", "ns.two"]
    assert results[0]["dry_run"] is True
    assert results[0]["changed"] is False
    assert results[0]["before"]["data files"]["files"] == 6


def test_orphans_are_shown_and_only_deleted_when_told(tables: Lake) -> None:
    folder = next(path.parent for path in tables.files("ns.one") if path.suffix == ".parquet")
    left = folder / "left.parquet"
    left.write_bytes(b"left")
    age({left}, 4)
    shown = run(tables, "remove-orphans", "ns.one")
    assert "would delete" in shown.stdout
    assert left.exists()
    assert run(tables, "remove-orphans", "ns.one", "--delete").exit_code == 0
    assert not left.exists()


def test_what_fails_is_said_and_the_rest_is_done(tables: Lake) -> None:
    done = run(tables, "compact", "ns.missing", "ns.one")
    assert done.exit_code == 1
    assert "ns.missing: " in done.stderr
    assert "ns.one" in done.stdout
    assert len(list(tables.load("ns.one").scan().plan_files())) == 1


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["compact", "--target-size", "big", "ns.one"], 2, "give a number and K, M or G"),
        (["expire-snapshots", "--older-than", "5", "ns.one"], 2, "such as 5d"),
        (["compact", "--min-input-files", "0", "ns.one"], 2, "must be 1 or more, not 0"),
        (["compact", "--sort", "nope", "ns.one"], 1, "cannot sort by 'nope'"),
        (["compact", "--branch", "nope", "ns.one"], 1, "no branch 'nope'"),
        (["remove-orphans", "--older-than", "1h", "ns.one"], 1, "--allow-young"),
        (["expire-snapshots", "nope.*"], 1, "nope"),
        (["compact"], 2, "Missing argument"),
        (["-p", "x", "compact", "ns.one"], 2, "must be NAME=VALUE"),
    ],
)
def test_wrong_words_are_named(tables: Lake, words: list[str], status: int, message: str) -> None:
    done = run(tables, *words)
    assert done.exit_code == status, done.output
    assert message in done.stderr
    assert "Traceback" not in done.output


def test_a_catalog_that_is_not_there() -> None:
    done = CliRunner().invoke(main, ["--catalog-uri", "http://127.0.0.1:9", "compact", "ns.one"])
    assert done.exit_code == 1
    assert "127.0.0.1" in done.stderr
    assert "Traceback" not in done.output


def test_a_catalog_that_pyiceberg_knows_by_name(tables: Lake, tmp_path: Path) -> None:
    (tmp_path / ".pyiceberg.yaml").write_text(
        f"catalog:\n  prod:\n    type: rest\n    uri: {tables.url}\n"
    )
    command = [sys.executable, "-m", "jobs.maintenance", "--catalog", "prod", "compact", "ns.one"]
    done = subprocess.run(
        command,
        env={"PYICEBERG_HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(tables.load("ns.one").scan().plan_files())) == 1


@pytest.mark.parametrize("command", sorted(main.commands))
def test_help_teaches(command: str) -> None:
    text = CliRunner().invoke(main, [command, "--help"]).output
    assert "TABLES" in text
    assert len(text.splitlines()) > 8
    assert command in CliRunner().invoke(main, ["--help"]).output
