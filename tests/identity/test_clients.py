"""Clients with an identity provider whose tokens are short, past three of their lifetimes."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from pyiceberg.catalog.rest import RestCatalog

from falcon_catalog.catalog import accounts
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.privileges import OWN
from falcon_catalog.store import grants, open_database
from falcon_catalog.store import principals as rows
from tests.auth.issuer import write_config
from tests.catalog.serving import Server, serving, store_url
from tests.identity.providers import OidcProvider, oidc_provider
from tests.processes import wait_for

LIFETIME = 3  # seconds
CLIENTS = ("duckdb", "pyiceberg", "java", "go")


@pytest.fixture(scope="module")
def idp() -> Iterator[OidcProvider]:
    with oidc_provider(lifetime=LIFETIME, services=CLIENTS) as made:
        yield made


@pytest.fixture
def server(idp: OidcProvider, tmp_path: Path) -> Iterator[Server]:
    """A catalog that each of the clients owns."""
    config = write_config(tmp_path, {"corp": idp.settings()})
    with serving(tmp_path, auth__required=True, config=config) as made:
        database = open_database(store_url(tmp_path))
        for name in CLIENTS:
            accounts.add_user(StoreCall(database), "corp", name)
            with database.write() as tx:
                row = rows.find(tx, f"corp~{name}")
                assert row is not None
                grants.set_bits(tx, grants.SERVER, row.id, OWN, by="test")
        database.close()
        yield made


def past_three_tokens(idp: OidcProvider, client: str, work: Callable[[], object]) -> None:
    """Let a client work until it has got four tokens."""

    def has_four() -> bool:
        work()
        return idp.issued(client) >= 4

    wait_for(has_four, "four tokens")


def test_duckdb(idp: OidcProvider, server: Server) -> None:
    server.ok(
        "POST",
        "/v1/namespaces",
        {"namespace": ["ns"]},
        headers={"Authorization": f"Bearer {idp.token('java')}"},
    )
    session = duckdb.connect()
    session.execute("SET autoinstall_known_extensions = false")
    for name in ("httpfs", "avro", "iceberg"):
        session.execute(f"LOAD {name}")
    session.execute(
        "CREATE SECRET lake (TYPE iceberg, CLIENT_ID 'duckdb', CLIENT_SECRET 'duckdb-secret',"
        f" OAUTH2_SERVER_URI '{idp.tokens_url}', OAUTH2_SCOPE 'catalog')"
    )
    session.execute(
        f"ATTACH 'default' AS lake (TYPE iceberg, ENDPOINT '{server.url}', SECRET lake)"
    )
    session.execute("CREATE TABLE lake.ns.t (n INTEGER)")
    numbers = iter(range(10_000))
    past_three_tokens(
        idp,
        "duckdb",
        lambda: session.execute(f"INSERT INTO lake.ns.t VALUES ({next(numbers)})"),
    )
    count = session.execute("SELECT count(*) FROM lake.ns.t").fetchone()
    assert count == (next(numbers),)


def test_pyiceberg(idp: OidcProvider, server: Server) -> None:
    oauth2 = {
        "client_id": "pyiceberg",
        "client_secret": "pyiceberg-secret",
        "token_url": idp.tokens_url,
        "scope": "catalog",
    }
    catalog = RestCatalog("lake", uri=server.url, auth={"type": "oauth2", "oauth2": oauth2})
    numbers = iter(range(10_000))
    past_three_tokens(idp, "pyiceberg", lambda: catalog.create_namespace(f"n{next(numbers)}"))
    assert len(catalog.list_namespaces()) == next(numbers)


def test_pyicebergs_older_manager_with_tokens_of_the_catalog(tmp_path: Path) -> None:
    """It sends its last token beside its credential, which oidc-provider does not accept."""
    with serving(tmp_path, auth__required=True, auth__token_lifetime=LIFETIME) as server:
        with contextlib.closing(open_database(store_url(tmp_path))) as database:
            secret = accounts.add(StoreCall(database), "etl", privileges=OWN)
        catalog = RestCatalog(
            "lake",
            uri=server.url,
            credential=f"etl:{secret}",
            **{"oauth2-server-uri": f"{server.url}/v1/oauth/tokens"},
        )
        numbers = iter(range(10_000))
        end = time.time() + 3 * LIFETIME + 1

        def is_over() -> bool:
            catalog.create_namespace(f"n{next(numbers)}")
            return time.time() > end

        wait_for(is_over, "three lifetimes of a token")
        assert len(catalog.list_namespaces()) == next(numbers)
