"""The disk and the database fail under a purge: nothing else goes, and it is done in the end.

The server's own housekeeper deletes the files; here it looks for work more often than it does at
home. Time is moved on by moving what the database says of it.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog

from tests.durability import wire
from tests.durability.processes import Catalog, Client, Tracer, why_no_strace
from tests.durability.store import Store
from tests.durability.test_faults import KINDS, fault, works
from tests.processes import wait_for

HURRIED = "from falcon_catalog.catalog import purge as p; p._INTERVAL_SECONDS = 0.05; "
ROWS = pa.table({"id": [1, 2, 3]})
# Inside the folder of a table: 2 data files, 2 manifests, 2 lists, 3 metadata files.
FILES = 9
DROPPING = ("drop", "purge", "undrop")

traced = pytest.mark.skipif(bool(why_no_strace()), reason=why_no_strace())


class Lake:
    """A catalog with the table ``gone``, which is to be purged, and one that had its name."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        catalog.program = HURRIED + catalog.program
        catalog.start()
        with catalog.client() as client:
            client.ok("POST", wire.namespace(), {"namespace": ["ns"]})
        tables = RestCatalog("test", uri=f"http://127.0.0.1:{catalog.port}")
        for name in ("gone", "kept"):
            table = tables.create_table("ns.gone", ROWS.schema, properties={"op": name})
            table.append(ROWS)
            table.append(ROWS)
            if name == "gone":
                tables.rename_table("ns.gone", "ns.kept")
                self.kept = table.location()
        self.gone = table.location()
        tables.close()
        self.works("warm")
        self._before = self._others()

    def files(self, location: str) -> dict[Path, bytes]:
        folder = Path(location.removeprefix("file://"))
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def _others(self) -> dict[Path, bytes]:
        """Return the files of all tables but the one to be purged."""
        gone = Path(self.gone.removeprefix("file://"))
        everything = self.files(f"file://{self.catalog.folder}/lake/warehouse")
        return {path: text for path, text in everything.items() if gone not in path.parents}

    def works(self, tag: str) -> None:
        """Hold that what does not depend on the retention succeeds."""
        works(self.catalog, tag, (kind for kind in KINDS if kind not in DROPPING))

    def drop(self, client: Client) -> None:
        client.ok("DELETE", f"{wire.table('gone')}?purgeRequested=true")

    def sql(self, statement: str) -> None:
        """Change the database beside the server."""
        with contextlib.closing(sqlite3.connect(self.catalog.store)) as database, database:
            database.execute("PRAGMA busy_timeout = 60000")
            database.execute(statement)

    def expire(self) -> None:
        """End the retention of what was dropped with a purge."""
        self.sql("UPDATE dropped_tabulars SET expires_at = 0 WHERE name = 'gone'")

    def extend(self) -> None:
        """Let the retention not be over after all."""
        self.sql("UPDATE dropped_tabulars SET expires_at = dropped_at * 2 WHERE name = 'gone'")

    def end_lease(self) -> None:
        """Let the time pass that a purge is given, or is put off for."""
        self.sql("UPDATE dropped_tabulars SET leased_until = 0 WHERE name = 'gone'")

    def entry(self, client: Client) -> Any:
        """Return what is told of the drop, or None when it is over."""
        listed = client.ok("GET", wire.DROPPED)["dropped"]
        return next((one for one in listed if one["identifier"]["name"] == "gone"), None)

    def paths(self) -> list[str]:
        """Return strace's flags for the files of what was dropped, which go by their folders."""
        files = self.files(self.gone)
        every = dict.fromkeys([*files, *(path.parent for path in files)])
        return [f"--trace-path={path}" for path in every]

    def is_whole(self) -> bool:
        return len(self.files(self.gone)) == FILES

    def check(self) -> None:
        """Hold that no file is missing that belongs to another table."""
        Store(self.catalog.store).check()
        others = self._others()
        assert {path: others.get(path) for path in self._before} == self._before

    def check_done(self, client: Client) -> None:
        """Hold that the purge comes to its end, and that nothing else has gone."""
        wait_for(lambda: self.entry(client) is None, "the end of the purge")
        assert not self.files(self.gone)
        self.check()
        self.works("after")
        self.check()
        assert client.ask("GET", wire.table("gone")).status == 404


@pytest.fixture
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lake]:
    """Return one with the settings that the test is parametrized with, if any."""
    catalog = Catalog(tmp_path, **getattr(request, "param", {}))
    try:
        yield Lake(catalog)
    finally:
        catalog.kill()


@pytest.fixture
def client(lake: Lake) -> Iterator[Client]:
    with lake.catalog.client() as client:
        yield client


FILES_FAIL = {
    "a file cannot be deleted": "unlinkat:error=EIO",
    "a file must not be deleted": "unlinkat:error=EACCES",
    "the fourth file cannot be deleted": "unlinkat:error=EROFS:when=4+",
    "nothing can be read": "read:error=EIO",
    "no descriptors are left": "openat:error=EMFILE",
}
INLINE = pytest.param({"warehouse__drop_retention": 0}, id="at once")


