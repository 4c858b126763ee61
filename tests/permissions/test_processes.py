"""Two processes on one socket: what is granted or revoked holds for the next request of both."""

import contextlib
from pathlib import Path

import pytest
import requests

from falcon_catalog.catalog import accounts
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.privileges import ADMIN, DESCRIBE, OWN
from falcon_catalog.store import grants, open_database
from tests.catalog.serving import SCHEMA, serving, store_url

ROUNDS = 60
REQUESTS = 6
"""As many as reach both processes nearly always."""


@pytest.mark.fault(number=29)
def test_a_revocation_holds_for_the_next_request_of_each(tmp_path: Path) -> None:
    with (
        serving(tmp_path, processes=2, auth__required=True) as server,
        contextlib.closing(open_database(store_url(tmp_path))) as database,
    ):

        def token(name: str, privileges: int) -> dict[str, str]:
            secret = accounts.add(StoreCall(database), name, privileges=privileges)
            form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
            answer = requests.post(f"{server.url}/v1/oauth/tokens", form, timeout=30)
            return {"Authorization": f"Bearer {answer.json()['access_token']}"}

        root, ann = token("root", OWN | ADMIN), token("ann", 0)
        server.ok("POST", "/v1/namespaces", {"namespace": ["ns"]}, headers=root)
        body = {"name": "t", "schema": SCHEMA}
        server.ok("POST", "/v1/namespaces/ns/tables", body, headers=root)
        row = database.autocommit().one("SELECT id FROM principals WHERE name = 'ann'")
        table = database.autocommit().one("SELECT id FROM tabulars")
        assert row is not None
        assert table is not None
        for number in range(ROUNDS):
            bits = DESCRIBE if number % 2 else 0
            with database.write() as tx:
                grants.set_bits(tx, grants.Entity("tabular", table[0]), row[0], bits, by="test")
            found = {
                server.call("GET", "/v1/namespaces/ns/tables/t", headers=ann).status_code
                for _ in range(REQUESTS)
            }
            assert found == {200 if bits else 404}, number
