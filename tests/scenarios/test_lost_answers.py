"""What a writer is told, and keeps, when the answer to its commit is lost or made up on the way."""

import contextlib
import time
import uuid
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from pydantic import ValidationError
from pyiceberg.exceptions import CommitStateUnknownException, ServiceUnavailableError
from requests.exceptions import ChunkedEncodingError, JSONDecodeError
from requests.exceptions import ConnectionError as LostConnectionError

from tests.catalog.serving import SCHEMA, Server
from tests.clients.conftest import Duck, Pool, pool
from tests.scenarios.cutting import LOST, Fault, Proxy, gateway_error
from tests.scenarios.steps import (
    ARROW,
    TABLES,
    TRANSACTION,
    T,
    append,
    client_of,
    ids_in,
    metadata_files,
    reached,
    rows,
    set_properties,
    through,
)

__all__ = ["pool"]

LOSSES = {
    "nothing came": LOST,
    "the connection was reset": Fault(response_bytes=0, reset=True),
    "the status line came, as if it were all": Fault(response_bytes=15),
    "half of the body came": Fault(response_bytes=900),
    "the body was reset": Fault(response_bytes=900, reset=True),
}
# The last is PyIceberg's, of an answer that ends with its status line.
NO_ANSWER = (LostConnectionError, ChunkedEncodingError, ValidationError)


@pytest.fixture(params=LOSSES.values(), ids=LOSSES)
def loss(request: pytest.FixtureRequest) -> Fault:
    assert isinstance(request.param, Fault)
    return request.param


@pytest.fixture(params=[True, False], ids=["with a key", "without a key"])
def headers(request: pytest.FixtureRequest) -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())} if request.param else {}


def loses(server: Server, path: str, body: Any, headers: dict[str, str]) -> None:
    with pytest.raises((*NO_ANSWER, JSONDecodeError)):
        server.call("POST", path, body, headers=headers).json()


class TestRetries:
    def test_01_lost_response_retry_does_not_conflict_with_itself(
        self, ns: Server, proxy: Proxy, loss: Fault, headers: dict[str, str]
    ) -> None:
        ns.table("t")
        body = append(1, parent=None)
        proxy.plan("POST", "/tables/t", loss)
        loses(through(ns, proxy), T, body, headers)
        known = ns.ok("GET", T)
        assert [s["snapshot-id"] for s in known["metadata"]["snapshots"]] == [1]
        again = through(ns, proxy).ok("POST", T, body, headers=headers)
        assert again == {key: known[key] for key in again}
        assert ns.ok("GET", T) == known
        assert len(metadata_files(ns)) == 2

    def test_01_lost_response_retry_succeeds_after_others_built_on_it(
        self, ns: Server, proxy: Proxy, headers: dict[str, str]
    ) -> None:
        ns.table("t")
        body = append(1, parent=None)
        proxy.plan("POST", "/tables/t", LOST)
        loses(through(ns, proxy), T, body, headers)
        ns.ok("POST", T, append(2, parent=1))
        through(ns, proxy).ok("POST", T, body, headers=headers)
        metadata = ns.ok("GET", T)["metadata"]
        assert [s["snapshot-id"] for s in metadata["snapshots"]] == [1, 2]
        assert metadata["current-snapshot-id"] == 2

    def test_01_lost_response_of_a_transaction_retries_as_one(
        self, ns: Server, proxy: Proxy, headers: dict[str, str]
    ) -> None:
        changes = []
        for name in "ab":
            ns.table(name)
            identifier = {"namespace": ["ns"], "name": name}
            changes.append({"identifier": identifier, **append(1, parent=None)})
        body = {"table-changes": changes}
        proxy.plan("POST", "/commit", LOST)
        loses(through(ns, proxy), TRANSACTION, body, headers)
        assert through(ns, proxy).call("POST", TRANSACTION, body, headers=headers).ok
        for name in "ab":
            assert len(ns.ok("GET", f"{TABLES}/{name}")["metadata"]["snapshots"]) == 1

    def test_01_lost_response_of_a_create_with_a_key_retries_as_one(
        self, ns: Server, proxy: Proxy
    ) -> None:
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        proxy.plan("POST", "/tables", LOST)
        body = {"name": "t", "schema": SCHEMA}
        loses(through(ns, proxy), TABLES, body, headers)
        assert through(ns, proxy).ok("POST", TABLES, body, headers=headers) == ns.ok("GET", T)

    def test_01_a_stranger_s_commit_is_no_retry(self, ns: Server) -> None:
        """The control: who really was overtaken is told so."""
        ns.table("t")
        ns.ok("POST", T, append(1, parent=None))
        assert ns.fails("POST", T, append(2, parent=None))[:2] == (409, "CommitFailedException")


