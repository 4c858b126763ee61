"""The audit log goes where its store goes: backups, restores, repairs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from falcon_catalog.cli import main
from tests.audit.log import rows
from tests.audit.test_feed import FEED, query
from tests.catalog.serving import serving

pytestmark = pytest.mark.sqlite


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    flags = ["--store", f"{tmp_path}/catalog.db", "--warehouse", f"{tmp_path}/warehouse"]

    def run(*words: str, status: int = 0) -> str:
        done = CliRunner().invoke(main, [*words, *flags])
        assert done.exit_code == status, done.output
        return done.output

    return run


def test_a_restored_log_is_another_one(tmp_path: Path, run: Callable[..., str]) -> None:
    """Ids are given again after a restore: a reader must not take new events for old ones."""
    with serving(tmp_path, processes=1) as server:
        server.namespace("ns")
        server.table("t")
        run("backup", str(tmp_path / "copy"))
        server.namespace("lost")
        token = query(server)["continuation-token"]
    run("restore", "--replace", str(tmp_path / "copy"))
    with serving(tmp_path, processes=1) as server:
        status, kind, message = server.fails("POST", FEED, {"continuation-token": token})
        assert (status, kind) == (400, "BadRequestException")
        assert "restored from a backup" in message
        server.namespace("after")
        found: list[Any] = [(row.operation, row.name) for row in rows(tmp_path)]
        assert found == [
            ("createNamespace", "ns"),
            ("createTable", "ns.t"),
            ("restore", ""),
            ("createNamespace", "after"),
        ]
        event = rows(tmp_path)[2]
        assert (event.topic, event.actor[:6]) == ("access", "local:")
        assert event.detail["backup-of-ms"] <= event.at_ms


def test_a_repair_of_the_doctor_has_a_row(tmp_path: Path, run: Callable[..., str]) -> None:
    with serving(tmp_path, processes=1) as server:
        server.namespace("ns")
        server.table("t")
        known = rows(tmp_path)[-1]
        assert known.after
        folder = Path(known.after.removeprefix("file://")).parent
        for file in folder.iterdir():
            file.unlink()
        (row_id,) = server.catalog.store.autocommit().one("SELECT id FROM tabulars") or ()
        run("doctor", "--repair", f"forget={row_id}")
        event = rows(tmp_path)[-1]
    assert (event.operation, event.name, event.uuid) == ("forget", "ns.t", known.uuid)
    assert (event.before, event.after) == (known.after, None)
    assert event.warehouse == "default"
    assert event.actor.startswith("local:")
