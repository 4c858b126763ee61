"""Goal s3 of the benchmarks, where there is no Java: on the emulator of S3."""

from pathlib import Path

from tests.benchmarks.test_benchmarks import measured


def test_without_java_goal_s3_is_measured_on_the_emulator(tmp_path: Path) -> None:
    lines = measured(tmp_path, ["s3"], PATH=str(tmp_path))["lines"]
    assert [line["note"] for line in lines[:2]] == ["moto", "moto"]
    assert any("naive" in line["text"] and line["values"] for line in lines)
    assert lines[-1]["note"].startswith("skipped: no java, no javac, no mvn on the PATH")