class TestClients:
    """An engine that heard nothing keeps its files, and what it wrote can be read."""

    @pytest.fixture
    def filled(self, ns: Server) -> Server:
        client_of(ns.url).create_table("ns.t", ARROW).append(rows(1))
        return ns

    def whole(self, server: Server, ids: list[int]) -> None:
        table = client_of(server.url).load_table("ns.t")
        assert [path for path in reached(table) if not path.is_file()] == []
        assert ids_in(server.url) == ids

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_02_a_gateways_5xx_does_not_cost_a_committed_file(
        self, filled: Server, proxy: Proxy, status: int
    ) -> None:
        table = client_of(proxy.url).load_table("ns.t")
        proxy.plan("POST", "/tables/t", gateway_error(status))
        expected = ServiceUnavailableError if status == 503 else CommitStateUnknownException
        with pytest.raises(expected):
            table.append(rows(2))
        self.whole(filled, [1, 2])

    def test_29_pyiceberg_keeps_what_it_wrote_when_it_hears_nothing(
        self, filled: Server, proxy: Proxy, loss: Fault
    ) -> None:
        table = client_of(proxy.url).load_table("ns.t")
        proxy.plan("POST", "/tables/t", loss)
        with pytest.raises(NO_ANSWER):
            table.append(rows(2))
        self.whole(filled, [1, 2])

    @pytest.fixture
    def duck(self, proxy: Proxy, pool: Pool) -> Iterator[Duck]:
        with pool.connection() as connection:
            duck = Duck(connection)
            duck(
                f"ATTACH 'default' AS lake (TYPE iceberg, ENDPOINT '{proxy.url}',"
                " AUTHORIZATION_TYPE 'none')"
            )
            yield duck

    def test_29_duckdb_keeps_what_it_wrote_when_it_hears_nothing(
        self, filled: Server, proxy: Proxy, duck: Duck, loss: Fault
    ) -> None:
        self.plan_both(proxy, loss, times=1)
        with contextlib.suppress(duckdb.Error):  # it may tell, or have sent the request again
            duck("INSERT INTO lake.ns.t VALUES (2)")
        assert proxy.planned == 1, proxy.seen
        self.whole(filled, [1, 2])

    @pytest.mark.parametrize("status", [500, 503, 504])
    def test_29_duckdb_sends_again_after_a_gateways_5xx_and_succeeds(
        self, filled: Server, proxy: Proxy, duck: Duck, status: int
    ) -> None:
        self.plan_both(proxy, gateway_error(status), times=1)
        duck("INSERT INTO lake.ns.t VALUES (2)")
        self.whole(filled, [1, 2])

    @pytest.mark.xfail(reason="DuckDB 1.5.5 deletes its files after any failure", strict=True)
    @pytest.mark.parametrize(("status", "times"), [(502, 1), (500, 4)])
    def test_29_duckdb_keeps_what_it_wrote_when_a_gateway_goes_on_failing(
        self, filled: Server, proxy: Proxy, duck: Duck, status: int, times: int
    ) -> None:
        self.plan_both(proxy, gateway_error(status), times=times)
        with contextlib.suppress(duckdb.Error):
            duck("INSERT INTO lake.ns.t VALUES (2)")
        self.whole(filled, [1, 2])

    def plan_both(self, proxy: Proxy, fault: Fault, *, times: int) -> None:
        """Plan for either way to commit: DuckDB's versions differ in which one they take."""
        for path in ("/tables/t", "/transactions/commit"):
            for _ in range(times):
                proxy.plan("POST", path, fault)


