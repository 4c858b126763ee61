"""Raw files and checkpoints that are old: removed, compressed, and nothing is done again."""

import datetime as dt
import gzip
import json
import os
from pathlib import Path
from typing import Any

import luigi
import pytest

from jobs.registered import WeatherIngestion
from jobs.targets import kept, pack, read_json, write_json
from jobs.tasks.maintenance import Maintenance
from jobs.tasks.pruning import Pruned, prune
from tests.tasks.ingesting import HOUR, Once, Service, ingest, summary

DAY = dt.date(2013, 7, 2)
RAW = {"stations.json.gz", "alerts.json.gz"}


def grow_old(folder: Path, days: float) -> None:
    """Make files look as if they had been written some days ago, one after the other."""
    for path in folder.iterdir():
        then = path.stat().st_mtime - days * 86_400
        os.utime(path, (then, then))


def test_old_raw_files_go_checkpoints_are_compressed_and_the_hour_stays_complete(
    settings: Any, service: Service
) -> None:
    assert ingest()
    folder, before = WeatherIngestion(hour=HOUR).path().parent, summary()
    raw = {path.name for path in folder.iterdir() if path.name.endswith(".json.gz")}
    assert raw > RAW
    grow_old(folder, 40)
    task = Maintenance(date=DAY)
    assert luigi.build([task], worker_scheduler_factory=Once(), local_scheduler=True)
    assert (
        "data_dir: 3 raw files removed, 5 checkpoints compressed"
        in read_json(task.path())["message"]
    )
    names = {path.name for path in folder.iterdir()} - {"maintenance.json", "maintenance.txt"}
    assert not names & raw
    assert names == {
        "ingestion.json.gz",
        "ingestion.txt.gz",
        "load-alerts.json.gz",
        "load-observations.json.gz",
        "load-stations.json.gz",
    }
    assert json.loads(gzip.decompress((folder / "ingestion.json.gz").read_bytes())) == before
    settings(weather_verify="true")
    assert WeatherIngestion(hour=HOUR).complete()
    asked = len(service.asked)
    assert ingest()
    assert len(service.asked) == asked


@pytest.mark.usefixtures("settings")
def test_raw_files_that_are_not_loaded_stay_whatever_their_age(
    service: Service, tmp_path: Path
) -> None:
    assert ingest()
    folder = WeatherIngestion(hour=HOUR).path().parent
    (folder / "load-observations.json").unlink()
    grow_old(folder, 40)
    prune(tmp_path, 30)
    left = {path.name for path in folder.iterdir()}
    assert "stations.json.gz" in left
    assert any(name.startswith("observations-") for name in left)
    assert "alerts.json.gz" not in left
    asked = service.observed()
    assert ingest()
    assert service.observed() == asked
    assert kept(folder / "load-observations.json").suffix == ".json"


def test_young_files_and_folders_of_no_period_stay(tmp_path: Path) -> None:
    young, other = tmp_path / "2013-07-02T14/KJFK", tmp_path / "2013-plans/KJFK"
    for folder in (young, other):
        write_json(folder / "load-alerts.json", {})
        write_json(folder / "alerts.json.gz", {})
    grow_old(young, 29)
    grow_old(other, 400)
    assert prune(tmp_path, 30) == prune(tmp_path, 0) == Pruned()
    grow_old(young, 2)
    assert prune(tmp_path, 0) == Pruned()
    pruned = prune(tmp_path, 30)
    assert (pruned.removed, pruned.compressed) == (1, 1)
    assert len(list(other.iterdir())) == 2


def test_a_compressed_checkpoint_keeps_its_time_and_a_new_one_replaces_it(tmp_path: Path) -> None:
    path = tmp_path / "load-alerts.json"
    write_json(path, {"rows": 1})
    written = path.stat().st_mtime_ns
    pack(path)
    assert not path.exists()
    assert (kept(path).stat().st_mtime_ns, read_json(path)) == (written, {"rows": 1})
    write_json(path, {"rows": 2})
    assert (kept(path), read_json(path)) == (path, {"rows": 2})
    pack(path)
    assert read_json(path) == {"rows": 2}
