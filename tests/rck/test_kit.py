"""The kit's runner: a failure is never taken for a success."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rck import kit

RUNNER = Path(__file__).with_name("run.py")

REPORT = """<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="JUnit Jupiter" tests="5">
<testcase name="loads()" classname="org.apache.Tables" time="0.1"></testcase>
<testcase name="asserts()" classname="org.apache.Tables" time="0.1">
<failure message="expected 1&#10; but was 2" type="AssertionError">trace</failure></testcase>
<testcase name="breaks()" classname="org.apache.Tables" time="0.1">
<error type="IllegalStateException"><![CDATA[java.lang.IllegalStateException: no
\tat org.apache.Tables.breaks(Tables.java:1)]]></error></testcase>
<testcase name="empty()" classname="org.apache.Tables" time="0">
<skipped><![CDATA[assumption was not met due to: [Only for empty names]
Expecting value to be true]]></skipped></testcase>
<testcase name="never()" classname="org.apache.Views" time="0">
<skipped><![CDATA[too slow]]></skipped></testcase>
</testsuite>
"""


def test_reads_every_outcome_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "TEST-junit-jupiter.xml").write_text(REPORT)
    assert kit.read_reports(tmp_path) == [
        kit.Result("Tables.asserts()", "failed", "expected 1 but was 2"),
        kit.Result("Tables.breaks()", "failed", "java.lang.IllegalStateException: no"),
        kit.Result("Tables.empty()", "skipped", "Only for empty names"),
        kit.Result("Tables.loads()", "passed"),
        kit.Result("Views.never()", "skipped", "too slow"),
    ]


PASSED = kit.Result("Tables.loads()", "passed")
FAILED = kit.Result("Tables.asserts()", "failed", "expected 1 but was 2")
SKIPPED = kit.Result("Views.never()", "skipped", "too slow")


@pytest.mark.parametrize(
    ("rounds", "status", "closing"),
    [
        ({"suite": [PASSED, SKIPPED]}, 0, "1 passed, 0 failed, 1 skipped"),
        ({"suite": [PASSED], "again": [FAILED]}, 1, "1 passed, 1 failed, 0 skipped"),
        ({"suite": [SKIPPED]}, 1, "0 passed, 0 failed, 1 skipped"),
        ({"suite": []}, 1, "0 passed, 0 failed, 0 skipped"),
    ],
)
def test_succeeds_only_if_tests_passed_and_none_failed(
    rounds: dict[str, list[kit.Result]],
    status: int,
    closing: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert kit.report(rounds) == status
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == closing
    for result in [result for results in rounds.values() for result in results]:
        assert any(f"{result.name}: {result.reason}" in line for line in told) is (
            result is not PASSED
        )


def test_says_what_is_missing_and_skips(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(RUNNER), "--cache", str(tmp_path)],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("rck: skipped, nothing was tested: no java, no javac, no mvn on")
    assert list(tmp_path.iterdir()) == []
