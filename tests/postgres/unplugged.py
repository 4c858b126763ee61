"""A session whose network is gone: run by ``unshare --net``, whose loopback is taken down here."""

import subprocess
import sys

import psycopg

from falcon_catalog.settings import StoreSettings
from falcon_catalog.store.postgres import conninfo
from tests.postgres.cluster import Cluster
from tests.processes import DEADLINE


def main() -> None:
    """Lock a row, cut the network, and wait over a Unix socket until the row is free."""
    loopback("up")
    cluster = Cluster()
    try:
        cluster.create()
        cluster.start()
        cluster.sql("CREATE TABLE t AS SELECT 1 AS a")
        settings = StoreSettings(url=cluster.url, transaction_idle_timeout=3600)
        holder = psycopg.connect(**conninfo.parameters(settings))
        holder.execute("BEGIN")
        holder.execute("SELECT * FROM t FOR UPDATE")
        loopback("down")
        local = f"postgresql://postgres@/postgres?host={cluster.folder}&port={cluster.port}"
        with psycopg.connect(local, autocommit=True) as other:
            other.execute(f"SET statement_timeout = '{DEADLINE}s'")
            other.execute("UPDATE t SET a = 2")
        sys.stdout.write("free\n")
    finally:
        cluster.remove()


def loopback(state: str) -> None:
    """Take the loopback up or down."""
    subprocess.run(["ip", "link", "set", "lo", state], check=True)


if __name__ == "__main__":
    main()
