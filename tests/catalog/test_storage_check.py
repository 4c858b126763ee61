"""The storage check of a local warehouse: over HTTP, by the command, and before the first start."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from falcon_catalog.catalog.storage_check.check import Target, check
from falcon_catalog.catalog.storage_check.results import CHECKS
from falcon_catalog.cli import main
from falcon_catalog.settings import StorageSettings
from tests.catalog.serving import Server

OF_CLIENTS = {name for name in CHECKS if name.startswith(("vend", "sign"))}


def outcomes(report: dict[str, object]) -> dict[str, str]:
    checks = report["checks"]
    assert isinstance(checks, list)
    return {each["check"]: each["outcome"] for each in checks}


def files(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*"))


def test_a_running_server_checks_its_storage(server: Server) -> None:
    before = files(server.warehouse)
    report = server.ok("POST", "/management/v1/warehouses/default/check")
    assert report["passed"] is True
    assert list(outcomes(report)) == list(CHECKS)
    passed = {name for name, outcome in outcomes(report).items() if outcome == "passed"}
    # The tests' own folder may be in memory, which the check is right to call not durable.
    assert passed | {"durable"} == set(CHECKS) - OF_CLIENTS | {"durable"}
    assert files(server.warehouse) == before


def test_a_warehouse_that_is_not_there_has_no_storage(server: Server) -> None:
    status, kind, _ = server.fails("POST", "/management/v1/warehouses/other/check")
    assert (status, kind) == (404, "NoSuchWarehouseException")


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """The arguments that check a warehouse in the test's folder."""
    store, warehouse = tmp_path / "catalog.db", tmp_path / "warehouse"
    return ["--store", str(store), "--warehouse", str(warehouse)]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["storage", "check", *arguments])


def test_before_the_first_start(command: list[str], tmp_path: Path) -> None:
    nothing = run(*command)
    assert nothing.exit_code == 0
    assert "Nothing was proven: 1 passed, " in nothing.output
    assert files(tmp_path) == []
    (tmp_path / "warehouse").mkdir()
    report = json.loads(run(*command, "--json").output)[0]
    assert outcomes(report)["create"] == "passed"
    assert outcomes(report)["marker"] == "skipped"
    assert files(tmp_path) == ["warehouse"]
    assert CliRunner().invoke(main, ["migrate", *command]).exit_code == 0


def test_the_warehouse_of_another_catalog(command: list[str], tmp_path: Path) -> None:
    other = ["--store", str(tmp_path / "other.db"), "--warehouse", str(tmp_path / "elsewhere")]
    assert CliRunner().invoke(main, ["migrate", *command]).exit_code == 0
    assert CliRunner().invoke(main, ["migrate", *other]).exit_code == 0
    mixed = run(*other[:2], *command[2:])
    assert mixed.exit_code == 1
    assert "belongs to another catalog's store" in mixed.output
    assert "Correct warehouse.location or store.url" in mixed.output


def test_a_folder_that_cannot_be_written() -> None:
    place = Path("/proc/self/fdinfo")  # also for root
    if not place.is_dir():
        pytest.skip("needs /proc")
    report = check(Target("lake", StorageSettings(location=f"file://{place}")))
    failed = {each.check: each.remedy for each in report.results if each.outcome == "failed"}
    assert failed["create"] == (
        f"Let the user that runs the server read and write {place}, and check its disk."
    )


def test_an_unknown_warehouse(command: list[str]) -> None:
    unknown = run("lake", *command)
    assert unknown.exit_code == 2
    assert "there is no warehouse lake in the settings: default" in unknown.output


def test_nothing_is_left_of_a_check_that_is_interrupted(tmp_path: Path) -> None:
    def interrupt(name: str) -> None:
        if name == "list":
            raise KeyboardInterrupt

    target = Target("lake", StorageSettings(location=f"file://{tmp_path}"))
    with pytest.raises(KeyboardInterrupt):
        check(target, starting=interrupt)
    assert files(tmp_path) == []
