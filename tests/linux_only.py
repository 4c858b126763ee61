"""Tests that need something that only Linux has, and what it is. Elsewhere they are skipped.

A key is the beginning of a test's id below ``tests/``. Suites that trace system calls, start
systemd or make namespaces skip by themselves where their programs are missing.
"""

_LOCKS = "reads /proc/locks"
_MEMORY = "reads the peak of a process's memory in /proc"
_METRICS = "prometheus-client describes the process from /proc"
_SYNC = "replaces os.fdatasync, which is not there"

LINUX_ONLY = {
    "backup/test_relocate.py::test_killed_and_run_again[killed_at0]": _SYNC,
    "backup/test_relocate.py::test_killed_and_run_again[killed_at2]": _SYNC,
    "backup/test_relocate.py::test_the_old_place_still_works_after_a_run_that_was_killed": _SYNC,
    "catalog/test_commits.py::TestUnknownOutcome::test_a_full_disk_before_the_swap": _SYNC,
    "catalog/test_fileio.py::TestCreate::test_it_is_durable_whoever_made_it": _SYNC,
    "catalog/test_fileio.py::TestEmptyFolders": _SYNC,
    "catalog/test_fileio.py::test_a_file_that_cannot_be_written_whole_leaves_nothing": _SYNC,
    "catalog/test_fileio.py::test_without_durability_nothing_is_synced": _SYNC,
    "catalog/test_process_lock.py": _LOCKS,
    "catalog/test_prometheus.py::test_the_process_is_told_as_it_is": _METRICS,
    "catalog/test_retries.py::test_a_failure_of_the_server_is_not_final": _SYNC,
    "catalog/test_writer.py::test_a_writer_that_waits_for_its_turn_sees_the_fence": _LOCKS,
    "demo/test_demo.py::test_a_place_that_cannot_be_written_is_one_clear_line": "writes in /proc",
    "docs/test_docs.py::test_every_metric_is_documented": _METRICS,
    "notify/test_notify.py::test_a_command_that_fails_is_told_and_one_that_hangs_is_killed": (
        "looks for a process in /proc"
    ),
    "scenarios/test_memory.py": "limits a process's memory with prlimit",
    "server/test_hard_inputs.py": _MEMORY,
    "server/test_together.py": "finds the children of a process in /proc",
    "stack/test_stack.py": "looks for processes in /proc",
}


def reason(nodeid: str) -> str | None:
    """Return why a test cannot run without Linux; None if it can."""
    name = nodeid.removeprefix("tests/")
    return next((why for key, why in LINUX_ONLY.items() if name.startswith(key)), None)
