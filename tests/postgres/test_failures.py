"""A database that fails: lost connections, crashes, standbys, timeouts, wrong passwords."""

import contextlib
import logging
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import requests
from click.testing import CliRunner

from falcon_catalog.catalog import principals
from falcon_catalog.cli import main
from falcon_catalog.errors import ServiceUnavailableError
from falcon_catalog.settings import StoreSettings
from falcon_catalog.store import open_database, warehouses
from falcon_catalog.store.database import StoreError
from tests.catalog.serving import SCHEMA, Server, serving
from tests.postgres import cluster
from tests.postgres.cluster import Cluster
from tests.processes import DEADLINE, wait_for

T = "/v1/namespaces/ns/tables/t"
SET = {"updates": [{"action": "set-properties", "updates": {"a": "b"}}]}


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A cluster that may be crashed."""
    cluster = Cluster(durable=True)
    cluster.create()
    cluster.start()
    yield cluster
    cluster.remove()


def files(server: Server) -> list[Path]:
    return sorted((server.warehouse / "ns").rglob("*.metadata.json"))


def test_an_effect_is_not_denied_when_its_answer_cannot_be_recorded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ServiceUnavailableError("The database does not answer. Nothing was changed")

    url = cluster.store_url(f"d{uuid.uuid4().hex}")
    with serving(tmp_path, processes=1, store__url=url) as server:
        key = {"Idempotency-Key": str(uuid.uuid4())}
        with monkeypatch.context() as patch:
            patch.setattr("falcon_catalog.catalog.idempotency.record_answer", fail)
            for body in ({"namespace": ["ns"]}, {"namespace": ["ns"]}):
                assert server.call("POST", "/v1/namespaces", body, headers=key).status_code == 200
            refused = server.call(
                "POST",
                "/v1/namespaces",
                {"namespace": ["a", "b"]},
                headers={"Idempotency-Key": str(uuid.uuid4())},
            )
            assert refused.status_code == 503


class TestACrash:
    def test_of_the_database_is_503_and_then_over(self, own: Cluster, tmp_path: Path) -> None:
        with serving(tmp_path, processes=1, store__url=own.url, store__connect_timeout=2) as server:
            server.namespace("ns")
            made = server.table("t")
            own.crash()
            for verb, path, body in (("GET", T, None), ("POST", T, SET), ("HEAD", T, None)):
                answer = server.call(verb, path, body)
                assert answer.status_code == 503, answer.text
                assert answer.headers["Retry-After"]
                assert "127.0.0.1" not in answer.text
            assert server.call("GET", "/health/ready").status_code == 503
            assert server.call("GET", "/health/live").status_code == 200
            server.app.ready()  # for the watchdog: a restart would not help
            own.start()

            def is_back() -> bool:
                return server.call("GET", T).status_code == 200

            wait_for(is_back, "the catalog")
            assert server.ok("GET", T) == made
            server.ok("POST", T, SET)
            assert len(files(server)) == 2
            assert server.call("GET", "/health/ready").status_code == 200

    def test_connections_that_were_closed_while_idle_are_replaced(
        self, own: Cluster, tmp_path: Path
    ) -> None:
        own.sql("CREATE SCHEMA IF NOT EXISTS idle")
        url = f"{own.url}?options=-csearch_path%3Didle"
        with serving(tmp_path, processes=1, store__url=url) as server:
            server.namespace("ns")
            server.table("t")
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda _: server.ok("GET", T), range(32)))
            for verb, body in (("GET", None), ("POST", SET)):
                own.sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'falcon-catalog'"
                )
                server.ok(verb, T, body)

    def test_none_at_the_start_is_one_line(self) -> None:
        flags = ["--store", "postgresql://catalog@127.0.0.1:1/catalog"]
        done = CliRunner().invoke(main, ["principals", "list", *flags])
        assert done.exit_code == 1
        (line,) = done.output.splitlines()
        assert line.startswith("Error: store postgresql://catalog@127.0.0.1:1/catalog: connection")


class TestReadOnly:
    def _refuses_changes(self, server: Server) -> None:
        files_before = files(server)
        for verb, path, body in (
            ("POST", "/v1/namespaces", {"namespace": ["other"]}),
            ("POST", T, SET),
            ("POST", "/v1/namespaces/ns/tables", {"name": "u", "schema": SCHEMA}),
            ("DELETE", T, None),
        ):
            status, kind, message = server.fails(verb, path, body)
            assert (status, kind) == (503, "SlowDownException")
            assert "takes no changes now: it is a standby or read-only" in message
        assert files(server) == files_before

    def test_a_database_that_is_read_only(self, tmp_path: Path) -> None:
        url = cluster.store_url(f"r{uuid.uuid4().hex}")
        with serving(tmp_path, processes=1, store__url=url) as server:
            server.namespace("ns")
            made = server.table("t")
        read_only = f"{url}%20-cdefault_transaction_read_only%3Don"
        with serving(tmp_path, processes=1, store__url=read_only) as server:
            assert server.ok("GET", T) == made
            self._refuses_changes(server)
            assert server.call("GET", "/health/ready").status_code == 200

    def test_a_standby_serves_reads_and_then_all_once_it_is_promoted(
        self, own: Cluster, tmp_path: Path
    ) -> None:
        own.sql("CREATE SCHEMA IF NOT EXISTS streamed")
        options = "?options=-csearch_path%3Dstreamed"
        standby = Cluster(durable=True)
        try:
            with serving(tmp_path, processes=1, store__url=own.url + options) as server:
                server.namespace("ns")
                server.table("t")
                standby.copy_from(own)
                standby.start()
                made = server.ok("POST", T, SET)
            with serving(tmp_path, processes=1, store__url=standby.url + options) as server:
                wait_for(
                    lambda: server.ok("GET", T)["metadata-location"] == made["metadata-location"],
                    "the standby",
                )
                self._refuses_changes(server)
                standby.promote()
                wait_for(lambda: server.call("POST", T, SET).status_code == 200, "the promotion")
        finally:
            standby.remove()

    def test_a_standby_without_a_catalog_is_one_line(self, own: Cluster) -> None:
        standby = Cluster(durable=True)
        try:
            standby.copy_from(own)
            standby.start()
            with pytest.raises(StoreError, match="this is a standby: start a server on the prim"):
                open_database(f"{standby.url}?options=-csearch_path%3Dnowhere")
        finally:
            standby.remove()


class TestTimeouts:
    def test_of_a_lock(self, tmp_path: Path) -> None:
        url = cluster.store_url(f"l{uuid.uuid4().hex}")
        with serving(tmp_path, processes=1, store__url=url, store__lock_timeout=1) as server:
            server.namespace("ns")
            made = server.table("t")
            with psycopg.connect(url) as other:
                other.execute("SELECT * FROM tabulars FOR UPDATE")
                status, kind, message = server.fails("POST", T, SET)
            assert (status, kind) == (503, "SlowDownException")
            assert "held what this one needs for too long. Nothing was changed" in message
            assert server.ok("GET", T) == made
            assert len(files(server)) == 1

    def test_of_a_statement(self, tmp_path: Path) -> None:
        url = cluster.store_url(f"l{uuid.uuid4().hex}")
        timeouts = {"store__lock_timeout": 60, "store__statement_timeout": 1}
        with serving(tmp_path, processes=1, store__url=url, **timeouts) as server:
            server.namespace("ns")
            server.table("t")
            with psycopg.connect(url) as other:
                other.execute("LOCK TABLE tabulars IN ACCESS EXCLUSIVE MODE")
                for verb, body in (("GET", None), ("POST", SET)):
                    status, kind, message = server.fails(verb, T, body)
                    assert (status, kind) == (503, "SlowDownException")
                    assert "The database took too long" in message

    def test_of_the_pool(self, tmp_path: Path) -> None:
        url = cluster.store_url(f"l{uuid.uuid4().hex}")
        small = {"store__pool_size": 2, "store__connect_timeout": 2}
        with serving(tmp_path, processes=1, store__url=url, **small) as server:
            server.namespace("ns")
            store = server.catalog.store
            with store.read(), store.read():
                status, _, message = server.fails("GET", "/v1/namespaces/ns")
            assert status == 503
            assert "all connections to it are in use" in message
            server.ok("GET", "/v1/namespaces/ns")


@pytest.fixture(scope="module")
def guarded() -> Iterator[Cluster]:
    """A cluster with a user who needs a password."""
    cluster = Cluster()
    cluster.create()
    hba = cluster.folder / "data" / "pg_hba.conf"
    rules = hba.read_text(encoding="utf-8")
    hba.write_text(f"host all catalog all scram-sha-256\n{rules}", encoding="utf-8")
    cluster.start()
    cluster.sql("CREATE ROLE catalog LOGIN PASSWORD 'swordfish'")
    cluster.sql("CREATE SCHEMA catalog AUTHORIZATION catalog")
    yield cluster
    cluster.remove()


class TestConnecting:
    def test_the_password_is_where_the_settings_say(
        self, guarded: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = guarded.url.replace("postgres@", "catalog@")
        secret = tmp_path / "password"
        secret.write_text("swordfish\n", encoding="utf-8")
        pgpass = tmp_path / "pgpass"
        pgpass.write_text("*:*:*:catalog:swordfish\n", encoding="utf-8")
        pgpass.chmod(0o600)
        monkeypatch.setenv("DB_PASSWORD", "swordfish")
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        for reference in ("env:DB_PASSWORD", f"file:{secret}", "systemd:password"):
            open_database(StoreSettings(url=url, password=reference)).close()
        monkeypatch.setenv("PGPASSFILE", str(pgpass))
        open_database(StoreSettings(url=url)).close()

    @pytest.mark.parametrize(
        ("reference", "text"),
        [
            ("env:DB_PASSWORD", "password authentication failed"),
            ("env:NOT_THERE", "the environment has no NOT_THERE"),
            ("file:/nowhere/password", "/nowhere/password: No such file"),
            ("systemd:password", "LoadCredential"),
            ("ambient", "no password supplied"),
        ],
    )
    def test_a_wrong_one_is_never_shown(
        self, guarded: Cluster, reference: str, text: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = guarded.url.replace("postgres@", "catalog@")
        monkeypatch.setenv("DB_PASSWORD", "trout")
        monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
        with pytest.raises(StoreError, match=text) as raised:
            open_database(StoreSettings(url=url, password=reference))
        assert "trout" not in repr(raised.value)

    def test_a_password_that_was_replaced_is_read_again(
        self, guarded: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        url = guarded.url.replace("postgres@", "catalog@")
        secret = tmp_path / "secret"
        secret.write_text("swordfish", encoding="utf-8")
        guarded.sql("ALTER ROLE catalog PASSWORD 'swordfish'")
        store = open_database(StoreSettings(url=url, password=f"file:{secret}", pool_size=2))
        with contextlib.closing(store), caplog.at_level(logging.DEBUG):
            guarded.sql("ALTER ROLE catalog PASSWORD 'herring'")
            secret.write_text("herring", encoding="utf-8")
            with store.read(), store.read() as tx:  # the second one connects anew
                assert warehouses.find(tx, "none") is None
        guarded.sql("ALTER ROLE catalog PASSWORD 'swordfish'")
        assert "herring" not in caplog.text

    def test_encryption_that_is_required_and_not_there(self) -> None:
        url = cluster.store_url(f"e{uuid.uuid4().hex}")
        with pytest.raises(StoreError, match="server does not support SSL"):
            open_database(StoreSettings(url=url, sslmode="require"))

    def test_a_certificate_is_verified_if_that_is_set(self, tmp_path: Path) -> None:
        encrypted = Cluster("-c", "ssl=on")
        try:
            encrypted.create()
            certificates = [encrypted.folder / "data" / "server.crt", tmp_path / "other.crt"]
            for certificate in certificates:
                subprocess.run(
                    [
                        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
                        *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
                        *(
                            "-keyout",
                            str(certificate.with_suffix(".key")),
                            "-out",
                            str(certificate),
                        ),
                    ],
                    check=True,
                    capture_output=True,
                )
            encrypted.own(certificates[0], certificates[0].with_suffix(".key"))
            encrypted.start()
            own = tmp_path / "own.crt"
            own.write_bytes(certificates[0].read_bytes())
            url = encrypted.url.replace("127.0.0.1", "localhost")
            verified = StoreSettings(url=url, sslmode="verify-full", sslrootcert=str(own))
            open_database(verified).close()
            for wrong, text in (
                (replace(verified, sslrootcert=str(certificates[1])), "certificate verify failed"),
                (replace(verified, url=encrypted.url), "does not match host name"),
            ):
                with pytest.raises(StoreError, match=text):
                    open_database(wrong)
        finally:
            encrypted.remove()

    def test_a_schema_that_is_not_there(self) -> None:
        url = f"{cluster.shared().url}?options=-csearch_path%3Dnowhere"
        with pytest.raises(StoreError, match=r"none of the schemas.* store\.search_path"):
            open_database(url)

    def test_schemas_of_the_settings_hold_a_catalog_each(self) -> None:
        names = [f"x{uuid.uuid4().hex}" for _ in range(2)]
        ids = set()
        for name in names:
            cluster.store_url(name)
            store = open_database(
                StoreSettings(url=cluster.shared().url, search_path=f'"{name}", public')
            )
            ids.add(warehouses.store_id(store.autocommit()))
            store.close()
        assert len(ids) == 2

    def test_without_the_extra_its_name_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [each for each in sys.modules if each.startswith("falcon_catalog.store.postg")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.delattr("falcon_catalog.store.postgres", raising=False)
        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(StoreError, match="install the extra postgres"):
            open_database("postgresql://h/d")


def test_two_servers_see_each_other_s_changes_at_once(tmp_path: Path) -> None:
    url = cluster.store_url(f"n{uuid.uuid4().hex}")
    with (
        serving(tmp_path, processes=1, store__url=url) as one,
        serving(tmp_path, processes=1, store__url=url) as two,
    ):
        one.namespace("ns")
        one.table("t")
        for number in range(5):
            for here, there in ((one, two), (two, one)):
                update = {"action": "set-properties", "updates": {"n": str(number)}}
                made = here.ok("POST", T, {"updates": [update]})
                assert there.ok("GET", T)["metadata-location"] == made["metadata-location"]
        key = {"Idempotency-Key": str(uuid.uuid4())}
        body = {"namespace": ["new"]}
        answers = {s.call("POST", "/v1/namespaces", body, headers=key).text for s in (one, two)}
        assert len(answers) == 1


def test_a_principal_that_is_removed_is_refused_everywhere_at_once(tmp_path: Path) -> None:
    settings = {"store__url": cluster.store_url(f"n{uuid.uuid4().hex}"), "auth__required": True}
    with (
        serving(tmp_path, processes=1, **settings) as one,
        serving(tmp_path, processes=1, **settings) as two,
    ):
        store = one.catalog.store
        secret = principals.add(store, "etl")
        form = {"grant_type": "client_credentials", "client_id": "etl", "client_secret": secret}
        token = requests.post(f"{one.url}/v1/oauth/tokens", data=form, timeout=DEADLINE).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        for server in (one, two):
            assert server.call("GET", "/v1/namespaces", headers=headers).status_code == 200
        principals.remove(store, "etl")
        for server in (two, one):
            assert server.call("GET", "/v1/namespaces", headers=headers).status_code == 401


def test_many_threads_share_a_small_pool(tmp_path: Path) -> None:
    url = cluster.store_url(f"p{uuid.uuid4().hex}")
    small = {"store__pool_size": 2, "store__connect_timeout": int(DEADLINE)}
    with serving(tmp_path, processes=1, store__url=url, **small) as server:
        server.namespace("ns")
        server.table("t")
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda _: server.call("GET", T).status_code, range(64)))
        assert set(statuses) == {200}
