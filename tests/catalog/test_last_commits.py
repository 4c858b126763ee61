"""Commits that begin with the row that this process's last commit left, and others between them."""

from pathlib import Path

import pytest

from falcon_catalog.catalog import commits
from tests.catalog.conftest import Start
from tests.catalog.serving import Server

T = "/v1/namespaces/ns/tables/t"


@pytest.fixture
def two(start: Start) -> tuple[Server, Server]:
    """Two servers on one store, the first of which made the last commits to ``ns.t``."""
    first, second = start(processes=1), start(processes=1)
    first.namespace("ns")
    first.table("t")
    commit(first, a="1")
    commit(first, a="2")
    return first, second


def commit(server: Server, uuid: str | None = None, **properties: str) -> dict[str, str]:
    """Set properties; return all of them as the answer has them."""
    requirements = [{"type": "assert-table-uuid", "uuid": uuid}] if uuid else []
    updates = [{"action": "set-properties", "updates": properties}]
    answer = server.ok("POST", T, {"requirements": requirements, "updates": updates})
    return {k: v for k, v in answer["metadata"]["properties"].items() if "parquet" not in k}


def metadata_files(server: Server) -> set[Path]:
    return set(server.warehouse.rglob("*.metadata.json"))


@pytest.mark.serverless
def test_the_row_is_not_read_again_until_somebody_else_commits(
    two: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two
    read: list[object] = []
    really = commits.rows.find
    monkeypatch.setattr(commits.rows, "find", lambda *of: (read.append(of), really(*of))[1])
    commit(first, a="3")
    assert len(read) == 0
    commit(second, b="1")
    read.clear()
    # From now on it is read each time: others commit to the table, too.
    for value in "45":
        commit(first, a=value)
    assert len(read) == 2


def test_nothing_of_another_commit_is_lost(two: tuple[Server, Server]) -> None:
    first, second = two
    commit(second, b="1")
    assert commit(first, c="1") == {"a": "2", "b": "1", "c": "1"}
    commit(second, b="2")
    assert commit(first, c="2") == {"a": "2", "b": "2", "c": "2"}
    commit(first, c="3")
    assert commit(second, d="1") == {"a": "2", "b": "2", "c": "3", "d": "1"}
    used = {first.ok("GET", T)["metadata-location"].removeprefix("file://")}
    used |= {
        each["metadata-file"].removeprefix("file://")
        for each in first.ok("GET", T)["metadata"]["metadata-log"]
    }
    assert {str(path) for path in metadata_files(first)} == used  # those that lost are deleted


def test_a_requirement_is_judged_by_the_newest_state(two: tuple[Server, Server]) -> None:
    first, second = two
    schema = first.ok("GET", T)["metadata"]["schemas"][0]
    columns = [*schema["fields"], {"id": 3, "name": "new", "type": "int", "required": False}]
    added = {"type": "struct", "schema-id": 1, "fields": columns}
    second.ok(
        "POST",
        T,
        {
            "requirements": [],
            "updates": [
                {"action": "add-schema", "schema": added},
                {"action": "set-current-schema", "schema-id": -1},
            ],
        },
    )
    body = {
        "requirements": [{"type": "assert-current-schema-id", "current-schema-id": 1}],
        "updates": [{"action": "set-properties", "updates": {"c": "1"}}],
    }
    assert first.ok("POST", T, body)["metadata"]["current-schema-id"] == 1
    body["requirements"] = [{"type": "assert-current-schema-id", "current-schema-id": 0}]
    assert first.fails("POST", T, body)[:2] == (409, "CommitFailedException")


def test_a_change_that_somebody_undid_is_made_again(two: tuple[Server, Server]) -> None:
    first, second = two
    commit(second, a="1")
    # To the state that the first server remembers it would change nothing.
    assert commit(first, a="2") == {"a": "2"}
    assert second.ok("GET", T)["metadata"]["properties"]["a"] == "2"


@pytest.mark.parametrize("by", [0, 1])
def test_a_table_that_is_gone_is_not_committed_to(two: tuple[Server, Server], by: int) -> None:
    first = two[0]
    before = metadata_files(first)
    new = {"namespace": ["ns"], "name": "u"}
    old = {"namespace": ["ns"], "name": "t"}
    two[by].ok("POST", "/v1/tables/rename", {"source": old, "destination": new})
    body = {"requirements": [], "updates": [{"action": "set-properties", "updates": {"x": "1"}}]}
    assert first.fails("POST", T, body)[:2] == (404, "NoSuchTableException")
    assert metadata_files(first) == before
    two[by].ok("DELETE", "/v1/namespaces/ns/tables/u")
    two[by].table("t")
    assert commit(first, c="1") == {"c": "1"}  # the new table's
    assert commit(first, c="2") == {"c": "2"}


def test_a_table_dropped_and_made_again_is_another_one(two: tuple[Server, Server]) -> None:
    first, second = two
    uuid = first.ok("GET", T)["metadata"]["table-uuid"]
    second.ok("DELETE", T)
    second.table("t")
    body = {
        "requirements": [{"type": "assert-table-uuid", "uuid": uuid}],
        "updates": [{"action": "set-properties", "updates": {"x": "1"}}],
    }
    assert first.fails("POST", T, body)[:2] == (409, "CommitFailedException")
    assert "x" not in second.ok("GET", T)["metadata"]["properties"]
