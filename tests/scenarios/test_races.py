"""Writers at once: none is lost, none is told a lie, and who loses may try again."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from tests.catalog.serving import SCHEMA, Server, serving
from tests.processes import wait_for
from tests.scenarios.processes import Processes
from tests.scenarios.steps import (
    TABLES,
    TRANSACTION,
    T,
    append,
    begin,
    database,
    metadata_files,
    path_of,
    point_at,
    set_properties,
    set_ref,
    trigger,
)
from tests.several import PROCESSES


@pytest.fixture
def other(ns: Server) -> Iterator[Server]:
    """A second server on the same store."""
    with serving(ns.folder) as one:
        yield one


@contextmanager
def overtaken(server: Server, commit: Callable[[], Any], pointer: str) -> Iterator[list[Any]]:
    """Move a table's pointer while a commit to it has written its file and waits to swap.

    Yields what the commit returned.
    """
    before = len(metadata_files(server))
    with database(server.folder) as holder, ThreadPoolExecutor(1) as pool:
        begin(holder)
        committing = pool.submit(commit)
        wait_for(lambda: len(metadata_files(server)) > before)
        point_at(holder, pointer)
        holder.execute("COMMIT")
        yield [committing.result()]


def rewound(server: Server) -> tuple[str, set[Any]]:
    """Commit snapshot 1, point the table back to before it; return where the commit is."""
    made = server.ok("GET", T)["metadata-location"]
    pointer = server.ok("POST", T, append(1, parent=None))["metadata-location"]
    with database(server.folder) as outside:
        point_at(outside, made)
    return pointer, metadata_files(server)


def test_06_no_retry_below_the_swap_hides_that_another_was_first(ns: Server) -> None:
    ns.table("t")
    pointer, files = rewound(ns)
    with overtaken(ns, lambda: ns.fails("POST", T, append(2, parent=None)), pointer) as answers:
        assert answers[0][:2] == (409, "CommitFailedException")
    assert ns.ok("GET", T)["metadata-location"] == pointer
    assert metadata_files(ns) == files


def test_32_an_update_from_outside_is_read_again_before_the_swap(ns: Server) -> None:
    ns.table("t")
    pointer, _ = rewound(ns)
    ours = {"updates": [set_properties(ours="x")]}
    with overtaken(ns, lambda: ns.ok("POST", T, ours), pointer) as answers:
        metadata = answers[0]["metadata"]
    assert metadata["properties"]["ours"] == "x"
    assert metadata["current-snapshot-id"] == 1
    assert metadata["metadata-log"][-1]["metadata-file"] == pointer
    assert ns.ok("GET", T)["metadata"] == metadata


def test_07_what_is_acknowledged_is_seen_over_a_new_connection(ns: Server, other: Server) -> None:
    ns.table("t")

    def write(writer: int) -> None:
        for number in range(5):
            server = (ns, other)[number % 2]
            body = {"updates": [set_properties(**{f"w{writer}": str(number)})]}
            answer = server.call("POST", T, body)
            while PROCESSES > 1 and answer.status_code == 409:
                answer = server.call("POST", T, body)  # overtaken too often: a client repeats it
            assert answer.status_code == 200, answer.text
            location = answer.json()["metadata-location"]
            with database(ns.folder) as fresh:
                [(pointer,)] = fresh.execute("SELECT metadata_location FROM tabulars").fetchall()
            seen = (other, ns)[number % 2].ok("GET", T)["metadata"]
            log = {entry["metadata-file"] for entry in seen["metadata-log"]}
            assert location == pointer or location in log
            assert int(seen["properties"][f"w{writer}"]) >= number

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))


def test_07_what_is_acknowledged_survives_a_kill(processes: Processes) -> None:
    first, server = processes.start()
    server.namespace("ns")
    server.table("t")
    known = server.ok("POST", T, append(1, parent=None))
    first.kill()
    _, again = processes.start()
    assert again.ok("GET", T)["metadata"] == known["metadata"]


def test_08_two_snapshots_never_share_a_sequence_number(ns: Server) -> None:
    """Writers that require nothing are judged nevertheless."""
    ns.table("t")
    ns.ok("POST", T, append(1, parent=None))
    bodies = [{"updates": append(n, parent=1, sequence=2)["updates"]} for n in range(2, 10)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: ns.call("POST", T, body), bodies))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    snapshots = ns.ok("GET", T)["metadata"]["snapshots"]
    assert [s["sequence-number"] for s in snapshots] == [1, 2]
    taken = append(snapshots[1]["snapshot-id"], parent=1, sequence=3)
    assert ns.fails("POST", T, {"updates": taken["updates"]})[0] == 400


@pytest.mark.parametrize(
    "when",
    [
        "BEFORE UPDATE ON tabulars",
        "AFTER UPDATE ON tabulars",
        "BEFORE INSERT ON idempotency_keys",
        "AFTER INSERT ON idempotency_keys",
    ],
)
def test_09_pointer_and_rows_change_together_or_not_at_all(ns: Server, when: str) -> None:
    made = ns.table("t")
    key = {"Idempotency-Key": "00000000-0000-0000-0000-000000000001"}
    body = append(1, parent=None)
    with trigger(ns.folder, when):
        assert ns.fails("POST", T, body, headers=key)[:2] == (500, "InternalServerError")
        with database(ns.folder) as outside:
            [(pointer,)] = outside.execute("SELECT metadata_location FROM tabulars").fetchall()
            [(keys,)] = outside.execute("SELECT count(*) FROM idempotency_keys").fetchall()
    assert (pointer, keys) == (made["metadata-location"], 0)
    assert ns.ok("GET", T) == made
    changed = ns.ok("POST", T, body, headers=key)["metadata"]
    assert changed["last-sequence-number"] == max(
        snapshot["sequence-number"] for snapshot in changed["snapshots"]
    )


def test_10_who_is_overtaken_hears_409_and_never_400(ns: Server, other: Server) -> None:
    ns.table("t")
    start = threading.Barrier(8)

    def write(writer: int) -> tuple[int, str]:
        server = (ns, other)[writer % 2]
        body = append(writer + 1, parent=None, sequence=1)
        start.wait()
        answer = server.call("POST", T, body)
        return answer.status_code, answer.json().get("error", {}).get("type", "")

    def create(writer: int) -> tuple[int, str]:
        server = (ns, other)[writer % 2]
        start.wait()
        answer = server.call("POST", TABLES, {"name": "new", "schema": SCHEMA})
        return answer.status_code, answer.json().get("error", {}).get("type", "")

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(write, range(8))) == [
            (200, ""),
            *[(409, "CommitFailedException")] * 7,
        ]
        assert sorted(pool.map(create, range(8))) == [
            (200, ""),
            *[(409, "AlreadyExistsException")] * 7,
        ]


def test_11_sixteen_writers_overwrite_nothing_of_each_other(ns: Server, other: Server) -> None:
    ns.table("t")
    for number in range(1, 17):
        ns.ok("POST", T, append(number, parent=number - 1 or None))

    def write(writer: int) -> None:
        statistics = {
            "snapshot-id": writer,
            "statistics-path": f"file:///nowhere/{writer}.puffin",
            "file-size-in-bytes": 1,
            "file-footer-size-in-bytes": 1,
            "blob-metadata": [],
        }
        updates = [
            {"action": "set-statistics", "snapshot-id": writer, "statistics": statistics},
            set_properties(**{f"w{writer}": "x"}),
            set_ref(f"tag{writer}", writer, "tag"),
        ]
        (ns, other)[writer % 2].ok("POST", T, {"updates": updates})

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, range(1, 17)))
    metadata = ns.ok("GET", T)["metadata"]
    everybody = set(range(1, 17))
    assert {one["snapshot-id"] for one in metadata["statistics"]} == everybody
    assert {f"w{n}" for n in everybody} <= set(metadata["properties"])
    assert set(metadata["refs"]) == {"main"} | {f"tag{n}" for n in everybody}


def test_12_two_processes_on_one_database_count_nothing_twice(processes: Processes) -> None:
    servers = [processes.start()[1] for _ in range(2)]
    servers[0].namespace("ns")
    for name in "ab":
        servers[0].table(name)

    def write(writer: int) -> None:
        for number in range(5):
            body = {"updates": [set_properties(**{f"w{writer}": str(number)})]}
            servers[(writer + number) % 2].ok("POST", f"{TABLES}/{'ab'[writer % 2]}", body)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    for name in "ab":
        tables = [server.ok("GET", f"{TABLES}/{name}") for server in servers]
        assert tables[0] == tables[1]
        assert len(tables[0]["metadata"]["metadata-log"]) == 10


@pytest.mark.sqlite
def test_12_no_column_takes_a_value_of_another_type(ns: Server) -> None:
    with database(ns.folder) as outside:
        lax = outside.execute(
            "SELECT name FROM pragma_table_list WHERE NOT strict AND schema = 'main'"
            " AND name NOT LIKE 'sqlite_%' AND name <> '_sqlite_migrations'"
        ).fetchall()
    assert lax == []


class TestTransactions:
    @pytest.fixture
    def before(self, ns: Server) -> dict[str, Any]:
        for name in "abc":
            ns.table(name)
        return {name: ns.ok("GET", f"{TABLES}/{name}") for name in "abc"}

    def body(self) -> dict[str, Any]:
        return {
            "table-changes": [
                {"identifier": {"namespace": ["ns"], "name": name}, **append(1, parent=None)}
                for name in "abc"
            ]
        }

    @pytest.mark.parametrize("name", ["a", "b", "c"])
    @pytest.mark.parametrize("moment", ["BEFORE", "AFTER"])
    def test_27_a_transaction_whose_kth_table_fails_late_changes_none(
        self, ns: Server, before: dict[str, Any], name: str, moment: str
    ) -> None:
        body = self.body()
        with trigger(ns.folder, f"{moment} UPDATE ON tabulars", name):
            assert ns.fails("POST", TRANSACTION, body)[0] == 500
        for each, table in before.items():
            assert ns.ok("GET", f"{TABLES}/{each}") == table
        assert ns.call("POST", TRANSACTION, body).status_code == 204
        for each in before:
            metadata = ns.ok("GET", f"{TABLES}/{each}")["metadata"]
            assert metadata["current-snapshot-id"] == 1

    @pytest.mark.parametrize("name", ["a", "b", "c"])
    def test_27_a_transaction_whose_kth_file_cannot_be_written_changes_none(
        self, ns: Server, before: dict[str, Any], name: str
    ) -> None:
        folder = path_of(before[name]["metadata"]["location"]) / "elsewhere"
        folder.write_bytes(b"a file where a folder is to be")
        body = self.body()
        (change,) = [one for one in body["table-changes"] if one["identifier"]["name"] == name]
        change["updates"].append(set_properties(**{"write.metadata.path": f"file://{folder}"}))
        assert ns.fails("POST", TRANSACTION, body)[0] == 503
        folder.unlink()
        for each, table in before.items():
            assert ns.ok("GET", f"{TABLES}/{each}") == table
        assert len(metadata_files(ns)) == 3
        assert ns.call("POST", TRANSACTION, body).status_code == 204

    def test_27_one_that_lost_a_race_takes_the_others_back(
        self, ns: Server, before: dict[str, Any]
    ) -> None:
        ns.ok("POST", f"{TABLES}/c", append(9, parent=None))
        assert ns.fails("POST", TRANSACTION, self.body())[0] == 409
        for each in "ab":
            assert ns.ok("GET", f"{TABLES}/{each}") == before[each]
