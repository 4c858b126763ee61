"""Rows of weather.pipeline_runs, and a build of a lake that has nothing in it."""

import threading
from collections.abc import Callable

import pytest

from jobs.lake import runs
from tests.transform.lake import Lake, utc


@pytest.fixture(scope="module")
def lake(make_lake: Callable[[], Lake]) -> Lake:
    return make_lake()


def test_an_empty_lake_can_be_built(lake: Lake) -> None:
    assert lake.catalog.list_namespaces() == []
    document = lake.build()
    assert {table["rows"] for table in document["tables"]} == {0}
    assert {table["table"] for table in document["tables"]} >= {
        "marts.fct_alerts_by_area",
        "marts.fct_quarantine_overview",
        "marts.fct_station_freshness",
        "marts.snap_station_records",
    }
    (run,) = lake.rows("pipeline_runs", "weather")
    assert (run["run_id"], run["status"]) == (document["run_id"], "success")
    assert run["rows_changed"] == 0
    assert run["tests_passed"] == document["tests"]["pass"] > 40
    assert run["models_built"] == len(document["models"])


def test_every_mart_has_the_columns_of_its_contract_with_their_descriptions(lake: Lake) -> None:
    for name in lake.marts():
        fields = lake.catalog.load_table(f"marts.{name}").schema().fields
        assert all(field.doc for field in fields), name


def test_a_run_is_recorded_once_however_often_it_is_told(lake: Lake) -> None:
    run = {
        "run_id": "one",
        "task": "Maintenance",
        "period": "2013-07-02",
        "status": "success",
        "started_at": utc(2013, 7, 3),
        "finished_at": utc(2013, 7, 3, 0, 1),
    }
    threads = [
        threading.Thread(target=runs.record, args=(lake.catalog,), kwargs=run) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    runs.record(lake.catalog, **{**run, "status": "failed"})
    found = [row for row in lake.rows("pipeline_runs", "weather") if row["run_id"] == "one"]
    assert [(row["status"], row["seconds"], row["details"]) for row in found] == [
        ("success", 60.0, "{}")
    ]
    last = runs.last_success(lake.catalog, ["Maintenance"])
    assert last is not None
    assert last["run_id"] == "one"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"status": "done"}, r"status 'done' of run two: give success or failed"),
        ({"rows": 1}, r"weather.pipeline_runs has no column rows"),
    ],
)
def test_a_wrong_row_is_refused(lake: Lake, wrong: dict[str, object], words: str) -> None:
    run = {"run_id": "two", "task": "Report", "period": "2013-07-02", "status": "success"}
    times = {"started_at": utc(2013, 7, 3), "finished_at": utc(2013, 7, 3)}
    with pytest.raises(ValueError, match=words):
        runs.record(lake.catalog, **{**run, **times, **wrong})
