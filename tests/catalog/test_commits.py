"""Commits of one table and of many: requirements, conflicts, all or nothing, unknown outcomes."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from falcon_catalog.errors import CatalogError
from falcon_catalog.store.database import OutcomeUnknownError
from tests.catalog.serving import Server, committer, creation, serving
from tests.scenarios import steps
from tests.several import PROCESSES

T = "/v1/namespaces/ns/tables/t"
TRANSACTION = "/v1/transactions/commit"


def set_properties(**updates: str) -> dict[str, Any]:
    return {"action": "set-properties", "updates": updates}


def change(name: str, *updates: dict[str, Any], requirements: object = ()) -> dict[str, Any]:
    return {
        "identifier": {"namespace": ["ns"], "name": name},
        "requirements": list(requirements),  # type: ignore[call-overload]
        "updates": list(updates),
    }


def metadata_files(server: Server) -> set[Path]:
    return set(server.warehouse.rglob("*.metadata.json"))


class TestOneTable:
    def test_a_commit_moves_the_pointer_and_keeps_the_old_file(self, ns: Server) -> None:
        made = ns.table("t")
        changed = ns.ok("POST", T, {"requirements": [], "updates": [set_properties(a="b")]})
        assert changed["metadata-location"].rsplit("/", 1)[1].startswith("00001-")
        assert changed["metadata"]["properties"]["a"] == "b"
        log = changed["metadata"]["metadata-log"]
        assert [entry["metadata-file"] for entry in log] == [made["metadata-location"]]
        assert ns.ok("GET", T)["metadata"] == changed["metadata"]
        assert len(metadata_files(ns)) == 2

    def test_a_commit_makes_no_error_on_its_way(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made: list[str] = []
        init = CatalogError.__init__

        def counted(self: CatalogError, message: str, *more: Any) -> None:
            made.append(message)
            init(self, message, *more)

        with serving(tmp_path, processes=1) as server:
            server.namespace("ns")
            server.table("t")
            monkeypatch.setattr(CatalogError, "__init__", counted)
            server.ok("POST", T, {"requirements": [], "updates": [set_properties(a="b")]})
            assert made == []
            server.fails("POST", T, {"requirements": [{"type": "assert-create"}], "updates": []})
            assert made  # it would have been seen

    def test_a_commit_without_a_change_writes_nothing(self, ns: Server) -> None:
        made = ns.table("t")
        uuid = made["metadata"]["table-uuid"]
        answer = ns.ok("POST", T, {"updates": [{"action": "assign-uuid", "uuid": uuid}]})
        assert answer["metadata-location"] == made["metadata-location"]
        assert ns.ok("POST", T, {"requirements": [], "updates": []})["metadata"] == made["metadata"]
        assert len(metadata_files(ns)) == 1

    def test_a_client_with_a_fast_clock_blocks_nobody(self, ns: Server) -> None:
        ns.table("t")
        change = {"identifier": {"namespace": ["ns"], "name": "t"}, "requirements": []}

        def append(timestamp_ms: int) -> list[dict[str, Any]]:
            snapshot = {
                "snapshot-id": timestamp_ms,
                "sequence-number": 1,
                "timestamp-ms": timestamp_ms,
                "manifest-list": "file:///nowhere/1.avro",
                "summary": {"operation": "append"},
                "schema-id": 0,
            }
            ref = {"ref-name": "main", "type": "branch", "snapshot-id": timestamp_ms}
            return [
                {"action": "add-snapshot", "snapshot": snapshot},
                {"action": "set-snapshot-ref", **ref},
            ]

        now = time.time_ns() // 1_000_000
        for ahead in (now + 120_000, 1000 * now):
            one = {**change, "updates": append(ahead)}
            for path, body in (
                (T, one),
                ("/v1/transactions/commit", {"table-changes": [one]}),
            ):
                status, kind, message = ns.fails("POST", path, body)
                assert (status, kind) == (400, "BadRequestException")
                assert f"before last snapshot log entry at {ahead}. " in message
        ns.ok("POST", T, {"updates": append(now)})
        metadata = ns.ok("GET", T)["metadata"]
        assert [one["snapshot-id"] for one in metadata["snapshots"]] == [now]

    def test_a_failed_requirement_is_a_conflict_and_leaves_no_file(self, ns: Server) -> None:
        uuid = ns.table("t")["metadata"]["table-uuid"]
        wrong = {"type": "assert-table-uuid", "uuid": "00000000-0000-0000-0000-000000000000"}
        body = {"requirements": [wrong], "updates": [set_properties(a="b")]}
        assert ns.fails("POST", T, body) == (
            409,
            "CommitFailedException",
            f"Requirement failed: UUID does not match: expected {uuid} != {wrong['uuid']}",
        )
        assert len(metadata_files(ns)) == 1

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ({"updates": [{"action": "make-coffee"}]}, "make-coffee"),
            ({"updates": [{}]}, "action"),
            ({"updates": {}}, "updates is not a list of objects"),
            ({"updates": ["x"]}, "updates is not a list of objects"),
            ({"requirements": [{"type": "assert-luck"}], "updates": []}, "assert-luck"),
            ({"requirements": [7]}, "requirements is not a list of objects"),
            ({"updates": [{"action": "set-properties"}]}, "updates"),
            ({"updates": [{"action": "upgrade-format-version", "format-version": 4}]}, "4"),
        ],
    )
    def test_a_bad_commit_is_explained(self, ns: Server, body: object, said: str) -> None:
        made = ns.table("t")
        status, kind, message = ns.fails("POST", T, body)
        assert (status, kind) == (400, "BadRequestException")
        assert said in message
        assert ns.ok("GET", T) == made

    def test_old_metadata_goes_where_the_table_asks_for_it(self, ns: Server) -> None:
        ns.table(
            "t",
            properties={
                "write.metadata.delete-after-commit.enabled": "true",
                "write.metadata.previous-versions-max": "2",
            },
        )
        for number in range(6):
            last = ns.ok("POST", T, {"updates": [set_properties(n=str(number))]})
        log = [entry["metadata-file"] for entry in last["metadata"]["metadata-log"]]
        kept = {Path(file.removeprefix("file://")) for file in [*log, last["metadata-location"]]}
        assert metadata_files(ns) == kept
        assert len(kept) == 3


class TestStagedCreate:
    def stage(self, ns: Server) -> list[dict[str, Any]]:
        staged = ns.table("t", **{"stage-create": True})["metadata"]
        return [
            *creation(staged),
            {"action": "set-location", "location": staged["location"]},
        ]

    def test_its_commit_makes_the_table(self, ns: Server) -> None:
        updates = self.stage(ns)
        made = ns.ok("POST", T, {"requirements": [{"type": "assert-create"}], "updates": updates})
        assert made["metadata"]["table-uuid"] == updates[0]["uuid"]
        assert made["metadata"]["location"] == updates[-1]["location"]
        assert ns.ok("GET", T)["metadata"] == made["metadata"]

    def test_repeated_after_a_lost_answer_it_succeeds_once(self, ns: Server) -> None:
        body = {"requirements": [{"type": "assert-create"}], "updates": self.stage(ns)}
        made = ns.ok("POST", T, body)
        assert ns.ok("POST", T, body) == made
        assert len(metadata_files(ns)) == 1

    def test_the_second_creator_is_told(self, ns: Server) -> None:
        first, second = self.stage(ns), self.stage(ns)
        body = {"requirements": [{"type": "assert-create"}]}
        ns.ok("POST", T, {**body, "updates": first})
        assert ns.fails("POST", T, {**body, "updates": second}) == (
            409,
            "CommitFailedException",
            "Requirement failed: table already exists",
        )

    def test_assert_create_stands_alone(self, ns: Server) -> None:
        requirements = [{"type": "assert-create"}, {"type": "assert-table-uuid", "uuid": "x"}]
        body = {"requirements": requirements, "updates": self.stage(ns)}
        status, _, message = ns.fails("POST", T, body)
        assert status == 400
        assert message.startswith("Invalid create requirements")

    def test_it_goes_nowhere_outside(self, ns: Server) -> None:
        updates = self.stage(ns)
        updates[-1]["location"] = "file:///etc/t"
        body = {"requirements": [{"type": "assert-create"}], "updates": updates}
        assert ns.fails("POST", T, body)[0] == 403
        assert ns.call("HEAD", T).status_code == 404


class TestManyTables:
    def test_all_of_them_change(self, ns: Server) -> None:
        for name in "ab":
            ns.table(name)
        changes = [change(name, set_properties(k=name)) for name in "ab"]
        answer = ns.call("POST", TRANSACTION, {"table-changes": changes})
        assert (answer.status_code, answer.content) == (204, b"")
        for name in "ab":
            properties = ns.ok("GET", f"/v1/namespaces/ns/tables/{name}")["metadata"]["properties"]
            assert properties["k"] == name

    @pytest.mark.parametrize(
        ("last", "status"),
        [
            (change("missing", set_properties(k="v")), 404),
            (change("b", {"action": "set-location", "location": "file:///etc"}), 403),
            (change("b", {"action": "unknown"}), 400),
            (
                change("b", set_properties(k="v"), requirements=[{"type": "assert-create"}]),
                409,
            ),
            (change("a", set_properties(k="v")), 400),
        ],
    )
    def test_or_none_of_them(self, ns: Server, last: dict[str, Any], status: int) -> None:
        before = {name: ns.table(name) for name in "ab"}
        changes = [change("a", set_properties(k="v")), last]
        assert ns.fails("POST", TRANSACTION, {"table-changes": changes})[0] == status
        for name, table in before.items():
            assert ns.ok("GET", f"/v1/namespaces/ns/tables/{name}") == table
        assert len(metadata_files(ns)) == 2

    def test_a_staged_create_commits_with_the_rest(self, ns: Server) -> None:
        ns.table("a")
        updates = TestStagedCreate().stage(ns)
        created = change("t", *updates, requirements=[{"type": "assert-create"}])
        body = {"table-changes": [change("a", set_properties(k="v")), created]}
        assert ns.call("POST", TRANSACTION, body).status_code == 204
        assert ns.ok("GET", T)["metadata"]["table-uuid"] == updates[0]["uuid"]

    @pytest.mark.parametrize(
        "body", [{}, {"table-changes": "x"}, {"table-changes": [{"updates": []}]}]
    )
    def test_a_bad_transaction_is_explained(self, ns: Server, body: object) -> None:
        assert ns.fails("POST", TRANSACTION, body)[:2] == (400, "BadRequestException")


class TestAtOnce:
    def test_independent_commits_all_succeed(self, ns: Server) -> None:
        ns.table("t")

        def write(writer: int) -> None:
            for number in range(5):
                body = {"updates": [set_properties(**{f"k{writer}": str(number)})]}
                answer = ns.call("POST", T, body)
                # Other processes may win each of its turns; clients repeat the commit then.
                while PROCESSES > 1 and answer.status_code == 409:
                    answer = ns.call("POST", T, body)
                assert answer.status_code == 200, answer.text

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        metadata = ns.ok("GET", T)["metadata"]
        assert {metadata["properties"][f"k{writer}"] for writer in range(4)} == {"4"}
        assert len(metadata["metadata-log"]) == 20
        assert len(metadata_files(ns)) == 21

    def test_of_those_that_exclude_each_other_one_succeeds(self, ns: Server) -> None:
        ns.table("t")
        requirement = {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": None}
        start = threading.Barrier(8)

        def write(writer: int) -> int:
            added = {
                "snapshot-id": writer + 1,
                "sequence-number": 1,
                "timestamp-ms": ns.ok("GET", T)["metadata"]["last-updated-ms"],
                "manifest-list": f"file:///nowhere/{writer}.avro",
                "summary": {"operation": "append"},
                "schema-id": 0,
            }
            ref = {"ref-name": "main", "type": "branch", "snapshot-id": writer + 1}
            updates = [
                {"action": "add-snapshot", "snapshot": added},
                {"action": "set-snapshot-ref", **ref},
            ]
            start.wait()
            return ns.call(
                "POST", T, {"requirements": [requirement], "updates": updates}
            ).status_code

        with ThreadPoolExecutor(8) as pool:
            statuses = sorted(pool.map(write, range(8)))
        assert statuses == [200] + [409] * 7
        assert len(ns.ok("GET", T)["metadata"]["snapshots"]) == 1

    def test_who_is_overtaken_by_another_server_tries_again(
        self, ns: Server, inside: pytest.MonkeyPatch
    ) -> None:
        ns.table("t")
        catalog = ns.app.warehouses[0]
        write = catalog.files.write
        with serving(ns.folder) as other:

            def overtaken(location: str, *pieces: bytes) -> None:
                inside.undo()
                other.ok("POST", T, {"updates": [set_properties(theirs="first")]})
                write(location, *pieces)

            inside.setattr(catalog.files, "write", overtaken)
            changed = ns.ok("POST", T, {"updates": [set_properties(ours="second")]})
        assert (
            changed["metadata"]["properties"] | {"theirs": "first", "ours": "second"}
            == (changed["metadata"]["properties"])
        )
        assert (catalog.counters.commits, catalog.counters.retries) == (1, 1)
        assert len(metadata_files(ns)) == 3  # the overtaken attempt took its own back

    def test_a_table_that_a_transaction_only_requires_must_not_change_meanwhile(
        self, ns: Server, inside: pytest.MonkeyPatch
    ) -> None:
        ns.table("t")
        ns.table("required")
        catalog = ns.app.warehouses[0]
        write = catalog.files.write
        required = "/v1/namespaces/ns/tables/required"
        with serving(ns.folder) as other:

            def overtaken(location: str, *pieces: bytes) -> None:
                inside.undo()
                other.ok("POST", required, steps.append(7, parent=None))
                write(location, *pieces)

            inside.setattr(catalog.files, "write", overtaken)
            empty = {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": None}
            changes = [
                {
                    "identifier": {"namespace": ["ns"], "name": "required"},
                    "requirements": [empty],
                    "updates": [],
                },
                {
                    "identifier": {"namespace": ["ns"], "name": "t"},
                    "requirements": [],
                    "updates": [set_properties(a="b")],
                },
            ]
            told = ns.fails("POST", "/v1/transactions/commit", {"table-changes": changes})
        assert told[:2] == (409, "CommitFailedException")
        assert "a" not in ns.ok("GET", T)["metadata"].get("properties", {})

    def test_writers_of_several_servers_all_succeed(self, ns: Server) -> None:
        ns.table("t")
        with serving(ns.folder) as other:

            def write(writer: int) -> None:
                server = (ns, other)[writer % 2]
                for number in range(5):
                    server.ok(
                        "POST", T, {"updates": [set_properties(**{f"k{writer}": str(number)})]}
                    )

            with ThreadPoolExecutor(4) as pool:
                list(pool.map(write, range(4)))
            assert other.ok("GET", T) == ns.ok("GET", T)
        metadata = ns.ok("GET", T)["metadata"]
        assert {metadata["properties"][f"k{writer}"] for writer in range(4)} == {"4"}
        assert len(metadata["metadata-log"]) == 20
        assert len(metadata_files(ns)) == 21

    def test_commits_are_counted(self, ns: Server) -> None:
        ns.table("t")
        wrong = {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 1}
        ns.fails("POST", T, {"requirements": [wrong], "updates": []})
        for name in ("a", "b"):
            ns.ok("POST", T, {"updates": [set_properties(**{name: "x"})]})
        catalog = ns.app.warehouses[0]
        counts = catalog.counters
        assert (counts.commits, counts.conflicts, counts.retries) == (2, 1, 0)
        storage = catalog.files.storage
        assert storage.writes == 3
        assert storage.written_bytes == sum(f.stat().st_size for f in metadata_files(ns))
        assert storage.write_seconds > 0

    def test_creators_of_one_name(self, ns: Server) -> None:
        body = {"name": "t", "schema": {"type": "struct", "fields": []}}
        with ThreadPoolExecutor(8) as pool:
            answers = pool.map(
                lambda _: ns.call("POST", "/v1/namespaces/ns/tables", body).status_code, range(8)
            )
            assert sorted(answers) == [200] + [409] * 7
        assert len(metadata_files(ns)) == 1


class TestUnknownOutcome:
    """COMMIT raises: the row may be there or not, and no file may go."""

    def test_stored_after_all_is_a_success(self, ns: Server, inside: pytest.MonkeyPatch) -> None:
        ns.table("t")
        commit = getattr(*committer())

        def commit_then_fail(writer: Any, connection: Any) -> None:
            commit(writer, connection)
            raise OutcomeUnknownError("COMMIT failed: disk I/O error")

        inside.setattr(*committer(), commit_then_fail)
        assert ns.ok("POST", T, {"updates": [set_properties(a="b")]})["metadata"]["properties"]["a"]

    def test_not_to_be_seen_is_unknown_and_keeps_the_file(
        self, ns: Server, inside: pytest.MonkeyPatch
    ) -> None:
        ns.table("t")

        def fail(_writer: Any, connection: Any) -> None:
            connection.execute("ROLLBACK")
            raise OutcomeUnknownError("COMMIT failed: disk I/O error")

        inside.setattr(*committer(), fail)
        status, kind, _ = ns.fails("POST", T, {"updates": [set_properties(a="b")]})
        assert (status, kind) == (500, "CommitStateUnknownException")
        files = sorted(metadata_files(ns), key=lambda file: file.name)
        assert json.loads(files[-1].read_bytes())["properties"]["a"] == "b"

    def test_a_full_disk_before_the_swap_changes_nothing(
        self, ns: Server, inside: pytest.MonkeyPatch
    ) -> None:
        made = ns.table("t")

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        inside.setattr("os.fdatasync", full)
        assert ns.fails("POST", T, {"updates": [set_properties(a="b")]})[0] == 503
        inside.undo()
        assert ns.ok("GET", T) == made
        assert len(metadata_files(ns)) == 1
        ns.ok("POST", T, {"updates": [set_properties(a="b")]})
