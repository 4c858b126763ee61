"""The story: an administrator, an engineer, an analyst, a service and a stranger use one catalog.

Each chapter is what one of them does. ``done`` and ``refused`` of the catalog are their own notes,
which the last chapter compares with the audit log.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests
from pyiceberg.exceptions import RESTError
from pyiceberg.types import StringType

from tests.permissions.story import (
    SECONDS,
    Catalog,
    RefusedError,
    Session,
    actual,
    catalog,
    dotted,
    replayed,
)

ORDERS = pa.schema([("id", pa.int64()), ("what", pa.string())])
SALES = {"type": "namespace", "warehouse": "default", "namespace": ["sales"]}
TABLE = SALES | {"type": "table", "name": "orders"}
COMMITS = ("updateTable", "commitTransaction")


def tell(folder: Path, service: Callable[[Catalog, str], Session]) -> None:
    """Tell it; ``service`` gives the engine that the service works with."""
    with catalog(folder) as made:
        the_administrator_adds_people_and_roles(made)
        the_engineer_makes_tables(made)
        the_engineer_lets_others_in(made)
        the_analyst_reads_and_no_more(made)
        nightly = service(made, "nightly")
        the_service_writes_and_no_more(made, nightly)
        the_stranger_sees_nothing(made)
        the_engineer_withdraws_a_grant(made, nightly)
        the_administrator_removes_the_stranger(made)
        the_audit_log_has_what_happened(made)


def the_administrator_adds_people_and_roles(made: Catalog) -> None:
    for name in ("engineer", "analyst", "nightly", "stranger"):
        added = made.ok("root", "POST", "/management/v1/principals", {"name": name})
        made.credentials[name] = added["credential"]
        made.done.append(f"root createPrincipal {name}")
    made.ok("root", "POST", "/management/v1/roles", {"name": "analysts"})
    made.ok("root", "POST", "/management/v1/roles/analysts/members", {"add": ["analyst"]})
    warehouse = {"type": "warehouse", "warehouse": "default"}
    grant(made, "root", "engineer", ["create"], warehouse)
    made.done[-1:] = ["root createRole analysts", "root updateMembers analysts", made.done[-1]]


def the_engineer_makes_tables(made: Catalog) -> None:
    lake = made.pyiceberg("engineer")
    lake.create_namespace("sales")
    orders = lake.create_table("sales.orders", ORDERS)
    orders.append(pa.Table.from_pylist([{"id": n, "what": "tea"} for n in (1, 2, 3)], ORDERS))
    lake.create_table("sales.draft", ORDERS)
    lake.rename_table("sales.draft", "sales.scrap")
    lake.create_table("sales.prices", ORDERS)
    lake.drop_table("sales.scrap")
    made.done += [
        "engineer createNamespace sales",
        "engineer createTable sales.orders",
        "engineer commit sales.orders",
        "engineer createTable sales.draft",
        "engineer renameTable sales.scrap",
        "engineer createTable sales.prices",
        "engineer dropTable sales.scrap",
    ]


def the_engineer_lets_others_in(made: Catalog) -> None:
    grant(made, "engineer", "analysts", ["select"], SALES)
    grant(made, "engineer", "nightly", ["write"], TABLE)


def the_analyst_reads_and_no_more(made: Catalog) -> None:
    sql = made.duckdb("analyst")
    assert sql("SELECT count(*) FROM lake.sales.orders") == [(3,)]
    assert sql("SELECT count(*) FROM lake.sales.prices") == [(0,)]
    for statement in (
        "INSERT INTO lake.sales.orders VALUES (9, 'x')",
        "DROP TABLE lake.sales.orders",
    ):
        with pytest.raises(RefusedError):
            sql(statement)
    made.refused += ["analyst", "analyst"]


def the_service_writes_and_no_more(made: Catalog, sql: Session) -> None:
    sql("INSERT INTO lake.sales.orders VALUES (4, 'coffee'), (5, 'milk')")
    made.done.append("nightly commit sales.orders")
    assert sql("SELECT count(*) FROM lake.sales.orders") == [(5,)]
    with pytest.raises(RefusedError):
        sql("SELECT * FROM lake.sales.prices")  # which it does not see
    with pytest.raises(RefusedError):
        sql("DROP TABLE lake.sales.orders")
    made.refused += ["nightly", "nightly"]


def the_stranger_sees_nothing(made: Catalog) -> None:
    with pytest.raises(RESTError, match="Warehouse does not exist"):
        made.pyiceberg("stranger")
    with pytest.raises(RefusedError):
        made.duckdb("stranger")
    for path in ("namespaces", "namespaces/sales/tables/orders"):
        assert made.ask("stranger", "GET", f"/v1/{path}").status_code == 404
    assert made.ask("", "GET", "/v1/namespaces").status_code == 401
    made.refused += ["stranger", "anonymous"]


def the_engineer_withdraws_a_grant(made: Catalog, sql: Session) -> None:
    orders = made.pyiceberg("engineer").load_table("sales.orders")
    with orders.update_schema() as change:
        change.add_column("note", StringType())
    made.done.append("engineer commit sales.orders")
    body = {"revoke": [{"privileges": ["write"], "entity": TABLE, "principal": "nightly"}]}
    made.ok("engineer", "POST", "/management/v1/grants", body)
    made.done.append("engineer revoke sales.orders")
    with pytest.raises(RefusedError):
        sql("INSERT INTO lake.sales.orders VALUES (6, 'salt', NULL)")
    made.refused.append("nightly")


def the_administrator_removes_the_stranger(made: Catalog) -> None:
    held = made.bearer("stranger")
    made.ok("root", "DELETE", "/management/v1/principals/stranger")
    made.done.append("root deletePrincipal stranger")
    answer = requests.get(f"{made.url}/v1/config", headers=held, timeout=SECONDS)
    assert answer.status_code == 401  # its token ended with it


def the_audit_log_has_what_happened(made: Catalog) -> None:
    events = made.audit()
    told = [each for each in events if each["operation"] not in ("serve", "createSigningKey")]
    assert [line(each) for each in told] == made.done
    refusals = made.audit("--refused")
    assert {each["actor"]["name"] for each in refusals} == set(made.refused)
    expected, found = replayed(told), actual(made, "engineer")
    assert expected == found, f"{expected}\n{found}"
    # The feed has the same changes of the catalog, to the last pointer.
    body = {"page-size": 1000}
    feed = made.ok("root", "POST", "/management/v1/warehouses/default/events", body)["events"]
    assert [each["event-id"] for each in feed] == [
        each["event-id"] for each in told if each["topic"] == "catalog"
    ]
    last = {
        dotted(each["operation"].get("identifier")): each["operation"].get("metadata-location")
        for each in feed
    }
    assert {name: last[name] for name in found.pointers} == found.pointers


def grant(made: Catalog, who: str, to: str, privileges: list[str], on: dict[str, Any]) -> None:
    """Grant, and note it."""
    body = {"grant": [{"privileges": privileges, "entity": on, "principal": to}]}
    made.ok(who, "POST", "/management/v1/grants", body)
    made.done.append(f"{who} grant {dotted(on)}".strip())


def line(event: Any) -> str:
    """Return an event as the actors note what they do."""
    actor, operation = event["actor"]["name"], event["operation"]
    actor = "local" if actor.startswith("local:") else actor
    operation = "commit" if operation in COMMITS else operation
    return f"{actor} {operation} {dotted(event.get('object'))}".strip()
