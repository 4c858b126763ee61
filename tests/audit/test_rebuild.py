"""Names and pointers, rebuilt from the events alone, are those of the store.

After a random program, and after a storm of commits in which the server is killed again and again.
"""

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from falcon_catalog.store import open_database
from tests.audit.rebuild import rebuilt, stored
from tests.audit.test_verbs import FUNCTION, MANAGEMENT
from tests.catalog.serving import SCHEMA, VIEW, Server, serving
from tests.durability.processes import Catalog, Client
from tests.postgres import stores
from tests.processes import wait_for

STEPS = int(os.environ.get("AUDIT_STEPS", "200"))
KILLS = int(os.environ.get("AUDIT_KILLS", "5"))
SEED = int(os.environ.get("AUDIT_SEED", "1"))


@pytest.fixture(params=stores.KINDS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    url = stores.url(request.param, tmp_path)
    with serving(tmp_path, processes=1, store__url=url) as server:
        yield server


class Program:
    """Requests that are drawn; many of them are refused."""

    def __init__(self, server: Server, chance: random.Random) -> None:
        self.server = server
        self.chance = chance
        self.locations: list[str] = []
        self.done = 0

    def step(self) -> None:
        verb, path, body = self.chance.choice(self._choices())()
        answer = self.server.call(verb, path, body)
        assert answer.status_code < 500, answer.text
        if answer.ok and verb != "GET":
            self.done += 1
            if answer.content and "metadata-location" in (found := answer.json()):
                self.locations.append(found["metadata-location"])

    def _choices(self) -> list[Callable[[], tuple[str, str, Any]]]:
        ns = self.chance.choice(("a", "b", "a%1Fc"))
        levels, name = ns.split("%1F"), self.chance.choice("tuv")
        here = {"namespace": levels, "name": name}
        there = {"namespace": [self.chance.choice("ab")], "name": self.chance.choice("tuvw")}
        base = f"/v1/namespaces/{ns}"
        set_ = {"action": "set-properties", "updates": {"n": str(self.chance.random())}}
        change = {"requirements": [], "updates": [set_]}
        managed = f"{MANAGEMENT}/namespaces/{ns}/functions/f"
        requests: list[tuple[str, str, Any]] = [
            ("POST", "/v1/namespaces", {"namespace": levels}),
            ("DELETE", base, None),
            ("POST", f"{base}/properties", {"updates": {"n": str(self.chance.random())}}),
            ("POST", f"{base}/tables", {"name": name, "schema": SCHEMA}),
            ("POST", f"{base}/tables", {"name": name, "schema": SCHEMA}),
            ("POST", f"{base}/tables/{name}", change),
            ("POST", f"{base}/tables/{name}", change),
            (
                "POST",
                "/v1/transactions/commit",
                {
                    "table-changes": [
                        {"identifier": {"namespace": levels, "name": each}, **change}
                        for each in self.chance.sample("tuv", 2)
                    ]
                },
            ),
            ("POST", "/v1/tables/rename", {"source": here, "destination": there}),
            ("DELETE", f"{base}/tables/{name}?purgeRequested=true", None),
            ("POST", f"{base}/tables/{name}/unregister", {}),
            ("POST", f"{base}/views", {"name": name, **VIEW}),
            ("POST", f"{base}/views/{name}", change),
            ("POST", "/v1/views/rename", {"source": here, "destination": there}),
            ("DELETE", f"{base}/views/{name}", None),
            ("PUT", managed, FUNCTION),
            ("DELETE", managed, None),
        ]
        if self.locations:
            location = self.chance.choice(self.locations[-3:])
            body = {"name": name, "metadata-location": location, "overwrite": True}
            requests.append(("POST", f"{base}/register", body))
        dropped = self.server.ok("GET", f"{MANAGEMENT}/dropped")["dropped"]
        if dropped:
            one = self.chance.choice(dropped)["id"]
            requests += [
                ("POST", f"{MANAGEMENT}/dropped/{one}/undrop", {"identifier": there}),
                ("POST", f"{MANAGEMENT}/dropped/{one}/undrop", None),
                ("DELETE", f"{MANAGEMENT}/dropped/{one}", None),
            ]
        return [lambda request=request: request for request in requests]


def test_after_a_random_program(server: Server) -> None:
    program = Program(server, random.Random(SEED))
    for _ in range(STEPS):
        program.step()
    assert program.done > STEPS / 5
    select = server.catalog.store.autocommit().all
    assert rebuilt(select) == stored(select)


def _hammer(client: Client, table: str, stopped: threading.Event, acknowledged: list[str]) -> None:
    number = 0
    while not stopped.is_set():
        number += 1
        set_ = {"action": "set-properties", "updates": {"n": str(number)}}
        path = f"/v1/namespaces/ns/tables/{table}"
        answer = client.ask("POST", path, {"requirements": [], "updates": [set_]})
        if answer.done:
            acknowledged.append(answer.body["metadata-location"])
        elif answer.status is None:
            return


@pytest.mark.fault(number=14)
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "processes"), [("sqlite", 1), ("sqlite", 2), ("postgres", 2)])
def test_after_kills_in_a_storm_of_commits(tmp_path: Path, kind: str, processes: int) -> None:
    chance = random.Random(SEED)
    (tmp_path / "store").mkdir()
    url = stores.url(kind, tmp_path / "store")
    catalog = Catalog(tmp_path, processes=processes, store__url=url)
    acknowledged: list[str] = []
    tables = ("t0", "t1", "shared", "shared")
    try:
        for kill in range(KILLS):
            catalog.start()
            if kill == 0:
                client = catalog.client()
                client.ask("POST", "/v1/namespaces", {"namespace": ["ns"]})
                for table in set(tables):
                    body = {"name": table, "schema": SCHEMA}
                    assert client.ask("POST", "/v1/namespaces/ns/tables", body).done
                client.close()
            stopped, before = threading.Event(), len(acknowledged)
            clients = [catalog.client() for _ in tables]
            threads = [
                threading.Thread(target=_hammer, args=(client, table, stopped, acknowledged))
                for client, table in zip(clients, tables, strict=True)
            ]
            for thread in threads:
                thread.start()
            enough = before + chance.randrange(3, 40)
            wait_for(lambda enough=enough: len(acknowledged) >= enough, "commits")
            catalog.kill()
            stopped.set()
            for thread in threads:
                thread.join(60)
            for client in clients:
                client.close()
            _examine(url, acknowledged)
    finally:
        catalog.kill()


def _examine(url: str, acknowledged: list[str]) -> None:
    """Check the events of a store that nobody serves; each acknowledged commit has its own."""
    with closing(open_database(url)) as database, database.read() as tx:
        world = stored(tx.all)
        assert rebuilt(tx.all) == world
        found = tx.all("SELECT state_after FROM events")
        recorded = [location for (location,) in found if location]
        assert len(recorded) == len(set(recorded))
        assert set(acknowledged) <= set(recorded)
        for _, _, location in world.tabulars.values():
            assert location in recorded
