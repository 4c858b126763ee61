"""What the story of five people and one catalog needs: a server, its actors, and its audit log."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import requests
from duckdb_extensions import import_extension
from pyiceberg.catalog.rest import RestCatalog

PROGRAM = [sys.executable, "-c", "from falcon_catalog.cli import main; main()"]
SECONDS = 30
Grant = tuple[str, str, str]
"""On which kind of entity, its name with dots, and to whom."""


class RefusedError(Exception):
    """A statement of a client was refused."""


@dataclass
class Catalog:
    """A server with ``auth.required`` in a process of its own, and what was done with it."""

    folder: Path
    url: str = ""
    credentials: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    """The changes that actors made, as ``actor operation object``, in their order."""
    refused: list[str] = field(default_factory=list)
    """Who was refused, in the order of the requests."""

    @property
    def flags(self) -> list[str]:
        """The store and the warehouse, as all commands take them."""
        return [f"--store=sqlite:///{self.folder}/catalog.db"]

    def run(self, *words: str) -> str:
        """Run a command; return the JSON that it prints."""
        command = [*PROGRAM, *words, "--json", *self.flags]
        printed = subprocess.run(command, capture_output=True, text=True, check=False)
        assert printed.returncode == 0, printed.stderr
        return printed.stdout

    def audit(self, *words: str) -> list[Any]:
        """Return what ``falcon-catalog audit`` shows, the oldest first."""
        lines = self.run("audit", "--limit", "100000", *words).splitlines()
        return sorted(map(json.loads, lines), key=lambda each: each["sequence-number"])

    def bearer(self, who: str) -> dict[str, str]:
        """Return the header with a new token of an actor."""
        name, _, secret = self.credentials[who].partition(":")
        form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
        token = requests.post(f"{self.url}/v1/oauth/tokens", data=form, timeout=SECONDS)
        return {"Authorization": f"Bearer {token.json()['access_token']}"}

    def ask(self, who: str, method: str, path: str, body: object = None) -> requests.Response:
        """Send a request with a new token of an actor; "" sends none."""
        headers = self.bearer(who) if who else {}
        url = f"{self.url}{path}"
        return requests.request(method, url, json=body, headers=headers, timeout=SECONDS)

    def ok(self, who: str, method: str, path: str, body: object = None) -> Any:
        """Send a request that must succeed."""
        answer = self.ask(who, method, path, body)
        assert answer.ok, f"{method} {path}: {answer.text}"
        return answer.json() if answer.content else None

    def pyiceberg(self, who: str) -> RestCatalog:
        """Return PyIceberg's catalog of an actor."""
        tokens = {"oauth2-server-uri": f"{self.url}/v1/oauth/tokens"}
        return RestCatalog(who, uri=self.url, credential=self.credentials[who], **tokens)

    def duckdb(self, who: str) -> "Session":
        """Return a session of DuckDB in which the catalog is attached as ``lake``."""
        session = duckdb.connect()
        for name in ("avro", "httpfs", "iceberg"):
            import_extension(name, con=session)
        user, _, secret = self.credentials[who].partition(":")
        session.execute(
            f"CREATE SECRET s (TYPE iceberg, CLIENT_ID '{user}', CLIENT_SECRET '{secret}',"
            f" OAUTH2_SERVER_URI '{self.url}/v1/oauth/tokens')"
        )

        def run(statement: str) -> list[tuple[Any, ...]]:
            try:
                return session.execute(statement).fetchall()
            except duckdb.Error as error:
                raise RefusedError(str(error)) from error

        run(f"ATTACH 'default' AS lake (TYPE iceberg, ENDPOINT '{self.url}', SECRET s)")
        return run


Session = Callable[[str], list[tuple[Any, ...]]]
"""Run a statement; tables are ``lake.NAMESPACE.TABLE``. Raises RefusedError."""


