"""Access to files that clients were given is in the audit log, and no secret of it."""

from pathlib import Path
from typing import Any

import pytest

from falcon_catalog.errors import ServiceUnavailableError
from tests.audit.log import Row, rows
from tests.catalog.serving import Server
from tests.clouds.emulators import S3
from tests.clouds.signing import on, signing
from tests.clouds.warehouses import VENDED, on_s3
from tests.processes import wait_for

TABLE = "/v1/namespaces/ns/tables/t"


def issued(server: Server) -> list[Row]:
    return rows(server.folder, "files")


def secrets(answer: Any) -> set[str]:
    names = ("s3.access-key-id", "s3.secret-access-key", "s3.session-token")
    return {each["config"][name] for each in answer["storage-credentials"] for name in names}


def test_vended_credentials_have_a_row_before_a_client_has_them(s3: S3, tmp_path: Path) -> None:
    with on_s3(tmp_path, s3) as server:
        server.table("t")
        assert issued(server) == []
        first = server.ok("GET", TABLE, headers=VENDED)
        (row,) = issued(server)
        assert (row.operation, row.name, row.kind) == ("issueCredentials", "ns.t", "table")
        assert row.uuid == first["metadata"]["table-uuid"]
        config = first["storage-credentials"][0]["config"]
        assert row.detail == {
            "permission": "write",
            "until-ms": int(config["s3.session-token-expires-at-ms"]),
            "locations": [first["metadata"]["location"]],
        }
        again = server.ok("GET", TABLE, headers=VENDED)
        assert secrets(again) == secrets(first)
        assert len(issued(server)) == 1
        planned = server.ok("GET", f"{TABLE}/credentials?planId=x")
        read = issued(server)[-1]
        assert (len(issued(server)), read.detail["permission"]) == (2, "read")
        text = " ".join(map(str, rows(server.folder)))
        for secret in secrets(first) | secrets(planned):
            assert secret not in text


def test_it_can_be_turned_off(s3: S3, tmp_path: Path) -> None:
    with on_s3(tmp_path, s3, audit__vending=False) as server:
        server.table("t")
        assert secrets(server.ok("GET", TABLE, headers=VENDED))
        assert issued(server) == []


def test_without_its_row_no_client_gets_credentials(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with on_s3(tmp_path, s3) as server:
        server.table("t")
        store = server.catalog.store

        def refuse() -> Any:
            raise ServiceUnavailableError("The database cannot take changes now")

        with monkeypatch.context() as patch:
            patch.setattr(type(store), "write", lambda _self: refuse())
            status, kind, _ = server.fails("GET", TABLE, headers=VENDED)
        assert (status, kind) == (503, "SlowDownException")
        assert secrets(server.ok("GET", TABLE, headers=VENDED))
        assert len(issued(server)) == 1


def test_signatures_are_counted_by_caller_and_table(s3: S3, tmp_path: Path) -> None:
    with signing(tmp_path, **on(s3), prefix="audited") as store:
        uri = store.uri(f"{store.server.table('t')['metadata']['location']}/data/x")
        for _ in range(25):
            assert store.ask("t", "GET", uri).status_code == 200
        assert store.ask("t", "PUT", uri).status_code == 200
        wait_for(lambda: len(issued(store.server)) == 2, "the first rows")
        first = issued(store.server)
        folder = store.server.folder
    found = rows(folder, "files")
    assert found[:2] == first
    assert [row.operation for row in found] == ["signRequest"] * 3
    assert {row.name for row in found} == {"ns.t"}
    counted = found[2].detail
    assert sorted((row.detail["permission"], row.detail["count"]) for row in first) == [
        ("read", 1),
        ("write", 1),
    ]
    assert (counted["permission"], counted["count"]) == ("read", 24)
    assert counted["from-ms"] <= counted["until-ms"]
