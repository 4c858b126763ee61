"""A name with a dot in a level is never taken for another table's."""

import datetime as dt
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.typedef import Identifier

from jobs.maintenance import (
    Plan,
    compact,
    expire_snapshots,
    old_metadata,
    remove_orphans,
    rewrite_manifests,
)
from jobs.maintenance.command import main
from jobs.maintenance.names import parse, parse_pattern, spell
from tests.maintenance.lake import SCHEMA, Lake, append_each
from tests.maintenance.test_task import checkpoint, run

DOTTED = ("n", "a.b")
NESTED = ("n", "a", "b")


@pytest.fixture
def namesakes(lake: Lake) -> Lake:
    """Two tables whose levels, joined with dots, are the same text."""
    for namespace in (("n",), ("n", "a")):
        lake.catalog.create_namespace(namespace)
    for name in (DOTTED, NESTED):
        append_each(lake.catalog.create_table(name, SCHEMA), 3)
    return lake


def snapshots(lake: Lake, name: Identifier) -> int:
    assert not lake.missing(name)
    assert len(lake.rows(name, row_filter="station = 'KA'")) == 10
    return len(lake.load(name).snapshots())


@pytest.mark.parametrize(
    ("word", "dotted", "nested"),
    [
        ("n.*", 1, 3),
        ('n."a.b"', 1, 3),
        ("n.`a.b`", 1, 3),
        ('"n"."a.b"', 1, 3),
        ("n.a.*", 3, 1),
        ("n.a.b", 3, 1),
    ],
)
def test_a_command_works_on_the_tables_that_it_names(
    namesakes: Lake, word: str, dotted: int, nested: int
) -> None:
    words = ["--catalog-uri", namesakes.url, "--json", "expire-snapshots", "--older-than", "0s"]
    done = CliRunner().invoke(main, [*words, word])
    assert done.exit_code == 0, done.output
    assert snapshots(namesakes, DOTTED) == dotted
    assert snapshots(namesakes, NESTED) == nested
    (result,) = json.loads(done.stdout)
    assert parse(result["table"]) == (DOTTED if dotted == 1 else NESTED)
    (found,) = namesakes.sql("SELECT count(*) FROM lake.n.\"a.b\" WHERE station = 'KA'").fetchone()
    assert found == 10


def test_every_operation_takes_levels_and_shows_a_name_to_paste(namesakes: Lake) -> None:
    for operation, options in (
        (compact, {"plan": Plan(min_input_files=2)}),
        (rewrite_manifests, {}),
        (expire_snapshots, {"older_than": dt.timedelta(0)}),
        (old_metadata, {"dry_run": False}),
        (remove_orphans, {"dry_run": False}),
    ):
        said: list[str] = []
        for name in (DOTTED, 'n."a.b"'):
            result = operation(namesakes.catalog, name, progress=said.append, **options)
            assert result.table == 'n."a.b"'
        assert all(line.startswith('n."a.b": ') for line in said)
    assert snapshots(namesakes, DOTTED) == 1
    assert snapshots(namesakes, NESTED) == 3


def test_a_failure_names_a_table_to_paste(namesakes: Lake) -> None:
    words = ["--catalog-uri", namesakes.url, "compact", "--branch", "none", "n.*"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 1
    assert done.stderr.startswith('n."a.b": n."a.b" has no branch')


def test_the_pipelines_maintenance_works_on_its_own_namespaces(
    namesakes: Lake, tmp_path: Path
) -> None:
    settings = {"MAINTENANCE_NAMESPACES": "n", "MAINTENANCE_SNAPSHOT_DAYS": "0"}
    namesakes.catalog.create_namespace("weather")
    done = run(namesakes, tmp_path / "data", **settings)
    assert done.returncode == 0, done.stderr
    assert json.loads(checkpoint(tmp_path / "data").read_text())["tables"] == ['n."a.b"']
    assert snapshots(namesakes, DOTTED) == 1
    assert snapshots(namesakes, NESTED) == 3


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4).map(tuple))
def test_names_are_read_back(name: Identifier) -> None:
    assert parse(spell(name)) == name
    if len(name) > 1:
        assert parse_pattern(spell(name)) == (name, False)
        assert parse_pattern(f"{spell(name)}.*") == (name, True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (("ns", "t"), "ns.t"),
        (("ns", "a.b"), 'ns."a.b"'),
        (("ns", 'a"b'), 'ns."a""b"'),
        (("ns", "*"), 'ns."*"'),
        (("größe", "t-1"), "größe.t-1"),
    ],
)
def test_names_are_quoted_where_they_must_be(name: Identifier, text: str) -> None:
    assert spell(name) == text


@pytest.mark.parametrize(
    "text", ["", ".", "ns.", ".t", "ns..t", 'ns."t', 'ns."t"x', 'ns.t"', "n.`t"]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="separated by single dots"):
        parse(text)


@pytest.mark.parametrize("text", ["t", "*", '"n.t"'])
def test_a_table_is_in_a_namespace(lake: Lake, text: str) -> None:
    done = CliRunner().invoke(main, ["--catalog-uri", lake.url, "compact", text])
    assert done.exit_code == 1
    assert "give namespace.table" in done.stderr
