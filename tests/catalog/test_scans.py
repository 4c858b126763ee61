"""The routes of scan planning: what they answer, keep, let go of and refuse."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.manifest import DataFileContent
from pyiceberg.table import Table
from pyiceberg.transforms import (
    DayTransform,
    HourTransform,
    MonthTransform,
    TruncateTransform,
    YearTransform,
)
from pyiceberg.types import StringType, TimestampType
from pyiceberg.utils.datetime import datetime_to_micros

from falcon_catalog.catalog.scan_planning import scan
from falcon_catalog.catalog.scan_planning import verbs as scans
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata.columns import Column
from falcon_catalog.store import plans
from tests.catalog.handwork import a_file, commit
from tests.catalog.scanning import Planned, plan, pyiceberg, table_path, wait
from tests.catalog.serving import JSON_BODY, Server, serving, sql

T = table_path("t")
NO_PLAN = (404, "NoSuchPlanIdException")
NO_TASK = (404, "NoSuchPlanTaskException")


def fill(server: Server, name: str = "t", appends: int = 3) -> Table:
    """Make a table of so many data files, each with ten ids of its own."""
    if server.call("HEAD", "/v1/namespaces/ns").status_code == 404:
        server.namespace("ns")
    ids = pa.schema([pa.field("id", pa.int64()), pa.field("data", pa.string())])
    table = pyiceberg(server).create_table(f"ns.{name}", ids)
    for number in range(appends):
        values = list(range(number * 10, number * 10 + 10))
        rows = {"id": values, "data": [f"row {value}" for value in values]}
        table.append(pa.table(rows, schema=ids))
    return table


def catalog_of(server: Server) -> Warehouse:
    return server.app.warehouses[0]


@pytest.fixture
def big(tmp_path: Path) -> Iterator[Server]:
    """A catalog to which more than two manifests are many, and more than one file."""
    settings = {"planning__sync_manifests": 2, "planning__page_files": 1}
    with serving(tmp_path, **settings) as server:
        yield server


class TestAnswers:
    def test_doubles_in_partitions_are_not_rounded(self, server: Server) -> None:
        """PyIceberg 0.12 reads them as floats, in the server as well."""
        server.namespace("ns")
        schema = pa.schema([pa.field("id", pa.int64()), pa.field("ratio", pa.float64())])
        table = pyiceberg(server).create_table("ns.t", schema)
        with table.update_spec() as update:
            update.add_identity("ratio")
        values = [0.1, 1e300, 0.5]
        table.append(pa.table({"id": [1, 2, 3], "ratio": values}, schema=schema))
        for value in values:
            only = {"type": "eq", "term": "ratio", "value": value}
            assert len(plan(server, "t", {"filter": only}).paths) == 1

    def test_a_small_plan_is_completed_at_once(self, server: Server) -> None:
        fill(server)
        answer = server.ok("POST", f"{T}/plan", {})
        assert answer["status"] == "completed"
        assert answer["plan-tasks"] == answer["delete-files"] == []
        assert len(answer["file-scan-tasks"]) == 3
        again = server.ok("GET", f"{T}/plan/{answer.pop('plan-id')}")
        assert again == answer

    def test_a_file_is_told_as_the_specification_says(self, server: Server) -> None:
        table = fill(server, appends=1)
        [task] = plan(server, "t", {"stats-fields": ["data"]}).tasks
        [local] = table.scan().plan_files()
        shown = task["data-file"]
        assert shown["file-path"] == local.file.file_path
        assert shown["file-size-in-bytes"] == local.file.file_size_in_bytes
        assert shown["column-sizes"] == {"keys": [2], "values": [local.file.column_sizes[2]]}
        assert (shown["content"], shown["file-format"]) == ("data", "parquet")
        assert (shown["spec-id"], shown["partition"], shown["record-count"]) == (0, [], 10)
        assert shown["value-counts"] == {"keys": [2], "values": [10]}
        assert shown["null-value-counts"] == {"keys": [2], "values": [0]}
        assert shown["lower-bounds"] == {"keys": [2], "values": ["row 0"]}
        assert shown["upper-bounds"] == {"keys": [2], "values": ["row 9"]}
        assert "residual-filter" not in task

    def test_no_stats_are_sent_unasked(self, server: Server) -> None:
        fill(server, appends=1)
        [task] = plan(server, "t").tasks
        assert not {"lower-bounds", "value-counts", "column-sizes"} & set(task["data-file"])

    def test_a_table_without_rows_has_an_empty_plan(self, ns: Server) -> None:
        ns.table("t")
        assert plan(ns, "t", {"filter": True}).tasks == []

    def test_files_that_a_commit_removed_are_not_read(self, server: Server) -> None:
        table = fill(server)
        table.delete("id >= 10 and id < 20")
        table.delete("id = 25")
        planned = plan(server, "t")
        local = [task.file.file_path for task in table.refresh().scan().plan_files()]
        assert planned.paths == sorted(local)
        assert planned.rows == 19

    def test_results_come_in_pages(self, tmp_path: Path) -> None:
        with serving(tmp_path, planning__page_files=2) as server:
            table = fill(server, appends=5)
            planned = plan(server, "t")
            assert planned.pages == 3
            local = sorted(task.file.file_path for task in table.scan().plan_files())
            assert planned.paths == local

    def test_pyiceberg_plans_over_our_server(self, tmp_path: Path) -> None:
        with serving(tmp_path, planning__page_files=2) as server:
            fill(server, appends=5)
            catalog = pyiceberg(server, **{"scan-planning-mode": "server"})
            assert catalog.supports_server_side_planning()
            scan = catalog.load_table("ns.t").scan("id >= 8 and id < 31 and not data = 'row 9'")
            assert len(list(scan.plan_files())) == 4
            expected = [8, *range(10, 31)]
            assert sorted(scan.to_arrow()["id"].to_pylist()) == expected
            assert scan.count() == len(expected)

    @pytest.mark.parametrize(
        ("first", "second", "where", "files"),
        [
            (
                YearTransform(),
                MonthTransform(),
                "ts >= '2025-02-01T00:00:00' and ts < '2025-03-01T00:00:00'",
                1,
            ),
            (MonthTransform(), YearTransform(), "ts >= '2025-01-01T00:00:00'", 2),
            (DayTransform(), HourTransform(), "ts < '2024-02-01T05:00:00'", 1),
        ],
    )
    def test_all_partition_fields_of_a_column_prune(
        self, server: Server, first: Any, second: Any, where: str, files: int
    ) -> None:
        server.namespace("ns")
        catalog = pyiceberg(server, **{"scan-planning-mode": "server"})
        columns = pa.schema([pa.field("ts", pa.timestamp("us"))])
        table = catalog.create_table("ns.t", columns)
        with table.update_spec() as spec:
            spec.add_field("ts", first, "p")
        with table.update_spec() as spec:
            spec.add_field("ts", second, "q")
        assert [field.transform for field in table.spec().fields] == [first, second]
        partition_of = [each.transform(TimestampType()) for each in (first, second)]
        data = []
        for day in ("2024-02-01T04:00", "2024-02-01T06:00", "2025-01-01", "2025-02-01"):
            micros = datetime_to_micros(dt.datetime.fromisoformat(day))
            partition = [apply(micros) for apply in partition_of]
            data.append(a_file(DataFileContent.DATA, day, partition))  # no bounds that prune, too
        commit(server, table, data)
        scan = catalog.load_table("ns.t").scan(where)
        assert len(list(scan.plan_files())) == files


class TestSubmitted:
    def test_a_big_plan_is_submitted_and_comes_to_the_same(self, big: Server) -> None:
        table = fill(big)
        answer = big.ok("POST", f"{T}/plan", {})
        assert set(answer) == {"status", "plan-id"}
        assert answer["status"] == "submitted"
        result = wait(big, "t", answer["plan-id"])
        assert (len(result["file-scan-tasks"]), len(result["plan-tasks"])) == (1, 2)
        local = sorted(task.file.file_path for task in table.scan().plan_files())
        assert plan(big, "t").paths == local

    def test_what_partitions_leave_out_does_not_make_a_plan_big(self, big: Server) -> None:
        table = fill(big, appends=0)
        with table.update_spec() as spec:
            spec.add_field("id", TruncateTransform(10), "tens")
        for first in range(0, 50, 10):
            table.append(pa.table({"id": [first, first + 1], "data": ["x", None]}))
        few = {"filter": {"type": "in", "term": "id", "values": [1, 41]}}
        assert big.ok("POST", f"{T}/plan", few)["status"] == "completed"
        many = {"filter": {"type": "lt", "term": "id", "value": 30}}
        assert big.ok("POST", f"{T}/plan", many)["status"] == "submitted"

    def test_a_failure_is_told_and_stays(self, big: Server) -> None:
        table = fill(big)
        manifest = table.current_snapshot().manifests(table.io)[0].manifest_path
        Path(manifest.removeprefix("file://")).unlink()
        plan_id = big.ok("POST", f"{T}/plan", {})["plan-id"]
        answer = wait(big, "t", plan_id)
        message = f"Failed to open input stream for file: {manifest}"
        error = {"message": message, "type": "NotFoundException", "code": 404}
        assert answer == {"status": "failed", "error": error}
        assert big.call("DELETE", f"{T}/plan/{plan_id}").status_code == 204
        assert big.ok("GET", f"{T}/plan/{plan_id}") == answer

    def test_a_plan_that_a_stop_left_behind_is_taken_over(self, big: Server) -> None:
        fill(big)
        catalog_of(big).plans.close()  # the first to stop: no plan is worked on any more
        plan_id = big.ok("POST", f"{T}/plan", {})["plan-id"]
        assert big.ok("GET", f"{T}/plan/{plan_id}") == {"status": "submitted"}
        with serving(big.folder, planning__page_files=1) as other:
            assert wait(other, "t", plan_id)["status"] == "completed"
        assert len(wait(big, "t", plan_id)["plan-tasks"]) == 2

    def test_a_worker_that_is_gone_loses_its_plan(self, big: Server) -> None:
        fill(big)
        catalog_of(big).plans.close()
        plan_id = big.ok("POST", f"{T}/plan", {})["plan-id"]
        sql(big.folder, "UPDATE plans SET worker = 'gone', lease_until = 1")
        sql(big.folder, "INSERT INTO plan_pages VALUES ('half', ?, 7, ?)", plan_id, b"\0")
        with serving(big.folder, planning__page_files=1) as other:
            assert "half" not in wait(other, "t", plan_id)["plan-tasks"]

    def test_a_worker_that_lives_keeps_its_plan(self, big: Server) -> None:
        fill(big)
        catalog_of(big).plans.close()
        plan_id = big.ok("POST", f"{T}/plan", {})["plan-id"]
        sql(big.folder, "UPDATE plans SET worker = 'alive', lease_until = 1e15")
        with serving(big.folder) as other:
            for _ in range(3):
                assert other.ok("GET", f"{T}/plan/{plan_id}") == {"status": "submitted"}
            assert catalog_of(other).plans._thread is None

    def test_a_stop_hands_over_what_is_half_done(self, big: Server) -> None:
        fill(big)
        catalog = catalog_of(big)
        catalog.plans.close()
        plan_id = big.ok("POST", f"{T}/plan", {})["plan-id"]
        told = iter([False, True])
        scans._work(catalog, plan_id, lambda: next(told))
        with catalog.store.read() as tx:
            assert plans.first_page(tx, plan_id) is None or plans.later_tokens(tx, plan_id) == []
        assert big.ok("GET", f"{T}/plan/{plan_id}") == {"status": "submitted"}
        scans._work(catalog, plan_id, lambda: False)
        assert len(wait(big, "t", plan_id)["plan-tasks"]) == 2

    def test_a_plan_has_one_worker(self, big: Server) -> None:
        fill(big)
        catalog_of(big).plans.close()
        plan_id = big.ok("POST", f"{T}/plan", {})["plan-id"]
        until = {"lease_until": 10**15, "expires_at": 10**15}
        with catalog_of(big).store.write() as tx:
            assert plans.claim(tx, plan_id, "first", **until) is not None
            assert plans.claim(tx, plan_id, "second", **until) is None
            assert plans.extend(tx, plan_id, "first", **until)
            assert not plans.extend(tx, plan_id, "second", **until)
            done = {"status": "completed", "error": None, "expires_at": 10**15}
            assert not plans.finish(tx, plan_id, "second", **done)
            plans.cancel(tx, plan_id)
            assert not plans.extend(tx, plan_id, "first", **until)
            assert not plans.finish(tx, plan_id, "first", **done)


class TestKeeping:
    def test_plans_and_tasks_survive_a_restart(self, tmp_path: Path) -> None:
        with serving(tmp_path, planning__page_files=1) as server:
            fill(server)
            answer = server.ok("POST", f"{T}/plan", {})
            tasks = [
                server.ok("POST", f"{T}/tasks", {"plan-task": t}) for t in answer["plan-tasks"]
            ]
        with serving(tmp_path) as server:
            plan_id = answer.pop("plan-id")
            assert server.ok("GET", f"{T}/plan/{plan_id}") == answer
            assert [
                server.ok("POST", f"{T}/tasks", {"plan-task": t}) for t in answer["plan-tasks"]
            ] == tasks

    def test_plans_expire(self, tmp_path: Path) -> None:
        with serving(tmp_path, planning__page_files=1) as server:
            fill(server)
            answer = server.ok("POST", f"{T}/plan", {})
            sql(tmp_path, "UPDATE plans SET expires_at = 1")
            assert server.fails("GET", f"{T}/plan/{answer['plan-id']}")[:2] == NO_PLAN
            assert server.fails("DELETE", f"{T}/plan/{answer['plan-id']}")[:2] == NO_PLAN
            body = {"plan-task": answer["plan-tasks"][0]}
            assert server.fails("POST", f"{T}/tasks", body)[:2] == NO_TASK
            server.ok("POST", f"{T}/plan", {"filter": False})
            assert sql(tmp_path, "SELECT count(*) FROM plans") == [(1,)]
            assert sql(tmp_path, "SELECT count(*) FROM plan_pages") == [(1,)]

    def test_a_cancelled_plan_lets_go_of_its_tasks(self, tmp_path: Path) -> None:
        with serving(tmp_path, planning__page_files=1) as server:
            fill(server)
            answer = server.ok("POST", f"{T}/plan", {})
            for _ in range(2):
                response = server.call("DELETE", f"{T}/plan/{answer['plan-id']}")
                assert (response.status_code, response.content) == (204, b"")
            assert server.ok("GET", f"{T}/plan/{answer['plan-id']}") == {"status": "cancelled"}
            body = {"plan-task": answer["plan-tasks"][0]}
            assert server.fails("POST", f"{T}/tasks", body)[:2] == NO_TASK

    def test_a_submitted_plan_can_be_cancelled(self, big: Server) -> None:
        fill(big)
        catalog_of(big).plans.close()
        plan_id = big.ok("POST", f"{T}/plan", {})["plan-id"]
        assert big.call("DELETE", f"{T}/plan/{plan_id}").status_code == 204
        with serving(big.folder) as other:
            assert other.ok("GET", f"{T}/plan/{plan_id}") == {"status": "cancelled"}

    def test_a_plan_outlives_later_commits_and_a_rename(self, tmp_path: Path) -> None:
        with serving(tmp_path, planning__page_files=1) as server:
            table = fill(server)
            answer = server.ok("POST", f"{T}/plan", {})
            table.delete("id < 25")
            table.catalog.rename_table("ns.t", "ns.u")
            body = {"plan-task": answer["plan-tasks"][0]}
            assert server.ok("POST", f"{table_path('u')}/tasks", body)["file-scan-tasks"]
            assert server.fails("POST", f"{T}/tasks", body)[1] == "NoSuchTableException"

    def test_a_dropped_table_takes_its_plans_along(self, server: Server) -> None:
        fill(server)
        plan_id = plan(server, "t").plan_id
        server.ok("DELETE", T)
        assert server.fails("GET", f"{T}/plan/{plan_id}")[1] == "NoSuchTableException"
        fill(server)
        assert server.fails("GET", f"{T}/plan/{plan_id}")[:2] == NO_PLAN


class TestRefusals:
    def test_what_is_not_there(self, server: Server) -> None:
        fill(server)
        assert server.fails("GET", f"{T}/plan/none") == (
            *NO_PLAN,
            "Plan does not exist for ns.t: none",
        )
        assert server.fails("DELETE", f"{T}/plan/none")[:2] == NO_PLAN
        assert server.fails("POST", f"{T}/tasks", {"plan-task": "none"}) == (
            *NO_TASK,
            "Plan task does not exist for ns.t: none",
        )
        for verb, path in (("POST", "plan"), ("GET", "plan/x"), ("DELETE", "plan/x")):
            answer = server.fails(verb, f"{table_path('no')}/{path}", {})
            assert answer == (404, "NoSuchTableException", "Table does not exist: ns.no")

    def test_no_table_reads_the_plan_of_another(self, tmp_path: Path) -> None:
        with serving(tmp_path, planning__page_files=1) as server:
            fill(server)
            fill(server, "other", 1)
            answer = server.ok("POST", f"{T}/plan", {})
            other = table_path("other")
            assert server.fails("GET", f"{other}/plan/{answer['plan-id']}")[:2] == NO_PLAN
            assert server.fails("DELETE", f"{other}/plan/{answer['plan-id']}")[:2] == NO_PLAN
            for token in answer["plan-tasks"]:
                body = {"plan-task": token}
                assert server.fails("POST", f"{other}/tasks", body)[:2] == NO_TASK

    @pytest.mark.parametrize(
        ("request_body", "told"),
        [
            ({"snapshot-id": 7}, "Cannot find snapshot with ID 7"),
            ({"snapshot-id": "7"}, "field snapshot-id: must be an integer"),
            ({"snapshot-id": 2**63}, "does not fit in 64 bits"),
            ({"snapshot-id": 1, "start-snapshot-id": 1}, "cannot give both"),
            ({"snapshot-id": 1, "end-snapshot-id": 1}, "cannot give both"),
            ({"start-snapshot-id": 1}, "both required"),
            ({"end-snapshot-id": 1}, "both required"),
            ({"start-snapshot-id": 1, "end-snapshot-id": 7}, "Cannot find the end snapshot: 7"),
            ({"select": "id"}, "field select: must be an array"),
            ({"select": ["no"]}, "field select: cannot find column 'no'"),
            ({"select": ["ID"]}, "field select: cannot find column 'ID'"),
            ({"stats-fields": ["no"]}, "field stats-fields: cannot find column 'no'"),
            ({"stats-fields": [1]}, "must be a string"),
            ({"case-sensitive": "yes"}, "field case-sensitive: must be true or false"),
            ({"use-snapshot-schema": 1}, "field use-snapshot-schema"),
            ({"min-rows-requested": "1"}, "field min-rows-requested"),
            ({"filter": []}, "filter: an array is not a predicate"),
        ],
    )
    def test_a_malformed_request_is_told_what_is_wrong(
        self, server: Server, request_body: dict[str, Any], told: str
    ) -> None:
        fill(server, appends=1)
        status, kind, message = server.fails("POST", f"{T}/plan", request_body)
        assert (status, kind) == (400, "BadRequestException")
        assert told in message

    @pytest.mark.parametrize("body", [{}, {"plan-task": None}, {"plan-task": 1}, []])
    def test_a_plan_task_is_a_string(self, server: Server, body: object) -> None:
        fill(server, appends=1)
        assert server.fails("POST", f"{T}/tasks", body)[:2] == (400, "BadRequestException")

    def test_columns_may_be_named_in_any_case_when_asked_so(self, server: Server) -> None:
        fill(server)
        filter_ = {"type": "lt", "term": "ID", "value": 10}
        request = {"select": ["Data", "_file", "*"], "filter": filter_}
        assert server.fails("POST", f"{T}/plan", request)[0] == 400
        assert len(plan(server, "t", {**request, "case-sensitive": False}).tasks) == 1


FIELDS = [
    "snapshot-id",
    "select",
    "filter",
    "min-rows-requested",
    "case-sensitive",
    "use-snapshot-schema",
    "start-snapshot-id",
    "end-snapshot-id",
    "stats-fields",
    "plan-task",
    "unknown",
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["id"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A catalog with a table, for many requests."""
    with serving(tmp_path_factory.mktemp("standing")) as server:
        fill(server, appends=1)
        yield server


