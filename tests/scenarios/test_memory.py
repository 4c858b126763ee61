"""A server that runs out of memory in the middle of its work."""

import contextlib
import re
import resource
from pathlib import Path
from typing import Any

import requests

from tests.scenarios.processes import Process, Processes
from tests.scenarios.steps import T, append, metadata_files, path_of, set_properties

MEBIBYTE = 1 << 20


def allow(process: Process, more: int | None) -> None:
    """Let who serves take so many bytes more of address space; None: all they like."""
    for pid in process.serving:
        limit = resource.RLIM_INFINITY
        if more is not None:
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
            found = re.search(r"VmSize:\s+(\d+) kB", status)
            if found is None:
                continue  # it has ended, as the next request shows
            limit = int(found[1]) * 1024 + more
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def test_05_running_out_of_memory_deletes_nothing_that_is_committed(processes: Processes) -> None:
    process, server = processes.start()
    server.namespace("ns")
    server.table("t")
    told: list[int] = []
    acknowledged = 0
    for number, more in enumerate((0, 1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64), 1):
        body: dict[str, Any] = append(number, parent=acknowledged or None)
        body["updates"].append(set_properties(**{f"long{number}": "x" * 3 * MEBIBYTE}))
        allow(process, more * MEBIBYTE)
        try:
            told.append(server.call("POST", T, body).status_code)
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            told.append(0)
        allow(process, None)
        try:
            metadata = server.ok("GET", T)["metadata"]
        except requests.ConnectionError:
            # Libraries in C and Rust may end the process; its supervisor starts another.
            process.kill()
            process, server = processes.start()
            metadata = server.ok("GET", T)["metadata"]
        known = metadata.get("current-snapshot-id", 0)
        assert known >= acknowledged
        if told[-1] == 200:
            assert known == number
        elif known == number:
            assert told[-1] in (0, 500)  # done, and not denied
        acknowledged = known
    assert set(told) <= {0, 200, 500, 503}
    assert set(told) & {0, 500, 503}, "memory never ran out"
    log = [entry["metadata-file"] for entry in metadata["metadata-log"]]
    assert {path_of(location) for location in log} <= metadata_files(server)
    process.stop()