@contextmanager
def catalog(folder: Path) -> Iterator[Catalog]:
    """Run a catalog that has an administrator, ``root``, and nothing else."""
    made = Catalog(folder)
    serve = ["serve", "--listen", "127.0.0.1:0", f"--warehouse=file://{folder}/files"]
    with (
        (folder / "server.log").open("wb") as log,
        subprocess.Popen(
            [*PROGRAM, *serve, *made.flags],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | {"CATALOG_AUTH_REQUIRED": "true"},
        ) as server,
    ):
        line = server.stdout.readline().strip() if server.stdout else ""
        assert line.startswith("Listening on "), (folder / "server.log").read_text()
        made.url = line.removeprefix("Listening on ")
        try:
            added = json.loads(made.run("principals", "add", "root", "--admin"))
            made.credentials["root"] = added["credential"]
            made.done.append("local createPrincipal root")
            yield made
        finally:
            server.terminate()
            assert server.wait(60) == 0


def dotted(named: Mapping[str, Any] | None) -> str:
    """Return the name of an event's object, or of an entity, with dots."""
    named = named or {}
    return ".".join([*named.get("namespace", []), *([named["name"]] if "name" in named else [])])


@dataclass
class State:
    """The catalog as it is, or as its audit log says that it must be."""

    namespaces: set[str] = field(default_factory=set)
    pointers: dict[str, str] = field(default_factory=dict)
    """The metadata file of each table."""
    grants: dict[Grant, frozenset[str]] = field(default_factory=dict)
    """The privileges of each grant."""

    def put(self, grant: Grant, privileges: frozenset[str]) -> None:
        """Set the privileges of a grant; without any there is none."""
        self.grants.pop(grant, None)
        if privileges:
            self.grants[grant] = privileges

    def apply(self, event: Mapping[str, Any]) -> None:
        """Do what an event of the audit log says."""
        kind, name = event["kind"], dotted(event.get("object"))
        match event["operation"]:
            case "grant" | "revoke":
                held = frozenset(event["after"].split(",")) - {""}
                self.put((kind, name, event["detail"]["principal"]), held)
            case "createPrincipal":
                self.put(("server", "", name), frozenset(event["detail"]["privileges"]))
            case "deletePrincipal":
                self.grants = {key: held for key, held in self.grants.items() if key[2] != name}
            case "createNamespace":
                self.namespaces.add(name)
                self.put((kind, name, event["actor"]["name"]), frozenset({"own"}))
            case _ if kind == "table":
                self._apply_to_table(event, name)

    def _apply_to_table(self, event: Mapping[str, Any], name: str) -> None:
        former = dotted(event.get("former-object")) or name
        assert self.pointers.pop(former, None) == event.get("before"), event
        if "after" in event:
            self.pointers[name] = event["after"]
        held = [key for key in self.grants if key[:2] == ("table", former)]
        for key in held:
            privileges = self.grants.pop(key)
            # What was dropped keeps its grants, but has no name any more.
            where = ("table", name) if "after" in event else ("dropped", "")
            self.grants[(*where, key[2])] = privileges
        if event["operation"] == "createTable":
            self.put(("table", name, event["actor"]["name"]), frozenset({"own"}))


def replayed(events: list[Any]) -> State:
    """Return the state that results from all events, in their order."""
    state = State()
    for event in events:
        state.apply(event)
    return state


def actual(made: Catalog, owner: str) -> State:
    """Return the state that the catalog shows to an owner of everything, and to its root."""
    state = State()
    for (namespace,) in made.ok(owner, "GET", "/v1/namespaces")["namespaces"]:
        state.namespaces.add(namespace)
        tables = f"/v1/namespaces/{namespace}/tables"
        for each in made.ok(owner, "GET", tables)["identifiers"]:
            found = made.ok(owner, "GET", f"{tables}/{each['name']}")
            state.pointers[dotted(each)] = found["metadata-location"]
    known = [
        each["name"] for each in made.ok("root", "GET", "/management/v1/principals")["principals"]
    ]
    known += [each["name"] for each in made.ok("root", "GET", "/management/v1/roles")["roles"]]
    for name in known:
        for each in made.ok("root", "GET", f"/management/v1/grants?principal={name}")["grants"]:
            entity = each["entity"]
            key = (entity["type"], dotted(entity), each["principal"])
            state.grants[key] = frozenset(each["privileges"])
    return state