@given(body=st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=4))
@settings(max_examples=100)
def test_damage_is_never_the_server_s_fault(standing: Server, body: dict[str, Any]) -> None:
    text = json.dumps(body)
    for path, known in (("plan", {200, 400}), ("tasks", {400, 404})):
        answer = standing.call("POST", f"{T}/{path}", data=text, headers=JSON_BODY)
        assert answer.status_code in known, (body, answer.text)


class TestSnapshots:
    def test_any_snapshot_can_be_scanned(self, server: Server) -> None:
        table = fill(server)
        for number, snapshot in enumerate(table.refresh().snapshots(), 1):
            assert len(plan(server, "t", {"snapshot-id": snapshot.snapshot_id}).tasks) == number

    def test_the_schema_is_the_table_s_or_the_snapshot_s(self, server: Server) -> None:
        table = fill(server)
        old = table.current_snapshot()
        assert old is not None
        with table.update_schema() as update:
            update.rename_column("data", "text")

        def files(name: str, *, use_old: bool) -> int:
            filter_ = {"type": "eq", "term": name, "value": "row 0"}
            asked = {"snapshot-id": old.snapshot_id, "select": [name], "filter": filter_}
            return len(plan(server, "t", {**asked, "use-snapshot-schema": use_old}).tasks)

        assert files("text", use_old=False) == files("data", use_old=True) == 1
        # Spark says so of every scan, and names the columns that the table has now.
        assert files("text", use_old=True) == 1
        asked = {"snapshot-id": old.snapshot_id, "select": ["data"]}
        assert server.fails("POST", f"{T}/plan", asked)[0] == 400

    def test_no_file_is_left_out_for_a_name_that_meant_another_column(self, server: Server) -> None:
        table = fill(server)
        old = table.current_snapshot()
        assert old is not None
        with table.update_schema() as update:
            update.rename_column("data", "text")
        with table.update_schema() as update:
            update.add_column("data", StringType())
        request: dict[str, Any] = {"filter": {"type": "is-null", "term": "data"}}
        for use_old in (True, False):
            request |= {"snapshot-id": old.snapshot_id, "use-snapshot-schema": use_old}
            assert len(plan(server, "t", request).tasks) == 3

    def test_incremental_scans_see_appends_only(self, server: Server) -> None:
        table = fill(server)
        first, second, third = (s.snapshot_id for s in table.refresh().snapshots())
        table.overwrite(pa.table({"id": [99], "data": ["new"]}), "id = 25")
        table.append(pa.table({"id": [100], "data": ["last"]}))
        last = table.refresh().snapshots()[-1].snapshot_id

        def rows(start: int, end: int, **more: Any) -> int:
            asked = {"start-snapshot-id": start, "end-snapshot-id": end, **more}
            planned: Planned = plan(server, "t", asked)
            assert all(task["deletes"] == [] for task in planned.tasks)
            return planned.rows

        assert rows(first, second) == 10
        assert rows(first, third) == 20
        assert rows(second, second) == 0
        local = table.incremental_append_scan(
            from_snapshot_id_exclusive=first, to_snapshot_id_inclusive=last
        )
        assert rows(first, last) == sum(t.file.record_count for t in local.plan_files())
        assert rows(first, last, filter={"type": "gt", "term": "id", "value": 50}) in (1, 2)
        status, _, message = server.fails(
            "POST", f"{T}/plan", {"start-snapshot-id": third, "end-snapshot-id": second}
        )
        assert status == 400
        assert message == (
            f"Starting snapshot (exclusive) {third} is not a parent ancestor of "
            f"end snapshot {second}"
        )

    def test_the_start_of_an_incremental_scan_may_have_expired(self, server: Server) -> None:
        table = fill(server)
        first, _, third = (s.snapshot_id for s in table.refresh().snapshots())
        removal = {"action": "remove-snapshots", "snapshot-ids": [first]}
        server.ok("POST", T, {"updates": [removal]})
        asked = {"start-snapshot-id": first, "end-snapshot-id": third}
        assert plan(server, "t", asked).rows == 20


