"""Snapshots that are let go of, and the branches and tags that hold others."""

from datetime import UTC, datetime, timedelta

import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table

from tests.catalog.serving import Server
from tests.scenarios.steps import ARROW, T, client_of, ids_in, rows, set_ref

LATER = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def client(ns: Server) -> RestCatalog:
    return client_of(ns.url)


@pytest.fixture
def table(client: RestCatalog) -> Table:
    """Four snapshots, with one row more each."""
    made = client.create_table("ns.t", ARROW)
    for number in range(1, 5):
        made.append(rows(number))
    return made


def test_23_expiry_keeps_what_a_tag_or_branch_holds(ns: Server, table: Table) -> None:
    first, second, third, last = (s.snapshot_id for s in table.snapshots())
    table.manage_snapshots().create_tag(first, "release").commit()
    table.manage_snapshots().create_branch(second, "audit").commit()
    table.maintenance.expire_snapshots().older_than(LATER).commit()
    kept = {snapshot.snapshot_id for snapshot in table.refresh().snapshots()}
    assert kept == {first, second, last}
    assert third not in kept
    assert ids_in(ns.url, snapshot_id=first) == [1]
    assert ids_in(ns.url, snapshot_id=second) == [1, 2]
    assert ids_in(ns.url) == [1, 2, 3, 4]


def test_23_what_a_ref_is_at_goes_only_with_the_ref(ns: Server, table: Table) -> None:
    first = table.snapshots()[0].snapshot_id
    table.manage_snapshots().create_tag(first, "release").commit()
    removal = {"action": "remove-snapshots", "snapshot-ids": [first]}
    before = ns.ok("GET", T)
    status, kind, message = ns.fails("POST", T, {"updates": [removal]})
    assert (status, kind) == (409, "CommitFailedException")
    assert "tag release" in message
    assert ns.ok("GET", T) == before
    ref_removal = {"action": "remove-snapshot-ref", "ref-name": "release"}
    for updates in ([ref_removal, removal], [removal, ref_removal]):
        ns.ok("POST", T, {"updates": updates})
        assert "release" not in ns.ok("GET", T)["metadata"]["refs"]


def test_24_expiry_that_is_overtaken_by_a_new_tag_does_not_take_it(
    ns: Server, client: RestCatalog, table: Table
) -> None:
    """PyIceberg's expiry requires nothing of the refs that came since it looked."""
    first = table.snapshots()[0].snapshot_id
    expiry = table.maintenance.expire_snapshots().older_than(LATER)
    client.load_table("ns.t").manage_snapshots().create_tag(first, "release").commit()
    with pytest.raises(CommitFailedException, match="tag release"):
        expiry.commit()
    assert ids_in(ns.url, snapshot_id=first) == [1]
    assert "release" in client.load_table("ns.t").metadata.refs
    table.refresh().maintenance.expire_snapshots().older_than(LATER).commit()
    assert ids_in(ns.url, snapshot_id=first) == [1]


def test_24_expiry_that_is_overtaken_by_a_commit_to_a_branch_takes_none_of_it(
    ns: Server, client: RestCatalog, table: Table
) -> None:
    second = table.snapshots()[1].snapshot_id
    table.manage_snapshots().create_branch(second, "audit").commit()
    expiry = table.refresh().maintenance.expire_snapshots().older_than(LATER)
    client.load_table("ns.t").append(rows(9), branch="audit")
    expiry.commit()
    head = client.load_table("ns.t").metadata.refs["audit"].snapshot_id
    assert ids_in(ns.url, snapshot_id=head) == [1, 2, 9]


def test_24_a_required_ref_that_moved_stops_an_expiry(ns: Server, table: Table) -> None:
    first, second, *_ = (s.snapshot_id for s in table.snapshots())
    ns.ok("POST", T, {"updates": [set_ref("audit", second)]})
    requirement = {"type": "assert-ref-snapshot-id", "ref": "audit", "snapshot-id": first}
    removal = {"action": "remove-snapshots", "snapshot-ids": [first]}
    body = {"requirements": [requirement], "updates": [removal]}
    assert ns.fails("POST", T, body)[:2] == (409, "CommitFailedException")
    assert ids_in(ns.url, snapshot_id=first) == [1]