class TestCutRequests:
    @pytest.mark.parametrize("cut", [1, 60, -1, -40, -500])
    def test_25_a_request_that_was_cut_short_leaves_nothing_behind(
        self, ns: Server, proxy: Proxy, cut: int
    ) -> None:
        made = ns.table("t")
        proxy.plan("POST", "/tables/t", Fault(request_bytes=cut))
        body = append(1, parent=None)
        body["updates"].append(set_properties(long="x" * 1000))
        loses(through(ns, proxy), T, body, {})
        assert ns.ok("GET", T) == made
        assert len(metadata_files(ns)) == 1
        through(ns, proxy).ok("POST", T, body)
        assert ns.ok("GET", T)["metadata"]["current-snapshot-id"] == 1

    @pytest.mark.parametrize("field", ["manifest-list", "snapshot-id", "timestamp-ms", "summary"])
    def test_25_half_a_snapshot_is_refused(self, ns: Server, field: str) -> None:
        made = ns.table("t")
        body = append(1, parent=None)
        del body["updates"][0]["snapshot"][field]
        status, kind, message = ns.fails("POST", T, body)
        assert (status, kind) == (400, "BadRequestException")
        assert field in message
        assert ns.ok("GET", T) == made

    def test_26_an_overwrite_that_never_arrived_leaves_the_old_rows(
        self, ns: Server, proxy: Proxy
    ) -> None:
        client_of(ns.url).create_table("ns.t", ARROW).append(rows(1))
        table = client_of(proxy.url).load_table("ns.t")
        proxy.plan("POST", "/tables/t", Fault(request_bytes=-10))
        with pytest.raises(NO_ANSWER):
            table.overwrite(rows(2))
        assert ids_in(ns.url) == [1]

    def test_26_a_replaced_table_is_the_old_one_or_the_new_one(
        self, ns: Server, proxy: Proxy
    ) -> None:
        """A staged replacement changes schema and rows in one commit: there is no time between."""
        before = ns.table("t")
        ns.ok("POST", T, append(1, parent=None))
        staged = append(2, parent=None)
        schema = {**SCHEMA, "schema-id": 1, "fields": SCHEMA["fields"][:1]}
        replacing = {
            "requirements": [
                {"type": "assert-table-uuid", "uuid": before["metadata"]["table-uuid"]}
            ],
            "updates": [
                {"action": "add-schema", "schema": schema},
                {"action": "set-current-schema", "schema-id": -1},
                {"action": "remove-snapshot-ref", "ref-name": "main"},
                *staged["updates"],
            ],
        }
        old = ns.ok("GET", T)
        proxy.plan("POST", "/tables/t", Fault(request_bytes=-10))
        loses(through(ns, proxy), T, replacing, {})
        assert ns.ok("GET", T) == old
        proxy.plan("POST", "/tables/t", LOST)
        loses(through(ns, proxy), T, replacing, {})
        new = ns.ok("GET", T)["metadata"]
        assert (new["current-snapshot-id"], new["current-schema-id"]) == (2, 1)
        assert through(ns, proxy).ok("POST", T, replacing)["metadata"] == new
        assert time.time_ns() > new["last-updated-ms"]


def test_a_refusal_that_was_lost_is_told_again(ns: Server, proxy: Proxy) -> None:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    ns.table("t")
    ns.ok("POST", T, append(1, parent=None))
    proxy.plan("POST", "/tables/t", LOST)
    body = append(2, parent=None)
    loses(through(ns, proxy), T, body, headers)
    assert through(ns, proxy).call("POST", T, body, headers=headers).status_code == 409
