"""Clients with an identity provider whose tokens are short, past three of their lifetimes."""

import contextlib
import os
import re
import shutil
import subprocess
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
from tests.auth.issuer import write_config
from tests.catalog.serving import Server, serving, store_url
from tests.clouds import java_library
from tests.identity.providers import OidcProvider, oidc_provider
from tests.processes import wait_for

LIFETIME = 3  # seconds
# Java renews its tokens when a tenth of their life is left, or else fails: that must be more than
# the second by which the provider rounds their end down.
JAVA_LIFETIME = 20
OWN_LIFETIME = 8
CLIENTS = ("duckdb", "pyiceberg", "other")


@pytest.fixture(scope="module")
def idp() -> Iterator[OidcProvider]:
    with oidc_provider(lifetime=LIFETIME, services=CLIENTS) as made:
        yield made


@pytest.fixture
def server(idp: OidcProvider, tmp_path: Path) -> Iterator[Server]:
    """A catalog that each of the clients owns."""
    config = write_config(tmp_path, {"corp": idp.settings()})
    with serving(tmp_path, auth__required=True, config=config) as made:
        for name in CLIENTS:
            own(tmp_path, name)
        yield made


def own(folder: Path, name: str) -> None:
    """Let a user of the provider own the catalog of a folder."""
    with contextlib.closing(open_database(store_url(folder))) as database:
        row = accounts.add_user(StoreCall(database), "corp", name)
        with database.write() as tx:
            grants.set_bits(tx, grants.SERVER, row.id, OWN, by="test")


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
        headers={"Authorization": f"Bearer {idp.token('other')}"},
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


def all_were_created(output: str) -> None:
    """Check that a program found all namespaces that it had created."""
    found = re.search(r"(\d+) of (\d+)", output)
    assert found is not None, output
    assert found[1] == found[2]
    assert int(found[1]) > 10


def java(server: Server, seconds: int, **properties: str) -> None:
    folder = java_library.jars()
    program = str(Path(__file__).with_name("Tokens.java"))
    given = [f"{name.replace('__', '-')}={value}" for name, value in properties.items()]
    command = ["java", "-cp", f"{folder}/*", program, server.url, str(seconds), "java", *given]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert ran.returncode == 0, ran.stderr
    all_were_created(ran.stdout)


@pytest.mark.timeout(java_library.FETCHING)
def test_java_without_exchange(tmp_path: Path) -> None:
    with oidc_provider(lifetime=JAVA_LIFETIME, services=("java",)) as idp:
        config = write_config(tmp_path, {"corp": idp.settings()})
        with serving(tmp_path, auth__required=True, config=config) as server:
            own(tmp_path, "java")
            java(
                server,
                3 * JAVA_LIFETIME + 2,
                credential="java:java-secret",
                scope="catalog",
                oauth2__server__uri=idp.tokens_url,
                token__exchange__enabled="false",  # noqa: S106 - a switch
            )
        assert idp.issued("java") >= 4


@pytest.mark.timeout(java_library.FETCHING)
def test_java_with_exchange(tmp_path: Path) -> None:
    """It renews tokens of the catalog by exchange, without its secret."""
    with serving(tmp_path, auth__required=True, auth__token_lifetime=OWN_LIFETIME) as server:
        with contextlib.closing(open_database(store_url(tmp_path))) as database:
            secret = accounts.add(StoreCall(database), "etl", privileges=OWN)
        java(
            server,
            3 * OWN_LIFETIME + 2,
            credential=f"etl:{secret}",
            oauth2__server__uri=f"{server.url}/v1/oauth/tokens",
        )


@pytest.mark.timeout(1500)
def test_go(tmp_path: Path) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no go, which compiles Iceberg's library and the program on it")
    module = Path(__file__).parents[1] / "engines/go"
    program = str(tmp_path / "program")
    subprocess.run([go, "test", "-c", "-o", program, "."], cwd=module, check=True)
    with oidc_provider(lifetime=LIFETIME, services=("go",)) as idp:
        config = write_config(tmp_path, {"corp": idp.settings()})
        with serving(tmp_path, auth__required=True, config=config) as server:
            own(tmp_path, "go")
            told = {
                "CATALOG_URI": server.url,
                "TOKENS_URI": idp.tokens_url,
                "TOKENS_CREDENTIAL": "go:go-secret",
                "TOKENS_SECONDS": str(3 * LIFETIME + 2),
            }
            ran = subprocess.run(
                [program, "-test.v", "-test.run=TestTokens"],
                env={**os.environ, **told},
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, ran.stdout + ran.stderr
            all_were_created(ran.stdout)
        assert idp.issued("go") >= 4
