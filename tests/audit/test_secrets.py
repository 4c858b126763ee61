"""Secrets are planted everywhere: none of them is in a row, nor in the log at any level."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from falcon_catalog.catalog import accounts, identity
from falcon_catalog.catalog.audit import Audit
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.settings import AuditSettings
from falcon_catalog.store import open_database
from tests.audit.test_verbs import FUNCTION
from tests.catalog.serving import SCHEMA, VIEW, Server, sql, store_url
from tests.processes import wait_for

MARK = "pl4nted-s3cret"
TOKENS = "/v1/oauth/tokens"


def everything(folder: Path) -> str:
    """Return all rows of the audit log."""
    found = [sql(folder, f"SELECT * FROM {table}") for table in ("events", "refusals")]
    return json.dumps(found)


@pytest.mark.fault(number=15)
@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_no_secret_is_in_a_row_or_in_the_log(
    start: Callable[..., Server], tmp_path: Path, level: str
) -> None:
    store = open_database(store_url(tmp_path))
    secret = accounts.add(StoreCall(store, local="local:0"), "etl", privileges=384)
    rotated = accounts.rotate(StoreCall(store, local="local:0"), "etl", 600)
    identity.rotate_key(store, 600)
    store.close()
    server = start(apart=True, auth__required=True, audit__log=True, log__level=level)

    def token(secret_: str, client: str = "etl") -> requests.Response:
        form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret_}
        return server.call("POST", TOKENS, data=form)

    issued = token(rotated).json()["access_token"]
    bearer: dict[str, Any] = {"headers": {"Authorization": f"Bearer {issued}"}}
    properties = {
        "s3.secret-access-key": f"{MARK}-1",
        "note": f"{MARK}-2",
        "gcs.token": f"{MARK}-3",
    }
    ns = {"namespace": ["ns"], "properties": {"password": f"{MARK}-4"}}
    server.ok("POST", "/v1/namespaces", ns, **bearer)
    updates = {"updates": {"password": f"{MARK}-5", "api-key": f"{MARK}-6"}}
    server.ok("POST", "/v1/namespaces/ns/properties", updates, **bearer)
    body = {"name": "t", "schema": SCHEMA, "properties": {"note": f"{MARK}-7"}}
    server.ok("POST", "/v1/namespaces/ns/tables", body, **bearer)
    set_ = {"action": "set-properties", "updates": {"note": f"{MARK}-8", "x": f"{MARK}-9"}}
    change = {"requirements": [], "updates": [set_]}
    server.ok("POST", "/v1/namespaces/ns/tables/t", change, **bearer)
    server.call(
        "POST",
        "/v1/namespaces/ns/tables",
        {**body, "name": "u", "properties": properties},
        **bearer,
    )
    view = {"name": "v", **VIEW, "properties": {"note": f"{MARK}-10"}}
    server.ok("POST", "/v1/namespaces/ns/views", view, **bearer)
    function = json.loads(json.dumps(FUNCTION).replace("x + 1", f"'{MARK}-11'"))
    managed = "/management/v1/warehouses/default/namespaces/ns/functions/f"
    server.ok("PUT", managed, function, **bearer)
    # What must be refused.
    assert token(f"{MARK}-12").status_code == 401
    wrong = {"Authorization": f"Bearer {MARK}-13.{MARK}-14.{MARK}-15"}
    assert server.call("GET", "/v1/namespaces", headers=wrong).status_code == 401
    assert (
        server.call("POST", "/v1/namespaces", {"namespace": ["x"]}, headers=wrong).status_code
        == 401
    )
    basic = {"Authorization": f"Basic {MARK}-16"}
    assert server.call("GET", "/v1/config", headers=basic).status_code == 401
    assert server.call("GET", f"/v1/config?token={MARK}-17", headers=wrong).status_code == 401
    created = server.ok("POST", "/management/v1/principals", {"name": "new"}, **bearer)
    reset = server.ok("POST", "/management/v1/principals/new/secret", {}, **bearer)
    server.ok("POST", "/management/v1/principals/new", {"disabled": True}, **bearer)
    given = [secret, rotated, issued]
    given += [each["credential"].partition(":")[2] for each in (created, reset)]
    wait_for(lambda: len(sql(tmp_path, "SELECT 1 FROM refusals")) >= 5, "refusals to be written")
    text = everything(tmp_path) + server.log
    assert "createTable" in text
    assert "falcon_catalog.audit" in server.log
    for each in [MARK, *given, *issued.split(".")[1:]]:
        assert each not in text, re.findall(f".{{80}}{re.escape(each)}", text)


def test_a_url_in_the_settings_loses_its_password(tmp_path: Path) -> None:
    store = open_database(store_url(tmp_path))
    settings = _Settings(
        {
            "tracing.endpoint": f"https://user:{MARK}@otel.example:4318/v1",
            "warehouse.more": (f"a=s3://{MARK}@b/c", "d=file:///e"),
            "server.threads": 3,
        }
    )
    audit = Audit(store, AuditSettings())
    audit.started(settings)  # type: ignore[arg-type]
    audit.close()
    store.close()
    text = everything(tmp_path)
    assert MARK not in text
    assert "https://otel.example:4318/v1" in text
    assert "a=s3://b/c" in text


class _Settings:
    """Settings with these values, none of them a default."""

    def __init__(self, values: dict[str, object]) -> None:
        self._values = values
        self.origins = dict.fromkeys(values, "flag")

    def value(self, key: str) -> object:
        return self._values[key]
