"""``falcon-catalog files``."""

import pytest
from pyiceberg.table import Table

from tests.console.conftest import Console, rows


def test_the_files_of_a_snapshot(console: Console, observations: Table) -> None:
    paths = {task.file.file_path for task in observations.scan().plan_files()}
    found = console.json("files", "weather.observations")
    assert {file["path"] for file in found} == paths
    assert [(file["partition"], file["rows"], file["content"]) for file in found] == [
        ({"time_day": "2026-11-01"}, 30, "data"),
        ({"time_day": "2026-11-02"}, 12, "data"),
    ]
    assert set(console.ok("files", "weather.observations", "-q").split()) == paths
    assert len(console.json("files", "weather.observations@v1")) == 1
    line = console.ok("files", "weather.observations").splitlines()[2]
    assert line.split()[:3] == ["data", "time_day=2026-11-02", "12"]


@pytest.mark.usefixtures("observations")
def test_files_that_may_have_rows_of_a_condition(console: Console) -> None:
    words = ("files", "weather.observations", "--where")
    found = console.json(*words, "temperature > 20")
    assert [file["partition"]["time_day"] for file in found] == ["2026-11-01"]
    assert console.json(*words, "temperature > 90") == []
    status, line = console.fails(*words, "temperature >")
    assert status == 2
    assert "--where 'temperature >' is not a condition" in line
    status, line = console.fails(*words, "temperatur > 3")
    assert status == 2
    assert "temperatur" in line
    assert "the columns are station, time, temperature" in line


def test_small_files_are_counted(console: Console, observations: Table) -> None:
    summary = console.json("files", "weather.observations", "--summary")
    assert (summary["data-files"], summary["partitions"], summary["small-files"]) == (2, 2, 2)
    assert summary["sizes"][0] == {"below": 1024 * 1024, "files": 2}
    assert "are small" not in console.ok("files", "weather.observations", "--summary")
    observations.append(rows(5, 2, observations.schema()))
    assert "3 of 3 data files are small" in console.ok("files", "weather.observations", "--summary")
    with observations.transaction() as change:
        change.set_properties({"write.target-file-size-bytes": "1000"})
    assert console.json("files", "weather.observations", "--summary")["small-files"] == 0