@traced
@pytest.mark.parametrize("lake", [INLINE], indirect=True)
@pytest.mark.parametrize("case", FILES_FAIL)
def test_a_purge_goes_on_when_files_can_be_deleted_again(
    lake: Lake, client: Client, case: str
) -> None:
    injected = FILES_FAIL[case]
    with Tracer([*fault(injected), *lake.paths()], lake.catalog.pid) as tracer:
        lake.drop(client)
        wait_for(lambda: "trouble" in (lake.entry(client) or {}), "trouble")
        assert tracer.injected()
    assert len(lake.files(lake.gone)) == (FILES - 3 if "when=4" in injected else FILES)
    number = wire.dropped(client.ok("GET", wire.DROPPED), "gone")
    answer = client.ask("POST", wire.undropping(number))
    assert (answer.status, answer.kind) == (409, "CommitFailedException")
    lake.check()
    lake.works("meanwhile")
    lake.end_lease()
    lake.check_done(client)
    assert lake.catalog.stop() == 0


@traced
@pytest.mark.parametrize("again", [False, True], ids=["undropped", "purged"])
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_no_file_goes_while_its_purge_cannot_be_written_down(
    lake: Lake, client: Client, error: str, again: bool
) -> None:
    lake.drop(client)
    wal = Path(f"{lake.catalog.store}-wal")
    with Tracer(fault(f"pwrite64:error={error}", path=wal), lake.catalog.pid) as tracer:
        lake.expire()
        wait_for(lambda: tracer.injected() > 1, "the housekeeper's second look")
        lake.extend()
    number = wire.dropped(client.ok("GET", wire.DROPPED), "gone")
    assert not lake.entry(client)["purge-started"]
    assert lake.is_whole()
    assert any("cannot purge dropped tables of warehouse" in line for line in lake.catalog.errors)
    if again:
        lake.expire()
        lake.check_done(client)
    else:
        client.ok("POST", wire.undropping(number))
        assert client.ok("GET", wire.table("gone"))["metadata"]["location"] == lake.gone
        lake.check()
        lake.works("after")
    assert lake.catalog.stop() == 0


def test_no_file_goes_while_somebody_else_has_the_database(lake: Lake, client: Client) -> None:
    lake.drop(client)
    with contextlib.closing(sqlite3.connect(lake.catalog.store, isolation_level=None)) as other:
        other.execute("PRAGMA busy_timeout = 60000")
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE dropped_tabulars SET expires_at = 0 WHERE name = 'gone'")
        told = "cannot purge dropped tables of warehouse"
        wait_for(lambda: any(told in line for line in lake.catalog.errors), "the housekeeper")
        assert lake.is_whole()
        other.execute("COMMIT")
    lake.check_done(client)


@traced
@pytest.mark.parametrize("when", ["begin", "but the metadata file", "end"])
def test_a_failed_sync_of_a_purge_ends_the_process(lake: Lake, client: Client, when: str) -> None:
    """The database cannot say whether the purge has begun, how far it is, or that it is over."""
    lake.drop(client)
    nth, left = {"begin": (1, FILES), "but the metadata file": (2, 1), "end": (3, 0)}[when]
    wal = Path(f"{lake.catalog.store}-wal")
    with Tracer(fault(f"fdatasync:error=EIO:when={nth}+", path=wal), lake.catalog.pid):
        lake.expire()
        assert lake.catalog.ended() == 1
    assert "a COMMIT failed" in lake.catalog.errors[-1]
    assert len(lake.files(lake.gone)) == left
    lake.check()
    client.close()
    lake.catalog.start()
    lake.end_lease()
    lake.check_done(client)


@traced
def test_a_slow_sync_is_waited_for_before_files_go(lake: Lake, client: Client) -> None:
    """Else a power cut could bring a drop back that can be undropped, without its files."""
    lake.drop(client)
    told = ["-e", "trace=fdatasync,unlinkat", "-e", "inject=fdatasync:delay_enter=200000"]
    told.append(f"--trace-path={lake.catalog.store}-wal")
    with Tracer([*told, *lake.paths()], lake.catalog.pid) as tracer:
        lake.expire()
        lake.check_done(client)
        begun, _, rest = tracer.told().partition("(DELAYED)")
        assert "unlinkat(" not in begun
        assert rest.count("unlinkat(") == FILES
        assert "(DELAYED)" in rest[rest.rindex("unlinkat(") :]


@traced
@pytest.mark.parametrize(
    ("lake", "nth"),
    [({"processes": 1}, n) for n in (1, FILES // 2, FILES)] + [({"processes": 3}, FILES // 2)],
    indirect=["lake"],
    ids=["first file", "in the midst", "last file", "one of three processes"],
)
def test_a_purge_that_was_killed_goes_on(lake: Lake, client: Client, nth: int) -> None:
    lake.drop(client)
    catalog = lake.catalog
    before = set(catalog.workers())
    killed = [*fault(f"unlinkat:signal=KILL:when={nth}"), *lake.paths()]
    with Tracer(killed, *(before or {catalog.pid})):
        lake.expire()
        if before:
            wait_for(lambda: before != set(catalog.workers()), "another worker")
        else:
            assert catalog.ended() != 0
            catalog.start()
    wait_for(lambda: client.ask("GET", "/health/ready").done, "a server that answers")
    assert len(lake.files(lake.gone)) in (FILES - nth, FILES - nth + 1)
    lake.check()
    lake.end_lease()
    lake.check_done(client)
