"""The disk and the database fail under the real server: answers stay right, nothing is lost.

strace attaches to the process and lets chosen system calls fail or take long, and lets go of it
when the fault is to end.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.durability import wire
from tests.durability.processes import Catalog, Client, Tracer, why_no_strace
from tests.durability.requests import requests
from tests.durability.store import Store
from tests.processes import wait_for

KINDS = tuple(requests(""))
WRITING = tuple(kind for kind, one in requests("").items() if one.writes_file)

traced = pytest.mark.skipif(bool(why_no_strace()), reason=why_no_strace())


def served(folder: Path, **settings: object) -> Catalog:
    """Start a catalog of one thread, which has served each type of request before."""
    catalog = Catalog(folder, **{"server__threads": 1, **settings})
    catalog.start()
    with catalog.client() as client:
        client.ok("POST", wire.namespace(), {"namespace": ["ns"]})
    works(catalog, "warm")
    return catalog


def works(catalog: Catalog, tag: str, kinds: Iterable[str] = KINDS) -> None:
    """Hold that every type of request succeeds."""
    with catalog.client() as client:
        for one in map(requests(tag).__getitem__, kinds):
            answer = one.ask(client, one.prepare(client))
            assert answer.done, (one.kind, answer)
            one.judge(answer, Store(catalog.store))


@pytest.fixture
def client(catalog: Catalog) -> Iterator[Client]:
    with catalog.client() as client:
        yield client


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = served(tmp_path)
    yield catalog
    catalog.kill()


def fault(*injected: str, path: Path | None = None) -> list[str]:
    """Return what tells strace to inject faults, into calls about one file if told."""
    calls = sorted({one.partition(":")[0] for one in injected})
    told = ["-e", f"trace={','.join(calls)}"]
    for one in injected:
        told += ["-e", f"inject={one}"]
    return [*told, *(["-P", str(path)] if path else [])]


LIVED_THROUGH = {
    "log: no space": ("log", "pwrite64:error=ENOSPC", KINDS),
    "log: cannot be written": ("log", "pwrite64:error=EIO", KINDS),
    "log: too large": ("log", "pwrite64:error=EFBIG", KINDS),
    "file: no space": ("", "writev:error=ENOSPC", WRITING),
    "file: cannot be written": ("", "writev:error=EIO", WRITING),
    "file: cannot be synced": ("", "fdatasync:error=EIO:when=1", WRITING),
    "file: no space when it is synced": ("", "fdatasync:error=ENOSPC:when=1", WRITING),
    "folder: cannot be synced": ("", "fsync:error=EIO", WRITING),
    "folder: cannot be made": ("", "mkdir:error=ENOSPC", ("create",)),
    "no descriptors left": ("", "openat:error=EMFILE", KINDS),
    "read-only": ("", "openat:error=EROFS", KINDS),
}


@traced
@pytest.mark.parametrize("case", LIVED_THROUGH)
def test_a_fault_is_told_and_lived_through(
    catalog: Catalog, client: Client, case: str, tell: Callable[[str], None]
) -> None:
    where, injected, kinds = LIVED_THROUGH[case]
    path = Path(f"{catalog.store}-wal") if where == "log" else None
    asked = [requests("f")[kind] for kind in kinds]
    needed = [one.prepare(client) for one in asked]
    count, told = 0, []
    for one, need in zip(asked, needed, strict=True):
        with Tracer(fault(injected, path=path), catalog.pid) as tracer:
            answer = one.ask(client, need)
            count += tracer.injected()
        one.judge(answer, Store(catalog.store))
        told.append(f"{one.kind} {answer.status}")
        assert catalog.alive(), (one.kind, catalog.errors)
    assert count >= len([one for one in asked if one.writes_file])
    works(catalog, "after")
    tell(f"{count} injected: {', '.join(told)}")
    assert catalog.stop() == 0


@traced
@pytest.mark.parametrize("kind", KINDS)
def test_a_failed_sync_of_the_database_ends_the_process(
    catalog: Catalog, client: Client, kind: str, tell: Callable[[str], None]
) -> None:
    """The log may hold what was not acknowledged: only a recovery decides."""
    one = requests("f")[kind]
    need = one.prepare(client)
    with Tracer(fault("fdatasync:error=EIO", path=Path(f"{catalog.store}-wal")), catalog.pid):
        answer = one.ask(client, need)
        assert (answer.status, answer.kind) == (500, "CommitStateUnknownException")
        assert catalog.ended() == 1
    assert "a COMMIT failed" in catalog.errors[-1]
    one.judge(answer, Store(catalog.store))
    catalog.start()
    works(catalog, "after")
    store = Store(catalog.store)
    one.judge(answer, store)
    tell("done after all" if one.happened(store) else "not done")


@traced
@pytest.mark.parametrize("kind", KINDS)
def test_a_failed_sync_of_one_process_ends_all_that_have_the_store_open(
    tmp_path: Path, kind: str, tell: Callable[[str], None]
) -> None:
    catalog = served(tmp_path, processes=3)
    try:
        one = requests("f")[kind]
        with catalog.client() as client:
            need = one.prepare(client)
            before = set(catalog.workers())
            injected = fault("fdatasync:error=EIO", path=Path(f"{catalog.store}-wal"))
            with Tracer(injected, *before):
                answer = one.ask(client, need)
                assert (answer.status, answer.kind) == (500, "CommitStateUnknownException")
        wait_for(lambda: not before & set(catalog.workers()), "other processes")
        with catalog.client() as client:
            wait_for(lambda: client.ask("GET", "/health/ready").done, "a process that serves")
        works(catalog, "after")
        store = Store(catalog.store)
        one.judge(answer, store)
        tell("done after all" if one.happened(store) else "not done")
        assert catalog.stop() == 0
        assert sum("Stopped: a COMMIT failed" in line for line in catalog.errors) == len(before)
        assert sum("recovered the store" in line for line in catalog.errors) == 1
    finally:
        catalog.kill()


@traced
@pytest.mark.parametrize("kind", WRITING)
def test_nothing_is_deleted_when_nobody_can_look_what_was_stored(
    catalog: Catalog, client: Client, kind: str
) -> None:
    """A COMMIT fails, and so does the look at what it did: its metadata file must stay."""
    one = requests("f")[kind]
    need = one.prepare(client)
    before = set(catalog.folder.glob("lake/**/*.metadata.json"))
    told = fault("fdatasync:error=EIO", "openat:error=EMFILE", path=Path(f"{catalog.store}-wal"))
    with Tracer([*told, "-P", str(catalog.store)], catalog.pid):
        answer = one.ask(client, need)
        assert (answer.status, answer.kind) == (500, "CommitStateUnknownException")
        assert catalog.ended() == 1
    assert set(catalog.folder.glob("lake/**/*.metadata.json")) > before


@traced
@pytest.mark.parametrize("kind", ["commit", "purge", "undrop"])
def test_reads_are_answered_while_a_sync_takes_long(tmp_path: Path, kind: str) -> None:
    catalog = served(tmp_path, server__threads=4)
    try:
        one = requests("f")[kind]
        injected = fault("fdatasync:delay_enter=2000000", path=Path(f"{catalog.store}-wal"))
        answers = []
        with catalog.client() as client:
            need = one.prepare(client)
        with (
            catalog.client() as client,
            catalog.client() as other,
            Tracer(injected, catalog.pid) as tracer,
        ):
            writing = threading.Thread(target=lambda: answers.append(one.ask(client, need)))
            writing.start()
            wait_for(lambda: "fdatasync(" in tracer.told(), "the sync")
            assert other.ok("GET", wire.table("twarm"))["metadata"]["properties"]["op"] == "op"
            assert not one.happened(Store(catalog.store))
            assert not answers  # not acknowledged before it is durable
            writing.join()
        assert answers[0].done
        assert one.happened(Store(catalog.store))
    finally:
        catalog.kill()
