"""A process that is killed at any statement of a grant leaves grant and event, or neither."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.postgres import stores

PROGRAM = """
import contextlib, json, os, signal, sys
from importlib import import_module

from falcon_catalog.catalog import access_control, accounts
from falcon_catalog.catalog.access_control import Change
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.catalog.entities import EntityName
from falcon_catalog.store import open_database

def killed_at(number):
    url = sys.argv[1]
    module, name = (
        ("sqlite", "SqliteTransaction") if url.startswith("sqlite") else
        ("postgres", "PostgresTransaction")
    )
    kind = getattr(import_module(f"falcon_catalog.store.{module}.transaction"), name)
    left = [number]

    def counting(run):
        def counted(*args):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return run(*args)
        return counted

    with contextlib.closing(open_database(url)) as store:
        for each in ("one", "all", "change"):
            setattr(kind, each, counting(getattr(kind, each)))
        change = Change(("select",), EntityName("server"), "ann")
        access_control.change(StoreCall(store, local="local:0"), grant=[change])

with contextlib.closing(open_database(sys.argv[1])) as store:
    accounts.add(StoreCall(store, local="local:0"), "ann")
is_complete, number = False, 0
while not is_complete:
    child = os.fork()
    if not child:
        killed_at(number)
        os._exit(0)
    is_complete = os.waitpid(child, 0)[1] == 0
    number += 1
    with contextlib.closing(open_database(sys.argv[1])) as store:
        tx = store.autocommit()
        grants = tx.one("SELECT count(*) FROM grants")[0]
        events = tx.one("SELECT count(*) FROM events WHERE operation = 'grant'")[0]
    print(json.dumps([is_complete, grants, events]), flush=True)
"""


@pytest.mark.fault(number=33)
@pytest.mark.parametrize("kind", stores.KINDS)
def test_a_grant_and_its_event_are_stored_together(tmp_path: Path, kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, stores.url(kind, tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found, done.stderr
    assert found[-1] == [True, 1, 1], done.stderr
    assert len(found) > 5
    assert all(one == [False, 0, 0] for one in found[:-1])
