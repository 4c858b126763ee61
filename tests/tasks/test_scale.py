"""Much data in little memory: a back-fill of more days takes no more of it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

# A task in a process of its own, which tells the most memory it ever had, in MB.
SCRIPT = """
import resource, sys
import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.setup_logging import InterfaceLogging
with CmdlineParser.global_instance(sys.argv[1:]) as parser:
    done = luigi.build([parser.get_task_obj()], local_scheduler=True, log_level="WARNING")
print(done, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def peak(pipeline: Any, *arguments: str) -> float:
    command = [sys.executable, "-c", SCRIPT, "--module", "jobs", *arguments]
    environment = {**os.environ, **pipeline.environment()}
    ran = subprocess.run(
        command, env=environment, cwd=pipeline.data, capture_output=True, text=True, check=False
    )
    done, megabytes = ran.stdout.split()[-2:]
    assert done == "True", ran.stdout + ran.stderr
    return float(megabytes)


@pytest.mark.slow
def test_ten_times_the_days_take_no_more_memory(
    make_pipeline: Callable[..., Any], calm_weather: str, tmp_path: Path
) -> None:
    pipeline = make_pipeline(calm_weather, tmp_path, WEATHER_CHUNK_DAYS="10")
    few = peak(pipeline, "LoadDays", "--date", "2013-02-10", "--days", "10")
    many = peak(pipeline, "LoadDays", "--date", "2013-06-10", "--days", "100")
    table = pipeline.catalog.connect().load_table("weather.observations")
    assert table.scan().count() > 7000
    # A commit for each chunk of days, and none beside.
    assert len(table.snapshots()) == 11
    assert many < few + 60, f"{few:.0f} MB for 10 days, {many:.0f} MB for 100"


@pytest.mark.slow
def test_a_period_of_many_days_is_loaded_in_parts_that_fit(
    make_pipeline: Callable[..., Any], calm_weather: str, tmp_path: Path
) -> None:
    """However long the period that someone asks for at once: a file is one station at most."""
    pipeline = make_pipeline(calm_weather, tmp_path)
    pipeline.ok("LoadObservations", "--period", "2013-03-01_2013-05-31")
    folder = tmp_path / "2013-03-01_2013-05-31" / "KEWR_KJFK_KLGA"
    assert len(list(folder.glob("observations-*.json.gz"))) == 3
    told = json.loads((folder / "load-observations.json").read_text())
    assert told["rows_in"] == told["rows_new"] > 6000
    assert told["rows_per_second"] > 0
