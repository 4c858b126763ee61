"""DuckDB and PyIceberg on a catalog that needs tokens, and go on when theirs expire."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import requests
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import OAuthError, UnauthorizedError

from falcon_catalog.catalog import accounts
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.privileges import OWN
from falcon_catalog.store import open_database
from tests.catalog.serving import store_url
from tests.clients.conftest import Duck, Lake, Pool, serving

LIFETIME = 3  # seconds: long enough for any one request
DEADLINE = 60

Open = Callable[..., RestCatalog]


@dataclass
class Locked:
    """A catalog that needs tokens, and the credentials of somebody who may call."""

    lake: Lake
    secret: str

    @property
    def tokens(self) -> str:
        return f"{self.lake.url}/v1/oauth/tokens"

    @property
    def asked(self) -> int:
        """How often a token was asked for."""
        return self.lake.sent("POST").count("/v1/oauth/tokens")

    def expire(self) -> None:
        """Wait until every token issued so far has expired."""
        form = {"grant_type": "client_credentials"}
        answer = requests.post(self.tokens, form, auth=("etl", self.secret), timeout=30).json()
        headers = {"Authorization": f"Bearer {answer['access_token']}"}
        deadline = time.monotonic() + DEADLINE
        while requests.get(f"{self.lake.url}/v1/config", headers=headers, timeout=30).ok:
            assert time.monotonic() < deadline


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Locked]:
    with closing(open_database(store_url(tmp_path))) as database:
        secret = accounts.add(StoreCall(database), "etl", privileges=OWN)
    with serving(tmp_path, auth__required=True, auth__token_lifetime=LIFETIME) as lake:
        yield Locked(lake, secret)


@pytest.fixture
def connect(locked: Locked) -> Iterator[Open]:
    """Return a function that opens a PyIceberg catalog."""
    opened: list[RestCatalog] = []

    def open_one(**properties: object) -> RestCatalog:
        catalog = load_catalog("lake", type="rest", uri=locked.lake.url, **properties)
        assert isinstance(catalog, RestCatalog)
        opened.append(catalog)
        return catalog

    yield open_one
    for catalog in opened:
        catalog.close()


@pytest.fixture
def duck(pool: Pool, locked: Locked) -> Iterator[Duck]:
    """A DuckDB connection with a secret for the catalog, which is not attached."""
    with pool.connection() as connection:
        one = Duck(connection)
        one(
            f"CREATE SECRET lake_secret (TYPE iceberg, CLIENT_ID 'etl',"
            f" CLIENT_SECRET '{locked.secret}', OAUTH2_SERVER_URI '{locked.tokens}')"
        )
        yield one
        one("DROP SECRET lake_secret")


ROWS = pa.table({"i": pa.array([1, 2], pa.int64())})


def test_pyiceberg_works_with_a_credential(locked: Locked, connect: Open) -> None:
    catalog = connect(credential=f"etl:{locked.secret}")
    catalog.create_namespace("ns")
    table = catalog.create_table("ns.t", schema=ROWS.schema)
    table.append(ROWS)
    assert catalog.load_table("ns.t").scan().to_arrow() == ROWS


def test_pyiceberg_goes_on_when_its_token_expires(locked: Locked, connect: Open) -> None:
    catalog = connect(credential=f"etl:{locked.secret}")
    catalog.create_namespace("ns")
    catalog.create_table("ns.t", schema=ROWS.schema)
    locked.expire()
    before = locked.asked
    catalog.load_table("ns.t").append(ROWS)
    assert catalog.load_table("ns.t").scan().to_arrow() == ROWS
    assert locked.asked > before


def test_pyiceberg_works_with_its_newer_way_to_authenticate(locked: Locked, connect: Open) -> None:
    oauth2 = {"client_id": "etl", "client_secret": locked.secret, "token_url": locked.tokens}
    catalog = connect(auth={"type": "oauth2", "oauth2": {**oauth2, "scope": "catalog"}})
    catalog.create_namespace("ns")
    locked.expire()
    assert catalog.list_namespaces() == [("ns",)]


def test_pyiceberg_works_with_a_token(locked: Locked, connect: Open) -> None:
    form = {"grant_type": "client_credentials", "client_id": "etl", "client_secret": locked.secret}
    token = requests.post(locked.tokens, form, timeout=30).json()["access_token"]
    assert connect(token=token).list_namespaces() == []


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        ({}, UnauthorizedError),
        ({"token": "a.b.c"}, UnauthorizedError),
        ({"credential": "etl:wrong"}, OAuthError),
        ({"credential": "nobody:wrong"}, OAuthError),
        ({"credential": "wrong"}, OAuthError),
    ],
)
def test_pyiceberg_says_that_it_may_not(
    connect: Open, properties: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        connect(**properties)


def test_duckdb_works_with_a_secret_and_goes_on_when_its_token_expires(
    locked: Locked, duck: Duck
) -> None:
    attach = f"ATTACH 'default' AS lake (TYPE iceberg, ENDPOINT '{locked.lake.url}'"
    duck(f"{attach}, SECRET lake_secret)")
    duck("CREATE SCHEMA lake.ns", "CREATE TABLE lake.ns.t AS SELECT 1 AS i")
    locked.expire()
    before = locked.asked
    assert duck("FROM lake.ns.t") == [(1,)]
    duck("INSERT INTO lake.ns.t VALUES (2)")
    assert locked.asked > before
    duck("DETACH lake")
    locked.expire()
    duck(f"{attach}, SECRET lake_secret)")
    assert duck("FROM lake.ns.t ORDER BY i") == [(1,), (2,)]


def test_duckdb_works_with_credentials_in_attach(locked: Locked, duck: Duck) -> None:
    duck(
        f"ATTACH 'default' AS lake (TYPE iceberg, ENDPOINT '{locked.lake.url}',"
        f" CLIENT_ID 'etl', CLIENT_SECRET '{locked.secret}')",
        "CREATE SCHEMA lake.ns",
    )
    shown = duck("SELECT schema_name FROM duckdb_schemas() WHERE database_name = 'lake'")
    assert ("ns",) in shown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("AUTHORIZATION_TYPE 'none'", "Unauthorized_401"),
        ("CLIENT_ID 'etl', CLIENT_SECRET 'wrong'", "invalid_client"),
        ("CLIENT_ID 'nobody', CLIENT_SECRET 'wrong'", "invalid_client"),
        ("TOKEN 'a.b.c'", "Unauthorized_401"),
    ],
)
def test_duckdb_says_that_it_may_not(
    locked: Locked, duck: Duck, options: str, message: str
) -> None:
    with pytest.raises(duckdb.Error, match=message):
        duck(f"ATTACH 'default' AS lake (TYPE iceberg, ENDPOINT '{locked.lake.url}', {options})")
