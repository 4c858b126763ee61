"""Sessions of processes that were stopped and of hosts that are gone: their locks are released."""

import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import psycopg
import pytest

from falcon_catalog.settings import StoreSettings
from falcon_catalog.store.postgres import conninfo
from tests.catalog.serving import serving
from tests.postgres import cluster
from tests.processes import DEADLINE, Running, wait_for

T = "/v1/namespaces/ns/tables/t"
SET = {"updates": [{"action": "set-properties", "updates": {"a": "b"}}]}
HOLDER = """\
import sys
from falcon_catalog.settings import StoreSettings
from falcon_catalog.store import open_database
from falcon_catalog.store.database import RolledBackError

store = open_database(StoreSettings(url=sys.argv[1], transaction_idle_timeout=int(sys.argv[2])))
try:
    with store.write() as tx:
        tx.connection.execute("SELECT * FROM tabulars FOR UPDATE")
        print("holds", flush=True)
        sys.stdin.read(1)
        tx.change("DELETE FROM tabulars")
    print("stored", flush=True)
except RolledBackError as error:
    print(error, flush=True)
"""


def test_a_stopped_process_holds_its_locks_for_the_time_of_the_setting(tmp_path: Path) -> None:
    url = cluster.store_url(f"v{uuid.uuid4().hex}")
    with serving(tmp_path, processes=1, store__url=url, store__lock_timeout=1) as server:
        server.namespace("ns")
        server.table("t")
        end, press = os.pipe()
        holder = Running([sys.executable, "-c", HOLDER, url, "4"], {}, stdin=end)
        try:
            assert holder.line() == "holds"
            holder.signal(signal.SIGSTOP)
            status, kind, _ = server.fails("POST", T, SET)
            assert (status, kind) == (503, "SlowDownException")
            wait_for(lambda: server.call("POST", T, SET).status_code == 200, "the end of its locks")
            os.write(press, b"\n")
            holder.signal(signal.SIGCONT)
            line = holder.line()
            assert line is not None
            assert "Nothing was changed" in line
        finally:
            holder.kill()
            os.close(end)
            os.close(press)
        assert server.ok("GET", T)["metadata"]["properties"]["a"] == "b"


def test_both_ends_of_a_connection_notice_that_the_other_is_gone() -> None:
    own = conninfo.parameters(StoreSettings(url=cluster.shared().url))
    with psycopg.connect(**own) as session:
        for ours, theirs, value in (
            ("keepalives_idle", "tcp_keepalives_idle", "10"),
            ("keepalives_interval", "tcp_keepalives_interval", "5"),
            ("keepalives_count", "tcp_keepalives_count", "3"),
            ("tcp_user_timeout", "tcp_user_timeout", "25000"),
        ):
            assert session.info.get_parameters()[ours] == value
            setting = "SELECT setting FROM pg_settings WHERE name = %s"
            assert session.execute(setting, [theirs]).fetchone() == (value,)


def test_the_locks_of_a_host_that_is_gone_are_released() -> None:
    cluster.require()
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "ip"))):
        pytest.skip("a network of its own needs root, unshare and ip")
    if subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine allows no network of its own")
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "tests.postgres.unplugged"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * DEADLINE,
    )
    assert done.stdout == "free\n", done.stderr
