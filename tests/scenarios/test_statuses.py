"""Which status a writer gets for each failure in each phase of a commit, and what is stored then.

The table of docs/durability.md, "What an error means", row by row.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.catalog.conftest import Start
from tests.catalog.serving import SCHEMA, Server, serving
from tests.scenarios.processes import Process, Processes, needs_one_process, needs_strace
from tests.scenarios.steps import (
    TABLES,
    T,
    append,
    database,
    metadata_files,
    path_of,
    set_properties,
    trigger,
)

CONFLICT = (409, "CommitFailedException")
UNAVAILABLE = (503, "SlowDownException")
UNKNOWN = (500, "CommitStateUnknownException")
FAILED = (500, "InternalServerError")
KEY = {"Idempotency-Key": "00000000-0000-0000-0000-000000000001"}


@pytest.fixture
def table(ns: Server) -> Any:
    ns.table("t")
    return ns.ok("GET", T)


def stays(server: Server, before: Any, files: int = 1) -> None:
    """Check that nothing happened, and that the same commit succeeds once the fault is over."""
    assert server.ok("GET", T) == before
    assert len(metadata_files(server)) == files
    changed = server.ok("POST", T, append(1, parent=None), headers=KEY)
    assert changed["metadata"]["current-snapshot-id"] == 1


class TestBeforeTheWrite:
    """Nothing is written: 4xx tells what to mend, 409 and 503 that trying again may help."""

    @pytest.mark.parametrize(
        ("path", "body", "expected"),
        [
            (f"{TABLES}/none", append(2, parent=None), (404, "NoSuchTableException")),
            (T, {"updates": [{"action": "make-coffee"}]}, (400, "BadRequestException")),
            (T, append(2, parent=7), CONFLICT),
            (
                T,
                {"updates": [{"action": "set-location", "location": "file:///etc"}]},
                (403, "ForbiddenException"),
            ),
        ],
    )
    def test_a_refusal(
        self, ns: Server, table: Any, path: str, body: Any, expected: tuple[int, str]
    ) -> None:
        assert ns.fails("POST", path, body)[:2] == expected
        stays(ns, table)

    def test_a_body_that_is_too_large(self, start: Start) -> None:
        server = start(server__max_body_bytes=100_000)
        server.namespace("ns")
        before = server.table("t")
        body = {"updates": [set_properties(long="x" * 100_000)]}
        answer = server.call("POST", T, body)
        assert answer.status_code == 413
        assert server.ok("GET", T) == before

    def test_metadata_that_is_gone_or_damaged(self, ns: Server, table: Any) -> None:
        path = path_of(table["metadata-location"])
        text = path.read_bytes()
        for content, expected in (
            (None, (404, "NotFoundException")),
            (text[:-9], (500, "InternalServerError")),
        ):
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content)
            with serving(ns.folder) as other:
                assert other.fails("POST", T, append(1, parent=None))[:2] == expected
        path.write_bytes(text)
        stays(ns, table)


class TestTheMetadataFile:
    """It cannot be written: 503, and nothing of it is left."""

    def test_30_its_folder_is_no_folder(self, ns: Server, table: Any) -> None:
        folder = path_of(table["metadata"]["location"]) / "elsewhere"
        folder.write_bytes(b"a file where a folder is to be")
        change = {"updates": [set_properties(**{"write.metadata.path": f"file://{folder}"})]}
        assert ns.fails("POST", T, change, headers=KEY)[:2] == UNAVAILABLE
        folder.unlink()
        stays(ns, table)

    @pytest.fixture
    def catalog(self, processes: Processes) -> Iterator[tuple[Process, Server]]:
        process, server = processes.start()
        server.namespace("ns")
        server.table("t")
        yield process, server
        process.stop()

    @needs_one_process
    @needs_strace
    @pytest.mark.parametrize(
        "inject",
        [  # the first of these calls is the new file's, the database's come later
            "writev:error=ENOSPC",
            "writev:error=EIO",
            "fdatasync:error=EIO",
            "fdatasync:error=ENOSPC",
        ],
    )
    def test_30_the_disk_refuses_the_file(
        self, catalog: tuple[Process, Server], inject: str
    ) -> None:
        self.fails(*catalog, inject, None)

    @needs_one_process
    @needs_strace
    @pytest.mark.parametrize("inject", ["fsync:error=EIO", "openat:error=EMFILE"])
    def test_30_the_disk_refuses_the_folder(
        self, catalog: tuple[Process, Server], inject: str
    ) -> None:
        folder = path_of(catalog[1].ok("GET", T)["metadata-location"]).parent
        self.fails(*catalog, inject, folder)

    @pytest.mark.sqlite
    @needs_one_process
    @needs_strace
    def test_30_the_disk_is_full_for_the_database(self, catalog: tuple[Process, Server]) -> None:
        log = catalog[1].folder / "catalog.db-wal"
        self.fails(*catalog, "pwrite64:error=ENOSPC", log)

    def fails(self, process: Process, server: Server, inject: str, path: Path | None) -> None:
        before = server.ok("GET", T)
        with process.failing(f"{inject}:when=1", path):
            told = server.fails("POST", T, append(1, parent=None), headers=KEY)
        assert told[:2] == UNAVAILABLE
        stays(server, before)


class TestTheSwap:
    """The transaction is refused as a whole: the new file is taken back."""

    def test_another_was_first(self, ns: Server) -> None:
        ns.table("t")
        ns.ok("POST", T, append(2, parent=None))
        assert ns.fails("POST", T, append(1, parent=None))[:2] == CONFLICT
        assert len(metadata_files(ns)) == 2

    def test_its_namespace_is_gone(self, ns: Server) -> None:
        assert ns.fails("POST", "/v1/namespaces/none/tables", {"name": "t"})[:2] == (
            404,
            "NoSuchNamespaceException",
        )

    @pytest.mark.sqlite
    def test_30_the_database_is_locked(
        self, ns: Server, table: Any, inside: pytest.MonkeyPatch
    ) -> None:
        inside.setattr("falcon_catalog.store.sqlite.connection._BUSY_TIMEOUT_MS", 50)
        with serving(ns.folder) as impatient:
            impatient.ok("GET", T)
            with database(ns.folder) as other:
                other.execute("BEGIN IMMEDIATE")
                told = impatient.fails("POST", T, append(1, parent=None), headers=KEY)
                other.execute("ROLLBACK")
            assert told[:2] == UNAVAILABLE
            stays(impatient, table)

    @pytest.mark.sqlite
    def test_the_database_is_full(self, ns: Server, table: Any) -> None:
        writer = ns.app.warehouses[0].store.writer
        assert writer._connection is not None
        pages = writer._connection.execute("PRAGMA page_count").fetchone()[0]
        writer._connection.execute(f"PRAGMA max_page_count = {pages}")
        body = {"properties": {"x": "y" * 100_000}}
        bodies = [{"namespace": ["n", str(n)], **body} for n in range(3)]
        ns.namespace("n")
        told = [ns.call("POST", "/v1/namespaces", one) for one in bodies]
        refused = [answer for answer in told if answer.status_code == 503]
        assert refused
        assert {answer.status_code for answer in told} <= {200, 503}
        writer._connection.execute("PRAGMA max_page_count = 1000000")
        stays(ns, table)

    def test_a_statement_fails(self, ns: Server, table: Any) -> None:
        with trigger(ns.folder, "BEFORE UPDATE ON tabulars"):
            assert ns.fails("POST", T, append(1, parent=None), headers=KEY)[:2] == FAILED
        stays(ns, table)


@pytest.mark.sqlite
@needs_one_process
@needs_strace
class TestTheCommit:
    """Its sync fails: nobody can tell, so nothing is deleted, and nothing more is changed."""

    @pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
    def test_03_a_sync_that_failed_is_neither_a_success_nor_a_conflict(
        self, processes: Processes, error: str
    ) -> None:
        process, server = processes.start()
        server.namespace("ns")
        server.table("t")
        body = append(1, parent=None)
        log = processes.folder / "catalog.db-wal"
        with process.failing(f"fdatasync:error={error}:when=1+", log):
            assert server.fails("POST", T, body)[:2] == UNKNOWN
            files = metadata_files(server)
            assert len(files) == 2  # test_04: no deletes on the error path
            with contextlib.suppress(OSError):
                assert server.call("POST", T, append(2, parent=None)).status_code in (500, 503)
        process.kill()
        _, recovered = processes.start()
        state = recovered.ok("GET", T)
        assert path_of(state["metadata-location"]) in files
        assert metadata_files(recovered) >= files
        again = recovered.ok("POST", T, body)["metadata"]
        assert [s["snapshot-id"] for s in again["snapshots"]] == [1]

    @pytest.mark.parametrize(
        ("verb", "path", "body"),
        [
            ("POST", TABLES, {"name": "u", "schema": SCHEMA}),
            ("DELETE", T, None),
            ("POST", "/v1/namespaces", {"namespace": ["other"]}),
        ],
    )
    def test_03_so_it_is_with_every_change(
        self, processes: Processes, verb: str, path: str, body: Any
    ) -> None:
        process, server = processes.start()
        server.namespace("ns")
        server.table("t")
        log = processes.folder / "catalog.db-wal"
        with process.failing("fdatasync:error=EIO:when=1+", log):
            assert server.fails(verb, path, body)[:2] == UNKNOWN

    def test_04_the_file_of_a_commit_that_won_after_all_is_there(
        self, processes: Processes
    ) -> None:
        """Killed within COMMIT: whatever the pointer is then, it leads to a file."""
        process, server = processes.start()
        server.namespace("ns")
        server.table("t")
        body = append(1, parent=None)
        log = processes.folder / "catalog.db-wal"
        with (
            process.failing("fdatasync:signal=SIGKILL:when=1", log),
            pytest.raises(requests.ConnectionError),
        ):
            server.call("POST", T, body)
        process.kill()
        assert len(metadata_files(server)) == 2
        _, recovered = processes.start()
        state = recovered.ok("GET", T)
        assert path_of(state["metadata-location"]).is_file()
        again = recovered.ok("POST", T, body)["metadata"]
        assert [s["snapshot-id"] for s in again["snapshots"]] == [1]


class TestAfterTheCommit:
    """It is done: no 4xx may deny it, whatever tidying up meets."""

    def test_old_metadata_that_is_not_the_catalogs_is_no_reason_to_refuse(self, ns: Server) -> None:
        """A table that came from elsewhere: its log names files that nobody here can delete."""
        made = ns.table(
            "t",
            properties={
                "write.metadata.delete-after-commit.enabled": "true",
                "write.metadata.previous-versions-max": "1",
            },
        )
        path = path_of(made["metadata-location"])
        elsewhere = [
            "s3://bucket/ns/t/metadata/00000-a.metadata.json",
            "file:///../etc/passwd",
            "relative/path",
            "",
        ]
        log = [{"metadata-file": file, "timestamp-ms": 1} for file in elsewhere]
        moved = path.with_name("00001-moved.metadata.json")
        metadata = {**json.loads(path.read_bytes()), "metadata-log": log}
        moved.write_text(json.dumps(metadata), encoding="utf-8")
        body = {"name": "t", "metadata-location": f"file://{moved}", "overwrite": True}
        ns.ok("POST", "/v1/namespaces/ns/register", body)
        for number in (1, 2, 3):
            ns.ok("POST", T, append(number, parent=number - 1 or None))
            assert ns.ok("GET", T)["metadata"]["current-snapshot-id"] == number

    @pytest.mark.parametrize("damage", [b"", b"{", b"\x1f\x8b\x08\x00"])
    def test_a_retry_whose_old_answer_is_damaged_is_not_refused(
        self, ns: Server, damage: bytes
    ) -> None:
        ns.table("t")
        body = append(1, parent=None)
        done = ns.ok("POST", T, body, headers=KEY)
        ns.ok("POST", T, append(2, parent=1))
        path_of(done["metadata-location"]).write_bytes(damage)
        assert ns.fails("POST", T, body, headers=KEY)[:2] == UNKNOWN
        path_of(done["metadata-location"]).unlink()
        assert ns.fails("POST", T, body, headers=KEY)[:2] == UNKNOWN
