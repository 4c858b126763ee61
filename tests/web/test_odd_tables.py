"""Pages of tables whose metadata is valid but odd: clients register what they like."""

import json
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import requests

from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.metadata import comparing
from falcon_catalog.web.tables import advice
from tests.processes import DEADLINE
from tests.web.conftest import Served
from tests.web.test_tables import page_of, shown

PARTS = ("", "history", "diff", "files", "properties", "maintenance", "metadata", "grants")
LATEST = 2**63 - 1
JSON = dict[str, Any]


def metadata(location: str, count: int) -> JSON:
    """Metadata of a table with some snapshots, the later of which follow the earlier."""
    snapshots: list[JSON] = [
        {
            "snapshot-id": n,
            "sequence-number": n,
            "timestamp-ms": 1_764_000_000_000 + n,
            "manifest-list": f"{location}/metadata/snap-{n}.avro",
            "summary": {"operation": "append", "total-records": "5"},
            "schema-id": 0,
            **({"parent-snapshot-id": n - 1} if n > 1 else {}),
        }
        for n in range(1, count + 1)
    ]
    return {
        "format-version": 2,
        "table-uuid": str(uuid.uuid4()),
        "location": location,
        "last-sequence-number": count,
        "last-updated-ms": 1_764_000_100_000,
        "last-column-id": 1,
        "schemas": [
            {
                "type": "struct",
                "schema-id": 0,
                "fields": [{"id": 1, "name": "a", "required": False, "type": "long"}],
            }
        ],
        "current-schema-id": 0,
        "partition-specs": [{"spec-id": 0, "fields": []}],
        "default-spec-id": 0,
        "last-partition-id": 999,
        "sort-orders": [{"order-id": 0, "fields": []}],
        "default-sort-order-id": 0,
        "properties": {},
        "snapshots": snapshots,
        "current-snapshot-id": count,
        "refs": {"main": {"snapshot-id": count, "type": "branch"}},
        "snapshot-log": [],
        "metadata-log": [],
    }


def without_summaries(table: JSON) -> None:
    for each in table["snapshots"]:
        del each["summary"]


def without_operations(table: JSON) -> None:
    for each in table["snapshots"]:
        each["summary"] = {"engine-name": "own"}


def at_the_ends_of_time(table: JSON) -> None:
    first, second, third = table["snapshots"]
    first["timestamp-ms"], second["timestamp-ms"] = -LATEST - 1, -(10**14)
    third["timestamp-ms"] = table["last-updated-ms"] = LATEST


def with_huge_numbers(table: JSON) -> None:
    for each in table["snapshots"]:
        for name in ("total-records", "total-files-size", "total-data-files", "added-records"):
            each["summary"][name] = str(LATEST)


def in_a_circle(table: JSON) -> None:
    table["snapshots"][0]["parent-snapshot-id"] = 3


def without_manifest_lists(table: JSON) -> None:
    for each in table["snapshots"]:
        del each["manifest-list"]


def with_bare_statistics(table: JSON) -> None:
    blob = {"type": "x", "snapshot-id": 1, "sequence-number": 1, "fields": []}
    sizes = {"file-size-in-bytes": LATEST, "file-footer-size-in-bytes": 1}
    table["statistics"] = [
        {"snapshot-id": 1, "statistics-path": "x", "blob-metadata": [blob], **sizes}
    ]


def with_unknown_schemas(table: JSON) -> None:
    table["snapshots"][0]["schema-id"] = 77
    del table["snapshots"][1]["schema-id"]


def with_odd_settings(table: JSON) -> None:
    table["properties"] = {
        "write.target-file-size-bytes": "9" * 5000,
        "history.expire.max-snapshot-age-ms": "-1",
        "history.expire.min-snapshots-to-keep": "\u0663",
    }
    table["refs"]["main"]["max-snapshot-age-ms"] = LATEST