class TestWideTables:
    """Scans that name thousands of columns."""

    def metadata(self, server: Server, columns: int) -> dict[str, Any]:
        fields = [
            {"id": n, "name": f"Column_{n}", "type": "long", "required": False}
            for n in range(1, columns + 1)
        ]
        server.namespace("ns")
        body = {"name": "wide", "schema": {"type": "struct", "fields": fields}}
        made = server.ok("POST", "/v1/namespaces/ns/tables", body)
        return dict(made["metadata"])

    @pytest.mark.parametrize("sensitive", [True, False])
    def test_each_name_is_found_without_a_walk_over_all_columns(
        self, server: Server, monkeypatch: pytest.MonkeyPatch, *, sensitive: bool
    ) -> None:
        count = 1000
        metadata = self.metadata(server, count)
        names = [f"Column_{n}" if sensitive else f"COLUMN_{n}" for n in range(1, count + 1)]
        filter_: dict[str, Any] = {"type": "is-null", "term": names[0]}
        for name in names[1:]:
            filter_ = {"type": "or", "left": filter_, "right": {"type": "is-null", "term": name}}
        looked = 0
        full_name = Column.full_name.fget

        def counted(column: Column) -> str:
            nonlocal looked
            looked += 1
            return str(full_name(column))

        monkeypatch.setattr(Column, "full_name", property(counted))
        request = {
            "select": names,
            "stats-fields": names,
            "filter": filter_,
            "case-sensitive": sensitive,
        }
        read = scan.read(metadata, request, 10_000)
        assert len(read.stats) == count
        assert looked <= 10 * count

    def test_no_list_has_more_names_than_are_allowed(self, tmp_path: Path) -> None:
        with serving(tmp_path, limits__columns=50) as server:
            self.metadata(server, 20)
            path = table_path("wide")
            for field in ("select", "stats-fields"):
                names = [f"Column_{n % 20 + 1}" for n in range(51)]
                status, kind, told = server.fails("POST", f"{path}/plan", {field: names})
                assert (status, kind) == (400, "BadRequestException")
                assert f"field {field}: 51 names, at most 50 are allowed" in told
                server.ok("POST", f"{path}/plan", {field: names[:50]})

    def test_a_table_wider_than_the_limit_can_name_all_of_its_columns(self, server: Server) -> None:
        metadata = self.metadata(server, 60)
        names = [f"Column_{n}" for n in range(1, 61)]
        request = {"select": [*names, "_file", "_pos"], "stats-fields": names}
        assert len(scan.read(metadata, request, 10).stats) == 60
        with pytest.raises(BadRequestError, match="121 names, at most 120 are allowed"):
            scan.read(metadata, {"select": [*names, *names, "*"]}, 10)