@pytest.fixture(scope="module")
def register(served: Served) -> Callable[[str, JSON], None]:
    """Return a function that registers a table of the namespace weather."""

    def register(name: str, table: JSON) -> None:
        folder = served.folder / "tables" / name / "metadata"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "v1.metadata.json"
        file.write_text(json.dumps(table))
        answer = requests.post(
            f"{served.url}/v1/namespaces/weather/register",
            json={"name": name, "metadata-location": f"file://{file}"},
            timeout=DEADLINE,
        )
        assert answer.status_code == 200, answer.text

    return register


def location_of(served: Served, name: str) -> str:
    return f"file://{served.folder}/tables/{name}"


@pytest.mark.parametrize(
    "change",
    [
        without_summaries,
        without_operations,
        at_the_ends_of_time,
        with_huge_numbers,
        in_a_circle,
        without_manifest_lists,
        with_bare_statistics,
        with_unknown_schemas,
        with_odd_settings,
    ],
    ids=lambda change: change.__name__,
)
def test_an_odd_table_has_all_its_pages(
    served: Served, register: Callable[[str, JSON], None], change: Callable[[JSON], None]
) -> None:
    name = change.__name__
    table = metadata(location_of(served, name), 3)
    change(table)
    register(name, table)
    for part in PARTS:
        page = served.get(page_of(name, part) + "?load=true")
        assert page.status_code == 200, (part, shown(page.text))
        assert f"<h1>{name}</h1>" in page.text or part == "grants"


def test_an_earlier_state_that_is_damaged_is_not_compared(
    served: Served, register: Callable[[str, JSON], None]
) -> None:
    location = location_of(served, "rewritten")
    table = metadata(location, 2)
    earlier = f"{location}/metadata/v0.metadata.json"
    table["metadata-log"] = [{"metadata-file": earlier, "timestamp-ms": 1_764_000_000_009}]
    register("rewritten", table)
    damaged = {**table, "schemas": [], "default-spec-id": 7}
    (served.folder / "tables/rewritten/metadata/v0.metadata.json").write_text(json.dumps(damaged))
    page = served.get(page_of("rewritten", "diff"))
    assert page.status_code == 200
    assert "The metadata files of that time are no longer kept" in page.text


@pytest.mark.parametrize("limit", ["9" * 5000, "-50", "0", "\u0665\u0660"])
def test_a_limit_that_is_none(served: Served, limit: str) -> None:
    page = served.get(page_of("observations", "rows") + f"?limit={limit}")
    assert page.status_code == 400
    assert re.search(r"Invalid limit .*: it must be one of 50, 200, 1000", page.text)


def test_advice_on_very_many_branches_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    table = metadata("file:///x", 4)
    table["properties"] = {"history.expire.min-snapshots-to-keep": "10"}
    table["refs"] = {
        name: {"snapshot-id": 3, "type": "branch"} for name in ("main", "audit", "stage")
    }
    name = TableIdentifier(Namespace(("weather",)), "x")
    client = advice.Client("http://127.0.0.1:8181", "default", name, is_default=True)

    def advised() -> list[str]:
        return [each.title for each in advice.advise(table, client, LATEST, None)]

    assert advised() == ["Expire snapshots"]
    monkeypatch.setattr(advice, "_MOST_STEPS", 8)
    assert advised() == []


def test_columns_are_named_as_in_the_first_schema_that_has_them() -> None:
    table = metadata("file:///x", 0)
    old, newer = (
        {
            "schema-id": n,
            "type": "struct",
            "fields": [{"id": i, "name": f"{c}{n}", "required": False, "type": "long"}],
        }
        for n, i, c in ((1, 2, "b"), (2, 1, "a"))
    )
    table["schemas"] += [old, newer]
    table["partition-specs"] = [
        {"spec-id": 0, "fields": [{"source-id": i, "field-id": 999 + i} for i in (1, 2)]}
    ]
    table["sort-orders"][0]["fields"] = [{"source-ids": [1, 2]}]
    assert comparing.column_names(table) == {1: "a", 2: "b1"}
    assert comparing.column_names(table, newer) == {1: "a2", 2: "b1"}
